"""Versioned models on disk: a version is a folder that is complete or absent, `current` a file replaced by rename.

<MODEL_DIR>/projects/<id>/current           the name of the version that serves
<MODEL_DIR>/projects/<id>/<version>/        model.safetensors, model.json, report.json, label_config.xml
<MODEL_DIR>/projects/<id>/<version>.damaged a version that could not be loaded, moved aside
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from segmenter.errors import ModelError
from segmenter.model import Model

logger = logging.getLogger(__name__)

_VERSION = re.compile(r"v(\d{1,9})-\d{8}T\d{6}")  # its number in the project, when it was published (UTC)
CONFIG_FILE = "label_config.xml"
_LOADED_MODELS = 32  # at most so many stay in memory: some 100 kB each


@dataclass(frozen=True)
class StoredModel:
    """A model and the version it is stored under."""

    version: str
    model: Model


class ModelStore:
    """The stored models of all projects under one folder; safe for many processes, one publisher a project."""

    def __init__(self, folder: Path, keep_versions: int = 5) -> None:
        self._folder = folder / "projects"
        self._keep = keep_versions
        self._loaded: OrderedDict[int, StoredModel] = OrderedDict()
        self._lock = threading.Lock()

    def project_folder(self, project: int) -> Path:
        """The folder of one project. A project id is a number: nothing else can name a folder."""
        return self._folder / str(int(project))

    def current_version(self, project: int) -> str | None:
        """The version that serves, None for an untrained project. One small read: cheap enough for every request."""
        try:
            version = (self.project_folder(project) / "current").read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return version if _VERSION.fullmatch(version) else None

    def versions(self, project: int) -> list[str]:
        """All whole versions of a project, oldest first."""
        folder = self.project_folder(project)
        if not folder.is_dir():
            return []
        return sorted((path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name)), key=_number)

    def publish(self, project: int, model: Model, label_config: str) -> str:
        """Store a model as a new version and let it serve; returns the version; raises OSError, nothing changed."""
        folder = self.project_folder(project)
        folder.mkdir(parents=True, exist_ok=True)
        taken = [_number(path.name) for path in folder.iterdir() if _VERSION.match(path.name)]  # damaged ones included
        version = f"v{max(taken, default=0) + 1}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}"
        unfinished = folder / f".{version}"
        try:
            unfinished.mkdir()
            model.save(unfinished)
            (unfinished / CONFIG_FILE).write_text(label_config, "utf-8")
            for path in unfinished.iterdir():
                _flush(path)
            _flush(unfinished)
            unfinished.rename(folder / version)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self._point_to(project, version)
        self._remove_old(project)
        return version

    def load(self, project: int) -> StoredModel | None:
        """The model that serves, None for an untrained project.

        A damaged version is moved aside, not deleted, and the newest whole one before it serves.
        """
        while (version := self.current_version(project)) is not None:
            with self._lock:
                loaded = self._loaded.get(project)
                if loaded is not None and loaded.version == version:
                    self._loaded.move_to_end(project)
                    return loaded
            try:
                stored = StoredModel(version, Model.load(self.project_folder(project) / version))
            except ModelError as error:
                if self.current_version(project) == version:
                    self._set_aside(project, version, error)
                continue
            self._remember(project, stored)
            return stored
        return None

    def _remember(self, project: int, stored: StoredModel) -> None:
        with self._lock:
            self._loaded[project] = stored
            self._loaded.move_to_end(project)
            while len(self._loaded) > _LOADED_MODELS:
                self._loaded.popitem(last=False)

    def _set_aside(self, project: int, version: str, error: ModelError) -> None:
        folder = self.project_folder(project)
        before = [name for name in self.versions(project) if _number(name) < _number(version)]
        then = f"version {before[-1]} serves again" if before else "there is no older one: train again"
        logger.error("project %d: version %s is damaged and set aside (%s); %s", project, version, error, then)
        if before:
            self._point_to(project, before[-1])
        else:
            (folder / "current").unlink(missing_ok=True)
        if (folder / version).is_dir():
            (folder / version).replace(folder / f"{version}.damaged")

    def _point_to(self, project: int, version: str) -> None:
        current = self.project_folder(project) / "current"
        written = current.with_name(f".current-{secrets.token_hex(3)}")
        try:
            written.write_text(version)
            _flush(written)
            written.replace(current)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        _flush(current.parent)

    def _remove_old(self, project: int) -> None:
        folder = self.project_folder(project)
        for version in self.versions(project)[: -self._keep]:
            shutil.rmtree(folder / version, ignore_errors=True)
        for leftover in folder.glob(".v*"):  # of a trainer that was killed while it wrote
            shutil.rmtree(leftover, ignore_errors=True)


def _number(version: str) -> int:
    match = _VERSION.match(version)
    assert match is not None
    return int(match[1])


def _flush(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Versioned models on disk: a version is a folder that is complete or absent, `current` a file replaced by rename.

<MODEL_DIR>/projects/<id>/current           the name of the version that serves, and "pinned" where newer ones must not
<MODEL_DIR>/projects/<id>/<version>/        model.safetensors, model.json, report.json, label_config.xml, checksums
<MODEL_DIR>/projects/<id>/<version>.damaged a version that could not be loaded, moved aside
<MODEL_DIR>/projects/<id>/charts/<version>/ its pictures, see charts_store
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from backend.checksums import check, write_checksums
from segmenter.errors import ModelError
from segmenter.model import REPORT_FILE, Model

logger = logging.getLogger(__name__)

_VERSION = re.compile(r"v(\d{1,9})-\d{8}T\d{6}")  # its number in the project, when it was published (UTC)
CONFIG_FILE = "label_config.xml"
_PINNED = "pinned"
_LOADED_MODELS = 32  # at most so many stay in memory: some 100 kB each
_UNFINISHED_FOR = 600.0  # seconds after which nobody is writing a version any more
_PROBE = b"x" * 65536  # what must find room in the folder for it to be of use


@dataclass(frozen=True)
class StoredModel:
    """A model and the version it is stored under."""

    version: str
    model: Model


class VersionError(Exception):
    """A version cannot be used or deleted as asked; the message says why and which ones there are."""


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

    def charts_folder(self, project: int, version: str) -> Path:
        """Where the pictures of a version lie, once they are drawn."""
        return self.project_folder(project) / "charts" / version

    def current_version(self, project: int) -> str | None:
        """The version that serves, None for an untrained project. One small read: cheap enough for every request."""
        return self._current(project)[0]

    def is_pinned(self, project: int) -> bool:
        """Whether an operator chose the version that serves, so that newer ones are stored but do not serve."""
        return self._current(project)[1]

    def versions(self, project: int) -> list[str]:
        """All whole versions of a project, oldest first."""
        folder = self.project_folder(project)
        if not folder.is_dir():
            return []
        return sorted((path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name)), key=_number)

    def projects(self) -> list[int]:
        """All projects that have a folder here."""
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isascii() and path.name.isdigit())

    def damaged(self, project: int) -> list[str]:
        """The versions of a project that were damaged and set aside, oldest first."""
        folder = self.project_folder(project)
        names = [path.name for path in folder.glob("v*.damaged")] if folder.is_dir() else []
        return sorted((name.removesuffix(".damaged") for name in names), key=_number)

    def problem(self) -> str | None:
        """Why no version can be stored at present: the folder is read-only or full. None where one can."""
        probe = self._folder.parent / f".probe-{secrets.token_hex(3)}"
        try:
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(_PROBE)
        except OSError as error:
            return (
                f"nothing can be stored in MODEL_DIR ({error.strerror}): make room on its disk, or make it writable;"
                " what was trained before serves on"
            )
        finally:
            _remove(probe)
        return None

    def version_folder(self, project: int, version: str) -> Path:
        """Where a version lies; raises VersionError when there is no such version."""
        versions = self.versions(project)
        if version not in versions:
            there = f"it has {', '.join(versions)}" if versions else "it has none yet: annotate and train first"
            raise VersionError(f"project {project} has no version {version!r}; {there}")
        return self.project_folder(project) / version

    def reports(self, project: int, version: str) -> list[dict[str, Any]]:
        """The training reports of a version, one a control; raises VersionError, or ModelError for a damaged one."""
        path = self.version_folder(project, version) / REPORT_FILE
        try:
            return list(json.loads(path.read_text("utf-8")))
        except (FileNotFoundError, ValueError) as error:
            raise ModelError(f"The report {path} cannot be read ({error}): use another version.") from error

    def label_config(self, project: int, version: str) -> str:
        """The label config that a version was trained with, "" when it is lost; raises VersionError."""
        try:
            return (self.version_folder(project, version) / CONFIG_FILE).read_text("utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def use(self, project: int, version: str) -> None:
        """Pin a version: it serves until another is pinned or `unpin`; raises VersionError, ModelError or OSError."""
        _load(self.version_folder(project, version))
        self._point_to(project, version, pinned=True)

    def unpin(self, project: int) -> str:
        """Let the newest version serve, and those to come; returns it; raises VersionError when there is none."""
        versions = self.versions(project)
        if not versions:
            raise VersionError(f"project {project} has no version yet: annotate and train first")
        self._point_to(project, versions[-1])
        return versions[-1]

    def delete(self, project: int, version: str) -> None:
        """Remove a version that does not serve; raises VersionError for the one that does."""
        folder = self.version_folder(project, version)
        if version == self.current_version(project):
            raise VersionError(f"version {version} of project {project} serves: let another serve before deleting it")
        shutil.rmtree(folder)
        shutil.rmtree(self.charts_folder(project, version), ignore_errors=True)

    def publish(self, project: int, model: Model, label_config: str) -> str:
        """Store a model as a new version and, unless another is pinned, let it serve.

        Returns the version; raises OSError, nothing changed.
        """
        folder = self.project_folder(project)
        folder.mkdir(parents=True, exist_ok=True)
        taken = [_number(path.name) for path in folder.iterdir() if _VERSION.match(path.name)]  # damaged ones included
        version = f"v{max(taken, default=0) + 1}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}"
        unfinished = folder / f".{version}-{secrets.token_hex(3)}"
        unfinished.mkdir()
        try:
            model.save(unfinished)
            (unfinished / CONFIG_FILE).write_text(label_config, "utf-8")
            write_checksums(unfinished)
            for path in unfinished.iterdir():
                _flush(path)
            _flush(unfinished)
            unfinished.rename(folder / version)
        except BaseException as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if isinstance(error, SafetensorError):  # what a full disk becomes on its way through safetensors
                raise OSError(str(error)) from error
            raise
        if not self.is_pinned(project):
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
                stored = StoredModel(version, _load(self.project_folder(project) / version))
            except ModelError as error:
                if self.current_version(project) == version:
                    self._set_aside(project, version, error)
                continue
            self._remember(project, stored)
            return stored
        return None

    def _current(self, project: int) -> tuple[str | None, bool]:
        try:
            words = (self.project_folder(project) / "current").read_text().split()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError):
            return None, False
        if not words or not _VERSION.fullmatch(words[0]):
            return None, False
        return words[0], _PINNED in words[1:]

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
        logger.error(
            "project %(project)d: version %(version)s is damaged and set aside (%(reason)s); %(then)s",
            {"project": project, "version": version, "reason": error, "then": then},
        )
        if before:
            self._point_to(project, before[-1])
        else:
            (folder / "current").unlink(missing_ok=True)
        if (folder / version).is_dir():
            (folder / version).replace(folder / f"{version}.damaged")

    def _point_to(self, project: int, version: str, pinned: bool = False) -> None:
        current = self.project_folder(project) / "current"
        written = current.with_name(f".current-{secrets.token_hex(3)}")
        try:
            written.write_text(f"{version} {_PINNED}" if pinned else version)
            _flush(written)
            written.replace(current)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        _flush(current.parent)

    def _remove_old(self, project: int) -> None:
        folder = self.project_folder(project)
        serving = self.current_version(project)
        for version in self.versions(project)[: -self._keep]:
            if version != serving:
                shutil.rmtree(folder / version, ignore_errors=True)
                shutil.rmtree(self.charts_folder(project, version), ignore_errors=True)
        for leftover in folder.glob(".v*"):  # of a trainer that was killed while it wrote, or is writing elsewhere
            if _age(leftover) > _UNFINISHED_FOR:
                shutil.rmtree(leftover, ignore_errors=True)


def is_version(name: str | None) -> bool:
    """Whether a prediction's version is one of this backend's, by the form of its name."""
    return name is not None and _VERSION.fullmatch(name) is not None


def _load(folder: Path) -> Model:
    """A version's model; raises ModelError when any of its files is not what was published."""
    if folder.is_symlink():
        raise ModelError(f"{folder} is a link: use another version.")
    check(folder)
    return Model.load(folder)


def _remove(probe: Path) -> None:
    try:
        probe.unlink(missing_ok=True)
    except OSError as error:  # on a read-only disk, where there is none either
        logger.debug("%(place)s: %(reason)s", {"place": probe, "reason": error})


def _age(path: Path) -> float:
    """Seconds since a file or folder was last changed; 0 when it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _number(version: str) -> int:
    return int(version[1:].partition("-")[0])


def _flush(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

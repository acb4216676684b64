"""The pictures of a version: drawn by the trainer once it is published, kept beside it, read by the pages.

<MODEL_DIR>/projects/<id>/charts/<version>/   SVG files, and charts.json, which says what each shows; complete or absent

They are no part of the version: its checksums do not cover them, and they can be drawn again from what it holds.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backend.model_store import ModelStore
from segmenter.errors import ModelError
from segmenter.model import CHART_DATA_FILE

logger = logging.getLogger(__name__)

_CONTENTS = "charts.json"
_UNFINISHED_FOR = 600.0  # seconds after which nobody is drawing any more
_TOLD = ("task", "rows", "differing", "regions", "found", "channels_not_drawn", "segments_not_drawn")


@dataclass(frozen=True)
class Chart:
    """A picture, and what is told of it.

    segmenter: the place of the control that it is of. kind: training, confusion, reliability or recording. told: of a
    recording, what the engine's chart data hold besides the curves.
    """

    segmenter: int
    kind: str
    svg: str
    told: Mapping[str, Any]


def read_charts(store: ModelStore, project: int, version: str) -> list[Chart] | None:
    """The pictures of a version, None while they are not drawn; raises ModelError where they are not ours."""
    folder = store.charts_folder(project, version)
    try:
        contents = json.loads((folder / _CONTENTS).read_text("utf-8"))
        return [
            Chart(entry["segmenter"], entry["kind"], _inside(folder, entry["file"]).read_text("utf-8"), entry["told"])
            for entry in contents
        ]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"The charts in {folder} cannot be read ({error}): delete that folder.") from error


def _inside(folder: Path, name: str) -> Path:
    """A file of a folder; raises ValueError for what leads elsewhere."""
    if Path(name).name != name or (folder / name).is_symlink():
        raise ValueError(f"{name!r} is no file in it")
    return folder / name


def are_drawn(store: ModelStore, project: int, version: str) -> bool:
    """Whether the pictures of a version are there."""
    return (store.charts_folder(project, version) / _CONTENTS).exists()


def undrawn(store: ModelStore) -> Iterator[tuple[int, str]]:
    """(project, version) of what serves without pictures: its trainer was stopped before they were done."""
    try:
        for project in store.projects():
            version = store.current_version(project)
            if version is not None and not are_drawn(store, project, version):
                yield project, version
    except OSError as error:
        logger.error("no more charts are drawn of versions that have none: %(reason)s", {"reason": error})


def draw_charts(store: ModelStore, project: int, version: str, stopping: Callable[[], bool]) -> None:
    """Draw what there is to draw of a version. Raises nothing: what fails is logged, and does no other harm.

    stopping: asked between two pictures; when it says yes, nothing is kept.
    """
    began = time.monotonic()
    folder = store.charts_folder(project, version)
    unfinished = folder.with_name(f".{version}-{secrets.token_hex(3)}")
    try:
        _tidy(store, project)
        unfinished.mkdir(parents=True)
        contents = []
        for told, draw in _plan(store, project, version):
            if stopping():
                return
            try:
                (unfinished / told["file"]).write_text(draw(), "utf-8")
                contents.append(told)
            except OSError:
                raise
            except Exception:  # one picture less
                logger.exception(
                    "project %(project)d: %(file)s of version %(version)s cannot be drawn",
                    {"project": project, "file": told["file"], "version": version},
                )
        (unfinished / _CONTENTS).write_text(json.dumps(contents), "utf-8")
        unfinished.rename(folder)
    except Exception as error:  # the version serves all the same
        if not are_drawn(store, project, version):  # else another trainer was as quick
            logger.error(
                "project %(project)d: the charts of version %(version)s cannot be drawn: %(reason)s",
                {"project": project, "version": version, "reason": error},
            )
    else:
        logger.info(
            "project %(project)d: %(charts)d charts of version %(version)s drawn in %(seconds).1f s",
            {
                "project": project,
                "charts": len(contents),
                "version": version,
                "seconds": round(time.monotonic() - began, 1),
            },
        )
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _tidy(store: ModelStore, project: int) -> None:
    """Remove what a trainer left that was killed, and the pictures of versions that are no more."""
    versions = store.versions(project)
    for path in store.charts_folder(project, "").glob("*"):
        left = path.name.startswith(".") and time.time() - path.stat().st_mtime > _UNFINISHED_FOR
        if left or not (path.name.startswith(".") or path.name in versions):
            shutil.rmtree(path, ignore_errors=True)


def _plan(store: ModelStore, project: int, version: str) -> Iterator[tuple[dict[str, Any], Callable[[], str]]]:
    """(what is told of a picture, how to draw it), those first that are looked at first."""
    # matplotlib is for trainers alone, and only once there is something to draw: web workers never load it.
    from backend.charts import draw_confusion, draw_reliability, draw_training
    from backend.charts_recording import draw_recording

    reports = store.reports(project, version)
    found = _chart_data(store, project, version, len(reports))
    for number, (report, data) in enumerate(zip(reports, found, strict=True)):
        named = partial(_entry, number)
        if data.get("losses"):
            entry = named("training")
            yield entry, partial(draw_training, data, report["chosen"]["steps"], _name(entry))
        if data.get("confusion"):
            entry = named("confusion")
            yield entry, partial(draw_confusion, data["confusion"], data["states"], _name(entry))
        if report.get("reliability"):
            entry = named("reliability")
            yield entry, partial(draw_reliability, report["reliability"], _name(entry))
        for place, recording in enumerate(data.get("recordings", ())):
            entry = named("recording", place) | {"told": {key: recording[key] for key in _TOLD}}
            yield entry, partial(draw_recording, recording, data["states"], _name(entry))


def _entry(segmenter: int, kind: str, place: int = 0) -> dict[str, Any]:
    return {"segmenter": segmenter, "kind": kind, "file": f"{kind}-{segmenter}-{place}.svg", "told": {}}


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["file"]).removesuffix(".svg")


def _chart_data(store: ModelStore, project: int, version: str, segmenters: int) -> Sequence[Mapping[str, Any]]:
    """What each control's charts are drawn from; nothing for a version of an older release."""
    path: Path = store.version_folder(project, version) / CHART_DATA_FILE
    if not path.exists():
        return [{}] * segmenters
    found: list[Mapping[str, Any]] = json.loads(path.read_text("utf-8"))
    return found

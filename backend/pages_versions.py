"""What the pages tell of a project's versions: how good each was on held-out recordings, and what changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from backend.model_store import ModelStore
from segmenter.errors import ModelError
from segmenter.model import DESCRIPTION_FILE

SCORES = {"macro_f1": "Macro F1", "f1_50": "Region F1", "edits_saved": "Edits saved"}
_NAMED = 4  # tasks, labels and channels that are named; the rest is counted


@dataclass(frozen=True)
class Part:
    """One control on one time series, as a version learned it. states: {labels, instant}, background first."""

    control: str
    object: str
    channels: tuple[str, ...]
    states: tuple[Mapping[str, Any], ...]
    report: Mapping[str, Any]

    @property
    def label_table(self) -> list[Mapping[str, Any]]:
        """The report's table of labels, background last where there is any; older releases knew only the rows."""
        known = self.report.get("labels")
        if known is None:
            rows = self.report.get("rows", {})
            names = ["/".join(state["labels"]) or "background" for state in self.states]
            known = [
                {**state, "rows": rows.get(name), "regions": None, "held_out": None}
                for name, state in zip(names, self.states, strict=True)
            ]
        numbered = [{**row, "code": code} for code, row in enumerate(known)]
        return [*numbered[1:], *(row for row in numbered[:1] if row["rows"])]


@dataclass(frozen=True)
class Version:
    """A version as a row of the table. scores: of the worst control; None where nothing could be held out.

    differences: of scores to the version before, where both are known. changes: sentences.
    """

    name: str
    published: datetime
    recordings: int
    scores: Mapping[str, float | None]
    differences: Mapping[str, float]
    changes: tuple[str, ...]


def read_parts(store: ModelStore, project: int, version: str) -> tuple[Part, ...]:
    """What a version learned, a control each; raises VersionError, or ModelError for a damaged one."""
    reports = store.reports(project, version)
    path = store.version_folder(project, version) / DESCRIPTION_FILE
    try:
        described = json.loads(path.read_text("utf-8"))["segmenters"]
        return tuple(
            Part(one["control"], one["object"], tuple(one["channels"]), tuple(one["states"]), report)
            for one, report in zip(described, reports, strict=True)
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The description {path} cannot be read ({error}): use another version.") from error


def tell_versions(store: ModelStore, project: int) -> list[Version]:
    """All readable versions of a project, newest first."""
    told: list[Version] = []
    before: tuple[Part, ...] = ()
    for name in store.versions(project):
        try:
            parts = read_parts(store, project, name)
        except (ModelError, OSError):  # which the status tells of once it is to serve
            continue
        scores = worst_scores(parts)
        told.append(
            Version(
                name,
                published_at(name),
                max((len(part.report["recordings"]) for part in parts), default=0),
                scores,
                _differences(told[-1].scores, scores) if told else {},
                what_changed(before, parts) if before else (),
            )
        )
        before = parts
    return told[::-1]


def published_at(version: str) -> datetime:
    """When a version was published: its name says so."""
    return datetime.strptime(version.partition("-")[2], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)


def worst_scores(parts: Sequence[Part]) -> dict[str, float | None]:
    """Each held-out score of the control where it is the lowest; None where nothing could be held out."""
    held_out = [part.report["held_out"] for part in parts if part.report.get("held_out")]
    return {name: min((scores[name] for scores in held_out), default=None) for name in SCORES}


def what_changed(before: Sequence[Part], after: Sequence[Part]) -> tuple[str, ...]:
    """What a version learned from that the one before did not, and the other way round."""
    changes = [
        *_compared("task", _tasks(before), _tasks(after)),
        *_compared("label", _labels(before), _labels(after)),
        *_compared("channel", _channels(before), _channels(after)),
    ]
    if not changes and _rows(before) != _rows(after):
        changes = ["other annotations of the same tasks"]
    return tuple(changes or ["the same tasks and rows of each label"])


def _differences(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> dict[str, float]:
    return {
        name: now - then for name, now in after.items() if now is not None and (then := before.get(name)) is not None
    }


def _compared(kind: str, before: Mapping[str, None], after: Mapping[str, None]) -> list[str]:
    new, gone = [name for name in after if name not in before], [name for name in before if name not in after]
    return [f"{_named(kind, names)} {what}" for names, what in ((new, "added"), (gone, "gone")) if names]


def _named(kind: str, names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{kind if len(names) == 1 else kind + 's'} {shown}"


def _tasks(parts: Sequence[Part]) -> dict[str, None]:
    return _in_order(str(recording["task"]) for part in parts for recording in part.report["recordings"])


def _labels(parts: Sequence[Part]) -> dict[str, None]:
    return _in_order(label for part in parts for state in part.states for label in state["labels"])


def _channels(parts: Sequence[Part]) -> dict[str, None]:
    return _in_order(channel for part in parts for channel in part.channels)


def _rows(parts: Sequence[Part]) -> list[Any]:
    return [[part.control, part.object, part.report.get("rows"), part.report["recordings"]] for part in parts]


def _in_order(names: Iterable[str]) -> dict[str, None]:
    return dict.fromkeys(names)

"""What requests last showed of each project, for its status: the label config, the tasks that could not be read.

It lies beside the training queue, in a database of its own, for it is no promise: where it cannot be written, requests
are answered all the same, and a power cut may cost it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

_KEPT = 20  # failures of a project
_PATIENCE = 0.3  # seconds that a request waits for another one's note
_SCHEMA = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS configs (project INTEGER PRIMARY KEY, label_config TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS failures (
    project INTEGER NOT NULL, task INTEGER, reason TEXT NOT NULL, at REAL NOT NULL
);
"""
_Answer = TypeVar("_Answer")


class LastSeen:
    """Notes that all processes which share one MODEL_DIR leave for each other."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "seen.sqlite3"
        self._lost = False  # whether the log has been told that notes are lost

    def label_config(self, project: int) -> str | None:
        """The config that the project last had."""
        return self._with(lambda notes: _label_config(notes, project), None)

    def note_label_config(self, project: int, label_config: str) -> None:
        """The project has this config now."""
        label_config = _storable(label_config)

        def note(notes: sqlite3.Connection) -> None:
            if _label_config(notes, project) != label_config:
                notes.execute("INSERT OR REPLACE INTO configs VALUES (?, ?)", (project, label_config))

        self._with(note, None)

    def failures(self, project: int) -> list[dict[str, Any]]:
        """The tasks that could not be read when suggestions were last asked for, and why, newest first."""
        return self._with(lambda notes: _failures(notes, project), [])

    def note_tasks(self, project: int, outcomes: Sequence[tuple[int | None, str | None]]) -> None:
        """Suggestions were asked for these tasks: each with the reason, if it could not be read."""

        def note(notes: sqlite3.Connection) -> None:
            known = {failure["task"] for failure in _failures(notes, project)}
            failed = [(project, task, _storable(reason), time.time()) for task, reason in outcomes if reason]
            if not failed and known.isdisjoint(task for task, _ in outcomes):
                return  # as with nearly every request: nothing to write
            asked = [(project, task) for task, _ in outcomes]
            notes.executemany("DELETE FROM failures WHERE project = ? AND task IS ?", asked)
            notes.executemany("INSERT INTO failures VALUES (?, ?, ?, ?)", failed[-_KEPT:])
            notes.execute(
                "DELETE FROM failures WHERE project = ?1 AND rowid NOT IN"
                " (SELECT rowid FROM failures WHERE project = ?1 ORDER BY rowid DESC LIMIT ?2)",
                (project, _KEPT),
            )

        self._with(note, None)

    def _with(self, action: Callable[[sqlite3.Connection], _Answer], otherwise: _Answer) -> _Answer:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=_PATIENCE)) as notes, notes:
                notes.executescript(_SCHEMA)
                answer = action(notes)
        except (OSError, sqlite3.Error) as error:
            if not self._lost:
                logger.warning("%s cannot be used (%s): the status will lack what it holds", self._file, error)
            self._lost = True
            return otherwise
        self._lost = False
        return answer


def _storable(text: str) -> str:
    """Text without the halves of characters that JSON may hold and a database may not."""
    return text.encode("utf-8", "replace").decode()


def _label_config(notes: sqlite3.Connection, project: int) -> str | None:
    row = notes.execute("SELECT label_config FROM configs WHERE project = ?", (project,)).fetchone()
    return str(row[0]) if row else None


def _failures(notes: sqlite3.Connection, project: int) -> list[dict[str, Any]]:
    rows = notes.execute(
        "SELECT task, reason, at FROM failures WHERE project = ? ORDER BY rowid DESC", (project,)
    ).fetchall()
    return [{"task": task, "reason": reason, "at": at} for task, reason, at in rows]

"""What requests last showed of each project, for its status: the label config, the tasks that could not be read.

It lies beside the training queue, apart from it, for it is no promise: where it cannot be written, requests are
answered all the same, and a power cut may cost it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

logger = logging.getLogger(__name__)

_KEPT = 20  # failures of a project
_PATIENCE = 0.3  # seconds that a request waits for another one's note
_SCHEMA = """
PRAGMA synchronous = OFF;
DROP TABLE IF EXISTS configs;  -- of the first release
DROP TABLE IF EXISTS failures;
CREATE TABLE IF NOT EXISTS notes (project INTEGER PRIMARY KEY, label_config TEXT, failures TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Notes:
    """What is noted of a project. failures: {task, reason, at} of the tasks that could not be read, newest first."""

    label_config: str | None = None
    failures: tuple[Mapping[str, Any], ...] = ()

    def with_outcomes(self, outcomes: Sequence[tuple[int | None, str | None]], now: float) -> Notes:
        """Suggestions were asked for these tasks just now: each with the reason, if it could not be read."""
        asked = {task for task, _ in outcomes}
        failed = [{"task": task, "reason": _storable(reason), "at": now} for task, reason in outcomes if reason]
        others = [failure for failure in self.failures if failure["task"] not in asked]
        if not failed and len(others) == len(self.failures):
            return self  # as with nearly every request: nothing to write
        return replace(self, failures=tuple([*reversed(failed), *others][:_KEPT]))


class Pad(Protocol):
    """Where notes are left for the other processes. Raises OSError, sqlite3.Error or RedisError."""

    def read(self, project: int) -> Notes:
        """What is noted of a project."""

    def change(self, project: int, step: Callable[[Notes], Notes]) -> None:
        """Put what `step` makes of a project's notes in their place; it may be called more than once."""


class LastSeen:
    """Notes that all processes which share a pad leave for each other."""

    def __init__(self, pad: Pad) -> None:
        self._pad = pad
        self._lost = False  # whether the log has been told that notes are lost

    def label_config(self, project: int) -> str | None:
        """The config that the project last had."""
        return self._read(project).label_config

    def note_label_config(self, project: int, label_config: str) -> None:
        """The project has this config now."""
        label_config = _storable(label_config)
        self._change(project, lambda notes: replace(notes, label_config=label_config))

    def failures(self, project: int) -> list[dict[str, Any]]:
        """The tasks that could not be read when suggestions were last asked for, and why, newest first."""
        return [dict(failure) for failure in self._read(project).failures]

    def note_tasks(self, project: int, outcomes: Sequence[tuple[int | None, str | None]]) -> None:
        """Suggestions were asked for these tasks: each with the reason, if it could not be read."""
        now = time.time()
        self._change(project, lambda notes: notes.with_outcomes(outcomes, now))

    def _read(self, project: int) -> Notes:
        found = Notes()

        def read() -> None:
            nonlocal found
            found = self._pad.read(project)

        self._unless_lost(read)
        return found

    def _change(self, project: int, step: Callable[[Notes], Notes]) -> None:
        self._unless_lost(lambda: self._pad.change(project, step))

    def _unless_lost(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (OSError, sqlite3.Error, RedisError) as error:
            if not self._lost:
                logger.warning(
                    "%(place)s cannot be used (%(reason)s): the status will lack what it holds",
                    {"place": self._pad, "reason": error},
                )
            self._lost = True
        else:
            self._lost = False


class FilePad:
    """Notes in a small database of this machine's own file system."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "seen.sqlite3"

    def __str__(self) -> str:
        return str(self._file)

    def read(self, project: int) -> Notes:
        """What is noted of a project; raises OSError or sqlite3.Error."""
        with closing(self._connect()) as database:
            return self._read(database, project)

    def change(self, project: int, step: Callable[[Notes], Notes]) -> None:
        """See Pad; raises OSError or sqlite3.Error."""
        if step(before := self.read(project)) == before:
            return  # nobody has to wait for whoever is writing
        with closing(self._connect()) as database, database:
            database.execute("BEGIN IMMEDIATE")
            after = step(self._read(database, project))
            failures = json.dumps([dict(failure) for failure in after.failures])
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (project, after.label_config, failures))

    def _connect(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._file, timeout=_PATIENCE)
        try:
            database.executescript(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database

    def _read(self, database: sqlite3.Connection, project: int) -> Notes:
        row = database.execute("SELECT label_config, failures FROM notes WHERE project = ?", (project,)).fetchone()
        return Notes() if row is None else Notes(row[0], tuple(json.loads(row[1])))


class RedisPad:
    """Notes in the Redis that the machines of a backend share."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=Retry(NoBackoff(), 0)
        )

    def __str__(self) -> str:
        return "Redis"

    def read(self, project: int) -> Notes:
        """What is noted of a project; raises RedisError."""
        return _notes(self._redis.get(_key(project)))

    def change(self, project: int, step: Callable[[Notes], Notes]) -> None:
        """See Pad; raises RedisError."""

        def attempt(pipeline: Pipeline) -> None:
            before = _notes(pipeline.get(_key(project)))
            after = step(before)
            pipeline.multi()
            if after != before:
                pipeline.set(_key(project), json.dumps(asdict(after)))

        self._redis.transaction(attempt, _key(project))


def _key(project: int) -> str:
    return f"segmenter:seen:{project}"


def _notes(stored: Any) -> Notes:
    if stored is None:
        return Notes()
    kept = cast(dict[str, Any], json.loads(stored))
    return Notes(kept["label_config"], tuple(kept["failures"]))


def _storable(text: str) -> str:
    """Text without the halves of characters that JSON may hold and a database may not."""
    return text.encode("utf-8", "replace").decode("utf-8")

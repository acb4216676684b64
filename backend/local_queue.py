"""The training queue of one machine: one row a project in `queue.sqlite3`, one file lock a project.

The operating system takes a file lock back when the process that has it dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from backend.training_jobs import Claim, QueueError
from backend.training_rules import Trainings

_Answer = TypeVar("_Answer")
# What has been done to the database, step by step; how many steps it has seen is its user_version.
_SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS projects (
    id INTEGER PRIMARY KEY,
    events INTEGER NOT NULL DEFAULT 0, requested INTEGER NOT NULL DEFAULT 0, covered INTEGER NOT NULL DEFAULT 0,
    answered INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'untrained', phase TEXT NOT NULL DEFAULT '', epoch INTEGER NOT NULL DEFAULT 0,
    epochs INTEGER NOT NULL DEFAULT 0, percent REAL NOT NULL DEFAULT 0, since REAL, reason TEXT NOT NULL DEFAULT '',
    left_out TEXT NOT NULL DEFAULT '[]', last_event TEXT, last_event_at REAL, last_training_at REAL
)""",
    "ALTER TABLE projects ADD COLUMN always INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE projects ADD COLUMN learned TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE projects ADD COLUMN looks INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE projects ADD COLUMN look_at REAL NOT NULL DEFAULT 0",
    "ALTER TABLE projects ADD COLUMN rest_until REAL NOT NULL DEFAULT 0",
    "ALTER TABLE projects ADD COLUMN tally TEXT NOT NULL DEFAULT '{}'",
)
_FIELDS = tuple(field.name for field in fields(Trainings))
_AS_TEXT = ("left_out", "tally")
_STORE = f"UPDATE projects SET {', '.join(f'{name} = :{name}' for name in _FIELDS)} WHERE id = :id"
_PENDING = "SELECT * FROM projects WHERE requested > answered OR looks > 0 ORDER BY since"  # due now, or later


class LocalPlace:
    """Keeps the trainings in a folder of this machine's own file system, for all of its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database = folder / "queue.sqlite3"

    def read(self, project: int) -> Trainings:
        """What is known of a project; raises QueueError."""
        if not self._database.exists():
            return Trainings()
        with self._connection() as database:
            return _read(database, project)

    def read_all(self) -> dict[int, Trainings]:
        """What is known of every project; raises QueueError."""
        if not self._database.exists():
            return {}
        with self._connection() as database:
            return {row["id"]: _trainings(row) for row in database.execute("SELECT * FROM projects")}

    def change(
        self, project: int, step: Callable[[Trainings], tuple[Trainings, _Answer]], claim: Claim | None = None
    ) -> _Answer:
        """See Place. A claim cannot be lost here: a file lock is held until it is released, or its process is gone."""
        with self._connection(in_turn=True) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                before = _read(database, project)
                after, answer = step(before)
                if after != before:
                    database.execute("INSERT OR IGNORE INTO projects (id) VALUES (?)", (project,))
                    database.execute(_STORE, {**_row(after), "id": project})
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # SQLite itself gives a transaction up where the disk is full
                    database.execute("ROLLBACK")
                raise
        return answer

    def due(self, now: float) -> list[int]:
        """Projects with something due, the longest waiting first; raises QueueError."""
        if not self._database.exists():
            return []
        with self._connection() as database:
            rows = database.execute(_PENDING).fetchall()
        times = [(row["id"], _trainings(row).due_at) for row in rows]
        return [project for project, due_at in times if due_at is not None and due_at <= now]

    def claim(self, project: int) -> FileLock | None:
        """The right to train a project; None while another process has it. Raises QueueError."""
        folder = self._folder / "projects" / str(project)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / "training.lock")
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        return lock

    @contextmanager
    def _connection(self, in_turn: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _turn(self._folder / "queue.lock") if in_turn else nullcontext():
                database = sqlite3.connect(self._database, timeout=10, isolation_level=None)
                database.row_factory = sqlite3.Row
                try:
                    if database.execute("PRAGMA user_version").fetchone()[0] < len(_SCHEMA):
                        _bring_up_to_date(database)
                    yield database
                finally:
                    database.close()
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> QueueError:
        return QueueError(
            f"the training queue in {self._folder} cannot be used ({error}): MODEL_DIR must be a folder that this"
            " process may write to, with room left on its disk"
        )


@contextmanager
def _turn(file: Path) -> Iterator[None]:
    """Wait in line: whom SQLite finds busy it lets sleep and try again, and the unlucky ones for seconds."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which lets the next one go on


def _read(database: sqlite3.Connection, project: int) -> Trainings:
    row = database.execute("SELECT * FROM projects WHERE id = ?", (project,)).fetchone()
    return Trainings() if row is None else _trainings(row)


def _trainings(row: sqlite3.Row) -> Trainings:
    texts = {name: json.loads(row[name]) for name in _AS_TEXT}
    return Trainings.of_record({**row, **texts, "always": bool(row["always"])})


def _row(trainings: Trainings) -> dict[str, Any]:
    record = trainings.record()
    return {**record, **{name: json.dumps(record[name]) for name in _AS_TEXT}}


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    """Take the steps that a new database, or one of an older release, has not seen; one process at a time."""
    database.execute("BEGIN IMMEDIATE")
    seen = database.execute("PRAGMA user_version").fetchone()[0]
    for step in _SCHEMA[seen:]:
        database.execute(step)
    database.execute(f"PRAGMA user_version = {len(_SCHEMA)}")
    database.execute("COMMIT")

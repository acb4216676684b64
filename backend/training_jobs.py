"""The training queue: one row a project in a small database, so that requests coalesce and survive any crash.

A project's row counts requests. A training covers the requests made before it began; those made while it runs become
one more. What is not covered by an ended training is due: after a crash it still is. Who trains holds a file lock that
the operating system takes back when the process dies, however it dies.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segmenter.pipeline import LeftOut

_ATTEMPTS = 5  # how often a training that died, or failed for a passing reason, is begun again
_FIRST_PAUSE = 5.0  # seconds before the second attempt; doubles from one to the next
_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (
    id INTEGER PRIMARY KEY,
    events INTEGER NOT NULL DEFAULT 0,      -- annotation events since the last training began
    requested INTEGER NOT NULL DEFAULT 0,   -- trainings asked for, ever
    covered INTEGER NOT NULL DEFAULT 0,     -- `requested` when the last training began
    answered INTEGER NOT NULL DEFAULT 0,    -- `requested` that ended trainings have covered
    attempts INTEGER NOT NULL DEFAULT 0,    -- begun since the last one that ended
    not_before REAL NOT NULL DEFAULT 0,     -- seconds since 1970; a pause after a failure
    state TEXT NOT NULL DEFAULT 'untrained',
    phase TEXT NOT NULL DEFAULT '', epoch INTEGER NOT NULL DEFAULT 0, epochs INTEGER NOT NULL DEFAULT 0,
    percent REAL NOT NULL DEFAULT 0, since REAL, reason TEXT NOT NULL DEFAULT '',
    left_out TEXT NOT NULL DEFAULT '[]', last_event TEXT, last_event_at REAL, last_training_at REAL
)
"""


@dataclass(frozen=True)
class Job:
    """A training that this process has taken: nobody else trains the project until it is ended."""

    project: int
    request: int  # the last request it covers
    attempt: int  # 1 for the first


class TrainingJobs:
    """Requests for trainings and their state, for all processes that share one MODEL_DIR."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database = folder / "queue.sqlite3"
        self._locks: dict[int, FileLock] = {}

    def request(self, project: int, event: str, every: int = 1) -> int | None:
        """Count an event; the `every`-th since the last training asks for a training. Returns the request's number.

        Durable when it returns, in milliseconds; raises OSError or sqlite3.Error when it cannot be stored.
        """
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO projects (id) VALUES (?)", (project,))
            database.execute(
                "UPDATE projects SET events = events + 1, last_event = ?, last_event_at = ? WHERE id = ?",
                (event, time.time(), project),
            )
            asked = database.execute(
                "UPDATE projects SET requested = requested + 1, not_before = 0, attempts = 0,"
                " state = CASE state WHEN 'training' THEN state ELSE 'queued' END,"
                " since = CASE WHEN state IN ('training', 'queued') THEN since ELSE ? END"
                " WHERE id = ? AND events >= ? RETURNING requested",
                (time.time(), project, every),
            ).fetchone()
        return asked["requested"] if asked else None

    def take(self) -> Job | None:
        """The training that has been due longest, now this process' own; None when nothing is due."""
        with self._connection() as database:
            due = database.execute(
                "SELECT id FROM projects WHERE requested > answered AND not_before <= ? ORDER BY since", (time.time(),)
            ).fetchall()
        for row in due:
            lock = self._project_lock(row["id"])
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            job = self._begin(row["id"])
            if job is not None:
                self._locks[job.project] = lock
                return job
            lock.release()
        return None

    def _begin(self, project: int) -> Job | None:
        with self._transaction() as database:
            row = database.execute(
                "UPDATE projects SET state = 'training', phase = 'starting', epoch = 0, epochs = 0, percent = 0,"
                " since = ?, reason = '', covered = requested, events = 0, attempts = attempts + 1"
                " WHERE id = ? AND requested > answered AND attempts < ? RETURNING covered, attempts",
                (time.time(), project, _ATTEMPTS),
            ).fetchone()
            if row is None:  # begun too often without a word: the process was killed each time
                database.execute(
                    "UPDATE projects SET answered = requested, state = 'failed', attempts = 0, reason = ?"
                    " WHERE id = ? AND requested > answered",
                    (f"the trainer died {_ATTEMPTS} times in this training, out of memory perhaps; give it more memory"
                     " and press Start training", project),
                )  # fmt: skip
        return Job(project, row["covered"], row["attempts"]) if row else None

    def progress(self, job: Job, phase: str, epoch: int, epochs: int, percent: float) -> None:
        """Note how far a training is."""
        with self._transaction() as database:
            database.execute(
                "UPDATE projects SET phase = ?, epoch = ?, epochs = ?, percent = ? WHERE id = ?",
                (phase, epoch, epochs, percent, job.project),
            )

    def finish(self, job: Job, left_out: Sequence[LeftOut] = ()) -> None:
        """The training's version is published."""
        self._end(job, "ready", "", left_out)

    def fail(
        self,
        job: Job,
        reason: str,
        passing: bool = False,
        state: str = "failed",
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        """The training has ended without a version; for a passing reason it is begun again after a growing pause."""
        if passing and job.attempt < _ATTEMPTS:
            pause = _FIRST_PAUSE * 2 ** (job.attempt - 1)
            with self._ending(job) as database:
                database.execute(
                    "UPDATE projects SET state = 'failed', reason = ?, not_before = ? WHERE id = ?",
                    (f"{reason}; trying again in {pause:g} s", time.time() + pause, job.project),
                )
        else:
            self._end(job, state, reason, left_out)

    def give_back(self, job: Job) -> None:
        """The training was stopped half way: it stays due and does not count as an attempt."""
        with self._ending(job) as database:
            database.execute(
                "UPDATE projects SET state = 'queued', attempts = MAX(attempts - 1, 0) WHERE id = ?", (job.project,)
            )

    def status(self, project: int) -> dict[str, Any]:
        """What is known of a project's trainings, as the status page tells it."""
        row = None
        if self._database.exists():
            with self._connection() as database:
                row = database.execute("SELECT * FROM projects WHERE id = ?", (project,)).fetchone()
        if row is None:
            return {"state": "untrained", "reason": "no annotation event has arrived yet", "left_out": []}
        kept = ("state", "reason", "events", "since", "last_event", "last_event_at", "last_training_at")
        status = {name: row[name] for name in kept} | {"left_out": json.loads(row["left_out"])}
        if row["state"] == "training":
            status |= {name: row[name] for name in ("phase", "epoch", "epochs", "percent")}
            status["one_more_due"] = row["requested"] > row["covered"]
        return status

    def _end(self, job: Job, state: str, reason: str, left_out: Sequence[LeftOut]) -> None:
        tasks = json.dumps([{"task": task.task, "reason": task.reason} for task in left_out])
        with self._ending(job) as database:
            database.execute(
                "UPDATE projects SET answered = ?, attempts = 0, not_before = 0, reason = ?, left_out = ?,"
                " percent = 100, state = CASE WHEN requested > ? THEN 'queued' ELSE ? END, since = ?,"
                " last_training_at = ? WHERE id = ?",
                (job.request, reason, tasks, job.request, state, time.time(), time.time(), job.project),
            )

    def _project_lock(self, project: int) -> FileLock:
        folder = self._folder / "projects" / str(project)
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / "training.lock")

    @contextmanager
    def _ending(self, job: Job) -> Iterator[sqlite3.Connection]:
        """Whatever the database says, the project is free for the next trainer afterwards."""
        try:
            with self._transaction() as database:
                yield database
        finally:
            self._locks.pop(job.project).release()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self._folder.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._database, timeout=10, isolation_level=None)
        database.row_factory = sqlite3.Row
        try:
            if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                database.execute(_SCHEMA)
                database.execute("PRAGMA user_version = 1")
            yield database
        finally:
            database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                database.execute("ROLLBACK")
                raise

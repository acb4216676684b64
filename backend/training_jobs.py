"""The training queue: one row a project in a small database, so that requests coalesce and survive any crash.

A project's row counts requests. A training covers the requests made before it began; those made while it runs become
one more. What is not covered by an ended training is due: after a crash it still is. Who trains holds a file lock that
the operating system takes back when the process dies, however it dies.

An import says nothing of the annotations it brings, and says it before they can be seen. So it asks for looks, seconds
and minutes later, each of which becomes a training only where there is something new to learn.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segmenter.pipeline import LeftOut

_ATTEMPTS = 5  # how often a training that died, or failed for a passing reason, is begun again
_FIRST_PAUSE = 5.0  # seconds before the second attempt; doubles from one to the next
_LOOK_PAUSES = (2.0, 15.0, 120.0)  # seconds after an import to the first look, and from each look to the next
# What has been done to the database, step by step; how many steps it has seen is its user_version.
_SCHEMA = (
    """
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
)""",
    # 1 where a request is to train whether or not there is anything new
    "ALTER TABLE projects ADD COLUMN always INTEGER NOT NULL DEFAULT 0",
    # a fingerprint of what the last version learned from
    "ALTER TABLE projects ADD COLUMN learned TEXT NOT NULL DEFAULT ''",
    # looks still to come after an import, and when, in seconds since 1970
    "ALTER TABLE projects ADD COLUMN looks INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE projects ADD COLUMN look_at REAL NOT NULL DEFAULT 0",
)
_DUE = "(requested > answered AND not_before <= :now OR looks > 0 AND look_at <= :now)"


@dataclass(frozen=True)
class Job:
    """A training that this process has taken: nobody else trains the project until it is ended."""

    project: int
    request: int  # the last request it covers
    attempt: int  # 1 for the first
    asked: bool = True  # somebody asked for it; otherwise it is a look after an import
    always: bool = False  # it is to train whether or not there is anything new
    learned: str = ""  # fingerprint of what the last published version learned from


class TrainingJobs:
    """Requests for trainings and their state, for all processes that share one MODEL_DIR."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database = folder / "queue.sqlite3"
        self._locks: dict[int, FileLock] = {}

    def request(self, project: int, event: str, every: int = 1) -> int | None:
        """Count an event; the `every`-th since the last training asks for a training. Returns the request's number.

        With 0 a training is asked for that takes place even if there is nothing new to learn. Durable when it
        returns, in milliseconds; raises OSError or sqlite3.Error when it cannot be stored.
        """
        with self._transaction() as database:
            _note_event(database, project, event, counts=True)
            asked = database.execute(
                "UPDATE projects SET requested = requested + 1, not_before = 0, attempts = 0,"
                " always = always OR :every = 0,"
                " state = CASE state WHEN 'training' THEN state ELSE 'queued' END,"
                " since = CASE WHEN state IN ('training', 'queued') THEN since ELSE :now END"
                " WHERE id = :project AND events >= :every RETURNING requested",
                {"now": time.time(), "project": project, "every": every},
            ).fetchone()
        return asked["requested"] if asked else None

    def look(self, project: int, event: str) -> None:
        """Ask for looks whether there is something new to learn; as durable as a request, and raises the same."""
        with self._transaction() as database:
            _note_event(database, project, event, counts=False)
            database.execute(
                "UPDATE projects SET looks = ?, look_at = ? WHERE id = ?",
                (len(_LOOK_PAUSES), time.time() + _LOOK_PAUSES[0], project),
            )

    def take(self) -> Job | None:
        """The training or look that has been due longest, now this process' own; None when nothing is due."""
        with self._connection() as database:
            due = database.execute(
                f"SELECT id FROM projects WHERE {_DUE} ORDER BY since", {"now": time.time()}
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
        now = time.time()
        with self._transaction() as database:
            row = database.execute(
                f"SELECT * FROM projects WHERE id = :project AND {_DUE}", {"project": project, "now": now}
            ).fetchone()
            if row is None:
                return None
            if row["looks"] and row["look_at"] <= now:
                left = row["looks"] - 1
                next_look = now + _LOOK_PAUSES[-left] if left else 0.0
                database.execute("UPDATE projects SET looks = ?, look_at = ? WHERE id = ?", (left, next_look, project))
            asked = row["requested"] > row["answered"] and row["not_before"] <= now
            if asked and row["attempts"] >= _ATTEMPTS:  # begun too often without a word: it was killed each time
                database.execute(
                    "UPDATE projects SET answered = requested, state = 'failed', attempts = 0, reason = ? WHERE id = ?",
                    (f"the trainer died {_ATTEMPTS} times in this training, out of memory perhaps; give it more memory"
                     " and press Start training", project),
                )  # fmt: skip
                return None
            job = Job(project, row["requested"], row["attempts"] + 1, asked, bool(row["always"]), row["learned"])
            if asked:
                _mark_training(database, job)
        return job

    def begin_to_learn(self, job: Job) -> None:
        """A look has found something new: from here on it is a training like any other."""
        if not job.asked:
            with self._transaction() as database:
                _mark_training(database, job)

    def progress(self, job: Job, phase: str, epoch: int, epochs: int, percent: float) -> None:
        """Note how far a training is."""
        with self._transaction() as database:
            database.execute(
                "UPDATE projects SET phase = ?, epoch = ?, epochs = ?, percent = ? WHERE id = ?",
                (phase, epoch, epochs, percent, job.project),
            )

    def finish(self, job: Job, left_out: Sequence[LeftOut] = (), learned: str = "") -> None:
        """The training's version is published. learned: fingerprint of what it learned from."""
        self._end(job, "ready", "", left_out, learned)

    def nothing_new(self, job: Job, reason: str, trained: bool) -> None:
        """There is nothing to learn that the version which serves has not learned, or too little to begin with."""
        if job.asked:
            self._end(job, "ready" if trained else "untrained", reason)
        else:
            self._locks.pop(job.project).release()

    def fail(self, job: Job, reason: str, passing: bool = False, left_out: Sequence[LeftOut] = ()) -> None:
        """The training has ended without a version; for a passing reason it is begun again after a growing pause."""
        if passing and job.attempt < _ATTEMPTS:
            pause = _FIRST_PAUSE * 2 ** (job.attempt - 1)
            with self._ending(job) as database:
                database.execute(
                    "UPDATE projects SET state = 'failed', reason = ?, not_before = ?, requested = requested + ?,"
                    " attempts = ? WHERE id = ?",
                    (f"{reason}; trying again in {pause:g} s", time.time() + pause, not job.asked, job.attempt,
                     job.project),
                )  # fmt: skip
        else:
            self._end(job, "failed", reason, left_out)

    def give_back(self, job: Job) -> None:
        """The training was stopped half way: it stays due and does not count as an attempt."""
        with self._ending(job) as database:
            database.execute(
                "UPDATE projects SET state = 'queued', attempts = MAX(attempts - 1, 0), requested = requested + ?"
                " WHERE id = ?",
                (not job.asked, job.project),
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

    def _end(
        self,
        job: Job,
        state: str,
        reason: str,
        left_out: Sequence[LeftOut] | None = None,
        learned: str | None = None,
    ) -> None:
        """None leaves what is known as it is."""
        tasks = None if left_out is None else json.dumps([asdict(task) for task in left_out])
        with self._ending(job) as database:
            database.execute(
                "UPDATE projects SET answered = :request, attempts = 0, not_before = 0, reason = :reason,"
                " left_out = COALESCE(:left_out, left_out), percent = 100, since = :now, last_training_at = :now,"
                " learned = COALESCE(:learned, learned), always = always AND requested > :request,"
                " state = CASE WHEN requested > :request THEN 'queued' ELSE :state END WHERE id = :project",
                {"request": job.request, "reason": reason, "left_out": tasks, "now": time.time(), "learned": learned,
                 "state": state, "project": job.project},
            )  # fmt: skip

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
            if database.execute("PRAGMA user_version").fetchone()[0] < len(_SCHEMA):
                _bring_up_to_date(database)
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


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    """Take the steps that a new database, or one of an older release, has not seen; one process at a time."""
    database.execute("BEGIN IMMEDIATE")
    seen = database.execute("PRAGMA user_version").fetchone()[0]
    for step in _SCHEMA[seen:]:
        database.execute(step)
    database.execute(f"PRAGMA user_version = {len(_SCHEMA)}")
    database.execute("COMMIT")


def _note_event(database: sqlite3.Connection, project: int, event: str, counts: bool) -> None:
    database.execute("INSERT OR IGNORE INTO projects (id) VALUES (?)", (project,))
    database.execute(
        "UPDATE projects SET events = events + ?, last_event = ?, last_event_at = ? WHERE id = ?",
        (counts, event, time.time(), project),
    )


def _mark_training(database: sqlite3.Connection, job: Job) -> None:
    database.execute(
        "UPDATE projects SET state = 'training', phase = 'loading the annotated tasks', epoch = 0, epochs = 0,"
        " percent = 0, since = ?, reason = '', covered = ?, events = 0, attempts = ? WHERE id = ?",
        (time.time(), job.request, job.attempt, job.project),
    )

"""The training queue: requests coalesce, survive any crash, and each project is trained by one process at a time.

The rules are in `training_rules`. A Place keeps what they work on: `local_queue` for one machine, `redis_queue` for
many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from backend.training_rules import Job, Trainings
from segmenter.pipeline import LeftOut

_Answer = TypeVar("_Answer")


class QueueError(Exception):
    """The queue cannot be read or written; the message says where it is kept and what to mend."""


class ClaimLost(Exception):
    """Another process has taken the training over, because this one gave no sign of life for too long: drop it."""


class Claim(Protocol):
    """The right to train a project. It ends with the process that has it, however that ends."""

    def release(self) -> None:
        """Let others have it; nothing happens where they already do."""


class Place(Protocol):
    """Where the trainings of all projects are kept, for the processes that share it. All raise QueueError."""

    def read(self, project: int) -> Trainings:
        """What is known of a project."""

    def read_all(self) -> Mapping[int, Trainings]:
        """What is known of every project."""

    def change(
        self, project: int, step: Callable[[Trainings], tuple[Trainings, _Answer]], claim: Claim | None = None
    ) -> _Answer:
        """Put what `step` makes of a project's trainings in their place, durably, and return its answer.

        No other change comes between; `step` may be called more than once. With a claim: raises ClaimLost, nothing
        changed, when it is another's by now.
        """

    def due(self, now: float) -> Iterable[int]:
        """Projects with something due, the longest waiting first; perhaps also one that somebody has just taken."""

    def claim(self, project: int) -> Claim | None:
        """The right to train a project; None while another process has it."""


class TrainingJobs:
    """Requests for trainings and their state, for all processes that share one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._claims: dict[int, Claim] = {}

    def request(self, project: int, event: str, every: int = 1) -> int | None:
        """Count an event; the `every`-th since the last training asks for a training. Returns the request's number.

        With 0 a training is asked for that takes place even if there is nothing new to learn. Durable when it
        returns, in milliseconds; raises QueueError when it cannot be stored.
        """
        now = time.time()
        return self._place.change(project, lambda trainings: trainings.asked(event, every, now))

    def look(self, project: int, event: str) -> None:
        """Ask for looks whether there is something new to learn; as durable as a request, and raises the same."""
        now = time.time()
        self._place.change(project, lambda trainings: (trainings.looked_for(event, now), None))

    def take(self) -> Job | None:
        """The training or look that has been due longest, now this process' own; None when nothing is due."""
        for project in self._place.due(time.time()):
            claim = self._place.claim(project)
            if claim is None:
                continue
            job = None
            try:
                job = self._begin(project, claim)
            finally:
                if job is None:
                    claim.release()
            if job is not None:
                self._claims[project] = claim
                return job
        return None

    def begin_to_learn(self, job: Job) -> None:
        """A look has found something new: from here on it is a training like any other."""
        if not job.asked:
            now = time.time()
            self._change(job, lambda trainings: trainings.training(job, now))

    def progress(self, job: Job, phase: str, epoch: int, epochs: int, percent: float) -> None:
        """Note how far a training is."""
        self._change(job, lambda trainings: trainings.at(phase, epoch, epochs, percent))

    def still_ours(self, job: Job) -> None:
        """Raise ClaimLost where another process has taken the training over."""
        self._change(job, lambda trainings: trainings)

    def finish(self, job: Job, left_out: Sequence[LeftOut] = (), learned: str = "") -> None:
        """The training's version is published. learned: fingerprint of what it learned from."""
        now = time.time()
        self._end(job, lambda trainings: trainings.ended(job, "ready", "", now, left_out, learned))

    def nothing_new(self, job: Job, reason: str, trained: bool) -> None:
        """There is nothing to learn that the version which serves has not learned, or too little to begin with."""
        if job.asked:
            now, state = time.time(), "ready" if trained else "untrained"
            self._end(job, lambda trainings: trainings.ended(job, state, reason, now))
        else:
            self._claims.pop(job.project).release()

    def fail(
        self, job: Job, reason: str, passing: bool = False, pause: float = 0.0, left_out: Sequence[LeftOut] = ()
    ) -> None:
        """The training has ended without a version; for a passing reason it is begun again after a growing pause.

        pause: seconds that it lasts at least.
        """
        now = time.time()

        def failed(trainings: Trainings) -> Trainings:
            put_off = trainings.put_off(job, reason, now, pause) if passing else None
            return put_off or trainings.ended(job, "failed", reason, now, left_out)

        self._end(job, failed)

    def give_back(self, job: Job) -> None:
        """The training was stopped half way: it stays due and does not count as an attempt."""
        self._end(job, lambda trainings: trainings.given_back(job))

    def drop(self, job: Job) -> None:
        """Leave a training to whoever takes it, or has taken it over, without a note how it ended."""
        claim = self._claims.pop(job.project, None)
        if claim is not None:
            claim.release()

    def status(self, project: int) -> dict[str, Any]:
        """What is known of a project's trainings, as the status page tells it; raises QueueError."""
        return self._place.read(project).shown()

    def of_all_projects(self) -> Mapping[int, Trainings]:
        """What is known of the trainings of every project that the queue has heard of; raises QueueError."""
        return self._place.read_all()

    def is_due(self, project: int) -> bool:
        """Whether a training is asked for that has not ended; raises QueueError."""
        trainings = self._place.read(project)
        return trainings.requested > trainings.answered

    def _begin(self, project: int, claim: Claim) -> Job | None:
        now = time.time()
        return self._place.change(project, lambda trainings: trainings.begun(project, now), claim)

    def _change(self, job: Job, step: Callable[[Trainings], Trainings]) -> None:
        self._place.change(job.project, lambda trainings: (step(trainings), None), self._claims[job.project])

    def _end(self, job: Job, step: Callable[[Trainings], Trainings]) -> None:
        """Whatever becomes of the note, the project is free for the next trainer afterwards."""
        try:
            self._change(job, step)
        finally:
            self._claims.pop(job.project).release()

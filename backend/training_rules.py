"""What each happening makes of a project's trainings: the rules of the queue, apart from where it is kept.

Requests are counted. A training covers the requests made before it began; those made while it runs become one more.
What is not covered by an ended training is due: after a crash it still is.

An import says nothing of the annotations it brings, and says it before they can be seen. So it asks for looks, seconds
and minutes later, each of which becomes a training only where there is something new to learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from segmenter.pipeline import LeftOut

_ATTEMPTS = 5  # how often a training that died, or failed for a passing reason, is begun again
_FIRST_PAUSE = 5.0  # seconds before the second attempt; doubles from one to the next
# Seconds from the beginning of a training to that of the next which events ask for: annotators who save ten times in a
# minute are served as well by fewer trainings, and Label Studio is asked less.
_APART = 6.0
_LONGEST_PAUSE = 3600.0  # seconds; no server that asks for patience is given more
_LOOK_PAUSES = (2.0, 15.0, 120.0)  # seconds after an import to the first look, and from each look to the next
RESULTS = ("published", "nothing_new", "failed", "put_off", "died")  # of trainings; put_off: to be tried again
WAITING = ("training", "queued", "put_off", "look")  # where a project may stand in the queue
_SHOWN = ("state", "reason", "events", "since", "last_event", "last_event_at", "last_training_at")
_SHOWN_WHILE_TRAINING = ("phase", "epoch", "epochs", "percent")


@dataclass(frozen=True)
class Job:
    """A training that this process has taken: nobody else trains the project until it is ended."""

    project: int
    request: int  # the last request it covers
    attempt: int  # 1 for the first
    asked: bool = True  # somebody asked for it; otherwise it is a look after an import
    always: bool = False  # it is to train whether or not there is anything new
    learned: str = ""  # fingerprint of what the last published version learned from


@dataclass(frozen=True)
class Trainings:
    """All that is known of one project's trainings. Times are seconds since 1970; `now` always is the time."""

    events: int = 0  # annotation events since the last training began
    requested: int = 0  # trainings asked for, ever
    covered: int = 0  # `requested` when the last training began
    answered: int = 0  # `requested` that ended trainings have covered
    attempts: int = 0  # begun since the last one that ended
    not_before: float = 0.0  # a pause after a failure
    rest_until: float = 0.0  # a pause after any training
    state: str = "untrained"
    phase: str = ""
    epoch: int = 0
    epochs: int = 0
    percent: float = 0.0
    since: float | None = None
    reason: str = ""
    left_out: tuple[LeftOut, ...] = ()
    last_event: str | None = None
    last_event_at: float | None = None
    last_training_at: float | None = None
    always: bool = False  # a request is to train whether or not there is anything new
    learned: str = ""  # a fingerprint of what the last version learned from
    looks: int = 0  # still to come after an import
    look_at: float = 0.0  # when the next one is
    tally: Mapping[str, tuple[int, float]] = field(default_factory=dict)  # result -> trainings ever, and their seconds

    @property
    def due_at(self) -> float | None:
        """When the next training or look is due; None where nothing is asked for."""
        times = [self._training_at] if self.requested > self.answered else []
        return min([*times, self.look_at] if self.looks else times, default=None)

    def waits_as(self, now: float) -> str | None:
        """Which of WAITING the project stands in the queue as; None where nothing is asked for."""
        if self.state == "training":
            return "training"
        if self.requested > self.answered:
            return "put_off" if self.attempts and self.not_before > now else "queued"
        return "look" if self.looks else None

    @property
    def _training_at(self) -> float:
        return max(self.not_before, self.rest_until)

    def asked(self, event: str, every: int, now: float) -> tuple[Trainings, int | None]:
        """Count an event; the `every`-th since the last training asks for one, with 0 for one in any case."""
        noted = replace(self, events=self.events + 1, last_event=event, last_event_at=now)
        if noted.events < every:
            return noted, None
        asked = replace(
            noted,
            requested=self.requested + 1,
            not_before=0.0,
            rest_until=self.rest_until if every else 0.0,
            attempts=0,
            always=self.always or every == 0,
            state="training" if self.state == "training" else "queued",
            since=self.since if self.state in ("training", "queued") else now,
        )
        return asked, asked.requested

    def looked_for(self, event: str, now: float) -> Trainings:
        """Look, some seconds from now, whether there is something new to learn."""
        return replace(
            self, looks=len(_LOOK_PAUSES), look_at=now + _LOOK_PAUSES[0], last_event=event, last_event_at=now
        )

    def begun(self, project: int, now: float) -> tuple[Trainings, Job | None]:
        """Begin what is due, if anything is."""
        if self.due_at is None or self.due_at > now:
            return self, None
        begun = self
        if self.looks and self.look_at <= now:
            left = self.looks - 1
            begun = replace(self, looks=left, look_at=now + _LOOK_PAUSES[-left] if left else 0.0)
        asked = self.requested > self.answered and self._training_at <= now
        if asked and self.state == "training":  # whoever had begun it is gone without a word
            begun = begun._counted("died", 0.0)
        if asked and self.attempts >= _ATTEMPTS:  # begun too often without a word: it was killed each time
            reason = (
                f"the trainer died {_ATTEMPTS} times in this training, out of memory perhaps; give it more memory"
                " and press Start training"
            )
            return replace(begun, answered=self.requested, state="failed", attempts=0, reason=reason), None
        job = Job(project, self.requested, self.attempts + 1, asked, self.always, self.learned)
        return (begun.training(job, now) if asked else begun), job

    def training(self, job: Job, now: float) -> Trainings:
        """The job trains from now on."""
        return replace(
            self, state="training", phase="loading the annotated tasks", epoch=0, epochs=0, percent=0.0, since=now,
            reason="", covered=job.request, events=0, attempts=job.attempt,
        )  # fmt: skip

    def at(self, phase: str, epoch: int, epochs: int, percent: float) -> Trainings:
        """So far the training is now."""
        return replace(self, phase=phase, epoch=epoch, epochs=epochs, percent=percent)

    def ended(
        self,
        job: Job,
        state: str,
        reason: str,
        now: float,
        left_out: Sequence[LeftOut] | None = None,
        learned: str | None = None,
    ) -> Trainings:
        """The job has ended for good; None leaves what is known as it is."""
        more = self.requested > job.request
        result = "failed" if state == "failed" else "nothing_new" if learned is None else "published"
        return replace(
            self._counted(result, now - (self.since or now)),
            answered=job.request,
            attempts=0,
            not_before=0.0,
            rest_until=0.0 if self.always and more else (self.since or now) + _APART,
            state="queued" if more else state,
            reason=reason,
            percent=100.0,
            since=now,
            last_training_at=now,
            always=self.always and more,
            left_out=self.left_out if left_out is None else tuple(left_out),
            learned=self.learned if learned is None else learned,
        )

    def put_off(self, job: Job, reason: str, now: float, at_least: float) -> Trainings | None:
        """The job failed for a passing reason: it is due again after a pause. None when it was tried often enough.

        at_least: seconds that the pause lasts in any case.
        """
        if job.attempt >= _ATTEMPTS:
            return None
        pause = min(max(_FIRST_PAUSE * 2 ** (job.attempt - 1), at_least), _LONGEST_PAUSE)
        return replace(
            self._counted("put_off", now - (self.since or now)),
            state="failed",
            reason=f"{reason}; trying again in {pause:g} s",
            not_before=now + pause,
            requested=self.requested + (not job.asked),
            attempts=job.attempt,
        )

    def given_back(self, job: Job) -> Trainings:
        """The job was stopped half way: it stays due and does not count as an attempt."""
        return replace(
            self, state="queued", attempts=max(self.attempts - 1, 0), requested=self.requested + (not job.asked)
        )

    def _counted(self, result: str, seconds: float) -> Trainings:
        trainings, before = self.tally.get(result, (0, 0.0))
        return replace(self, tally={**self.tally, result: (trainings + 1, before + max(0.0, seconds))})

    def shown(self) -> dict[str, Any]:
        """As the status page tells it."""
        if self.last_event is None:
            return {"state": "untrained", "reason": "no annotation event has arrived yet", "left_out": []}
        status = {name: getattr(self, name) for name in _SHOWN} | {"left_out": [asdict(task) for task in self.left_out]}
        if self.state == "training":
            status |= {name: getattr(self, name) for name in _SHOWN_WHILE_TRAINING}
            status["one_more_due"] = self.requested > self.covered
        return status

    def record(self) -> dict[str, Any]:
        """As plain data, for whoever keeps it; `of_record` reads it."""
        return {**asdict(self), "left_out": [asdict(task) for task in self.left_out]}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Trainings:
        """What `record` wrote; what this release does not know is dropped, what it misses gets its default."""
        known = {field.name: record[field.name] for field in fields(cls) if field.name in record}
        left_out = tuple(LeftOut(**task) for task in record.get("left_out", ()))
        tally = {result: (count, seconds) for result, (count, seconds) in record.get("tally", {}).items()}
        return cls(**{**known, "left_out": left_out, "tally": tally})

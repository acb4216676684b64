"""The trainer: a process of its own, at low priority, that takes due trainings one after the other.

`python -m backend.trainer` is that process; `trainer_keeper` keeps it running.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

import torch

from backend.charts_store import draw_charts, undrawn
from backend.label_studio import LabelStudioError, Studio
from backend.logs import configure_logging, log_what_nobody_catches, unexpected
from backend.model_store import ModelStore
from backend.places import training_jobs
from backend.renewal import Renewals, Renewer
from backend.settings import Settings, current_settings
from backend.training_jobs import ClaimLost, QueueError
from backend.training_rules import Job
from segmenter.errors import NothingToLearn, SegmenterError
from segmenter.fits import Progress
from segmenter.labeling import Labeling, read_label_config
from segmenter.pipeline import LeftOut, Task, learn

logger = logging.getLogger(__name__)

_POLL = 0.2  # seconds between two looks at the queue
_MENDING = 5.0  # seconds before a queue that could not be used is tried again
_NOTE_EVERY = 0.5  # seconds between two notes of how far a training is
_STOP_WITHIN = 4.0  # seconds after which a stopping trainer leaves what it does
_NICENESS = 10  # the web workers go first
_OUT_OF_MEMORY = (
    "the training ran out of memory: give the trainer more, lower TRAININGS_AT_ONCE or MAX_RECORDING_MB, or leave the"
    " longest recordings unannotated"
)


class TrainingStopped(BaseException):
    """The process is asked to stop; the training stays due. Not an Exception: nothing may mistake it for a failure."""


class NothingNew(Exception):
    """There is nothing to learn that the version which serves has not learned, or too little to begin with."""


class NotStored(Exception):
    """A version could not be written to MODEL_DIR; the message says why and what to do."""


@dataclass(frozen=True)
class Lesson:
    """What there is to learn in a project."""

    label_config: str
    labelings: tuple[Labeling, ...]
    tasks: tuple[Task, ...]

    @property
    def fingerprint(self) -> str:
        """The same for the same labels, channels and annotations, however they were stored."""
        tasks = sorted(_as_text(task) for task in self.tasks)
        return hashlib.sha256("\n".join((repr(self.labelings), *tasks)).encode("utf-8", "replace")).hexdigest()


def _as_text(task: Task) -> str:
    facts = {"id": task.id, "data": task.data, "annotations": task.annotations, "so_far": task.so_far}
    try:
        return json.dumps(facts, sort_keys=True, default=str)
    except RecursionError:  # one such task keeps no other from being learned
        return f"task {task.id} is nested too deeply to be looked at"


def load_lesson(project: int, studio: Studio, settings: Settings) -> Lesson:
    """Ask Label Studio for the label config and the annotated tasks.

    Raises LabelStudioError, LabelConfigError, or NothingNew when there are fewer than MIN_ANNOTATED_TASKS.
    """
    label_config = studio.project(project).label_config
    labelings = read_label_config(label_config, settings.limits)
    tasks = tuple(task for task in studio.annotated_tasks(project) if task.annotated)
    if len(tasks) < settings.min_annotated_tasks:
        raise NothingNew(
            f"{len(tasks)} annotated tasks, MIN_ANNOTATED_TASKS asks for {settings.min_annotated_tasks}: annotate more"
        )
    return Lesson(label_config, labelings, tasks)


def run_trainer(settings: Settings) -> None:
    """Take trainings until SIGTERM or SIGINT, or until the process that started this one is gone."""
    os.nice(_NICENESS)
    torch.set_num_threads(1)  # this process has the lowest priority: its threads would wait for each other
    stopping = _stop_on_signals()
    threading.Thread(target=_follow_parent, args=(os.getppid(),), daemon=True).start()
    trainer = _Trainer(settings, stopping)
    while not stopping.is_set():
        try:
            if not (trainer.train_one() or trainer.renewals.work() or trainer.draw_one()):
                stopping.wait(_POLL)
        except QueueError as error:  # a full or read-only MODEL_DIR, or no Redis: it may pass
            logger.error("%(reason)s", {"reason": error})
            stopping.wait(_MENDING)


class _Trainer:
    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping
        self._jobs = training_jobs(settings)
        self._store = ModelStore(settings.model_dir, settings.keep_versions)
        self._studio = Studio(settings)
        self._undrawn = undrawn(self._store)
        self.renewals = Renewals(Renewer(settings), self._jobs)

    def train_one(self) -> bool:
        """Take one due training to its end; False when none is due. Raises QueueError."""
        job = self._jobs.take()
        if job is None:
            return False
        try:
            self._train_to_an_end(job)
        except ClaimLost as reason:
            facts = {"project": job.project, "reason": reason}
            logger.warning("project %(project)d: the training is dropped: %(reason)s", facts)
            self._jobs.drop(job)
        except QueueError:  # how it ended cannot be noted: it stays due
            self._jobs.drop(job)
            raise
        return True

    def draw_one(self) -> bool:
        """Draw the charts of one version that a stopped trainer left without; False when none is left."""
        for project, version in self._undrawn:
            draw_charts(self._store, project, version, self._stopping.is_set)
            return True
        return False

    def _train_to_an_end(self, job: Job) -> None:
        began = time.monotonic()
        try:
            self._train(job)
        except TrainingStopped:
            logger.info("project %(project)d: the training is stopped and stays due", {"project": job.project})
            self._jobs.give_back(job)
        except NothingNew as reason:
            facts = {"project": job.project, "reason": reason}
            logger.info("project %(project)d: no training: %(reason)s", facts)
            self._jobs.nothing_new(job, str(reason), self._store.current_version(job.project) is not None)
        except (ClaimLost, QueueError):
            raise
        except Exception as error:
            logger.log(
                logging.WARNING if isinstance(error, SegmenterError) else logging.ERROR,
                "project %(project)d: training failed after %(seconds).1f s: %(reason)s",
                {"project": job.project, "seconds": round(time.monotonic() - began, 1), "reason": error},
            )
            self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        """End a training that failed, with a reason that says what to do; the queue goes on."""
        if isinstance(error, LabelStudioError):
            self._jobs.fail(job, str(error), error.passing, error.retry_after)
        elif isinstance(error, SegmenterError):
            left_out = error.left_out if isinstance(error, NothingToLearn) else ()
            _tell_left_out(job, left_out)
            self._jobs.fail(job, str(error), left_out=left_out)
        elif isinstance(error, NotStored):
            self._jobs.fail(job, str(error))
        elif _is_out_of_memory(error):
            self._jobs.fail(job, _OUT_OF_MEMORY)
        else:
            self._jobs.fail(job, unexpected("project %(project)d", {"project": job.project}))  # a bug

    def _train(self, job: Job) -> None:
        """Load what there is to learn, learn it, publish; the version that served before then serves on."""
        began = time.monotonic()
        lesson = load_lesson(job.project, self._studio, self._settings)
        serving = self._store.current_version(job.project)
        if serving and lesson.fingerprint == job.learned and not job.always:
            raise NothingNew(f"version {serving} has learned all there is; Start training trains anyway")
        facts = {"project": job.project, "tasks": len(lesson.tasks), "attempt": job.attempt}
        logger.info("project %(project)d: training on %(tasks)d tasks begins (attempt %(attempt)d)", facts)
        self._jobs.begin_to_learn(job)
        settings = self._settings.training()
        learned = learn(lesson.labelings, lesson.tasks, self._studio.fetch, settings, self._noting(job))
        _tell_left_out(job, learned.left_out)
        self._jobs.still_ours(job)
        try:
            version = self._store.publish(job.project, learned.model, lesson.label_config)
        except OSError as error:
            raise NotStored(
                f"the new version cannot be stored in MODEL_DIR ({error}): make room on its disk, or make it writable;"
                " until then the version before serves"
            ) from error
        self._jobs.finish(job, learned.left_out, lesson.fingerprint)
        logger.info(
            "project %(project)d: version %(version)s published, learned from %(tasks)d tasks, %(left_out)d left out,"
            " in %(seconds).1f s",
            {
                "project": job.project,
                "version": version,
                "tasks": learned.tasks,
                "left_out": len(learned.left_out),
                "seconds": round(time.monotonic() - began, 1),
            },
        )
        draw_charts(self._store, job.project, version, self._stopping.is_set)
        self.renewals.add(job.project)

    def _noting(self, job: Job) -> Callable[[Progress], None]:
        noted = 0.0

        def note(step: Progress) -> None:
            nonlocal noted
            if self._stopping.is_set():
                raise TrainingStopped
            if time.monotonic() - noted >= _NOTE_EVERY:
                noted = time.monotonic()
                try:
                    self._jobs.progress(job, step.phase, step.epoch, step.epochs, step.percent)
                except QueueError as error:  # no reason to give up what has been learned so far
                    facts = {"project": job.project, "reason": error}
                    logger.warning("project %(project)d: the status falls behind: %(reason)s", facts)

        return note


def _tell_left_out(job: Job, left_out: Sequence[LeftOut]) -> None:
    for task in left_out:
        logger.warning(
            "project %(project)d, task %(task)s: left out of the training: %(reason)s",
            {"project": job.project, "task": task.task, "reason": task.reason},
        )


def _stop_on_signals() -> threading.Event:
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        # A download may hold the training up for longer than an operator waits. What is killed stays due.
        last_resort = threading.Timer(_STOP_WITHIN, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping


def _follow_parent(parent: int) -> None:
    """End this process when the one that started it is gone: an orphan would train beside its successor."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_out_of_memory(error: Exception) -> bool:
    """Python's own error, a GPU's, and what torch says of the processor's, which has no class of its own."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


if __name__ == "__main__":
    configure_logging(current_settings())
    log_what_nobody_catches()
    run_trainer(current_settings())

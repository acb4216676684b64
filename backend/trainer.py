"""The trainer: a process of its own, at low priority, that takes due trainings one after the other.

Web workers keep one running (TrainerKeeper); `python -m backend trainer` is that process.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout

from backend.label_studio import LabelStudioError, Studio
from backend.model_store import ModelStore
from backend.settings import Settings
from backend.training_jobs import Job, TrainingJobs
from segmenter.errors import NothingToLearn, SegmenterError
from segmenter.labeling import Labeling, read_label_config
from segmenter.pipeline import Task, learn
from segmenter.training import Progress

logger = logging.getLogger(__name__)

_POLL = 0.2  # seconds between two looks at the queue
_NOTE_EVERY = 0.5  # seconds between two notes of how far a training is
_STOP_WITHIN = 4.0  # seconds after which a stopping trainer leaves what it does
_NICENESS = 10  # the web workers go first


class TrainingStopped(BaseException):
    """The process is asked to stop; the training stays due. Not an Exception: nothing may mistake it for a failure."""


class NothingNew(Exception):
    """There is nothing to learn that the version which serves has not learned, or too little to begin with."""


@dataclass(frozen=True)
class Lesson:
    """What there is to learn in a project."""

    label_config: str
    labelings: tuple[Labeling, ...]
    tasks: tuple[Task, ...]

    @property
    def fingerprint(self) -> str:
        """The same for the same labels, channels and annotations, however they were stored."""
        tasks = sorted(json.dumps(asdict(task), sort_keys=True, default=str) for task in self.tasks)
        return hashlib.sha256("\n".join((repr(self.labelings), *tasks)).encode("utf-8", "replace")).hexdigest()


def load_lesson(project: int, studio: Studio, settings: Settings) -> Lesson:
    """Ask Label Studio for the label config and the annotated tasks.

    Raises LabelStudioError, LabelConfigError, or NothingNew when there are fewer than MIN_ANNOTATED_TASKS.
    """
    label_config = studio.project(project).label_config
    labelings = read_label_config(label_config)
    tasks = tuple(task for task in studio.annotated_tasks(project) if task.annotated)
    if len(tasks) < settings.min_annotated_tasks:
        raise NothingNew(
            f"{len(tasks)} annotated tasks, MIN_ANNOTATED_TASKS asks for {settings.min_annotated_tasks}: annotate more"
        )
    return Lesson(label_config, labelings, tasks)


def run_trainer(settings: Settings) -> None:
    """Take trainings until SIGTERM or SIGINT, or until the process that started this one is gone."""
    os.nice(_NICENESS)
    torch.set_num_threads(settings.training_threads)
    stopping = _stop_on_signals()
    threading.Thread(target=_follow_parent, args=(os.getppid(),), daemon=True).start()
    trainer = _Trainer(settings, stopping)
    while not stopping.is_set():
        try:
            if not trainer.train_one():
                stopping.wait(_POLL)
        except (OSError, sqlite3.Error) as error:  # a full or read-only MODEL_DIR: it may pass
            logger.error(
                "the training queue in %s cannot be used: %s; free or mend the disk", settings.model_dir, error
            )
            stopping.wait(5.0)


class _Trainer:
    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping
        self._jobs = TrainingJobs(settings.model_dir)
        self._store = ModelStore(settings.model_dir, settings.keep_versions)
        self._studio = Studio(settings)

    def train_one(self) -> bool:
        """Take one due training to its end; False when none is due."""
        job = self._jobs.take()
        if job is None:
            return False
        try:
            self._train(job)
        except TrainingStopped:
            logger.info("project %d: the training is stopped and stays due", job.project)
            self._jobs.give_back(job)
        except NothingNew as reason:
            logger.info("project %d: no training: %s", job.project, reason)
            self._jobs.nothing_new(job, str(reason), self._store.current_version(job.project) is not None)
        except LabelStudioError as error:
            logger.error("project %d: training failed: %s", job.project, error)
            self._jobs.fail(job, str(error), passing=error.passing)
        except SegmenterError as error:
            logger.warning("project %d: training failed: %s", job.project, error)
            left_out = error.left_out if isinstance(error, NothingToLearn) else ()
            self._jobs.fail(job, str(error), left_out=left_out)
        except Exception as error:  # a bug, or a full disk: the queue goes on, the log has the whole of it
            logger.exception("project %d: training failed", job.project)
            self._jobs.fail(job, f"{type(error).__name__}: {error}; the log has the details")
        return True

    def _train(self, job: Job) -> None:
        """Load what there is to learn, learn it, publish; the version that served before then serves on."""
        began = time.monotonic()
        lesson = load_lesson(job.project, self._studio, self._settings)
        serving = self._store.current_version(job.project)
        if serving and lesson.fingerprint == job.learned and not job.always:
            raise NothingNew(f"version {serving} has learned all there is; Start training trains anyway")
        logger.info("project %d: training on %d tasks begins (attempt %d)", job.project, len(lesson.tasks), job.attempt)
        self._jobs.begin_to_learn(job)
        settings = self._settings.training()
        learned = learn(lesson.labelings, lesson.tasks, self._studio.fetch, settings, self._noting(job))
        version = self._store.publish(job.project, learned.model, lesson.label_config)
        self._jobs.finish(job, learned.left_out, lesson.fingerprint)
        logger.info("project %d: version %s published, learned from %d tasks, %d left out, in %.1f s",
                    job.project, version, learned.tasks, len(learned.left_out), time.monotonic() - began)  # fmt: skip

    def _noting(self, job: Job) -> Callable[[Progress], None]:
        noted = 0.0

        def note(step: Progress) -> None:
            nonlocal noted
            if self._stopping.is_set():
                raise TrainingStopped
            if time.monotonic() - noted >= _NOTE_EVERY:
                noted = time.monotonic()
                self._jobs.progress(job, step.phase, step.epoch, step.epochs, step.percent)

        return note


class TrainerKeeper:
    """Keeps one trainer process running for a MODEL_DIR, whichever of the web workers it lives in.

    Every worker starts a keeper; a file lock lets one of them act. When its worker dies, another takes over.
    """

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir.resolve()
        self._lock = FileLock(self._model_dir / "trainer.lock")
        self._stopping = threading.Event()
        self._trainer: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="trainer-keeper", daemon=True)

    def start(self) -> None:
        """Begin to keep a trainer, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the trainer this keeper has started, if any, and wait for it: at most some five seconds."""
        self._stopping.set()
        if self._trainer is not None and self._trainer.poll() is None:
            self._trainer.terminate()
        self._thread.join(timeout=8)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._lock.acquire(timeout=0):
                    self._run_trainers()
            except Timeout:
                pass  # another worker keeps the trainer
            except OSError as error:
                logger.error(
                    "no trainer can be started: %s; MODEL_DIR must be a folder this process can write to", error
                )
            self._stopping.wait(1.0)

    def _run_trainers(self) -> None:
        pause = 0.5
        while not self._stopping.wait(0):
            began = time.monotonic()
            self._trainer = subprocess.Popen(
                [sys.executable, "-m", "backend", "trainer"],
                cwd=Path(__file__).resolve().parent.parent,
                env={**os.environ, "MODEL_DIR": str(self._model_dir)},
            )
            code = self._trainer.wait()
            if not self._stopping.is_set():
                pause = 0.5 if time.monotonic() - began > 30 else min(30.0, pause * 2)
                logger.error("the trainer process ended with %d; starting another in %g s", code, pause)
                self._stopping.wait(pause)


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

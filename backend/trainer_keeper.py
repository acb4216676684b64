"""Keeps the trainer processes of a machine running: TRAININGS_AT_ONCE of them, started again when they die."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from backend.settings import Settings

logger = logging.getLogger(__name__)

_LOOK = 0.2  # seconds between two looks whether a trainer is alive and wanted
_TRY = 1.0  # seconds between two tries for a place that another process has
_STOPPED_WITHIN = 8.0  # seconds that stopping trainers are waited for


class TrainerKeeper:
    """Keeps the trainers of one machine, in threads of whichever process it lives in.

    On one machine every web worker has a keeper, and a file lock for each trainer lets one of them keep it; when its
    worker dies, another takes over. With a Redis the web hosts have none: `python -m backend trainer` is the one of a
    trainer host, and MODEL_DIR, which is then shared, no place for such a lock.
    """

    def __init__(self, settings: Settings, wanted: Callable[[], bool] = lambda: True) -> None:
        """Wanted: asked again and again; from the first False on this is being stopped."""
        self._model_dir = settings.model_dir.resolve()
        self._alone = settings.many_machines
        self._wanted = wanted
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(place,), name=f"trainer-keeper-{place}", daemon=True)
            for place in range(settings.trainings_at_once)
        ]

    def start(self) -> None:
        """Begin to keep trainers."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the trainers that this keeper has started, and wait for them: at most some five seconds."""
        self._stopping.set()
        until = time.monotonic() + _STOPPED_WITHIN
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def _keep(self, place: int) -> None:
        lock: AbstractContextManager[object]
        while self._goes_on():
            try:
                lock = nullcontext() if self._alone else self._lock(place).acquire(timeout=0)
                with lock:
                    self._run_trainers()
            except Timeout:
                self._stopping.wait(_TRY)  # another worker keeps this one
            except OSError as error:
                logger.error(
                    "no trainer can be started: %(reason)s; MODEL_DIR must be a folder this process can write to",
                    {"reason": error},
                )
                self._stopping.wait(10 * _TRY)

    def _run_trainers(self) -> None:
        pause = 0.5
        while self._goes_on():
            began = time.monotonic()
            trainer = subprocess.Popen(
                [sys.executable, "-m", "backend.trainer"],
                cwd=Path(__file__).resolve().parent.parent,
                env={**os.environ, "MODEL_DIR": str(self._model_dir)},
            )
            while trainer.poll() is None:
                if not self._goes_on():
                    trainer.terminate()
                    trainer.wait()
                    return
                self._stopping.wait(_LOOK)
            if self._goes_on():
                pause = 0.5 if time.monotonic() - began > 30 else min(30.0, pause * 2)
                logger.error(
                    "a trainer process ended with %(code)d; starting another in %(seconds)g s",
                    {"code": trainer.returncode, "seconds": pause},
                )
                self._stopping.wait(pause)

    def _goes_on(self) -> bool:
        return self._wanted() and not self._stopping.is_set()

    def _lock(self, place: int) -> FileLock:
        return FileLock(self._model_dir / f"trainer-{place}.lock")

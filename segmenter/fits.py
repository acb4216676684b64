"""Fits of networks side by side, each in a thread of its own that torch keeps to; their steps are told together.

A network this small gains nothing from two threads of torch, and waits for both wherever another program wants one of
the cores: many times as long. Two fits side by side take half the time of one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import torch

Found = TypeVar("Found")
# To be called with the loss after each step of a fit.
Step = Callable[[float], None]


@dataclass(frozen=True)
class Progress:
    """How far a training has come: percent (0..100) never falls.

    epoch: steps done, of `epochs` that all fits of the phase take together. loss: of the fit that made this step.
    """

    phase: str
    epoch: int
    epochs: int
    percent: float
    loss: float


class Fits:
    """The fits of one training, in phases.

    threads: fits at once. planned: steps of all phases. `progress` is called after every step, never by two fits at
    once, and may raise to stop.
    """

    def __init__(self, threads: int, planned: int, progress: Callable[[Progress], None]) -> None:
        self.planned = planned
        self.done = 0
        self._threads, self._progress = threads, progress
        self._lock = Lock()
        self._stopped = False

    def run(self, phase: str, steps: int, fits: Sequence[Callable[[Step], Found]]) -> list[Found]:
        """What each fit returns; they take `steps` steps each.

        Raises the first error of a fit or of `progress`; the other fits then end at their next step.
        """
        before = self.done

        def step(loss: float) -> None:
            with self._lock:
                if self._stopped:
                    raise CancelledError
                self.done += 1
                percent = min(100.0 * self.done / self.planned, 100.0)
                self._progress(Progress(phase, self.done - before, steps * len(fits), percent, loss))

        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                running = [pool.submit(fit, step) for fit in fits]
                try:
                    for ended in as_completed(running):
                        ended.result()
                except BaseException:
                    self._stopped = True
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            torch.set_num_threads(threads)
        return [ended.result() for ended in running]

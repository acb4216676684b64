"""Fits side by side: all that they find, one step told at a time, and an end for all where one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
import torch

from segmenter.fits import Fits, Progress, Step

WITHIN = 20.0  # seconds


def nothing(progress: Progress) -> None:
    pass


def stepping(answer: int, steps: int, step: Step) -> int:
    for _ in range(steps):
        step(0.5)
    return answer


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_answers_come_in_the_order_of_the_fits_whatever_ends_first(threads: int) -> None:
    jobs: list[Callable[[Step], int]] = [partial(stepping, number, 50 - 10 * number) for number in range(5)]
    assert Fits(threads, 150, nothing).run("fitting", 30, jobs) == [0, 1, 2, 3, 4]


def test_as_many_fits_run_at_once_as_there_are_threads_each_with_one_of_torch() -> None:
    meeting = threading.Barrier(3)
    before = torch.get_num_threads()

    def meet(step: Step) -> int:
        meeting.wait(WITHIN)
        return torch.get_num_threads()

    assert Fits(3, 1, nothing).run("fitting", 1, [meet] * 3) == [1, 1, 1]
    assert torch.get_num_threads() == before


def test_steps_are_counted_together_and_told_one_at_a_time() -> None:
    seen: list[Progress] = []
    inside = threading.Lock()

    def note(progress: Progress) -> None:
        assert inside.acquire(blocking=False)
        seen.append(progress)
        time.sleep(0.001)
        inside.release()

    fits = Fits(4, 100, note)
    fits.run("checking", 10, [partial(stepping, 0, 10)] * 6)
    fits.planned = 80  # fewer are left than was thought
    fits.run("fitting", 10, [partial(stepping, 0, 10)] * 2)
    assert [(one.phase, one.epoch, one.epochs) for one in seen] == [
        *(("checking", step, 60) for step in range(1, 61)),
        *(("fitting", step, 20) for step in range(1, 21)),
    ]
    assert [one.percent for one in seen] == [*range(1, 61), *(100 * step / 80 for step in range(61, 81))]


class Broken(Exception):
    pass


def breaking(step: Step) -> int:
    step(0.5)
    raise Broken


def endless(step: Step) -> int:
    while True:
        step(0.5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_error_of_one_ends_the_others_and_is_the_one_that_is_raised(place: int) -> None:
    jobs = [endless, endless]
    jobs.insert(place, breaking)
    with pytest.raises(Broken):
        Fits(3, 10**9, nothing).run("fitting", 1, jobs)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_an_error_of_progress_ends_all_of_them() -> None:
    def stop(progress: Progress) -> None:
        if progress.epoch == 1_000:
            raise Broken

    with pytest.raises(Broken):
        Fits(2, 10**9, stop).run("fitting", 1, [endless] * 5)

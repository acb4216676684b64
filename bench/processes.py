"""Work in processes of its own: one whose memory can be measured, or several side by side on one core each."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch

CORES = os.cpu_count() or 1
_STATUS = Path("/proc/self/status")

Given = ParamSpec("Given")
Found = TypeVar("Found")


def in_fresh_process(function: Callable[Given, Found], *arguments: Given.args, **named: Given.kwargs) -> Found:
    """What the function returns or raises in a new interpreter; function, arguments and answer must be picklable."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


def side_by_side(function: Callable[..., Found], jobs: Sequence[tuple[Any, ...]]) -> Iterator[Found]:
    """The function's answer to each job, in the order of the jobs, each as soon as it is there.

    As many jobs run at once as there are cores, each with one thread of torch: on small networks two threads gain
    nothing, and lose a lot where another program wants the second core.
    """
    processes = min(len(jobs), CORES)
    if processes <= 1:
        threads = torch.get_num_threads()
        try:
            _use_one_thread()
            yield from (function(*job) for job in jobs)
        finally:
            torch.set_num_threads(threads)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_use_one_thread)
    try:
        yield from (answer.result() for answer in [pool.submit(function, *job) for job in jobs])
    finally:
        pool.shutdown(cancel_futures=True)


def peak_memory() -> int:
    """The most bytes that this process has had in memory so far.

    Linux hands `ru_maxrss` on to a child, so that it would begin with the peak of the process which started it; the
    high-water mark in /proc is the process's own.
    """
    if _STATUS.exists():
        (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _use_one_thread() -> None:
    torch.set_num_threads(1)

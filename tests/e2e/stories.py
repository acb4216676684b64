"""Four easy recordings that can be written down in many ways: what happens in them, how their rows are dated.

All of it is worked out from the row numbers, with nothing of the product, so that the product can be held against it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

ROWS = 240
SPEED, LOAD, PEAK = "speed", "load", "peak"  # a channel is raised for a while, or both are in a single row

_RAISED = {SPEED: [0], LOAD: [1], PEAK: [0, 1]}
_DAY = datetime(2024, 3, 4, tzinfo=timezone.utc)
_MORNING = timedelta(hours=6)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Table = Sequence[tuple[Any, float, float]]  # time, speed and load of each row
Content = bytes | dict[str, Any]  # a file, or what a task's data holds


@dataclass(frozen=True)
class Span:
    """Rows `first` to `last`, both included, of one kind; a peak has one row."""

    kind: str
    first: int
    last: int


def _story(*stretches: tuple[str, int, int], peaks: tuple[int, ...]) -> tuple[Span, ...]:
    spans = [Span(*stretch) for stretch in stretches] + [Span(PEAK, row, row) for row in peaks]
    return tuple(sorted(spans, key=lambda span: span.first))


# Peaks keep clear of speed. From row 196 on nothing happens in any: there is room to draw a region by hand.
STORIES = (
    _story((SPEED, 20, 50), (LOAD, 80, 120), (SPEED, 150, 180), peaks=(5, 100, 115, 185)),
    _story((LOAD, 10, 45), (SPEED, 60, 95), (LOAD, 140, 170), peaks=(6, 40, 101, 184)),
    _story((SPEED, 30, 70), (LOAD, 71, 110), (SPEED, 130, 160), peaks=(7, 102, 119, 190)),
    _story((SPEED, 15, 50), (LOAD, 65, 100), (SPEED, 125, 165), peaks=(8, 80, 103, 182)),
)


@dataclass(frozen=True)
class Clock:
    """How rows are dated, row -> text or number.

    stored: as an annotation has it. in_file: as the recording has it. axis: as the editor's own axis has it, which is
    milliseconds since 1970 where there is a timeFormat.
    """

    stored: Callable[[int], Any]
    in_file: Callable[[int], Any]
    axis: Callable[[int], float]


def numbers(first: float, period: float) -> Clock:
    def time(row: int) -> float:
        return first + period * _tick(row)

    return Clock(time, time, time)


def stamps(
    period: timedelta,
    stored: Callable[[datetime], str],
    in_file: Callable[[datetime], str] | None = None,
    day: datetime = _DAY,
) -> Clock:
    def moment(row: int) -> datetime:
        return day + _MORNING + _tick(row) * period

    in_file = in_file or stored
    return Clock(lambda row: stored(moment(row)), lambda row: in_file(moment(row)), lambda row: epoch_ms(moment(row)))


def epoch_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _tick(row: int) -> int:
    """Every ninth sample is missing: time does not go by like the rows."""
    return row + row // 8


def table(story: Sequence[Span], clock: Clock, seed: int) -> Table:
    """Noise around 0, and around 5 where a channel is raised."""
    values = np.random.default_rng(seed).normal(scale=0.2, size=(ROWS, 2))
    for span in story:
        values[span.first : span.last + 1, _RAISED[span.kind]] += 5
    return [(clock.in_file(row), speed, load) for row, (speed, load) in enumerate(np.round(values, 3).tolist())]


def csv(header: str | None, separator: str = ",", places: Sequence[int] = (0, 1, 2)) -> Callable[[Table], Content]:
    """`places`: which of time, speed and load stand in a line, in which order."""

    def write(rows: Table) -> Content:
        lines = [separator.join(str(row[place]) for place in places) for row in rows]
        return ("\n".join(lines if header is None else [header, *lines]) + "\n").encode()

    return write


def json_object(rows: Table) -> dict[str, Any]:
    times, speeds, loads = zip(*rows, strict=True)
    return {"time": list(times), "speed": list(speeds), "load": list(loads)}


def json_file(rows: Table) -> Content:
    return json.dumps(json_object(rows)).encode()

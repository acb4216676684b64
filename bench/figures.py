"""What a benchmark hands over: figures beside what they are held against, tables, and charts as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """A measured number and what it is held against, all in one unit.

    value: the middle of the repeats. target: what the project aims for; None where nothing is aimed for. better: which
    way is good. baseline: the same of what this is compared with. floor: what nothing could go below on this machine.
    repeats: the single measurements.
    """

    name: str
    value: float
    unit: str = ""
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"
    baseline: float | None = None
    floor: float | None = None
    repeats: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        """The value in parts of the target."""
        return self.value / self.target if self.target else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


def median_figure(
    name: str,
    repeats: Sequence[float],
    unit: str,
    target: float | None = None,
    baseline: float | None = None,
    floor: float | None = None,
) -> Figure:
    """The median of repeated measurements of something that should be small."""
    return Figure(name, median(repeats), unit, target, "lower", baseline, floor, tuple(repeats))


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; each row has as many cells as the header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Line:
    """Points of a chart, joined in order. band: the lowest and the highest y at each x, drawn as a shade."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    band: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes. log: both axes are logarithmic. range: of the y axis; None lets the lines decide."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    log: bool = False
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """Panels beside each other, `columns` to a row. name: of the file, without its ending."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    columns: int = 3


@dataclass(frozen=True)
class Outcome:
    """All that one part of the benchmarks found out. notes: sentences on how it was measured."""

    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()

"""A recording's time axis: cells of the time column, regions' bounds and numbers, in both directions."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmenter.d3patterns import finest_step
from segmenter.d3reading import read_stamps, read_time_column
from segmenter.d3writing import write_stamp
from segmenter.errors import RecordingError
from segmenter.jsnumber import js_float, js_number, js_text, js_trim

_PLAIN = np.isin(np.arange(256), list(b"0123456789+-.eE\0"))  # with anything else it takes JavaScript's rules
_EXACT = 2.0**53  # up to here every whole number is a float of its own


@dataclass(frozen=True)
class TimeAxis:
    """How a recording's time column is written.

    `format` None: plain numbers (or the row index, when `column` is None). A d3 pattern: stamps, held as
    milliseconds since 1970 UTC. With a format but no column the editor counts rows as milliseconds.
    """

    column: str | None = None
    format: str | None = None

    @property
    def unit(self) -> str:
        """What differences of times count: "milliseconds" of stamps, "rows", or "numbers" of a unit nobody names."""
        return "rows" if self.column is None else "numbers" if self.format is None else "milliseconds"

    def read_column(self, cells: Sequence[Any] | npt.NDArray[np.bytes_]) -> npt.NDArray[np.float64]:
        """Cells of the time column as the editor reads them -> float64 (rows,).

        `cells`: an array of bytes holds the raw cells of a CSV file, a sequence the values of a JSON list.
        For the editor an empty number is 0 and a stamp that does not fit the format is 1970, as long as the order bears
        it and it is not one of two among the first three; so it is here.
        Raises RecordingError naming the first bad cell.
        """
        times = _read_numbers(cells) if self.format is None else _read_stamps(cells, self.format)
        unread = np.flatnonzero(~np.isfinite(times))
        if len(unread):
            raise RecordingError(self._misfit(int(unread[0]), cells[int(unread[0])]))
        return times

    def read_bound(self, bound: Any) -> float:
        """A region's start or end (text in `format`, or a number in the axis' unit) -> number; raises ValueError."""
        number = float(self.read_bounds([bound])[0])
        if math.isnan(number):
            wanted = "a number" if self.format is None else f"a number or a stamp in the format {self.format!r}"
            raise ValueError(f"{bound!r} is not {wanted}")
        return number

    def read_bounds(self, bounds: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Many regions' starts and ends at once -> float64 (bounds,), NaN for what `read_bound` refuses."""
        texts = [row for row, bound in enumerate(bounds) if isinstance(bound, str) and bound.strip()]
        numbers = np.array([_given_number(bound) for bound in bounds], dtype=np.float64)
        if self.format is None:
            numbers[texts] = [js_number(bounds[row]) for row in texts]
        else:
            numbers[texts] = read_stamps(self.format, [bounds[row] for row in texts])
        numbers[~np.isfinite(numbers)] = np.nan
        return numbers

    def write_bound(self, time: float) -> str | float | int:
        """A number -> what an annotation would hold: text in `format`, an int if the number is whole, else a float."""
        if self.format is not None and self.column is not None:
            return write_stamp(self.format, time)
        number = float(time)
        return int(number) if number.is_integer() and abs(number) <= _EXACT else number

    def resolution(self) -> float:
        """The smallest step `write_bound` can tell apart, in the axis' unit.

        1000.0 for a format of whole seconds; 0.0 for numbers, which tell everything apart.
        """
        return 0.0 if self.format is None or self.column is None else float(finest_step(self.format))

    def _misfit(self, row: int, cell: Any) -> str:
        text = _text(cell)
        found = repr(text if len(text) <= 40 else text[:37] + "...") if js_trim(text) else "nothing"
        where = f"row {row + 1} of the time column {self.column!r} holds {found}"
        if self.format is None:
            return f"{where} where a number was expected: mend the file, or give the timeFormat of its stamps"
        return f"{where}, which does not fit the timeFormat {self.format!r}: mend the timeFormat, or the file"


def _read_numbers(cells: Sequence[Any] | npt.NDArray[np.bytes_]) -> npt.NDArray[np.float64]:
    """Plain numbers, NaN for a cell that is none."""
    if isinstance(cells, np.ndarray) and _PLAIN[np.ascontiguousarray(cells).view(np.uint8)].all():
        with contextlib.suppress(ValueError):  # a cell is empty, or something like "1-2": one by one, then
            return cells.astype(np.float64)
    numbers = np.array([_number(cell) for cell in cells], dtype=np.float64)
    empty = np.array([cell is None or cell in ("", b"") for cell in cells], dtype=bool)
    filled = np.where(empty, 0.0, numbers)
    return filled if _in_order(filled) else numbers


def _number(cell: Any) -> float:
    if isinstance(cell, str | bytes):
        inner = _inner(cell)
        return js_number(inner) if inner else math.nan
    return js_float(cell) if isinstance(cell, int | float) else math.nan


def _given_number(bound: Any) -> float:
    return js_float(bound) if isinstance(bound, int | float) and not isinstance(bound, bool) else math.nan


def _read_stamps(cells: Sequence[Any] | npt.NDArray[np.bytes_], pattern: str) -> npt.NDArray[np.float64]:
    """Stamps in milliseconds, NaN where one does not fit.

    Where the editor refuses a column because of what it does to it (it puts zeros into "01.02.2020", takes them from
    "090000", keeps quotes), the text as it stands is read.
    """
    raw = isinstance(cells, np.ndarray)
    times = read_time_column(pattern, cells if raw else [_json_cell(cell) for cell in cells])
    unread = np.isnan(times)
    filled = np.where(unread, 0.0, times)
    if unread[:3].sum() < 2 and _in_order(filled):
        return filled
    plain = read_stamps(pattern, [_inner(cell) for cell in cells])
    return plain if _in_order(plain) else np.where(unread, plain, times)


def _in_order(times: npt.NDArray[np.float64]) -> bool:
    return bool(np.isfinite(times).all() and (np.diff(times) >= 0).all())


def _inner(cell: Any) -> str:
    """A cell's text without white space and quotes around it."""
    return js_trim(js_trim(_text(cell)).strip('"'))


def _json_cell(cell: Any) -> str | float:
    number = _given_number(cell)
    return number if math.isfinite(number) else _text(cell)


def _text(cell: Any) -> str:
    """A cell as text, for a message or a time format."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    number = _given_number(cell)
    if math.isfinite(number):
        return js_text(number)
    return "null" if cell is None else str(cell)

"""Columns out of a delimited text that is in order: numbers for the channels, raw cells for the time column."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from segmenter.jsnumber import js_float, js_number, js_trim

_BLOCK = 131_072  # rows
_LONGEST = 256  # bytes of a cell: no number and no stamp has more, and one long text must not widen all
_ELLIPSIS = "…".encode()
_SPACE = np.isin(np.arange(256), list(b" \t\v\f\r"))
# What stands for "the sensor said nothing" and not for a fault of the file.
_MISSING = frozenset(("", "nan", "na", "n/a", "<na>", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity"))


@dataclass(frozen=True)
class Texts:
    """How many cells of a column hold text where numbers were expected, and the first of them."""

    count: int = 0
    example: str = ""


@dataclass(frozen=True, eq=False)
class CsvTable:
    """A file of rows, each with a cell for each of `names`.

    names: the header as written, or "0", "1", ... where there is none. body: the rows alone, a line each, cells between
    `separator`. ends: int64 (rows,), where in the body each line ends; breaks: int64 (rows, columns - 1), where its
    separators are. remarks: what was odd.
    """

    names: tuple[str, ...]
    headless: bool
    body: bytes
    separator: str
    ends: npt.NDArray[np.int64]
    breaks: npt.NDArray[np.int64]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ends)

    def numbers(self, columns: Sequence[int]) -> tuple[npt.NDArray[np.float64], list[Texts]]:
        """Columns as float64 (rows, columns), NaN for everything that is no finite number, and the texts in each."""
        if len(self.names) == 1:  # for pandas a row that is one empty cell is no row
            numbers, found = cells_to_floats([cell.decode("utf-8", "replace") for cell in self.cells(0)])
            return np.column_stack([numbers] * len(columns)), [found] * len(columns)
        values = np.empty((len(self), len(columns)))
        texts = [Texts()] * len(columns)
        reader = pd.read_csv(
            io.BytesIO(self.body),
            sep=self.separator,
            header=None,
            usecols=sorted(set(columns)),
            quoting=3,  # quotes are taken off already
            lineterminator="\n",
            skip_blank_lines=False,
            encoding_errors="replace",
            engine="c",
            low_memory=False,
            chunksize=_BLOCK,
        )
        first = 0
        with reader:
            for block in reader:
                for place, column in enumerate(columns):
                    numbers, found = _series_to_floats(block[column])
                    values[first : first + len(block), place] = numbers
                    texts[place] = Texts(texts[place].count + found.count, texts[place].example or found.example)
                first += len(block)
        return values, texts

    def cells(self, column: int) -> npt.NDArray[np.bytes_]:
        """A column's cells as bytes (rows,), as written but for white space around the row.

        Of a longer one the first 253, and an ellipsis, which makes it no number and no stamp.
        """
        code = np.frombuffer(self.body, dtype=np.uint8)
        starts = np.concatenate([[0], self.ends[:-1] + 1]) if column == 0 else self.breaks[:, column - 1] + 1
        ends = self.ends if column == len(self.names) - 1 else self.breaks[:, column]
        for _ in range(_LONGEST):
            before = _SPACE[code[starts]] & (starts < ends) & (column == 0)
            after = _SPACE[code[ends - 1]] & (starts < ends - before) & (column == len(self.names) - 1)
            if not (before.any() or after.any()):
                break
            starts, ends = starts + before, ends - after
        widths = np.minimum(ends - starts, _LONGEST)
        width = max(1, int(widths.max()))
        cells = np.empty((len(self), width), dtype=np.uint8)
        inside = int(np.searchsorted(starts, len(code) - width, side="right"))  # further on a window leaves the body
        cells[:inside] = np.lib.stride_tricks.sliding_window_view(code, width)[starts[:inside]]
        for row in range(inside, len(self)):
            cells[row, : widths[row]] = code[starts[row] : starts[row] + widths[row]]
        if int(widths.min()) < width:
            cells[np.arange(width) >= widths[:, None]] = 0
        long = np.flatnonzero(ends - starts > _LONGEST)
        if len(long):
            cells[long, -len(_ELLIPSIS) :] = list(_ELLIPSIS)
        return cells.view(f"S{width}").reshape(-1)


def cells_to_floats(cells: Sequence[object]) -> tuple[npt.NDArray[np.float64], Texts]:
    """A channel's cells of any kind as float64 (rows,), NaN for all but finite numbers, and the texts among them.

    Empty cells, null, NaN, NA and infinities are missing values, not text.
    """
    if {type(cell) for cell in cells} <= {float, type(None)}:
        values = np.array(cells, dtype=np.float64)
        values[~np.isfinite(values)] = np.nan
        return values, Texts()
    values = np.full(len(cells), np.nan)
    count, example = 0, ""
    for row, cell in enumerate(cells):
        if isinstance(cell, int | float):
            values[row] = js_float(cell)
        elif isinstance(cell, str) and (inner := unquoted(cell)):
            values[row] = js_number(inner)
            if np.isnan(values[row]) and inner.lower() not in _MISSING:
                count, example = count + 1, example or inner
        elif cell is not None and not isinstance(cell, str):
            count, example = count + 1, example or str(cell)
    values[~np.isfinite(values)] = np.nan
    return values, Texts(count, example)


def unquoted(cell: str) -> str:
    """A cell without white space and quotes around it."""
    inner = js_trim(cell)
    if len(inner) >= 2 and inner[0] == inner[-1] == '"':
        return js_trim(inner[1:-1].replace('""', '"'))
    return inner


def _series_to_floats(column: pd.Series) -> tuple[npt.NDArray[np.float64], Texts]:
    if column.dtype.kind not in "iuf":  # "true" is text for the editor, and a truth value for pandas
        return cells_to_floats([str(cell) if isinstance(cell, bool) else cell for cell in column.astype(object)])
    values = column.to_numpy(dtype=np.float64, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values, Texts()

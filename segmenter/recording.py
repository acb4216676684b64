"""One task's data, read the way Label Studio's own editor reads it: same rows, same time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmenter.csvtable import CsvTable, Texts, cells_to_floats, unquoted
from segmenter.csvtext import check_rows, read_table, shorten
from segmenter.errors import RecordingError
from segmenter.labeling import Labeling
from segmenter.limits import USUAL, Limits
from segmenter.timeaxis import TimeAxis

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recording:
    """Rows of channels in time.

    times: float64 (rows,), never descending, in the unit of `axis`. values: float64 (rows, channels), NaN where the
    sensor said nothing. channels: the labeling's channel names, in the labeling's order, one a column of `values`.
    remarks: what was odd but bridged (text in a channel, ...), a sentence each, for the log and the status.
    """

    times: Floats
    values: Floats
    channels: tuple[str, ...]
    axis: TimeAxis
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)


def read_recording(content: bytes | str | Mapping[str, Any], labeling: Labeling, limits: Limits = USUAL) -> Recording:
    """A recording from CSV bytes, JSON text or a JSON object {column: [values]}.

    Raises RecordingError with the column, what was expected and what the file has instead.
    """
    if isinstance(content, Mapping):
        return _from_json(content, labeling, limits)
    raw = content.encode(errors="replace") if isinstance(content, str) else content
    if labeling.value_type == "url" and not raw.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return _from_csv(raw, labeling, limits)
    try:
        columns = _json_object(raw)
    except RecordingError as not_json:
        if labeling.value_type == "json":
            raise
        try:
            return _from_csv(raw, labeling, limits)  # so does the editor
        except RecordingError:
            raise not_json from None
    return _from_json(columns, labeling, limits)


def _json_object(content: bytes) -> Mapping[str, Any]:
    text = content.removeprefix(b"\xef\xbb\xbf")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        start = text[:80].partition(b"://")[0]  # what an address goes on with may be a secret
        raise RecordingError(
            f"the value is not JSON ({error}), it begins with {shorten(start.decode('utf-8', 'replace'))}: "
            f"give an object {{column: [values]}}, or for a url set valueType to url"
        ) from error
    if not isinstance(found, dict):
        raise RecordingError(
            f"the JSON holds a {type(found).__name__}, where an object {{column: [values]}} was expected: "
            f"mend the task's data"
        )
    return found


def _from_csv(content: bytes, labeling: Labeling, limits: Limits) -> Recording:
    by_name = [name for name in (labeling.time_column, *labeling.channels) if name and not _is_index(name)]
    keep_quotes = '"' in (labeling.time_format or "")
    table = read_table(content, labeling.separator, by_name, limits, keep_quotes=keep_quotes)
    places = [_channel_place(table.names, name) for name in labeling.channels]
    axis = TimeAxis(labeling.time_column, labeling.time_format)
    times_place = None if labeling.time_column is None else _time_place(table.names, labeling.time_column)
    missing = [name for name, place in zip(labeling.channels, places, strict=True) if place is None]
    if labeling.time_column is not None and times_place is None:
        missing.insert(0, labeling.time_column)
    if missing:
        raise RecordingError(_missing(missing, table, labeling.separator))
    columns = [place for place in places if place is not None]
    values, texts = table.numbers(columns)
    times: Floats = np.arange(len(table), dtype=np.float64)
    if times_place is not None:
        times = axis.read_column(table.cells(times_place))
    _check_order(times, axis)
    remarks = (*table.remarks, *_text_remarks(labeling.channels, texts, len(table)))
    return Recording(times, values, labeling.channels, axis, remarks)


def _from_json(content: Mapping[str, Any], labeling: Labeling, limits: Limits) -> Recording:
    columns = {
        str(name): cells
        for name, cells in content.items()
        if isinstance(cells, Sequence) and not isinstance(cells, str)
    }
    names = list(columns)
    wanted = [*labeling.channels] if labeling.time_column is None else [labeling.time_column, *labeling.channels]
    places = {name: _named(names, name) for name in wanted}
    missing = [name for name, place in places.items() if place is None]
    if missing:
        raise RecordingError(
            f"the JSON has no list under {', '.join(map(repr, missing))}, but "
            f"{_listed([str(name) for name in content])}: mend the task's data or the config"
        )
    cells = {name: columns[names[place]] for name, place in places.items() if place is not None}
    lengths = {name: len(column) for name, column in cells.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise RecordingError(
            f"the columns of the JSON differ in length ({counts}): give each row a value in every column"
        )
    rows = next(iter(lengths.values()))
    if rows == 0:
        raise RecordingError("the JSON's columns hold no values: mend the task's data")
    check_rows(rows, limits)
    axis = TimeAxis(labeling.time_column, labeling.time_format)
    times: Floats = np.arange(rows, dtype=np.float64)
    if labeling.time_column is not None:
        times = axis.read_column(cells[labeling.time_column])
    _check_order(times, axis)
    read = [cells_to_floats(cells[name]) for name in labeling.channels]
    values = np.column_stack([numbers for numbers, _ in read])
    remarks = _text_remarks(labeling.channels, [texts for _, texts in read], rows)
    return Recording(times, values, labeling.channels, axis, remarks)


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _named(names: Sequence[str], name: str) -> int | None:
    """The column of this name: as written, in any case, or inside white space and quotes, in this order."""
    readings = ((str, name), (str.lower, name.lower()), (lambda text: unquoted(text).lower(), name.strip().lower()))
    for read, wanted in readings:
        for place, written in enumerate(names):
            if read(written) == wanted:
                return place
    return None


def _channel_place(names: Sequence[str], name: str) -> int | None:
    """Digits are the column's place, and a name only where there is no such place: the editor's rule."""
    if _is_index(name) and int(name) < len(names):
        return int(name)
    return _named(names, name)


def _time_place(names: Sequence[str], name: str) -> int | None:
    place = _named(names, name)
    return _channel_place(names, name) if place is None else place


def _missing(missing: Sequence[str], table: CsvTable, separator: str) -> str:
    columns = ", ".join(map(repr, missing))
    line = table.body[: table.ends[0]].decode("utf-8", "replace") if table.headless else table.names[0]
    if len(table.names) == 1:
        return (
            f"the file has no column {columns}, but lines like {shorten(line)}: is {separator!r} its separator (sep)?"
        )
    if table.headless:
        return f"the file has no column {columns}; its first line {shorten(line)} is no header: mend file or config"
    return (
        f"the file has no column {columns}, but {_listed(table.names)}: mend the file, the config's columns or its sep"
    )


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name if len(name) <= 40 else name[:37] + "...") for name in names[:8]] or ["nothing"]
    return ", ".join(shown) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _text_remarks(channels: Sequence[str], texts: Sequence[Texts], rows: int) -> tuple[str, ...]:
    return tuple(
        f"channel {channel!r} has text in {found.count} of {rows} rows, as {shorten(found.example)}, taken as no value"
        for channel, found in zip(channels, texts, strict=False)
        if found.count
    )


def _check_order(times: Floats, axis: TimeAxis) -> None:
    descents = np.flatnonzero(np.diff(times) < 0)
    if len(descents):
        row = int(descents[0]) + 1
        before, after = axis.write_bound(times[row - 1]), axis.write_bound(times[row])
        raise RecordingError(
            f"the time column {axis.column!r} descends at row {row + 1}, from {before!r} to {after!r}: "
            f"sort the file by time"
        )

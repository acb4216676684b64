"""Label Studio's rules for a CSV file, written down plainly from what its editor does: what the product is judged by.

Nothing here is the product's, and nothing is clever: a cell at a time, stamps by Python's own calendar. A file that the
editor refuses, or puts into wrong columns, is Refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone


class Refused(Exception):
    """The editor shows an error, or a mess."""


@dataclass(frozen=True)
class Shown:
    """What the editor plots: times, and the cells of each channel."""

    times: list[float]
    channels: list[list[str]]


def show(text: str, separator: str, time_column: str | None, pattern: str | None, channels: Sequence[str]) -> Shown:
    """A file as the editor shows it for this config."""
    rows = [_cells(line.strip(), separator) for line in text.removeprefix("\ufeff").split("\n")]
    while rows and rows[-1] == [""]:
        rows.pop()
    if len(rows) < 2 or [""] in rows[:2] or len(rows[0]) < 2:
        raise Refused
    head = rows[0]
    # A header is a line in which some cell is a number and the one below is not, or the other way round.
    header = any((number(name) is None) != (number(cell) is None) for name, cell in zip(head, rows[1], strict=False))
    names = [name.lower() for name in head] if header else [str(place) for place in range(len(head))]
    body = [row for row in rows[1 if header else 0 :] if row != [""]]
    if any(len(row) != len(head) for row in body) or len(set(names)) < len(names):
        raise Refused
    columns = [[row[place] for row in body] for place in range(len(names))]
    times = [float(row) for row in range(len(body))]
    if time_column is not None:
        if time_column.lower() not in names:
            raise Refused
        times = _times(columns[names.index(time_column.lower())], pattern)
    plotted = []
    for channel in channels:
        if channel.isdigit() and int(channel) < len(names):
            place = int(channel)
        elif channel.lower() in names:
            place = names.index(channel.lower())
        else:
            raise Refused
        plotted.append(columns[place])
    return Shown(times, plotted)


def number(cell: str) -> float | None:
    """JavaScript's Number: nothing is zero, what is none is None here."""
    cell = cell.strip()
    if cell == "":
        return 0.0
    if re.fullmatch(r"[+-]?Infinity", cell):
        return float(cell.replace("Infinity", "inf"))
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", cell):
        return float(int(cell, 16))
    if re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", cell, re.ASCII):
        return float(cell)
    return None


def _cells(line: str, separator: str) -> list[str]:
    """A separator between quotes does not part; the quotes stay."""
    cells, inside = [""], False
    for char in line:
        inside ^= char == '"'
        if char == separator and not inside:
            cells.append("")
        else:
            cells[-1] += char
    if inside:
        raise Refused
    return cells


def _times(cells: Sequence[str], pattern: str | None) -> list[float]:
    times = []
    for cell in cells:
        found = number(cell) if pattern is None else _stamp(cell, pattern)
        if found is None or abs(found) == float("inf"):
            raise Refused
        times.append(found)
    if times != sorted(times):
        raise Refused
    return times


def _stamp(cell: str, pattern: str) -> float | None:
    """Milliseconds since 1970 UTC."""
    if pattern in ("%s", "%Q"):
        return float(cell) * (1000 if pattern == "%s" else 1) if re.fullmatch(r"\d+", cell, re.ASCII) else None
    milliseconds = 0
    if pattern.endswith(".%L"):
        cell, _, fraction = cell.rpartition(".")
        if not re.fullmatch(r"\d{1,3}", fraction, re.ASCII):
            return None
        milliseconds = int(fraction.ljust(3, "0"))  # the editor fills a fraction up
    try:
        moment = datetime.strptime(cell, pattern.removesuffix(".%L")).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1000.0 + milliseconds

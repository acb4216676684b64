"""Stamps in a d3 time pattern as numbers: milliseconds since 1970 UTC.

Columns are read a block at a time. Stamps that differ in nothing but their digits have one shape; where each directive
stands is worked out for one stamp of a shape and holds for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmenter.d3patterns import DAY, NAMES, pattern_items
from segmenter.jsnumber import js_number, js_text

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.unsignedinteger[Any]]

_LATEST = 8.64e15  # JavaScript knows no date further from 1970, in milliseconds
_BLOCK = 65_536  # rows
_LONGEST = 256  # characters: no stamp has more, and one long text must not widen the table of all
# How many characters of a number a directive may take; None: any.
_WIDTHS: dict[str, int | None] = {
    "d": 2, "e": 2, "f": 6, "g": 2, "G": 4, "H": 2, "I": 2, "j": 3, "L": 3, "m": 2, "M": 2, "q": 1, "Q": None,
    "s": None, "S": 2, "u": 1, "U": 2, "V": 2, "w": 1, "W": 2, "y": 2, "Y": 4,
}  # fmt: skip
_DIGITS = "0123456789"
_NUMBER = re.compile(r"[\s\ufeff]*([0-9]+)")
_ZONE = re.compile(r"^(Z)|([+-][0-9]{2})(?::?([0-9]{2}))?")  # only the Z is tied to the start: d3's own precedence


@dataclass(frozen=True)
class _Field:
    """Where a directive stands in stamps of one shape: digits from `start` to `stop`, or a value all of them share.

    A "literal" is a digit of the pattern itself (`value`: its code), which stamps of one shape may have there or not.
    """

    letter: str
    start: int = 0
    stop: int = 0
    value: float | None = None


def _fields(pattern: str, text: str) -> list[_Field] | None:
    """How the pattern takes the text apart; None where it does not take all of it."""
    fields: list[_Field] = []
    at = 0
    for item in pattern_items(pattern):
        if at >= len(text):
            return None
        if not item.directive:
            if item.text in _DIGITS and text[at] in _DIGITS:
                fields.append(_Field("literal", at, at + 1, ord(item.text)))
            elif text[at] != item.text:
                return None
            at += 1
            continue
        taken = _take(item.text, text, at)
        if taken is None:
            return None
        found, at = taken
        fields.extend(found)
    return fields if at == len(text) else None


def _take(letter: str, text: str, at: int) -> tuple[list[_Field], int] | None:
    if letter in _WIDTHS:
        width = _WIDTHS[letter]
        number = _NUMBER.match(text[at:] if width is None else text[at : at + width])
        if not number:
            return None
        stop = at + number.end()
        return [_Field(letter, at + number.start(1), stop)], stop
    if letter in NAMES:
        for index, name in enumerate(NAMES[letter]):
            if text[at : at + len(name)].lower() == name.lower():
                return [_Field(letter, value=index)], at + len(name)
        return None
    if letter == "Z":
        zone = _ZONE.search(text[at : at + 6])
        if not zone:
            return None
        stop = at + len(zone[0])
        if zone[1]:
            return [_Field("sign", value=0.0)], stop
        found = [_Field("sign", value=-1.0 if zone[2][0] == "+" else 1.0)]
        found.append(_Field("zone hours", at + zone.start(2) + 1, at + zone.end(2)))
        if zone[3]:
            found.append(_Field("zone minutes", at + zone.start(3), at + zone.end(3)))
        return found, stop
    return ([], at + 1) if letter == "%" and text[at] == "%" else None


def read_stamps(pattern: str, texts: Sequence[str]) -> Floats:
    """Stamps in milliseconds since 1970 UTC; NaN where one does not fit the pattern."""
    return _by_shape(texts, lambda codes: _read_shape(pattern, codes))


def read_time_column(pattern: str, cells: Sequence[str | float] | npt.NDArray[np.bytes_]) -> Floats:
    """A recording's time column in milliseconds since 1970 UTC; NaN where a cell does not fit the pattern.

    `cells`: an array of bytes holds raw cells of a CSV file, in which the editor has made a number of whatever looks
    like one. It changes the fractions of text before it reads it (see `_fraction`), but reads numbers by their digits.
    """
    if isinstance(cells, np.ndarray):
        return _by_shape(cells, lambda codes: _read_raw(pattern, codes))
    texts = [cell if isinstance(cell, str) else js_text(cell) for cell in cells]
    times = _by_shape(texts, lambda codes: _read_changed(pattern, codes))
    numbers = [row for row, cell in enumerate(cells) if not isinstance(cell, str)]
    times[numbers] = read_stamps(_milliseconds(pattern), [texts[row] for row in numbers])
    return times


def _by_shape(cells: Sequence[str] | npt.NDArray[np.bytes_], read: Callable[[Codes], Floats]) -> Floats:
    """What `read` makes of cells, called for all that have one shape at once."""
    times = np.full(len(cells), np.nan)
    for first in range(0, len(cells), _BLOCK):
        block = _codes(cells[first : first + _BLOCK])
        shapes = np.where((block >= 48) & (block <= 57), block.dtype.type(48), block)
        left = np.arange(len(block))
        while len(left):
            same = (shapes[left] == shapes[left[0]]).all(axis=1)
            rows, left = left[same], left[~same]
            times[first + rows] = read(block[rows, : len(_decoded(block[rows[0]]))])
    return times


def _codes(cells: Sequence[str] | npt.NDArray[np.bytes_]) -> Codes:
    """Cells as a matrix of character codes, filled up with 0 at the end."""
    array = np.asarray(cells)
    if array.dtype.kind == "S" and array.tobytes().isascii():
        return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
    texts = [_fitted(cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)) for cell in cells]
    wide = np.array(texts, dtype=f"U{max(map(len, texts), default=0) or 1}")
    return wide.view(np.uint32).reshape(len(wide), -1)


def _fitted(text: str) -> str:
    """A text that a matrix of codes can hold: what it cannot becomes a character that is in no stamp."""
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\N{REPLACEMENT CHARACTER}"
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _read_shape(pattern: str, codes: Codes) -> Floats:
    fields = _fields(pattern, _decoded(codes[0]))
    if fields is None:
        return np.full(len(codes), np.nan)
    times = _time(_values(fields, codes))
    for field in fields:
        if field.letter == "literal":
            times[codes[:, field.start] != field.value] = np.nan
    return times


def _read_raw(pattern: str, codes: Codes) -> Floats:
    if np.isnan(js_number(_decoded(codes[0]))):
        return _read_changed(pattern, codes)
    if _stays(codes):
        return _read_shape(_milliseconds(pattern), codes)
    texts = [_decoded(row) for row in codes]
    written = [js_text(number) if np.isfinite(number := js_number(text)) else text for text in texts]
    return read_stamps(_milliseconds(pattern), written)


def _read_changed(pattern: str, codes: Codes) -> Floats:
    if "%f" in pattern and re.search(r"\.[0-9]{6}\Z", _decoded(codes[0])):
        codes = codes[:, :-3]
    return _read_shape(_milliseconds(pattern), _fraction(codes))


def _milliseconds(pattern: str) -> str:
    """The editor reads a recording's time column by %L in place of %f, but regions by %f itself."""
    return pattern.replace("%f", "%L", 1)


def _fraction(codes: Codes) -> Codes:
    """Fills the first fraction in stamps of one shape up to three digits, as the editor does, whatever it is."""
    dot = re.search(r"\.([0-9]{0,3})\b", _decoded(codes[0]), re.ASCII)
    if not dot:
        return codes
    zeros = np.full((len(codes), 3 - len(dot[1])), 48, dtype=codes.dtype)
    return np.concatenate([codes[:, : dot.end()], zeros, codes[:, dot.end() :]], axis=1)


def _decoded(codes: Codes) -> str:
    return "".join(map(chr, codes)).rstrip("\0")


def _stays(codes: Codes) -> bool:
    """Whether numbers of one shape are written by JavaScript as they stand: whole, not too long, no zero before."""
    length = codes.shape[1]
    whole = 0 < length <= 15 and bool(((codes >= 48) & (codes <= 57)).all())
    return whole and (length == 1 or bool((codes[:, 0] != 48).all()))


def _values(fields: list[_Field], codes: Codes) -> dict[str, Floats]:
    """What each directive says, for all rows; where two say the same thing the later one stands."""
    said: dict[str, Floats] = {}
    for field in fields:
        if field.value is not None:
            value = np.full(len(codes), field.value)
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # hundreds of digits are no date
                powers = 10.0 ** np.arange(field.stop - field.start - 1, -1, -1)
                value = (codes[:, field.start : field.stop] - 48.0) @ powers
        _say(said, field.letter, value)
    return said


def _say(said: dict[str, Floats], letter: str, value: Floats) -> None:
    if letter in "yg":
        said["Y"] = value + np.where(value > 68, 1900, 2000)
    elif letter == "j":
        said["m"], said["d"] = np.zeros_like(value), value
    elif letter in "mbB":
        said["m"] = value - 1 if letter == "m" else value
    elif letter == "f":
        said["L"] = np.floor(value / 1000)
    elif letter == "q":
        said["q"] = value * 3 - 3
    else:
        said[{"e": "d", "G": "Y", "I": "H", "a": "w", "A": "w"}.get(letter, letter)] = value


def _time(said: dict[str, Floats]) -> Floats:
    """Milliseconds since 1970 UTC from what the directives said; what is out of range carries over as in JavaScript."""
    if "Q" in said:
        return _within(said["Q"])
    if "s" in said:
        return _within(said["s"] * 1000 + said.get("L", 0.0))
    year = said.get("Y", np.full(len(next(iter(said.values()), np.zeros(1))), 1900.0))
    nothing = np.zeros_like(year)
    hour, minute = said.get("H", nothing), said.get("M", nothing)
    if "p" in said:
        hour = hour % 12 + said["p"] * 12
    sign = said.get("sign", nothing)
    hour = hour + sign * said.get("zone hours", nothing)
    minute = minute + sign * said.get("zone minutes", nothing)
    clock = hour * 3_600_000 + minute * 60_000 + said.get("S", nothing) * 1000 + said.get("L", nothing)
    if "V" in said:
        return _iso_week(said, year, clock)
    month, day = said.get("m", said.get("q", nothing)), said.get("d", nothing + 1)
    if "W" in said or "U" in said:
        month, day = nothing, _week_day(said, year)
    return _date(year, month, day, clock)


def _iso_week(said: dict[str, Floats], year: Floats, clock: Floats) -> Floats:
    first = _days(year, np.zeros_like(year))
    weekday = (first + 4) % 7
    monday = first - (weekday + 6) % 7 + np.where((weekday > 4) | (weekday == 0), 7, 0) + (said["V"] - 1) * 7
    months = monday.astype("M8[D]").astype("M8[M]")
    day = monday - months.astype("M8[D]").astype(np.float64) + 1 + (said.get("w", np.ones_like(year)) + 6) % 7
    year, month = np.divmod(months.astype(np.float64), 12)
    return np.where((said["V"] < 1) | (said["V"] > 53), np.nan, _date(year + 1970, month, day, clock))


def _week_day(said: dict[str, Floats], year: Floats) -> Floats:
    """The day of the year (1 is the first) by week and weekday."""
    if "w" in said:
        weekday = said["w"]
    else:
        weekday = said["u"] % 7 if "u" in said else np.full_like(year, 1.0 if "W" in said else 0.0)
    first = (_days(year, np.zeros_like(year)) + 4) % 7
    if "W" in said:
        return (weekday + 6) % 7 + said["W"] * 7 - (first + 5) % 7
    return weekday + said["U"] * 7 - (first + 6) % 7


def _date(year: Floats, month: Floats, day: Floats, clock: Floats) -> Floats:
    early = (year >= 0) & (year < 100)
    time = (_days(np.where(early, -1, year), month) + day - 1) * DAY + clock
    if early.any():  # d3 sets such a year only after all else has carried over, and so do we
        date = np.floor(time / DAY)
        months = date.astype("M8[D]").astype("M8[M]")
        rest = time - months.astype("M8[D]").astype(np.float64) * DAY
        time = np.where(early, _days(year, months.astype(np.float64) % 12) * DAY + rest, time)
    return _within(time)


def _days(year: Floats, month: Floats) -> Floats:
    """Days since 1970 of the first of a month (0 is January; more than 11 carries over)."""
    return ((year - 1970) * 12 + month).astype("M8[M]").astype("M8[D]").astype(np.float64)


def _within(time: Floats) -> Floats:
    return np.where(np.abs(time) <= _LATEST, time, np.nan)

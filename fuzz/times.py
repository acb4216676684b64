"""d3 time formats: an input is a format, cells of a time column, and times that are written in it and read again."""

from __future__ import annotations

import contextlib
import json
import random
import re
from datetime import datetime, timezone
from typing import Any

import numpy as np

from fuzz.changes import change_json
from fuzz.part import Part, hold, one_sentence
from segmenter.d3patterns import pattern_items
from segmenter.d3reading import read_stamps, read_time_column
from segmenter.d3writing import write_stamp
from segmenter.errors import RecordingError
from segmenter.timeaxis import TimeAxis

_FORMATS = (
    "%Y-%m-%d %H:%M:%S.%L", "%Y-%m-%dT%H:%M:%S.%L%Z", "%Y-%m-%d %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S", "%m/%d/%y %-I:%M %p",
    "%A, %e %B %Y, hour %H", "%a %b %d %I:%M:%S %p %Y", "%j %Y", "%Y week %V day %w", "%G-W%V-%u", "%U.%w %Y",
    "%W.%u %Y",
    "%c", "%x %X", "%Q", "%s", "%s.%L", "%H:%M", "%q %Y", "%g%j", "%Y%m%d%H%M%S%L", "%_d.%_m.%Y", "%-d/%-m/%-y", "%%%Y",
    "%z", "%E", "%", "%-", "%0", "abc", "٣%Y",
)  # fmt: skip
_PIECES = (
    *(f"%{letter}" for letter in "aAbBcdefgGHIjLmMpqQsSuUVwWxXyYZ%-_0z"),
    *" -/.:,T'\"0é\u00a0\n\\[(.*+",
    "%-d",
    "%_H",
)
_MOMENTS = (
    0, 1, -1, 1_592_250_751_923, 951_782_400_000, 4_102_444_800_000, -62_135_596_800_000, 8.64e15, -8.64e15,
    8.64e15 + 1,
    253_402_300_799_999, -62_167_219_200_000, -62_198_755_200_000, 1e300, 0.5, 1_609_459_199_999, 1_230_768_000_000,
)  # fmt: skip
_TEXTS = (
    "", " ", "1", "0", "-1", "2020", "13", "99999999999999999999", "1" * 400, "Z", "+0530", "+25:99", "AM", "pm",
    "Monday",
    "2020-06-15 20:24:32.5", "2020-02-30", "1e3", "0x10", ".5", "1.", "Infinity", "null", "\ufeff1", "１２",
    "\u2003" * 300,
)  # fmt: skip
# A whole moment down to milliseconds, in pieces that do not run into each other and say nothing twice.
_EXACT = re.compile(
    r"(%Y-%m-%d|%d\.%m\.%Y|%-m/%-d/%Y|%b %e, %Y|%j %Y|%Y/%_m/%_d|%B %-d %Y)[ T]"
    r"(%H:%M:%S[.,]%L|%I:%M:%S[.,]%L %p|%-H-%-M-%-S-%L|%S %M %H %L)(%Z)?"
)
_PYTHON = re.compile(r"(%[YmdHMSjbB]|[-/:, T])+")  # what means the same to Python's own calendar


def part() -> Part:
    """Formats that are in use, and what changes make of them."""
    seeds = [_input(pattern, _written(pattern, _MOMENTS[:6]), _MOMENTS[:6]) for pattern in _FORMATS]
    exact = ("%Y-%m-%d %H:%M:%S.%L", "%b %e, %Y %I:%M:%S,%L %p", "%j %Y %-H-%-M-%-S-%L%Z")
    return Part((*seeds, *(_input(pattern, [], _MOMENTS[:6]) for pattern in exact)), change, attempt, longest=4_000)


def _input(pattern: str, cells: list[Any], times: Any) -> bytes:
    return json.dumps({"format": pattern, "cells": cells, "times": list(times)}).encode()


def _written(pattern: str, times: Any) -> list[Any]:
    return [write_stamp(pattern, time) for time in times if abs(time) <= 8.64e15]


def change(data: bytes, chance: random.Random) -> bytes:
    """Another format, other cells, or cells written in the format."""
    given = _given(data)
    how = chance.randrange(8)
    if given is None:
        given = {"format": chance.choice(_FORMATS), "cells": list(_TEXTS[:4]), "times": [0]}
    if how == 0:
        given["format"] = chance.choice(_FORMATS)
    elif how == 1:
        pieces = re.findall(r"%[-_0]?.|.|\n", given["format"], re.DOTALL) or [""]
        at = chance.randrange(len(pieces))
        pieces[at : at + chance.randrange(2)] = [chance.choice(_PIECES)]
        given["format"] = "".join(pieces)
    elif how == 2:
        given["times"] = [_moment(chance) for _ in range(chance.randrange(1, 8))]
    elif how <= 4:
        given["cells"] = _written(given["format"], sorted(_moment(chance) for _ in range(chance.randrange(1, 9))))
    elif how == 5 and given["cells"]:
        given["cells"][chance.randrange(len(given["cells"]))] = chance.choice((*_TEXTS, *_MOMENTS))
    elif how == 6 and given["cells"]:
        at = chance.randrange(len(given["cells"]))
        given["cells"][at] = _changed(str(given["cells"][at]), chance)
    else:
        changed = change_json(given["cells"], chance)
        given["cells"] = changed if isinstance(changed, list) else [changed]
    return json.dumps(given).encode()


def _moment(chance: random.Random) -> float:
    base = chance.choice((chance.choice(_MOMENTS), chance.randrange(-(2**53), 2**53), chance.randrange(2**41)))
    return chance.choice((base, base // 1000 * 1000, base + chance.randrange(100_000_000)))


def _changed(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    put = chance.choice(("", "", "0", "9", " ", ".", "-", "+", ":", "Z", "٣", "\u00a0", "\0", '"', "99999"))
    return text[:at] + put + text[at + chance.randrange(3) :]


def _given(data: bytes) -> dict[str, Any] | None:
    try:
        given = json.loads(data)
        lists = isinstance(given["cells"], list) and isinstance(given["times"], list)
        right = lists and isinstance(given["format"], str) and 0 < len(given["format"]) < 200
        return given if right and all(isinstance(time, int | float) for time in given["times"]) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def attempt(data: bytes) -> str:
    """Read and write by the format, hold both to all laws; "read" or "refused" says what became of the column."""
    given = _given(data)
    if given is None:
        return "no input"
    pattern, cells = given["format"], given["cells"]
    axis = TimeAxis("t", pattern)
    for time in given["times"]:
        if abs(time) <= 8.64e15:
            _round_trip(axis, float(int(time)))
    _one_by_one(pattern, [cell for cell in cells if isinstance(cell, str)])
    for bound in cells:
        with contextlib.suppress(ValueError):
            hold(np.isfinite(axis.read_bound(bound)), "a bound is finite")
    outcomes = {_column(axis, form) for form in _forms(cells)}
    return "read" if "read" in outcomes else "refused"


def _forms(cells: list[Any]) -> list[Any]:
    """The cells as JSON and as a CSV file hold them."""
    if not cells:
        return []
    lines = [str(cell).encode("utf-8", "replace")[:256].rstrip(b"\0") for cell in cells]
    return [cells, np.array(lines, dtype=f"S{max(1, *map(len, lines))}")]


def _column(axis: TimeAxis, cells: Any) -> str:
    try:
        times = axis.read_column(cells)
    except RecordingError as refusal:
        one_sentence(refusal)
        return "refused"
    hold(times.shape == (len(cells),) and times.dtype == np.float64, "a time a cell")
    hold(np.isfinite(times).all(), "times are finite")
    return "read"


def _one_by_one(pattern: str, texts: list[str]) -> None:
    """A stamp is read alone as among others, as text and as bytes of a file."""
    together = read_stamps(pattern, texts)
    alone = [read_stamps(pattern, [text])[0] for text in texts]
    hold(np.array_equal(together, alone, equal_nan=True), "a stamp is read alone as among others")
    for text, time in zip(texts, together, strict=True):
        hold(np.isnan(time) or abs(time) <= 8.64e15, "no date is out of JavaScript's range")
        if _PYTHON.fullmatch(pattern):
            _python_agrees(pattern, text, time)
    followed = read_stamps(pattern, [text + "\0" for text in texts])
    hold(np.isnan(followed).all(), "nothing follows a stamp")
    changed = read_time_column(pattern, texts)
    alone = [read_time_column(pattern, [text])[0] for text in texts]
    hold(np.array_equal(changed, alone, equal_nan=True), "a cell is read alone as among others")


def _python_agrees(pattern: str, text: str, time: float) -> None:
    """What Python's calendar reads, and would write the same way, is read as the same time."""
    try:
        moment = datetime.strptime(text, pattern).replace(tzinfo=timezone.utc)
    except (ValueError, re.error):
        return
    names = re.findall(r"%(.)", pattern)
    months = len(set("mbB") & set(names))
    twice = len(set(names)) < len(names) or months > 1 or ("j" in names and (months or "d" in names))
    if twice or moment.year < 1000 or moment.strftime(pattern) != text:
        return
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    hold(time == (since.days * 86_400 + since.seconds) * 1000, f"Python's calendar agrees: {pattern!r} {text!r} {time}")


def _round_trip(axis: TimeAxis, time: float) -> None:
    """What is written can be read; by an exact format it is the same, by any other it is written the same again."""
    text = axis.write_bound(time)
    assert axis.format is not None
    hold(isinstance(text, str), "by a format a bound is text")
    back = axis.read_bounds([text])[0]
    if _EXACT.fullmatch(axis.format) and -62_135_596_800_000 <= time < 253_402_300_800_000:
        hold(back == time, f"what is written is read: {axis.format!r} {time} {text!r} {back}")
    items = pattern_items(axis.format)
    if {"Q"} == {item.text for item in items if item.directive} and time >= 0 and len(items) == 1:
        hold(back == time, "milliseconds are read as they are written")

"""CSV and JSON recordings: the first line of an input says how the config reads them, the rest is the file."""

from __future__ import annotations

import json
import random
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.changes import change_json, change_lines
from fuzz.part import Part, hold, one_sentence
from segmenter.errors import RecordingError
from segmenter.jsnumber import js_trim
from segmenter.labeling import Labeling
from segmenter.recording import Recording, read_recording
from segmenter.regions import Segment, State, annotated_regions, regions_to_targets, segments_to_result
from tests.recordings import activity
from tests.unit.editor import Refused, number, show

_FORMATS = (
    None, "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%L", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%L%Z",
    "%d.%m.%Y %H:%M",
    "%m/%d/%y %-I:%M %p", "%c", "%s", "%Q", "%s.%L", "%H:%M:%S", "%Y", "%j", "%V%U", '"%Y-%m-%d"', "%", "abc", "%Z",
)  # fmt: skip
_CHOICES: dict[str, tuple[Any, ...]] = {
    "sep": (",", ";", "\t", " ", "auto", "|", ".", '"', "\x1f", "é", "\n", "0"),
    "time": ("time", None, "0", "1", "A", "é", "9"),
    "format": _FORMATS,
    "channels": (["a"], ["a", "b"], ["1"], ["0", "1"], ["B", "time"], ["sensorone", "sensortwo"], ["2"], ["\ud800"]),
    "type": ("url", "json"),
}
_ROWS = 24  # of a seed, header included
_EDITOR_READS = {*_FORMATS[:3], "%s", "%Q"}  # formats that the editor's rules are written down for
_PLAIN = re.compile(rb"(?![^\0]*[^,; \n]{257})[\n -~]*")  # longer cells are refused, whatever the editor does
_STAMPS = {
    "%Y-%m-%d %H:%M:%S": "2020-06-15 20:{:02}:{:02}", "%Y-%m-%d %H:%M:%S.%L": "2020-06-15 20:{:02}:{:02}.5",
    "%d.%m.%Y %H:%M": "15.06.2020 {:02}:{:02}", "%c": "6/15/2020, 8:{:02}:{:02} PM", "%s": "15922507{:02}{:02}",
}  # fmt: skip


def part() -> Part:
    """Real recordings in every form that is read, and what changes make of them."""
    return Part(_seeds(), change, attempt, longest=4_000)


@lru_cache
def _seeds() -> tuple[bytes, ...]:
    found = []
    how = {"sep": ",", "time": "time", "format": None, "channels": ["sensorone", "sensortwo"], "type": "url"}
    plain = b"\n".join(activity(1, 60)[0].split(b"\n")[:_ROWS])
    rows = [line.split(",") for line in plain.decode().splitlines()]
    for separator in (",", ";", "\t", " ", "|"):
        text = plain.replace(b",", separator.encode())
        found += [_input({**how, "sep": sep}, text) for sep in (separator, "auto")]
    for pattern, stamp in _STAMPS.items():
        table = [rows[0], *([stamp.format(row // 60, row % 60), *cells[1:]] for row, cells in enumerate(rows[1:]))]
        quoted = [[f'"{cell}"' for cell in line] for line in table]
        for cells in (table, quoted):
            found.append(_input({**how, "format": pattern}, "\n".join(";".join(line) for line in cells).encode(), ";"))
    body = plain.partition(b"\n")[2]
    found.append(_input({**how, "time": "0", "channels": ["1", "2"]}, body))
    found += [
        _input(how, plain.decode().encode("utf-16")),
        _input({**how, "time": None}, plain.replace(b"\n", b"\r\n")),
    ]
    columns = {name: [float(row[place]) for row in rows[1:]] for place, name in enumerate(rows[0])}
    found += [_input({**how, "type": kind}, json.dumps(columns).encode()) for kind in ("url", "json")]
    own = (Path(__file__).parents[1] / "tests/time_series.csv").read_bytes()
    names = own.split(b"\n", 1)[0].decode().strip().split(",")
    found.append(_input({**how, "time": names[0], "channels": names[1:3]}, b"\n".join(own.split(b"\n")[:_ROWS])))
    return tuple(found)


def _input(how: dict[str, Any], content: bytes, separator: str | None = None) -> bytes:
    return json.dumps(how if separator is None else {**how, "sep": separator}).encode() + b"\n" + content


def change(data: bytes, chance: random.Random) -> bytes:
    """Another file, or the same one read another way."""
    if chance.random() < 0.6:  # what is refused soon outnumbers what is read
        data = chance.choice(_seeds())
    head, _, content = data.partition(b"\n")
    how = _how(head)
    if how is None:
        return chance.choice(_seeds())
    if chance.random() < 0.15:
        name = chance.choice(list(_CHOICES))
        return _input({**how, name: chance.choice(_CHOICES[name])}, content)
    if content[:1] == b"{" and chance.random() < 0.7:
        try:
            return _input(how, json.dumps(change_json(json.loads(content), chance)).encode())
        except (ValueError, RecursionError):
            pass
    return _input(how, change_lines(content, chance))


def _how(head: bytes) -> dict[str, Any] | None:
    try:
        how = json.loads(head)
        right = isinstance(how["sep"], str) and (len(how["sep"]) == 1 or how["sep"] == "auto")
        right = right and all(
            how[name] is None or (how[name] and isinstance(how[name], str)) for name in ("time", "format")
        )
        names = how["channels"]
        right = right and bool(names) and all(name and isinstance(name, str) for name in names)
        return how if right and how["type"] in ("url", "json") and len(set(names)) == len(names) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def attempt(data: bytes) -> str:
    """Read it, hold it to all laws; "read" or "refused"."""
    head, _, content = data.partition(b"\n")
    how = _how(head)
    if how is None:
        return "no input"
    labeling = Labeling(
        "label",
        "ts",
        ("Run", "Walk"),
        tuple(how["channels"]),
        "csv",
        how["type"],
        how["sep"],
        how["time"],
        how["format"],
    )
    recording = _read(content, labeling)
    _reads_the_same(content, labeling, recording)
    _reads_as_the_editor(content, labeling, recording)
    if recording is None:
        return "refused"
    is_recording(recording, labeling)
    _has_all_rows(content, labeling, recording)
    come_back(recording, labeling)
    return "read"


def _read(content: bytes, labeling: Labeling) -> Recording | None:
    try:
        return read_recording(content, labeling)
    except RecordingError as refusal:
        one_sentence(refusal)
        return None


def is_recording(recording: Recording, labeling: Labeling) -> None:
    """Whatever is read has rows in order of time and a finite number or nothing in each cell."""
    hold(len(recording) > 0, "a recording has rows")
    hold(recording.values.shape == (len(recording), len(labeling.channels)), "a cell a row and channel")
    hold(recording.values.dtype == recording.times.dtype == np.float64, "numbers are float64")
    hold(np.isfinite(recording.times).all(), "times are finite")
    hold((np.diff(recording.times) >= 0).all(), "times ascend")
    hold(not np.isinf(recording.values).any(), "values are finite or missing")
    hold(all("\n" not in remark and len(remark) < 2_000 for remark in recording.remarks), "remarks are short lines")


def _is_plain(content: bytes, labeling: Labeling) -> bool:
    """No byte of the file decides how all the others are read."""
    return content[:2] not in (b"\xff\xfe", b"\xfe\xff") and b"\r" not in content and labeling.separator not in "\r\n"


def _reads_the_same(content: bytes, labeling: Labeling, recording: Recording | None) -> None:
    """A byte order mark, other line ends and one more of them change nothing."""
    if not _is_plain(content, labeling) or content.startswith(b"\xef\xbb\xbf"):
        return
    law, other = (
        ("a byte order mark", b"\xef\xbb\xbf" + content),
        ("CRLF", content.replace(b"\n", b"\r\n")),
        ("one more end of line", content + b"\n"),
    )[sum(content) % 3]
    again = _read(other, labeling)
    hold((again is None) == (recording is None), f"{law} changes nothing: one is read and the other refused")
    if recording is not None and again is not None:
        hold(np.array_equal(recording.times, again.times), f"{law} changes no time")
        hold(np.array_equal(recording.values, again.values, equal_nan=True), f"{law} changes no value")


def _has_all_rows(content: bytes, labeling: Labeling, recording: Recording) -> None:
    """Every line that is not blank is a row, the header excepted."""
    if not _is_plain(content, labeling) or labeling.value_type == "json":
        return
    if content.lstrip(b"\xef\xbb\xbf \t\n\v\f")[:1] == b"{":
        return
    lines = [line for line in content.decode("utf-8", "replace").split("\n") if js_trim(line)]
    hold(len(lines) - 1 <= len(recording) <= len(lines), f"a row a line: {len(lines)} lines, {len(recording)} rows")


def _reads_as_the_editor(content: bytes, labeling: Labeling, recording: Recording | None) -> None:
    """A file that the editor shows is read as it shows it."""
    if not _PLAIN.fullmatch(content) or b'"' in content or labeling.time_format not in _EDITOR_READS:
        return
    if (
        labeling.separator not in (",", ";", " ")
        or labeling.value_type != "url"
        or content.lstrip()[:1] in (b"{", b"<")
    ):
        return
    try:
        shown = show(
            content.decode(), labeling.separator, labeling.time_column, labeling.time_format, labeling.channels
        )
    except Refused:
        return
    if recording is None:
        hold(labeling.time_column and labeling.time_format, "what the editor shows is read")
        return
    hold(recording.times.tolist() == shown.times, "times are the editor's")
    values = [[_measured(cell) for cell in cells] for cells in shown.channels]
    hold(np.allclose(recording.values.T, values, 1e-12, 0, equal_nan=True), "values are the editor's")


def _measured(cell: str) -> float:
    found = number(cell)
    return float("nan") if found is None or abs(found) == float("inf") or not cell.strip() else found


def come_back(recording: Recording, labeling: Labeling) -> None:
    """Suggestions lie within the recording, and read as annotations they are the rows that they were made from."""
    times = recording.times
    firsts = np.flatnonzero(np.diff(times, prepend=-np.inf) > 0)  # rows of one time cannot be told apart
    lasts = np.append(firsts[1:] - 1, len(times) - 1)
    chosen = range(0, len(firsts), max(2, len(firsts) // 5))
    segments = [
        Segment(int(firsts[place]), int(lasts[place]), State((labeling.labels[number % 2],)), 0.5)
        for number, place in enumerate(chosen)
    ]
    result = json.loads(json.dumps(segments_to_result(segments, recording, labeling), allow_nan=False))
    regions = annotated_regions([{"id": 1, "result": result}], labeling, recording.axis)
    hold(regions is not None and len(regions) == len(segments), "suggestions come back")
    assert regions is not None
    for region in regions:
        hold(times[0] <= region.start <= times[-1], "suggestions lie within the recording")
    targets = regions_to_targets(regions, recording, labeling)
    expected: list[tuple[str, ...]] = [()] * len(times)
    for segment in segments:
        expected[segment.first : segment.last + 1] = [segment.state.labels] * (segment.last - segment.first + 1)
    hold([targets.states[code].labels for code in targets.codes] == expected, "suggestions come back as their rows")

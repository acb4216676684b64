"""Laws of reading: whatever the rows, the file or the text, these hold."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from segmenter.errors import LabelConfigError, RecordingError
from segmenter.jsnumber import js_number, js_text
from segmenter.labeling import Labeling, read_label_config
from segmenter.recording import Recording, read_recording
from segmenter.regions import (
    Segment,
    State,
    annotated_regions,
    join_under_instants,
    regions_to_targets,
    segments_to_result,
)
from segmenter.timeaxis import TimeAxis
from tests.unit.editor import Refused, number, show

laws = settings(max_examples=50, deadline=None)

LABELING = Labeling("label", "ts", ("Run", "Walk", "Jump"), ("a", "b"), "csv", time_column="t")
DAY = 86_400_000

# Formats and the milliseconds that two stamps in them have to lie apart.
FORMATS = {
    "%Y-%m-%d %H:%M:%S.%L": 1,
    "%Y-%m-%dT%H:%M:%S.%L%Z": 1,
    "%d.%m.%Y %H:%M:%S": 1000,
    "%m/%d/%y %-I:%M %p": 60_000,
    "%A, %e %B %Y, hour %H": 3_600_000,
    "%j %Y": DAY,
    "%Y week %V day %w": DAY,
    "%U.%w %Y": DAY,
    "%W.%u %Y": DAY,
    "%c": 1000,
    "%Q": 1,
    "%s": 1000,
    "%s.%L": 1,
    "%Y-%m-%d %H:%M:%S.%f": 1,
    # These do not tell all times apart, so that suggestions need numbers.
    "%H:%M": 60_000,
    "%I:%M:%S": 1000,
    "%d %B": DAY,
    "%b %y": 31 * DAY,
    "%z": 1,
}
# Stamps whose ISO week lies in the year before or after are written with a week of another year.
moments = st.integers(0, 2**41)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Some rows on any kind of time axis."""
    kind = draw(st.sampled_from(["index", "index with a format", "numbers", *FORMATS]))
    if kind.startswith("index"):
        times = [float(row) for row in range(draw(st.integers(1, 40)))]
        axis = TimeAxis(None, "%Q" if kind == "index with a format" else None)
    elif kind == "numbers":
        times = draw(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40))
        axis = TimeAxis("t")
    else:
        step = FORMATS[kind]
        times = [time // step * float(step) for time in draw(st.lists(moments, min_size=1, max_size=40))]
        axis = TimeAxis("t", kind)
    again = [] if kind.startswith("index") else draw(st.lists(st.sampled_from(times), max_size=9))
    times = sorted([*times, *again])
    return Recording(np.array(times), np.zeros((len(times), 2)), ("a", "b"), axis)


def states(multiple: bool) -> st.SearchStrategy[State]:
    one = st.sampled_from(LABELING.labels).map(lambda label: (label,))
    several = st.sets(st.sampled_from(LABELING.labels), min_size=1).map(
        lambda chosen: tuple(label for label in LABELING.labels if label in chosen)
    )
    return st.builds(State, several if multiple else one)


@settings(laws, max_examples=150)
@given(st.data(), recordings(), st.booleans())
def test_rows_to_regions_to_rows_is_the_identity_on_every_time_axis(
    data: st.DataObject, recording: Recording, multiple: bool
) -> None:
    how = replace(LABELING, multiple=multiple)
    # Rows of one time cannot be told apart: they have one state, or an instant on the first of them.
    times, at = np.unique(recording.times, return_inverse=True)
    chosen = data.draw(st.lists(st.just(State()) | states(multiple), min_size=len(times), max_size=len(times)))
    row_states = [chosen[place] for place in at.tolist()]
    for place in data.draw(st.sets(st.integers(0, len(times) - 1), max_size=5)):
        row_states[at.tolist().index(place)] = replace(data.draw(states(multiple)), instant=True)
    segments, first = [], 0
    for row in range(1, len(recording) + 1):
        if row == len(recording) or row_states[row] != row_states[first] or row_states[first].instant:
            segments.append(Segment(first, row - 1, row_states[first], 0.5))
            first = row
    for suggested in (segments, join_under_instants(segments, 0)):
        result = json.loads(json.dumps(segments_to_result(suggested, recording, how), allow_nan=False))
        regions = annotated_regions([{"id": 1, "result": result}], how, recording.axis)
        assert regions is not None
        targets = regions_to_targets(regions, recording, how)
        assert [targets.states[code] for code in targets.codes] == row_states


@laws
@given(recordings(), st.data())
def test_what_lies_between_two_rows_belongs_to_neither_and_the_rest_to_one(
    recording: Recording, data: st.DataObject
) -> None:
    start, end = sorted(data.draw(st.tuples(*[st.floats(-2e12, 2e12)] * 2)))
    result = [{**ENTRY, "value": {"start": end, "end": start, "timeserieslabels": ["Run"]}}]
    regions = annotated_regions([{"id": 1, "result": result}], LABELING, recording.axis)
    assert regions is not None
    covered = regions_to_targets(regions, recording, LABELING).codes == 1
    step = recording.axis.resolution()
    inside = (recording.times >= start) & (recording.times <= end)
    assert (covered >= inside).all()
    assert not covered[(recording.times < start) | (recording.times > end + step)].any()


ENTRY = {"id": "x", "from_name": "label", "to_name": "ts", "type": "timeserieslabels"}

# --- files -----------------------------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(["+1", ".5", "5.", "1e3", "0x1F", "-0", "1e999", "Infinity", "-Infinity"]),
    st.sampled_from(["", " ", "nan", "NA", "null", "off", "true", "1,5", "2020-06-15", "1_000", "0x", "٣"]),
)
SEPARATORS = {",": ",", ";": ";", "tab": "\t", "space": " ", "comma": ",", r"\t": "\t"}
PATTERNS = {
    "%Y-%m-%d %H:%M:%S": 1000,
    "%Y-%m-%d %H:%M:%S.%L": 1,
    "%Y-%m-%dT%H:%M:%S": 1000,
    "%d/%m/%Y %H:%M": 60_000,
    "%d %B %Y, hour %H": 3_600_000,
    "%b %d %Y %I:%M %p": 60_000,
    "%Y-%j": DAY,
    "%Y%m%d": DAY,
    "%H:%M:%S": 1000,
    "%s": 1000,
    "%Q": 1,
}


@st.composite
def stamps(draw: st.DrawFn, pattern: str | None, rows: int) -> list[str]:
    """Cells of a time column, nearly always in order, written by Python."""
    if pattern is None:
        numbers = st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9)
        return [draw(st.sampled_from([str, repr]))(time) for time in sorted(draw(st.lists(numbers, min_size=rows)))]
    times = sorted(draw(st.lists(st.integers(0, DAY - 1) if pattern == "%H:%M:%S" else moments, min_size=rows)))
    if pattern in ("%s", "%Q"):
        return [str(time // PATTERNS[pattern]) for time in times]
    found = []
    for time in times:
        moment = datetime.fromtimestamp(time // 1000, timezone.utc)
        fraction = f"{time % 1000:03}".rstrip("0") or "0"
        found.append(moment.strftime(pattern.replace("%L", fraction)))
    return found


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str, str | None, str | None, tuple[str, ...]]:
    """A file of some columns, and how a config names them: mostly, not always, one that the editor shows."""
    sep = draw(st.sampled_from(list(SEPARATORS)))
    pattern = draw(st.none() | st.sampled_from(list(PATTERNS)))
    time = draw(stamps(pattern, draw(st.integers(1, 8))))
    columns = [draw(st.lists(CELLS, min_size=len(time), max_size=len(time))) for _ in range(2)]
    note = st.sampled_from(["", "x", '"a b"', f'"a{SEPARATORS[sep]} b"', 'say "x"'])
    columns.append(draw(st.lists(note, min_size=len(time), max_size=len(time))))
    order = draw(st.permutations(range(4)))
    table = [[time, *columns][place] for place in order]
    names = [["T", "A", "b", "Note 1"][place] for place in order]
    lines = [SEPARATORS[sep].join(row) for row in zip(*table, strict=True)]
    header = draw(st.booleans())
    if header:
        lines.insert(0, SEPARATORS[sep].join(names))
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), "  ")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end, end * 2]))
    channels = ("a", "B") if header else (str(order.index(1)), str(order.index(2)))
    time_column = draw(st.sampled_from([None, "t" if header else str(order.index(0))]))
    return text, sep, time_column, pattern if time_column else None, channels


@settings(laws, max_examples=300)
@given(files())
def test_a_file_that_the_editor_shows_gives_the_rows_that_it_shows(
    file: tuple[str, str, str | None, str | None, tuple[str, ...]],
) -> None:
    text, sep, time_column, pattern, channels = file
    try:
        shown = show(text, SEPARATORS[sep], time_column, pattern, channels)
    except Refused:
        reject()
    attributes = f'timeColumn="{time_column or ""}" timeFormat="{pattern or ""}" sep="{sep}"'
    columns = "".join(f'<Channel column="{channel}"/>' for channel in channels)
    (how,) = read_label_config(
        f'<View><TimeSeries name="ts" value="$csv" {attributes}>{columns}</TimeSeries>'
        '<TimeSeriesLabels name="label" toName="ts"><Label value="Run"/></TimeSeriesLabels></View>'
    )
    recording = read_recording(text.encode(), how)
    assert recording.times.tolist() == shown.times
    # Times are exact; of values, older releases of pandas read the last digit as they like.
    np.testing.assert_allclose(
        recording.values.T, [[measured(cell) for cell in cells] for cells in shown.channels], 1e-12
    )


def measured(cell: str) -> float:
    """What a sensor says by a cell: nothing where it is empty, which the editor draws as zero, nor where it is text."""
    found = number(cell)
    return math.nan if found is None or math.isinf(found) or not cell.strip() else found


PIECES = st.sampled_from(
    [
        *(b",", b";", b"\n", b"\r\n", b"\r", b'"', b"\t", b" ", b"\0", b"\xff", b"\xc2\xa0", b"\x1f", b"<"),
        *(b"1", b"2.5", b"2020", b"9" * 400, b"nan", b"null", b"t", b"a", b"b", b"{", b"}", b"[", b"]", b":"),
        *(b"t,a,b\n", b"1,2,3\n"),
    ]
)


@laws
@given(
    st.lists(PIECES, max_size=30).map(b"".join),
    st.sampled_from([",", ";", "\t", " ", "auto", ".", "|", '"', "\x1f", "é"]),
    st.sampled_from([None, "t", "0", "1"]),
    st.sampled_from([None, "%Y", "%Q", "%s.%L", "%f", "abc", "%", '"%Y"', "%V%U", "%Z%p"]),
    st.sampled_from(["url", "json"]),
)
def test_any_bytes_are_a_recording_or_a_clear_refusal(
    content: bytes, separator: str, time_column: str | None, time_format: str | None, value_type: Any
) -> None:
    how = replace(
        LABELING, separator=separator, time_column=time_column, time_format=time_format, value_type=value_type
    )
    try:
        recording = read_recording(content, how)
    except RecordingError:
        return
    assert recording.values.shape == (len(recording), 2)
    assert len(recording) > 0
    assert (np.diff(recording.times) >= 0).all()
    assert np.isfinite(recording.times).all()
    assert not np.isinf(recording.values).any()


JSON = st.recursive(
    st.sampled_from([None, True, 0, 1, -2.5, math.nan, math.inf, 10**400, "", "1", "x", "2020"]),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.sampled_from(["t", "a", "B"]), inside, max_size=3),
    max_leaves=8,
)


@laws
@given(st.dictionaries(st.sampled_from(["t", "a", "b", "T"]), JSON))
def test_any_json_is_a_recording_or_a_clear_refusal(content: dict[str, Any]) -> None:
    with contextlib.suppress(RecordingError):
        assert len(read_recording(content, replace(LABELING, value_type="json"))) > 0


@laws
@given(
    st.dictionaries(
        st.sampled_from(["start", "end", "instant", "timeserieslabels"]),
        JSON | st.just(["Run"]) | st.just(["Jump", "x"]),
    )
    | JSON,
    st.sampled_from([None, "%H:%M", "%Q"]),
)
def test_any_entry_is_a_region_or_passed_over_or_refused(value: Any, time_format: str | None) -> None:
    axis = TimeAxis("t", time_format)
    try:
        regions = annotated_regions([{"id": 1, "result": [value, {**ENTRY, "value": value}]}], LABELING, axis)
    except RecordingError:
        return
    assert regions is not None
    recording = Recording(np.array([0.0, 1.0]), np.zeros((2, 2)), ("a", "b"), axis)
    assert len(regions_to_targets(regions, recording, LABELING).codes) == 2


@laws
@given(
    st.text()
    | st.lists(st.sampled_from(["<View>", "</View>", "<TimeSeries name='t'/>", "&a;", "<!DOCTYPE x>"])).map("".join)
)
def test_any_text_is_a_config_or_a_clear_refusal(xml: str) -> None:
    with contextlib.suppress(LabelConfigError):
        assert read_label_config(xml) == ()


# --- stamps ----------------------------------------------------------------------------------------------------------


@laws
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_javascript_reads_the_numbers_it_writes(number: float) -> None:
    assert js_number(js_text(number)) == number


EXACT = [name for name in FORMATS if list(FORMATS).index(name) < list(FORMATS).index("%H:%M")]


@laws
@given(st.sampled_from(EXACT), st.lists(moments, min_size=1, max_size=20))
def test_stamps_are_read_as_they_were_written(time_format: str, times: list[int]) -> None:
    assume("%V" not in time_format or all(4 * DAY < time % (365.25 * DAY) < 360 * DAY for time in times))
    axis, step = TimeAxis("t", time_format), FORMATS[time_format]
    expected = [time // step * step for time in times]
    texts = [str(axis.write_bound(float(time))) for time in times]
    assert [axis.read_bound(text) for text in texts] == expected


@laws
@given(st.sampled_from(EXACT), st.lists(st.tuples(moments, st.text("0123456789 :.-", max_size=2)), min_size=3))
def test_a_column_is_read_as_its_cells_one_by_one(time_format: str, cells: list[tuple[int, str]]) -> None:
    axis = TimeAxis("t", time_format)
    texts = sorted(str(axis.write_bound(float(time))) + tail for time, tail in cells)
    assume(not any("." in text for text in texts))  # fractions are another matter
    single = []
    for text in texts:
        try:
            single.append(axis.read_bound(text))
        except ValueError:
            return
    assert axis.read_column(texts).tolist() == single

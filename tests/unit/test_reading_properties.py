"""Laws of reading: whatever the rows, the file or the text, these hold."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segmenter.errors import LabelConfigError, RecordingError
from segmenter.jsnumber import js_number, js_text
from segmenter.labeling import Labeling, read_label_config
from segmenter.recording import Recording, read_recording
from segmenter.regions import Segment, State, annotated_regions, regions_to_targets, segments_to_result
from segmenter.timeaxis import TimeAxis

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
    """Some rows on any kind of time axis; no two at the same time."""
    kind = draw(st.sampled_from(["index", "numbers", *FORMATS]))
    if kind == "index":
        times = [float(row) for row in range(draw(st.integers(1, 40)))]
        axis = TimeAxis()
    elif kind == "numbers":
        times = sorted(draw(st.sets(st.floats(-1e12, 1e12), min_size=1, max_size=40)))
        axis = TimeAxis("t")
    else:
        step = FORMATS[kind]
        times = sorted(time // step * float(step) for time in draw(st.sets(moments, min_size=1, max_size=40)))
        times = sorted(set(times))
        axis = TimeAxis("t", kind)
    return Recording(np.array(times), np.zeros((len(times), 2)), ("a", "b"), axis)


def states(multiple: bool) -> st.SearchStrategy[State]:
    one = st.sampled_from(LABELING.labels).map(lambda label: (label,))
    several = st.sets(st.sampled_from(LABELING.labels), min_size=1).map(
        lambda chosen: tuple(label for label in LABELING.labels if label in chosen)
    )
    return st.builds(State, several if multiple else one)


@laws
@given(st.data(), recordings(), st.booleans())
def test_rows_to_regions_to_rows_is_the_identity_on_every_time_axis(
    data: st.DataObject, recording: Recording, multiple: bool
) -> None:
    how = replace(LABELING, multiple=multiple)
    row_states = data.draw(
        st.lists(st.one_of(st.just(State()), states(multiple)), min_size=len(recording), max_size=len(recording))
    )
    instants = data.draw(st.sets(st.integers(0, len(recording) - 1), max_size=3))
    for row in instants:
        row_states[row] = State((LABELING.labels[row % 3],), instant=True)
    segments, first = [], 0
    for row in range(1, len(recording) + 1):
        if row == len(recording) or row_states[row] != row_states[first] or row_states[first].instant:
            segments.append(Segment(first, row - 1, row_states[first], 0.5))
            first = row
    result = json.loads(json.dumps(segments_to_result(segments, recording, how), allow_nan=False))
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

NUMBER_CELLS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(["+1", ".5", "5.", "1e3", "0x1F", "-0"]),
)
MISSING_CELLS = st.sampled_from(["", "nan", "NA", "null", "Infinity", "off"])


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Labeling, list[float], list[list[float]]]:
    """A file that the editor's rules accept: how to read it, and the times and values its rules give."""
    separator = draw(st.sampled_from([",", ";", "\t", " ", "|", "auto"]))
    between = "," if separator == "auto" else separator
    rows = draw(st.integers(1, 12))
    time_format = draw(st.sampled_from([None, *(name for name in FORMATS if name != "%z")]))
    if time_format is None:
        times = sorted(draw(st.lists(st.floats(-1e9, 1e9), min_size=rows, max_size=rows)))
        stamps = [js_text(time) for time in times]
    else:
        axis = TimeAxis("t", time_format)
        stamps = [str(axis.write_bound(time)) for time in sorted(draw(st.lists(moments, min_size=rows, max_size=rows)))]
        # Where the editor takes stamps for numbers it loses their zeros; where it takes dots for fractions, the dates.
        assume(time_format != "%s.%L" and (rows > 1 or "." not in stamps[0]))
        times = [axis.read_bound(stamp) for stamp in stamps]
        assume(times == sorted(times))
    assume(not any(between in stamp for stamp in stamps))
    cells = NUMBER_CELLS if between == " " else st.one_of(NUMBER_CELLS, MISSING_CELLS)
    columns = [draw(st.lists(cells, min_size=rows, max_size=rows)) for _ in range(2)]
    columns[0][0] = "7"  # a number below the header shows that it is one
    place = draw(st.integers(0, 2)) if between not in "\t " else 1
    table = [*columns[:place], stamps, *columns[place:]]
    names = ["A", "b"]
    names.insert(place, "T")
    header = draw(st.booleans())
    if not header:  # a cell that is a number in only one of the first two rows would make a header of the first
        for column in columns:
            column[:2] = ["1", "2"][:rows]
    lines = [between.join(row) for row in zip(*table, strict=True)]
    if header:
        lines.insert(0, between.join(names))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    content = draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end, end * 2]))
    how = replace(
        LABELING,
        separator=separator,
        time_format=time_format,
        time_column="t" if header else str(place),
        channels=("a", "B") if header and draw(st.booleans()) else tuple(str(i) for i in range(3) if i != place),
    )
    values = [[js_number(cell) if cell else math.nan for cell in column] for column in columns]
    return content.encode(), how, times, values


@laws
@given(files())
def test_a_file_that_the_editor_accepts_gives_the_rows_that_its_rules_give(
    file: tuple[bytes, Labeling, list[float], list[list[float]]],
) -> None:
    content, how, times, values = file
    recording = read_recording(content, how)
    expected = np.array(values).T
    assert recording.times.tolist() == times
    # Times are exact; of values, older releases of pandas read the last digit as they like.
    np.testing.assert_allclose(recording.values, np.where(np.isfinite(expected), expected, np.nan), rtol=1e-12)


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

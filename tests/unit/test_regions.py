"""From annotations to a state for each row, and from suggested segments back to result entries."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from segmenter.errors import RecordingError
from segmenter.labeling import Labeling
from segmenter.recording import Recording, read_recording
from segmenter.regions import (
    BACKGROUND,
    Region,
    Segment,
    State,
    annotated_regions,
    join_under_instants,
    regions_to_targets,
    segments_to_result,
)
from segmenter.timeaxis import TimeAxis

SECONDS = "%Y-%m-%d %H:%M:%S"
NUMBERS = TimeAxis("t")


def labeling(**changes: Any) -> Labeling:
    fields: dict[str, Any] = {
        "labels": ("r", "Walk", "Peak"),
        "channels": ("a",),
        "value_key": "csv",
        "time_column": "t",
    }
    return Labeling(control="label", object="ts", synonyms=(("Run", "r"),), **{**fields, **changes})


def entry(start: Any, end: Any, labels: Any = ("Walk",), **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "instant": more.pop("instant", False), "timeserieslabels": labels}
    base = {"id": "x", "from_name": "label", "to_name": "ts", "type": "timeserieslabels", "origin": "manual"}
    return {**base, "value": value, **more}


def annotation(*entries: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "result": list(entries), "was_cancelled": False, **more}


def recording(times: list[float], axis: TimeAxis = NUMBERS) -> Recording:
    return Recording(np.array(times, dtype=float), np.zeros((len(times), 1)), ("a",), axis)


def states(regions: list[Region], rows: Recording, how: Labeling | None = None) -> list[str]:
    """The state of each row, "." for background and "!" after an instant."""
    targets = regions_to_targets(regions, rows, how or labeling())
    assert targets.codes.dtype == np.int16
    assert targets.states[0] == BACKGROUND
    assert set(range(1, len(targets.states))) == set(targets.codes.tolist()) - {0}
    names = [("+".join(state.labels) or ".") + "!" * state.instant for state in targets.states]
    return [names[code] for code in targets.codes]


# --- which annotation counts -----------------------------------------------------------------------------------------

OLD, NEW = "2026-01-01T10:00:00.000000Z", "2026-01-02T10:00:00.000000Z"
ONE, TWO = entry(1, 1), entry(2, 2)
COPIED = {"parent_prediction": 7}


@pytest.mark.parametrize(
    ("what", "annotations", "starts"),
    [
        # Nothing to learn from.
        ("no annotation", [], None),
        ("a skipped one with a region", [annotation(ONE, was_cancelled=True)], None),
        ("only skipped ones", [annotation(was_cancelled=True), annotation(ONE, was_cancelled=True)], None),
        # The annotator saw nothing.
        ("an empty one: the annotator saw nothing", [annotation()], []),
        ("an empty one, the result null", [{"id": 1, "result": None}], []),
        ("an empty one, no result at all", [{"id": 1}], []),
        ("a result that is an object", [{"id": 1, "result": {"value": 1}}], []),
        ("a result that is a number", [{"id": 1, "result": 7}], []),
        ("a skipped one and an empty one", [annotation(was_cancelled=True), annotation()], []),
        # One annotation.
        ("one with a region", [annotation(ONE)], [1]),
        ("one that does not say whether it was skipped", [annotation(ONE, was_cancelled=None)], [1]),
        ("a skipped one and one with a region", [annotation(ONE, was_cancelled=True), annotation(TWO)], [2]),
        # Several: the newest, by time and then by id.
        (
            "of two annotators the newer, drawn first",
            [annotation(ONE, updated_at=NEW), annotation(TWO, updated_at=OLD)],
            [1],
        ),
        (
            "of two annotators the newer, drawn last",
            [annotation(ONE, updated_at=OLD), annotation(TWO, updated_at=NEW)],
            [2],
        ),
        (
            "newer by its time zone",
            [annotation(ONE, updated_at="2026-01-01T11:00:00+02:00"), annotation(TWO, updated_at=OLD)],
            [2],
        ),
        (
            "equally new: the higher id",
            [annotation(ONE, updated_at=OLD, id=9), annotation(TWO, updated_at=OLD, id=3)],
            [1],
        ),
        ("no dates: the higher id", [annotation(ONE, id=3), annotation(TWO, id=9)], [2]),
        ("only the date of creation", [annotation(ONE, created_at=NEW), annotation(TWO, created_at=OLD)], [1]),
        (
            "a date that cannot be read is the oldest",
            [annotation(ONE, updated_at="?"), annotation(TWO, updated_at=OLD)],
            [2],
        ),
        (
            "a date as an object",
            [annotation(ONE, updated_at=datetime(2026, 1, 3, tzinfo=timezone.utc)), annotation(TWO, updated_at=NEW)],
            [1],
        ),
        (
            "a date without a zone is in UTC",
            [annotation(ONE, updated_at=datetime(2026, 1, 1)), annotation(TWO, updated_at=NEW)],
            [2],
        ),
        ("the newer one is empty", [annotation(updated_at=NEW), annotation(TWO, updated_at=OLD)], []),
        # Ground truth wins over all others.
        (
            "ground truth is older",
            [annotation(ONE, ground_truth=True, updated_at=OLD), annotation(TWO, updated_at=NEW)],
            [1],
        ),
        ("ground truth is empty", [annotation(ground_truth=True, updated_at=OLD), annotation(TWO, updated_at=NEW)], []),
        ("ground truth was skipped", [annotation(ONE, ground_truth=True, was_cancelled=True), annotation(TWO)], [2]),
        (
            "two ground truths: the newer",
            [annotation(ONE, ground_truth=True, updated_at=OLD), annotation(TWO, ground_truth=True, updated_at=NEW)],
            [2],
        ),
        # Suggestions accepted in bulk, unseen.
        ("accepted in bulk", [annotation(entry(1, 1, origin="prediction"), **COPIED)], None),
        ("accepted in bulk, origin null", [annotation({**ONE, "origin": None}, **COPIED)], None),
        ("accepted in bulk, empty", [annotation(**COPIED)], None),
        ("accepted in bulk, result null", [{**annotation(**COPIED), "result": None}], None),
        (
            "accepted in bulk after another one was drawn",
            [annotation(entry(1, 1, origin="prediction"), **COPIED, updated_at=NEW), annotation(TWO, updated_at=OLD)],
            [2],
        ),
        # Suggestions that a person had before them.
        (
            "a suggestion that was changed",
            [annotation(entry(1, 1, origin="prediction-changed"), entry(2, 2, origin="prediction"), **COPIED)],
            [1, 2],
        ),
        (
            "a suggestion that something was added to",
            [annotation(entry(1, 1, origin="prediction"), entry(2, 2, origin="manual"), **COPIED)],
            [1, 2],
        ),
        (
            "a suggestion that was looked at",
            [annotation(entry(1, 1, origin="prediction"), **COPIED, lead_time=2.5)],
            [1],
        ),
        ("an empty suggestion that was looked at", [annotation(**COPIED, lead_time=2.5)], []),
        (
            "a suggestion made ground truth",
            [annotation(entry(1, 1, origin="prediction"), **COPIED, ground_truth=True)],
            [1],
        ),
        (
            "suggested regions in an annotation of its own",
            [annotation(entry(1, 1, origin="prediction"), parent_prediction=None)],
            [1],
        ),
    ],
)
def test_which_annotation_of_a_task_counts(
    what: str, annotations: list[dict[str, Any]], starts: list[float] | None
) -> None:
    regions = annotated_regions(annotations, labeling(), NUMBERS)
    assert (regions if regions is None else [region.start for region in regions]) == starts


# --- which entries count ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "found", "expected"),
    [
        ("whole numbers", entry(1, 5), Region(1, 5, ("Walk",))),
        ("fractions, unsnapped", entry(1.5, 5.25), Region(1.5, 5.25, ("Walk",))),
        ("numbers as text", entry("1", "5"), Region(1, 5, ("Walk",))),
        ("ends in reverse order", entry(5, 1), Region(1, 5, ("Walk",))),
        ("start and end the same, no instant", entry(3, 3), Region(3, 3, ("Walk",))),
        ("an instant", entry(3, 3, instant=True), Region(3, 3, ("Walk",), instant=True)),
        ("an instant that was widened", entry(3, 4, instant=True), Region(3, 4, ("Walk",))),
        ("instant is null", entry(3, 4, instant=None), Region(3, 4, ("Walk",))),
        ("far outside the recording", entry(-1e9, 1e9), Region(-1e9, 1e9, ("Walk",))),
        ("a label's value where it has an alias", entry(1, 5, ["Run"]), Region(1, 5, ("r",))),
        ("a label's alias", entry(1, 5, ["r"]), Region(1, 5, ("r",))),
        ("both names of a label", entry(1, 5, ["r", "Run"]), Region(1, 5, ("r",))),
        ("a label that is no list", entry(1, 5, "Walk"), Region(1, 5, ("Walk",))),
        (
            "a label that left the config beside one that did not",
            entry(1, 5, ["Gone", "Walk"]),
            Region(1, 5, ("Walk",)),
        ),
        (
            "with notes, score and parent",
            entry(1, 5, ["Walk"], score=0.5, meta={"text": ["note"]}, parentID="y"),
            Region(1, 5, ("Walk",)),
        ),
        ("taken over from a suggestion", {**entry(1, 5), "origin": "prediction"}, Region(1, 5, ("Walk",))),
    ],
)
def test_what_an_entry_says(what: str, found: dict[str, Any], expected: Region) -> None:
    assert annotated_regions([annotation(found)], labeling(), NUMBERS) == (expected,)


@pytest.mark.parametrize(
    ("what", "passed_over"),
    [
        ("null", None),
        ("text", "text"),
        ("an empty object", {}),
        ("a relation", {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}),
        ("no value", {"type": "timeserieslabels", "from_name": "label", "to_name": "ts"}),
        ("value is null", {**ONE, "value": None}),
        ("value is a list", {**ONE, "value": []}),
        ("a choice on the region", {**ONE, "type": "choices", "value": {"start": 1, "end": 5, "choices": ["Sure"]}}),
        ("another control", {**ONE, "from_name": "other"}),
        ("no control", {**ONE, "from_name": None}),
        ("another time series", {**ONE, "to_name": "ts2"}),
        ("no start", entry(None, 5)),
        ("no end", entry(1, None)),
        ("neither start nor end", {**ONE, "value": {"timeserieslabels": ["Walk"]}}),
        ("a region whose label was cleared", {**ONE, "value": {"start": 1, "end": 5}}),
        ("an empty list of labels", entry(1, 5, [])),
        ("labels are null", entry(1, 5, None)),
        ("labels are an object", entry(1, 5, {})),
        ("labels that are no text", entry(1, 5, [None, 3])),
        ("a label that left the config", entry(1, 5, ["Gone"])),
        ("a label in another case", entry(1, 5, ["walk"])),
        ("a label that left the config, at no time at all", entry("never", "ever", ["Gone"])),
    ],
)
def test_entries_passed_over(what: str, passed_over: Any) -> None:
    assert annotated_regions([annotation(passed_over, TWO)], labeling(), NUMBERS) == (Region(2, 2, ("Walk",)),)


@pytest.mark.parametrize("multiple", [False, True])
def test_several_labels_of_a_region_are_one_unless_the_control_takes_several(multiple: bool) -> None:
    how = labeling(multiple=multiple)
    found = annotated_regions([annotation(entry(1, 5, ["Peak", "Walk", "Run"]))], how, NUMBERS)
    assert found == (Region(1, 5, ("r", "Walk", "Peak") if multiple else ("r",)),)


@pytest.mark.parametrize(
    ("axis", "start", "words"),
    [
        (NUMBERS, "2020-06-15", ["'x'", "'label'", "'2020-06-15' is not a number"]),
        (NUMBERS, [1], ["[1] is not a number"]),
        (
            TimeAxis("t", SECONDS),
            "15.06.2020",
            ["'15.06.2020' is not a number or a stamp", SECONDS, "timeFormat changed"],
        ),
    ],
)
def test_a_region_that_cannot_be_placed_is_no_background(axis: TimeAxis, start: Any, words: list[str]) -> None:
    with pytest.raises(RecordingError) as refused:
        annotated_regions([annotation(entry(start, start))], labeling(), axis)
    assert all(word in str(refused.value) for word in words), refused.value


# --- rows ------------------------------------------------------------------------------------------------------------

WALK, RUN = ("Walk",), ("r",)
TENTHS = [0.0, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("times", "regions", "rows"),
    [
        ([0, 1, 2, 3], [], "...."),
        ([0, 1, 2, 3], [Region(1, 2, WALK)], ".WW."),
        ([0, 1, 2, 3], [Region(0, 3, WALK)], "WWWW"),
        ([0, 1, 2, 3], [Region(2, 2, WALK)], "..W."),
        # Bounds between samples, and beyond them.
        ([0, 1, 2, 3], [Region(0.5, 2.5, WALK)], ".WW."),
        ([0, 1, 2, 3], [Region(0.999, 2.001, WALK)], ".WW."),
        ([0, 1, 2, 3], [Region(1.2, 1.8, WALK)], "...."),
        ([0, 1, 2, 3], [Region(-1e9, 1.5, WALK)], "WW.."),
        ([0, 1, 2, 3], [Region(1.5, 1e300, WALK)], "..WW"),
        ([0, 1, 2, 3], [Region(4, 9, WALK), Region(-9, -1, WALK)], "...."),
        (TENTHS, [Region(0.1, 0.30000000000000004, WALK)], ".WWW."),
        ([5], [Region(5, 5, WALK)], "W"),
        # Uneven and equal times.
        ([0, 5, 5, 5, 9], [Region(5, 5, WALK)], ".WWW."),
        ([0, 0, 1, 1], [Region(0, 0.5, WALK)], "WW.."),
        ([-3, 0, 100, 101], [Region(-5, 50, WALK)], "WW.."),
        # The later drawn wins.
        ([0, 1, 2, 3], [Region(0, 2, RUN), Region(2, 3, WALK)], "rrWW"),
        ([0, 1, 2, 3], [Region(2, 3, WALK), Region(0, 2, RUN)], "rrrW"),
        ([0, 1, 2, 3], [Region(0, 3, RUN), Region(1, 2, WALK)], "rWWr"),
        ([0, 1, 2, 3], [Region(1, 2, WALK), Region(0, 3, RUN)], "rrrr"),
    ],
)
def test_rows_of_regions(times: list[float], regions: list[Region], rows: str) -> None:
    names = {"W": "Walk"}
    assert states(regions, recording(times)) == [names.get(row, row) for row in rows]


@pytest.mark.parametrize(
    ("times", "at", "row"),
    [
        ([0, 1, 2, 3], 2, 2),
        ([0, 1, 2, 3], 1.4, 1),
        ([0, 1, 2, 3], 1.6, 2),
        ([0, 1, 2, 3], 1.5, 1),
        ([0, 5, 5, 9], 5, 1),
        ([0, 1, 2, 3], 0, 0),
        ([0, 1, 2, 3], 3, 3),
        ([7], 7, 0),
        ([0, 1, 2, 3], -0.1, None),
        ([0, 1, 2, 3], 3.1, None),
    ],
)
def test_an_instant_is_the_row_nearest_to_it(times: list[float], at: float, row: int | None) -> None:
    found = states([Region(at, at, ("Peak",), instant=True)], recording(times))
    assert found == ["Peak!" if place == row else "." for place in range(len(times))]


def peak(at: float, label: str = "Peak") -> Region:
    return Region(at, at, (label,), instant=True)


@pytest.mark.parametrize(
    ("regions", "multiple", "rows"),
    [
        ([Region(0, 3, WALK), peak(1)], False, "Walk Peak! Walk Walk"),
        ([peak(1), Region(0, 3, WALK)], False, "Walk Peak! Walk Walk"),
        ([peak(1), peak(1, "Walk")], False, ". Walk! . ."),
        ([peak(1, "Walk"), Region(2, 3, WALK)], False, ". Walk! Walk Walk"),
        ([Region(0, 2, WALK), Region(1, 3, RUN)], True, "Walk r+Walk r+Walk r"),
        ([Region(1, 3, RUN), Region(0, 2, WALK)], True, "Walk r+Walk r+Walk r"),
        ([Region(0, 2, WALK), Region(1, 3, ("Walk", "Peak"))], True, "Walk Walk+Peak Walk+Peak Walk+Peak"),
        (
            [Region(0, 3, WALK), Region(0, 3, RUN), Region(1, 2, ("Peak",))],
            True,
            "r+Walk r+Walk+Peak r+Walk+Peak r+Walk",
        ),
        ([Region(0, 3, WALK), peak(1)], True, "Walk Peak! Walk Walk"),
        ([peak(1), peak(1, "Run")], True, ". Run+Peak! . ."),
    ],
)
def test_what_lies_on_top_of_what(regions: list[Region], multiple: bool, rows: str) -> None:
    how = labeling(labels=("r", "Run", "Walk", "Peak"), multiple=multiple)
    assert states(regions, recording([0, 1, 2, 3]), how) == rows.split()


def test_states_have_the_order_of_the_labeling_whatever_was_drawn_first() -> None:
    regions = [peak(0, "r"), Region(3, 3, ("Peak",)), Region(1, 1, WALK), Region(2, 2, RUN)]
    found = regions_to_targets(regions, recording([0, 1, 2, 3]), labeling())
    assert found.states == (BACKGROUND, State(RUN), State(WALK), State(("Peak",)), State(RUN, instant=True))
    assert found.codes.tolist() == [4, 2, 1, 3]


@pytest.mark.parametrize(
    ("pattern", "start", "end", "rows"),
    [
        (SECONDS, "1970-01-01 00:00:01", "1970-01-01 00:00:02", ".WWWW."),
        (SECONDS, "1970-01-01 00:00:02", "1970-01-01 00:00:02", "...WW."),
        (SECONDS, 1000, 2500, ".WWW.."),
        ("%M:%S.%L", 1500, 2000, "..WW.."),
        (SECONDS, "1970-01-01 00:00:02", "1970-01-01 00:00:01", ".WWWW."),
        ("%Y-%m-%d", "1970-01-01", "1970-01-01", "WWWWWW"),
    ],
)
def test_formats_that_drop_milliseconds_lose_no_row(pattern: str, start: Any, end: Any, rows: str) -> None:
    axis = TimeAxis("t", pattern)
    found = annotated_regions([annotation(entry(start, end))], labeling(), axis)
    assert found is not None
    times = [0, 1000, 1500, 2000, 2999, 3000]
    assert states(list(found), recording(times, axis)) == ["Walk" if row == "W" else row for row in rows]


@pytest.mark.parametrize(("stamp", "row"), [("01:05:02", 1), ("01:05:01", 0), ("01:05:00", None), ("01:05:04", None)])
def test_an_instant_whose_stamp_drops_milliseconds(stamp: str, row: int | None) -> None:
    axis = TimeAxis("t", "%H:%M:%S")
    start = axis.read_bound("01:05:01") + 300
    found = states(
        [Region(axis.read_bound(stamp), axis.read_bound(stamp), WALK, True)], recording([start, start + 1000], axis)
    )
    assert found == ["Walk!" if place == row else "." for place in range(2)]


# --- results ---------------------------------------------------------------------------------------------------------


def result(segments: list[Segment], rows: Recording, how: Labeling | None = None) -> list[dict[str, Any]]:
    found = segments_to_result(segments, rows, how or labeling())
    json.dumps(found, allow_nan=False)
    return found


def test_a_suggestion_has_the_form_of_an_annotation() -> None:
    (found,) = result([Segment(1, 3, State(WALK), 0.912345)], recording([0, 0.5, 1, 2, 3]))
    identity = found.pop("id")
    assert found == {
        "from_name": "label",
        "to_name": "ts",
        "type": "timeserieslabels",
        "value": {"start": 0.5, "end": 2, "instant": False, "timeserieslabels": ["Walk"]},
        "score": 0.9123,
    }
    assert isinstance(identity, str)
    assert len(identity) == 10


@pytest.mark.parametrize(
    ("what", "segments", "joined"),
    [
        ("nothing at all", "", ""),
        ("an instant in a region", "W0-3 p5 W7-9", "W0-9 p5"),
        ("two instants in a region", "W0-3 p5 p8 W9-12", "W0-12 p5 p8"),
        ("two regions side by side", "W0-3 W4-9", "W0-3 W4-9"),
        ("two regions with background between them", "W0-3 W6-9", "W0-3 W6-9"),
        ("an instant between two labels", "W0-3 p5 r7-9", "W0-3 p5 r7-9"),
        ("an instant in background, far from the regions", "W0-3 p8 W11-14", "W0-3 p8 W11-14"),
        ("an instant right after a region, far from the next", "W0-3 p5 W11-14", "W0-3 p5 W11-14"),
        ("instants before and after a region", "p1 W2-5 p6", "p1 W2-5 p6"),
        ("a region that goes on twice", "W0-3 p5 W7-9 p10 W11-14", "W0-14 p5 p10"),
        ("a sliver before an instant of its label", "P3-4 p5", "p5"),
        ("a sliver after an instant of its label", "p5 P7-8 W9-14", "p5 W9-14"),
        ("a sliver far from an instant of its label", "P1-2 p6", "P1-2 p6"),
        ("a sliver beside an instant of another label", "W3-4 p5", "W3-4 p5"),
        ("a region beside an instant of its label", "P1-3 p5 P7-9", "P1-9 p5"),
        ("two regions in a row, each with an instant", "W0-3 p4 W5-9 r10-12 p13 r14-16", "W0-9 p4 r10-16 p13"),
    ],
)
def test_an_instant_does_not_part_the_region_it_lies_in(what: str, segments: str, joined: str) -> None:
    labels = {"W": "Walk", "r": "r", "p": "Peak", "P": "Peak"}  # "p" is an instant

    def read(text: str) -> list[Segment]:
        found = []
        for word in text.split():
            first, _, last = word[1:].partition("-")
            found.append(Segment(int(first), int(last or first), State((labels[word[0]],), word[0] == "p"), 0.5))
        return found

    assert list(join_under_instants(read(segments), reach=2)) == read(joined)


def test_the_score_of_joined_segments_is_the_average_over_their_rows() -> None:
    parts = [
        Segment(0, 2, State(WALK), 0.5),
        Segment(3, 3, State(("Peak",), True), 1.0),
        Segment(4, 4, State(WALK), 1.0),
    ]
    assert join_under_instants(parts, 2)[0] == Segment(0, 4, State(WALK), 0.625)


STAMPED = [1592252672081.0, 1592252672181.0, 1592252673000.0]


@pytest.mark.parametrize(
    ("axis", "times", "start", "end"),
    [
        (TimeAxis(), [0, 1, 2], "0", "1"),
        (NUMBERS, [0.5, 1, 2], "0.5", "1"),
        (NUMBERS, [1592250751.923, 1592250752, 1592250753], "1592250751.923", "1592250752"),
        (TimeAxis("t", "%Y-%m-%d %H:%M:%S.%L"), STAMPED, "'2020-06-15 20:24:32.081'", "'2020-06-15 20:24:32.181'"),
        (TimeAxis("t", "%H:%M:%S.%f"), [-2208988799919, -2208988799000, 0], "'00:00:00.081000'", "'00:00:01.000000'"),
        (TimeAxis("t", "%Q"), STAMPED, "'1592252672081'", "'1592252672181'"),
        (TimeAxis("t", "%s"), [1000, 2000, 3000], "'1'", "'2'"),
        (TimeAxis(None, "%Q"), [0, 1, 2], "0", "1"),
        # A format that cannot say it: numbers, which the editor takes as milliseconds.
        (TimeAxis("t", "%I:%M"), [0, 60_000, 120_000], "0", "60000"),
        (TimeAxis("t", "%d %H:%M"), [1592252640000, 1592252700000, 1592252760000], "1592252640000", "1592252700000"),
        (TimeAxis("t", "%z"), [0, 1000, 2000], "0", "1000"),
    ],
)
def test_bounds_are_written_as_annotations_have_them(axis: TimeAxis, times: list[float], start: str, end: str) -> None:
    (found,) = result([Segment(0, 1, State(WALK), 1)], recording(times, axis))
    assert (repr(found["value"]["start"]), repr(found["value"]["end"])) == (start, end)


@pytest.mark.parametrize(
    ("segment", "multiple", "value"),
    [
        (Segment(1, 3, State(WALK), 1), False, (1, 3, False, ["Walk"])),
        (Segment(2, 2, State(WALK), 1), False, (2, 2, False, ["Walk"])),
        (Segment(2, 2, State(("Peak",), instant=True), 1), False, (2, 2, True, ["Peak"])),
        (Segment(1, 3, State(("Peak",), instant=True), 1), False, (2, 2, True, ["Peak"])),
        (Segment(1, 3, State(RUN), 1), False, (1, 3, False, ["r"])),
        (Segment(1, 3, State(("Walk", "r")), 1), True, (1, 3, False, ["r", "Walk"])),
        (Segment(1, 3, State(("r", "Walk")), 1), False, (1, 3, False, ["r"])),
        (Segment(1, 3, State(("Gone", "Walk")), 1), True, (1, 3, False, ["Walk"])),
        (Segment(1, 3, State(("Gone",)), 1), True, None),
        (Segment(1, 3, BACKGROUND, 1), False, None),
    ],
)
def test_what_a_segment_says(segment: Segment, multiple: bool, value: tuple[Any, ...] | None) -> None:
    found = result([segment], recording([0, 1, 2, 3, 4]), labeling(multiple=multiple))
    assert [tuple(each["value"].values()) for each in found] == ([] if value is None else [value])


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (0.5, 0.5),
        (0.123456, 0.1235),
        (1.0000001, 1.0),
        (-0.1, 0.0),
        (math.nan, 0.0),
        (math.inf, 0.0),
        (np.float32(0.25), 0.25),
    ],
)
def test_scores_are_finite_and_within_bounds(score: float, told: float) -> None:
    (found,) = result([Segment(0, 0, State(WALK), score)], recording([0]))
    assert found["score"] == told
    assert type(found["score"]) is float


def test_every_suggestion_has_an_id_of_its_own() -> None:
    rows = recording([float(row) for row in range(500)])
    found = result([Segment(row, row, State(WALK), 1) for row in range(500)], rows)
    assert len({each["id"] for each in found}) == 500


def test_no_segments_no_entries() -> None:
    assert result([], recording([0, 1])) == []


def test_a_suggestion_saved_as_it_is_comes_back_as_the_rows_it_was_made_of() -> None:
    how = labeling(time_format="%d.%m.%Y %H:%M:%S")
    text = "t,a\n" + "".join(f"15.06.2020 20:24:{second:02},1\n" for second in range(60))
    rows = read_recording(text, how)
    found = result([Segment(5, 20, State(WALK), 0.9), Segment(30, 30, State(("Peak",), instant=True), 0.8)], rows, how)
    regions = annotated_regions([annotation(*found)], how, rows.axis)
    assert regions is not None
    targets = regions_to_targets(regions, rows, how)
    assert targets.codes.tolist() == [0] * 5 + [1] * 16 + [0] * 9 + [2] + [0] * 29

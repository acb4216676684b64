"""Suggestions for a recording that somebody is annotating keep clear of what is drawn, and take it as given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.decoding import best_path
from segmenter.errors import RecordingError
from segmenter.finishing import Drawn, entries_so_far, insist, keep_clear, read_drawn
from segmenter.prediction import suggest
from segmenter.regions import BACKGROUND, Segment, State, Targets
from tests.unit.fitted import LABELING, recording, untrained

WALK, RUN, PEAK = State(("Walk",)), State(("Run",)), State(("Run",), instant=True)


def entry(label: str, first: int, last: int, instant: bool = False) -> dict[str, Any]:
    value = {"start": first, "end": last, "instant": instant, "timeserieslabels": [label]}
    return {"id": f"{first}", "from_name": "label", "to_name": "ts", "type": "timeserieslabels", "value": value}


def drawn(*entries: dict[str, Any], rows: int = 30) -> Drawn:
    return read_drawn(entries, LABELING, recording(rows))


@pytest.mark.parametrize(
    ("what", "suggested", "left"),
    [
        ("on top of a region drawn", [(10, 19, WALK)], []),
        ("inside one", [(12, 15, RUN)], []),
        ("away from all", [(0, 5, WALK), (25, 29, RUN)], [(0, 5, WALK), (25, 29, RUN)]),
        ("going on after one, same label: it ended where it was drawn", [(10, 25, WALK)], []),
        ("beginning before one, same label", [(5, 12, WALK)], []),
        ("beside one, another label", [(0, 9, RUN), (20, 29, RUN)], [(0, 9, RUN), (20, 29, RUN)]),
        ("across one, another label: the parts on both sides", [(5, 25, RUN)], [(5, 9, RUN), (20, 25, RUN)]),
        ("an instant on top of a region", [(15, 15, PEAK)], [(15, 15, PEAK)]),
    ],
)
def test_a_suggestion_keeps_clear_of_a_region_drawn_from_10_to_19(
    what: str, suggested: list[tuple[int, int, State]], left: list[tuple[int, int, State]]
) -> None:
    segments = [Segment(*one, 0.9) for one in suggested]
    clear = keep_clear(segments, drawn(entry("Walk", 10, 19)), reach=2)
    assert [(one.first, one.last, one.state) for one in clear] == left, what


@pytest.mark.parametrize(("row", "left"), [(10, False), (12, False), (13, True), (7, True)])
def test_an_instant_is_not_suggested_again_beside_itself(row: int, left: bool) -> None:
    suggested = Segment(row, row, PEAK, 0.9)
    assert keep_clear([suggested], drawn(entry("Run", 10, 10, instant=True)), reach=2) == ((suggested,) * left)


def test_a_drawn_instant_hides_no_region_under_it() -> None:
    under = Segment(5, 15, WALK, 0.9)
    assert keep_clear([under], drawn(entry("Run", 10, 10, instant=True)), reach=2) == (under,)


def test_what_is_drawn_is_certain_and_the_rows_next_to_it_follow() -> None:
    probabilities = np.tile([0.1, 0.46, 0.44], (30, 1))
    insist(probabilities, (BACKGROUND, WALK, RUN), drawn(entry("Run", 10, 19)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities[10:20, 2] == 1.0).all()
    assert (best_path(probabilities, switch_cost=2.0) == 2).all()


def test_a_label_that_the_model_never_learned_leaves_no_room_for_others() -> None:
    probabilities = np.tile([0.1, 0.9], (30, 1))
    insist(probabilities, (BACKGROUND, WALK), drawn(entry("Run", 10, 19)))
    assert (best_path(probabilities, switch_cost=0.1) == np.r_[[1] * 10, [0] * 10, [1] * 10]).all()


def test_instants_may_lie_on_top_of_what_is_drawn() -> None:
    probabilities = np.tile([0.1, 0.2, 0.7], (30, 1))
    insist(probabilities, (BACKGROUND, WALK, PEAK), drawn(entry("Walk", 10, 19)))
    np.testing.assert_allclose(probabilities[15], [0.0, 0.3, 0.7])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["Walk", "Run"]), st.integers(0, 299), st.integers(0, 60)), max_size=5))
def test_no_suggestion_ever_covers_a_row_that_is_drawn(regions: list[tuple[str, int, int]]) -> None:
    sample = recording(300)
    given_regions = read_drawn([entry(label, first, first + more) for label, first, more in regions], LABELING, sample)
    suggestion = suggest(untrained(), sample, LABELING, given_regions)
    for segment in keep_clear(suggestion.segments, given_regions, reach=0):
        assert not given_regions.covered[segment.first : segment.last + 1].any()


def test_nothing_drawn_changes_nothing() -> None:
    sample = recording(300)
    nothing = Drawn(*[Targets((BACKGROUND,), np.zeros(300, np.int16))] * 2)
    plain = suggest(untrained(), sample, LABELING)
    assert suggest(untrained(), sample, LABELING, nothing) == plain
    assert keep_clear(plain.segments, nothing, reach=2) == plain.segments


def test_a_region_that_cannot_be_placed_is_named() -> None:
    with pytest.raises(RecordingError, match="cannot be placed in time"):
        drawn(entry("Walk", "yesterday", 5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("context", "drafts", "ids"),
    [
        ({"result": [{"id": "new"}]}, None, ["new"]),
        ({"result": [{"id": "new"}]}, [{"updated_at": "2026-01-02", "result": [{"id": "old"}]}], ["old", "new"]),
        (
            {},
            [
                {"updated_at": "2026-01-02T10:00:00Z", "result": [{"id": "newer"}]},
                {"updated_at": "2026-01-02T09:00:00Z", "result": [{"id": "older"}]},
            ],
            ["newer"],
        ),
        ({"result": None}, "no list", []),
        ({"result": {"id": 1}}, [None, 3, {"result": None}], []),
    ],
)
def test_what_is_drawn_so_far_is_the_newest_draft_and_the_region_just_finished(
    context: dict[str, Any], drafts: Any, ids: list[str]
) -> None:
    assert [one["id"] for one in entries_so_far(context, {"drafts": drafts})] == ids

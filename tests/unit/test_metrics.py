"""Each measure against cases worked by hand, and the laws any labelling obeys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.metrics import count_edits, evaluate, event_f1, find_spans, match, pair_rows
from segmenter.regions import BACKGROUND, Segment, State, Targets


def rows(text: str) -> np.ndarray:
    """One letter a row: "." is background, A is 1, B is 2, ..."""
    return np.array([0 if letter == "." else ord(letter) - ord("A") + 1 for letter in text], int)


def test_the_example_of_the_documentation() -> None:
    scores = evaluate([(rows("..AAAA..BB"), rows("..AAA...AA"))], tolerance=0)
    assert scores.row_accuracy == pytest.approx(0.7)
    assert scores.macro_f1 == pytest.approx((8 / 9 + 6 / 9 + 0) / 3)
    assert scores.background_f1 == pytest.approx(8 / 9)
    assert (scores.f1_10, scores.f1_25, scores.f1_50) == pytest.approx((0.5, 0.5, 0.5))
    assert scores.edit_score == pytest.approx(0.5)
    assert scores.covering == pytest.approx((2 + 3 + 4 / 3 + 2) / 10)
    assert scores.over_segmentation == 1.0
    assert scores.boundary_error == 0.5
    assert (scores.edits, scores.edits_from_nothing, scores.edits_saved) == (2, 2, 0.0)


@pytest.mark.parametrize(
    ("annotated", "suggested", "tolerance", "edits"),
    [
        ("..AAAA..", "..AAAA..", 0, 0),
        ("..AAAA..", "........", 0, 1),  # add
        ("........", "..AAAA..", 0, 1),  # delete
        ("..AAAA..", "..BBBB..", 0, 1),  # relabel
        ("..AAAA..", "...AAA..", 0, 1),  # move the start
        ("..AAAA..", "...AAA..", 1, 0),  # near enough
        ("..AAAA..", "...BBB..", 0, 2),  # move and relabel, or delete and add
        ("AAAAAA..", "AA.AAA..", 0, 2),  # delete one, move the other's start
        ("AABBAABB", "AAAAAAAA", 0, 4),  # move an end, add three
        ("A.A.A.A.", "........", 0, 4),
    ],
)
def test_edits_are_the_fewest(annotated: str, suggested: str, tolerance: int, edits: int) -> None:
    assert count_edits(find_spans(rows(annotated)), find_spans(rows(suggested)), tolerance) == edits


def test_a_twentieth_of_a_long_segment_is_tolerated() -> None:
    annotated, suggested = np.zeros(300, int), np.zeros(300, int)
    annotated[50:250] = 1
    suggested[60:240] = 1
    assert evaluate([(annotated, suggested)]).edits == 0
    suggested[240] = suggested[60] = 0
    suggested[239:] = 0
    assert evaluate([(annotated, suggested)]).edits == 2


@pytest.mark.parametrize(
    ("annotated", "suggested", "f1_50"),
    [
        ("AAAA", "AA..", 1.0),  # exactly half is enough
        ("AAAAA", "AA...", 0.0),
        ("AAAAAA", "AAAA.A", 2 / 3),  # one to one: the second piece is one too many
        ("AAAA", "BBBB", 0.0),
        ("....", "....", 1.0),
        ("....", "AA..", 0.0),
    ],
)
def test_segmental_f1_matches_one_to_one_within_a_label(annotated: str, suggested: str, f1_50: float) -> None:
    assert evaluate([(rows(annotated), rows(suggested))]).f1_50 == pytest.approx(f1_50)


def test_counts_are_pooled_over_recordings() -> None:
    scores = evaluate([(rows("AA.."), rows("AA..")), (rows("AA.BB"), rows("....."))])
    assert scores.f1_50 == pytest.approx(2 * 1 / (3 + 1))
    assert scores.edits_saved == pytest.approx(1 - 2 / 3)


def test_the_better_match_is_taken_first() -> None:
    truth, guess = find_spans(rows("AAAAAAAA..")), find_spans(rows("AAA.AAAA.."))
    assert [(one.first, other.first) for one, other in match(truth, guess, 0.1)] == [(0, 4)]


@pytest.mark.parametrize(
    ("annotated", "suggested", "f1"),
    [
        ([10, 50], [12, 49], 1.0),
        ([10, 50], [13], 0.0),
        ([10], [9, 11], 2 / 3),
        ([10, 12], [12, 14], 1.0),
        ([], [], 1.0),
    ],
)
def test_instants_count_within_the_tolerance(annotated: list[int], suggested: list[int], f1: float) -> None:
    assert event_f1(annotated, suggested, tolerance=2) == pytest.approx(f1)


def test_states_are_compared_by_their_labels() -> None:
    targets = Targets((BACKGROUND, State(("A",)), State(("B",), True)), np.array([0, 1, 1, 2], np.int16))
    segments = (Segment(1, 2, State(("A",)), 0.9), Segment(3, 3, State(("B",)), 0.9))
    ((annotated, suggested),) = pair_rows([(targets, segments)])
    assert annotated.tolist() == suggested.tolist()


def test_a_label_has_the_same_code_in_every_recording() -> None:
    only_a = Targets((BACKGROUND, State(("A",))), np.array([0, 1], np.int16))
    only_b = Targets((BACKGROUND, State(("B",))), np.array([0, 1], np.int16))
    first, second = pair_rows([(only_a, [Segment(1, 1, State(("B",)), 1.0)]), (only_b, [])])
    assert first[0].tolist() == [0, 1]
    assert first[1].tolist() == second[0].tolist() == [0, 2]


def test_labellings_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="3 rows are annotated, 2 suggested"):
        evaluate([(rows("AAA"), rows("AA"))])


LABELLING = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@given(LABELLING)
def test_a_labelling_agrees_with_itself(codes: list[int]) -> None:
    scores = evaluate([(np.array(codes), np.array(codes))])
    assert (scores.row_accuracy, scores.macro_f1, scores.f1_50, scores.edit_score, scores.edits) == (1, 1, 1, 1, 0)
    assert scores.covering == pytest.approx(1.0)


@given(st.data(), LABELLING)
def test_scores_stay_in_range_and_edits_below_starting_over(data: st.DataObject, codes: list[int]) -> None:
    other = data.draw(st.lists(st.integers(0, 3), min_size=len(codes), max_size=len(codes)))
    scores = evaluate([(np.array(codes), np.array(other))])
    for ratio in (scores.row_accuracy, scores.macro_f1, scores.f1_10, scores.f1_50, scores.edit_score, scores.covering):
        assert 0.0 <= ratio <= 1.0 + 1e-12
    assert scores.f1_10 >= scores.f1_25 >= scores.f1_50
    assert scores.edits <= len(find_spans(np.array(codes))) + len(find_spans(np.array(other)))

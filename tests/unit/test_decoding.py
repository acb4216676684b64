"""The best path is exact whatever the length, and rows become the segments they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.decoding import SMALLEST_PROBABILITY, UNITS, best_path, merge_rows
from segmenter.regions import BACKGROUND, Segment, State

WALK, STEP = State(("Walk",)), State(("Step",), instant=True)


def random_probabilities(rows: int, states: int, seed: int, sharpness: float = 2.0) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).standard_normal((rows, states))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def path_score(path: np.ndarray, probabilities: np.ndarray, cost: float) -> int:
    evidence = np.rint(np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)) * UNITS).astype(int)
    return int(evidence[np.arange(len(path)), path].sum() - round(cost * UNITS) * (np.diff(path) != 0).sum())


def row_by_row(probabilities: np.ndarray, cost: float) -> int:
    """The best score by the textbook recursion over all pairs of states."""
    evidence = np.rint(np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)) * UNITS).astype(int)
    moves = round(cost * UNITS) * (1 - np.eye(probabilities.shape[1], dtype=int))
    score = evidence[0]
    for row in evidence[1:]:
        score = (score[:, None] - moves).max(axis=0) + row
    return int(score.max())


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 900),
    states=st.integers(1, 6),
    cost=st.sampled_from([0.0, 0.5, 3.0, 20.0, 200.0]),
    sharpness=st.sampled_from([0.01, 1.0, 6.0]),
    seed=st.integers(0, 10_000),
)
def test_path_has_the_score_of_the_textbook_recursion(
    rows: int, states: int, cost: float, sharpness: float, seed: int
) -> None:
    probabilities = random_probabilities(rows, states, seed, sharpness)
    path = best_path(probabilities, cost)
    assert path.shape == (rows,)
    assert path_score(path, probabilities, cost) == row_by_row(probabilities, cost)


def test_blocks_without_evidence_take_over_what_long_ago_was_seen() -> None:
    probabilities = np.full((5_000, 3), 1 / 3)
    probabilities[0] = [0.01, 0.98, 0.01]
    assert (best_path(probabilities, 5.0) == 1).all()


def test_without_cost_each_row_takes_its_likeliest_state() -> None:
    probabilities = random_probabilities(700, 4, seed=1)
    assert (best_path(probabilities, 0.0) == probabilities.argmax(axis=1)).all()


def test_a_flicker_is_mended_and_a_clear_segment_stays() -> None:
    probabilities = np.tile([0.95, 0.05], (100, 1))
    probabilities[30:33] = [0.1, 0.9]
    probabilities[60:80] = [0.1, 0.9]
    expected = np.zeros(100, int)
    expected[60:80] = 1
    assert (best_path(probabilities, 7.0) == expected).all()


def test_no_rows_give_no_path_and_no_segments() -> None:
    empty = np.zeros((0, 2))
    assert len(best_path(empty, 1.0)) == 0
    assert merge_rows(np.zeros(0, np.int64), empty, (BACKGROUND, WALK), 0) == ()


def test_runs_become_segments_with_the_mean_probability_of_their_rows() -> None:
    path = np.array([1, 1, 0, 0, 1])
    probabilities = np.array([[0.2, 0.8], [0.4, 0.6], [0.9, 0.1], [0.9, 0.1], [0.0, 1.0]])
    segments = merge_rows(path, probabilities, (BACKGROUND, WALK), 0)
    assert [(segment.first, segment.last) for segment in segments] == [(0, 1), (4, 4)]
    assert [segment.score for segment in segments] == pytest.approx([0.7, 1.0])


@pytest.mark.parametrize("run", [1, 2, 5, 7, 8])
def test_a_run_of_an_instant_is_one_row_where_it_is_likeliest(run: int) -> None:
    path = np.array([0] * 10 + [1] * run + [0] * 10)
    probabilities = np.tile([0.9, 0.1], (len(path), 1))
    probabilities[10 : 10 + run] = [0.2, 0.8]
    (segment,) = merge_rows(path, probabilities, (BACKGROUND, STEP), 2)
    assert segment.first == segment.last == 10 + (run - 1) // 2
    assert segment == Segment(segment.first, segment.first, STEP, pytest.approx(0.8))  # type: ignore[arg-type]


def test_the_peak_of_an_instant_wins_over_its_middle() -> None:
    probabilities = np.array([[0.4, 0.6], [0.4, 0.6], [0.4, 0.6], [0.05, 0.95], [0.4, 0.6]])
    (segment,) = merge_rows(np.ones(5, np.int64), probabilities, (BACKGROUND, STEP), 0)
    assert segment.first == 3


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 1000))
def test_segments_cover_exactly_the_rows_that_are_not_background(path: list[int], seed: int) -> None:
    states = (BACKGROUND, WALK, State(("Run",)), State(("Run", "Walk")))
    probabilities = random_probabilities(len(path), 4, seed)
    covered = np.zeros(len(path), int)
    for segment in merge_rows(np.array(path), probabilities, states, 0):
        assert 0.0 <= segment.score <= 1.0
        covered[segment.first : segment.last + 1] += states.index(segment.state)
    assert covered.tolist() == path

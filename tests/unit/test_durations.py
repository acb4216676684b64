"""Boundaries go where the evidence and the usual durations agree, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.durations import Duration, learn_durations, move_boundaries
from segmenter.regions import BACKGROUND, State

STATES = (BACKGROUND, State(("Walk",)), State(("Step",), instant=True))
SECONDS = np.arange(200.0)


def runs(*lengths: tuple[int, int]) -> np.ndarray:
    """Rows of (state, length), one run after the other."""
    return np.concatenate([np.full(length, state) for state, length in lengths])


def believing(path: np.ndarray, sure: float, blind: slice = slice(0)) -> np.ndarray:
    """Probabilities of each state that favour the path, but say nothing in the rows `blind`."""
    probabilities = np.full((len(path), len(STATES)), (1 - sure) / (len(STATES) - 1))
    probabilities[np.arange(len(path)), path] = sure
    probabilities[blind] = 1 / len(STATES)
    return probabilities


def lasting(state: int, place: str, rows: float, spread: float = 0.02) -> Duration:
    return Duration(state, place, float(np.log(rows)), spread)  # type: ignore[arg-type]


def test_durations_are_learned_for_each_state_and_place_in_units_of_time() -> None:
    codes = [runs((0, 50), (1, length), (0, 30), (1, 40), (0, 10)) for length in (18, 20, 20, 22)]
    times = [0.5 * np.arange(len(rows)) for rows in codes]
    learned = {(usual.state, usual.place): usual for usual in learn_durations(codes, times, STATES)}
    assert {key: round(float(np.exp(usual.middle)), 6) for key, usual in learned.items()} == {
        (0, "first"): 25.0,
        (0, "between"): 15.0,
        (0, "last"): 5.0,
        (1, "between"): pytest.approx(np.sqrt(11 * 20), abs=1e-5),
    }
    assert learned[1, "between"].spread > learned[0, "between"].spread > 0


def test_a_duration_that_half_the_segments_share_by_chance_is_not_sure_for_that() -> None:
    codes = [runs((0, 50), (1, length), (0, 30)) for length in (31, 31, 31, 36, 41)]
    walk = next(usual for usual in learn_durations(codes, [SECONDS[: len(c)] for c in codes], STATES) if usual.state)
    clear = runs((0, 60), (1, 36), (0, 104))
    assert walk.spread > 0.1
    assert (move_boundaries(clear, believing(clear, 0.9), SECONDS, STATES, [walk], 4.0) == clear).all()


@pytest.mark.parametrize(
    ("codes", "why"),
    [
        ([runs((0, 50), (1, 20), (0, 30))], "one example may be an exception"),
        ([runs((1, 50))] * 9, "a run that fills its recording neither begins nor ends"),
        ([runs((-1, 50), (1, 20), (-1, 30))] * 9, "what is next to unknown rows may have begun earlier"),
        ([runs((0, 50), (2, 3), (0, 30))] * 9, "nothing is usual about an instant's width"),
        ([], "nothing was annotated"),
    ],
)
def test_nothing_is_usual(codes: list[np.ndarray], why: str) -> None:
    assert learn_durations(codes, [np.arange(len(rows)) for rows in codes], STATES) == (), why


def test_a_vague_boundary_goes_where_the_duration_says() -> None:
    truth = runs((0, 60), (1, 40), (0, 100))
    found = runs((0, 60), (1, 55), (0, 85))
    vague = believing(truth, 0.9, blind=slice(85, 120))
    moved = move_boundaries(found, vague, SECONDS, STATES, [lasting(1, "between", 40)], 4.0)
    assert (moved == truth).all()
    assert (move_boundaries(found, vague, SECONDS, STATES, [lasting(1, "between", 40)], 0.0) == found).all()
    assert (move_boundaries(found, vague, SECONDS, STATES, [], 4.0) == found).all()


def test_a_gap_in_the_recording_counts_as_time() -> None:
    times = np.where(SECONDS < 70, SECONDS, SECONDS + 20)  # 20 seconds are missing within the segment
    found = runs((0, 60), (1, 35), (0, 105))
    moved = move_boundaries(
        found, believing(found, 0.9, slice(75, 110)), times, STATES, [lasting(1, "between", 40)], 4.0
    )
    assert (moved == runs((0, 60), (1, 20), (0, 120))).all()


def test_clear_evidence_outweighs_what_is_usual() -> None:
    clear = runs((0, 60), (1, 80), (0, 60))
    assert (
        move_boundaries(clear, believing(clear, 0.99), SECONDS, STATES, [lasting(1, "between", 40)], 4.0) == clear
    ).all()


def test_boundaries_of_instants_stay() -> None:
    path = runs((0, 60), (2, 5), (0, 135))
    durations = [lasting(0, "first", 30), lasting(0, "last", 100)]
    assert (move_boundaries(path, believing(path, 0.4), SECONDS, STATES, durations, 32.0) == path).all()


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    seed=st.integers(0, 10_000),
    weight=st.sampled_from([1.0, 4.0, 32.0]),
)
def test_runs_keep_their_order_and_no_move_makes_the_sum_worse(lengths: list[int], seed: int, weight: float) -> None:
    path = runs(*((index % 2, length) for index, length in enumerate(lengths)))
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), len(path))
    times = np.cumsum(random.exponential(1.0, len(path)))
    durations = [lasting(state, place, 20, 0.3) for state in (0, 1) for place in ("first", "between", "last")]
    moved = move_boundaries(path, probabilities, times, STATES, durations, weight)
    assert moved.shape == path.shape
    assert np.array_equal(moved[np.r_[True, np.diff(moved) != 0]], path[np.r_[True, np.diff(path) != 0]])
    again = move_boundaries(moved, probabilities, times, STATES, durations, weight)
    score = [_sum(rows, probabilities, times, durations, weight) for rows in (path, moved, again)]
    assert score[0] <= score[1] + 1e-9 <= score[2] + 2e-9


def _sum(
    path: np.ndarray, probabilities: np.ndarray, times: np.ndarray, durations: list[Duration], weight: float
) -> float:
    """Evidence and the Student distribution's logarithms, run by run as in a textbook."""
    total = float(np.log(np.maximum(probabilities[np.arange(len(path)), path], 1e-6)).sum())
    firsts = [0, *(np.flatnonzero(np.diff(path)) + 1), len(path)]
    ends = [*times, times[-1] + (float(np.median(np.diff(times))) if len(times) > 1 else 1.0)]
    for index in range(len(firsts) - 1 if len(firsts) > 2 else 0):
        place = "first" if index == 0 else "last" if index == len(firsts) - 2 else "between"
        usual = next(one for one in durations if (one.state, one.place) == (path[firsts[index]], place))
        distance = (np.log(ends[firsts[index + 1]] - ends[firsts[index]]) - usual.middle) / usual.spread
        total -= weight * 2.5 * float(np.log1p(distance**2 / 4))
    return total

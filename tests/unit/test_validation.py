"""What is left out, and what is chosen on it."""

from __future__ import annotations

import numpy as np
import pytest

from segmenter.durations import learn_durations
from segmenter.regions import BACKGROUND, State
from segmenter.validation import (
    DURATION_WEIGHTS,
    SWITCH_COSTS,
    TEMPERATURES,
    Judged,
    calibration_error,
    choose,
    enough_to_judge,
    make_folds,
    measure_reliability,
)

HALVES = np.array([0] * 50 + [1] * 50)
STATES = (BACKGROUND, State(("Walk",)))


@pytest.mark.parametrize("recordings", [2, 3, 4, 9])
def test_each_recording_is_left_out_once_and_whole(recordings: int) -> None:
    folds = make_folds(np.zeros((recordings, 1)), [HALVES] * recordings, margin=5)
    judged = np.zeros(recordings, int)
    for fold in folds:
        for index in range(recordings):
            assert fold.learn[index].all() or not fold.learn[index].any()
            assert (fold.judge[index] == ~fold.learn[index]).all()
            judged[index] += fold.judge[index].all()
    assert (judged == 1).all()


def test_recordings_of_a_level_are_left_out_together() -> None:
    levels = np.array([[5.0], [-5.0], [5.1], [-5.1], [0.0], [0.1]])
    groups = [
        {index for index, mask in enumerate(fold.judge) if mask.any()}
        for fold in make_folds(levels, [HALVES] * 6, margin=0)
    ]
    assert {0, 2} in groups
    assert {1, 3} in groups


def test_a_single_recording_is_left_out_in_blocks_with_a_margin() -> None:
    codes = np.tile(HALVES, 6)
    for fold in make_folds(np.zeros((1, 1)), [codes], margin=20):
        judged = np.flatnonzero(fold.judge[0])
        learned = np.flatnonzero(fold.learn[0])
        assert np.abs(judged[:, None] - learned[None]).min() > 20


@pytest.mark.parametrize(
    "codes",
    [
        [np.array([1] * 30)],  # one state: nothing left to learn once a block ... is judged by it alone
        [np.zeros(90, int)],
        [np.array([0] * 40 + [1] * 10 + [0] * 40)],
    ],
)
def test_a_fold_that_could_not_learn_what_it_judges_is_dropped(codes: list[np.ndarray]) -> None:
    for fold in make_folds(np.zeros((len(codes), 1)), codes, margin=5):
        learned = {int(code) for rows, mask in zip(codes, fold.learn, strict=True) for code in rows[mask]}
        assert learned - {0}


def stretch(codes: np.ndarray, sureness: float, seed: int, flicker: float = 0.0) -> Judged:
    """Two trials: one that knows nothing, one that favours the truth but for rows that flicker."""
    random = np.random.default_rng(seed)
    seen = np.where(random.random(len(codes)) < flicker, 1 - codes, codes)
    logits = np.zeros((2, len(codes), 2), np.float32)
    logits[1, np.arange(len(codes)), seen] = sureness
    return Judged(logits, codes, np.arange(float(len(codes))))


def test_the_trial_that_knows_is_taken_and_flicker_is_mended() -> None:
    judged = [stretch(np.tile(HALVES, 3), 3.0, seed, flicker=0.1) for seed in range(4)]
    choice = choose(judged, STATES, usual=0, shortest=50.0)
    assert choice.trial == 1
    assert choice.scores is not None
    assert choice.scores.f1_50 == 1.0


@pytest.mark.parametrize(
    ("usual", "weights"),
    [(200, DURATION_WEIGHTS[-3:]), (120, DURATION_WEIGHTS[:4])],
    ids=["as long as what is held out", "shorter than that"],
)
def test_durations_weigh_as_much_as_they_help(usual: int, weights: tuple[float, ...]) -> None:
    """The network sees boundaries too late, and hardly: whether durations know better shows on what is held out."""

    def rows(length: int) -> np.ndarray:
        return np.repeat([0, 1, 0], [200, length, 600 - 200 - length])

    seconds = np.arange(600.0)
    durations = learn_durations([rows(usual + number) for number in range(5)], [seconds] * 5, STATES)
    late = np.where(np.arange(600) < 300, rows(200), rows(215))
    logits = np.where(late[:, None] == [0, 1], 1.0, -1.0).astype(np.float32)[None]
    if usual == 120:
        logits[0, rows(200) == 1] = [-1.0, 1.0]
    judged = [Judged(logits, rows(200), seconds, durations, number) for number in range(4)]
    assert choose(judged, STATES, usual=0, shortest=200.0).duration_weight in weights


def test_too_sure_a_network_is_softened() -> None:
    judged = [stretch(np.tile(HALVES, 3), 12.0, seed, flicker=0.1) for seed in range(4)]
    choice = choose(judged, STATES, usual=0, shortest=50.0)
    assert choice.temperature > 3.0
    assert choice.calibration_error is not None
    before, after = choice.calibration_error
    assert after < 0.02 < 0.09 < before


@pytest.mark.parametrize("judged", [[], [Judged(np.zeros((2, 5, 2), np.float32), np.full(5, -1), np.arange(5.0))]])
def test_without_a_verdict_the_usual_is_taken(judged: list[Judged]) -> None:
    choice = choose(judged, STATES, usual=1, shortest=30.0)
    assert (choice.trial, choice.switch_cost, choice.temperature, choice.duration_weight) == (1, 10.0, 1.0, 4.0)
    assert choice.scores is None


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.45, 0.55], [0.5, 0.5]])
    reliability = measure_reliability([probabilities], [np.array([0, 1, 1, -1])])
    assert reliability == (pytest.approx((0.55, 1.0, 1)), pytest.approx((0.95, 0.5, 2)))
    assert calibration_error(reliability) == pytest.approx((0.45 * 1 + 0.45 * 2) / 3)


@pytest.mark.parametrize(("shortest", "cost"), [(1.0, 4.0), (36.0, 12.0), (400.0, 35.0)])
def test_where_segments_do_not_tell_the_cost_follows_their_length(shortest: float, cost: float) -> None:
    judged = [stretch(np.tile(HALVES, 3), 3.0, seed) for seed in range(4)]
    assert choose(judged, STATES, usual=0, shortest=shortest).switch_cost == cost


@pytest.mark.parametrize(
    ("rows", "judges"),
    [
        ([0, 300, 0, 200], [1, 3]),
        ([1_000_000], [0]),
        ([0, 20_000, 30_000], [1, 2]),
        ([50_000] * 6, [3]),
        ([25_000] * 8, [2, 6]),
    ],
)
def test_a_fold_is_judged_by_as_many_recordings_as_tell(rows: list[int], judges: list[int]) -> None:
    assert enough_to_judge(rows) == judges


def test_blocks_of_one_recording_tell_how_good_it_is_but_choose_nothing() -> None:
    right = np.stack([np.where(code == HALVES, 5.0, -5.0) for code in (0, 1)], axis=1)
    judged = [Judged(np.stack([-right, np.zeros_like(right), right / 5]), HALVES, np.arange(float(len(HALVES))))]
    chosen = choose(judged, STATES, usual=2, shortest=30.0, blocks=True)
    assert (chosen.trial, chosen.switch_cost, chosen.temperature, chosen.duration_weight) == (2, 10.0, 1.0, 4.0)
    assert chosen.scores is not None
    assert chosen.scores.macro_f1 == 1.0
    assert 10.0 not in SWITCH_COSTS
    assert min(TEMPERATURES) < 1.0
    assert choose(judged, STATES, usual=0, shortest=30.0, blocks=True).trial == 0
    assert choose(judged, STATES, usual=0, shortest=30.0).trial == 2

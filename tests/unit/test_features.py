"""Features are finite and sensible for anything a sensor can say, and the same however they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segmenter.features import FAR, _slopes, bridge, compute_features, learn_scaling, prepare

WIDTHS = (3, 9)


def noise(rows: int = 300, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, channels))


def all_features(values: np.ndarray, training: list[np.ndarray] | None = None) -> np.ndarray:
    scaling = learn_scaling(training or [values], WIDTHS)
    return compute_features(prepare(values, scaling), scaling, 0, len(values))


CELLS = st.floats(allow_nan=True, allow_infinity=True, width=64)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=CELLS),
    hnp.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=CELLS),
)
def test_whatever_the_sensor_says_features_are_finite(training: np.ndarray, values: np.ndarray) -> None:
    features = all_features(values, [training])
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max(initial=0.0) <= FAR


def test_scale_of_a_channel_does_not_matter() -> None:
    values = noise()
    scaled = values * np.array([1e-6, 1e6]) + np.array([1e-3, 1e9])
    np.testing.assert_allclose(all_features(scaled), all_features(values), atol=2e-3)


def test_a_constant_channel_is_silent() -> None:
    values = noise()
    values[:, 1] = 1e7 / 3
    scaling = learn_scaling([values, values + np.array([0.0, 1e-9])], WIDTHS)
    features = compute_features(prepare(values, scaling), scaling, 0, len(values))
    assert np.abs(features[:, 1 : scaling.view_size : 2]).max() < 1e-3


def test_the_relative_view_knows_no_level_and_the_absolute_view_does() -> None:
    training = [noise(seed=1), noise(seed=2) + 6.0]
    scaling = learn_scaling(training, WIDTHS)
    plain = compute_features(prepare(training[0], scaling), scaling, 0, 300)
    drifted = compute_features(prepare(training[0] + 3.0, scaling), scaling, 0, 300)
    absolute, relative = slice(0, scaling.view_size), slice(scaling.view_size, 2 * scaling.view_size)
    np.testing.assert_allclose(drifted[:, relative], plain[:, relative], atol=1e-5)
    assert (drifted[:, absolute] > plain[:, absolute] + 0.5).mean() > 0.99
    assert (compute_features(prepare(training[0], scaling), scaling, 0, 300, "relative")[:, absolute] == 0).all()
    assert (compute_features(prepare(training[0], scaling), scaling, 0, 300, "absolute")[:, relative] == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_features_of_a_part_are_the_part_of_the_features(rows: int, one: int, other: int) -> None:
    values = noise(rows)
    scaling = learn_scaling([noise(seed=5)], WIDTHS)
    prepared = prepare(values, scaling)
    first, last = min(one, other) % rows, min(max(one, other) % rows + 1, rows)
    first = min(first, last - 1)
    whole = compute_features(prepared, scaling, 0, rows)
    np.testing.assert_allclose(compute_features(prepared, scaling, first, last), whole[first:last], atol=1e-4)


def test_rows_outside_the_recording_repeat_its_ends() -> None:
    scaling = learn_scaling([noise()], WIDTHS)
    prepared = prepare(noise(20), scaling)
    padded = compute_features(prepared, scaling, -7, 25)
    assert padded.shape == (32, scaling.size)
    assert (padded[:7] == padded[7]).all()
    assert (padded[27:] == padded[26]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gap_is_bridged_and_marked_and_its_neighbours_are_not_touched(bad: float) -> None:
    values = noise()
    scaling = learn_scaling([values], WIDTHS)
    whole = compute_features(prepare(values, scaling), scaling, 0, 300)
    broken = values.copy()
    broken[100:103, 0] = bad
    features = compute_features(prepare(broken, scaling), scaling, 0, 300)
    assert features[:, -2].nonzero()[0].tolist() == [100, 101, 102]
    untouched = np.r_[0:90, 113:300]
    np.testing.assert_allclose(features[untouched], whole[untouched], atol=0.1)


def test_a_gap_is_filled_in_a_straight_line_and_at_the_ends_by_the_nearest_value() -> None:
    filled, gaps = bridge(np.array([[np.nan], [1.0], [np.nan], [np.inf], [4.0], [np.nan]]))
    np.testing.assert_allclose(filled[:, 0], [1, 1, 2, 3, 4, 4])
    assert gaps[:, 0].tolist() == [True, False, True, True, False, True]


def test_rolling_means_and_spreads_are_those_of_the_window() -> None:
    values = noise(40, 1)
    scaling = learn_scaling([values], (5,))
    features = compute_features(prepare(values, scaling), scaling, 0, 40)
    absolute, mean, spread = features[:, 0], features[:, 1], features[:, 4]
    np.testing.assert_allclose(mean[20], absolute[18:23].mean(), atol=1e-5)
    np.testing.assert_allclose(mean[0], absolute[:3].mean(), atol=1e-5)
    local = np.array([values[max(row - 2, 0) : row + 3, 0].std() for row in range(40)])
    assert np.corrcoef(spread, np.log(local))[0, 1] > 0.99


def test_what_lies_beyond_everything_learned_is_taken_for_the_end_of_it() -> None:
    values = noise(200, 1)
    scaling = learn_scaling([values], WIDTHS)
    seen = compute_features(prepare(values, scaling), scaling, 0, 200)
    far = values.copy()
    far[50:60] += 4.0
    features = compute_features(prepare(far, scaling), scaling, 0, 200)
    assert (features <= seen.max(axis=0) + 1e-6).all()
    assert features[50:60, 0].max() == pytest.approx(seen[:, 0].max())


def test_a_slope_tells_rising_from_falling_whatever_the_level() -> None:
    ramp = np.concatenate([np.arange(50.0), np.arange(50.0)[::-1]])[:, None]
    scaling = learn_scaling([ramp, ramp + 30.0], WIDTHS)
    for level in (0.0, 30.0):
        slopes = compute_features(prepare(ramp + level, scaling), scaling, 0, 100)[:, -2]
        assert (slopes[5:45] > 0.5).all()
        assert (slopes[55:95] < -0.5).all()


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 40])
@pytest.mark.parametrize("width", [3, 5])
def test_a_slope_is_the_mean_of_the_rows_from_here_on_less_that_of_the_rows_up_to_here(rows: int, width: int) -> None:
    values = noise(rows, 2)
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(values, axis=0)])
    direct = [
        values[row : row + width].mean(axis=0) - values[max(row - width + 1, 0) : row + 1].mean(axis=0)
        for row in range(rows)
    ]
    np.testing.assert_allclose(_slopes(sums, width), direct, atol=1e-12)

"""Channel values -> what the network sees: two views of each channel, their rolling means, movement, and gaps.

The *absolute* view is a channel in units of the training recordings: levels keep their meaning from one recording to
the next. The *relative* view is the same channel around the recording's own median: levels that drift from one
recording to the next cannot mislead it. *Movement* needs no level and belongs to neither: how much a channel spreads in
each rolling window, and its slope, what the next rows have more than the last ones. Slopes of wide windows would tell
which segment comes before and after: a network that has seen few recordings learns their order by heart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

# Which of the two views the network is shown; the other is hidden, as in a part of its training windows.
View = Literal["both", "absolute", "relative"]
VIEWS: tuple[View, ...] = ("both", "absolute", "relative")

# Beyond this many spreads a value says only "far out": keeps one broken sample from drowning its neighbours.
FAR = 8.0
# A spread of this part of a channel's ordinary one counts as stillness: keeps the logarithm of a constant finite.
STILL = 0.02
# No sensor says more than this; far below the largest float64, so that sums and squares of values stay finite.
LARGEST = 1e100
# Spreads and slopes that hardly differ in training are not blown up to differ a lot.
LEAST_SPREAD_SCALE, LEAST_SLOPE_SCALE = 0.25, 0.01
# A channel that varies less than this part of its own magnitude is constant: what is left is rounding.
CONSTANT = 1e-9


@dataclass(frozen=True, eq=False)
class Scaling:
    """What was learned from the training recordings to turn values into features.

    Arrays are float64 (channels,) where nothing else is said. center, scale: of the absolute view. relative_scale: of
    the deviations from each recording's own median. movement_center, movement_scale: (widths + 1, channels), of the
    spreads at each width and of the slopes. lowest, highest: (size - channels,), the range of each feature but the
    gaps in training; what lies beyond is taken for its end, since nothing was learned of what it means. widths: of the
    rolling windows, in rows, odd, ascending, at least one.
    """

    center: np.ndarray
    scale: np.ndarray
    relative_scale: np.ndarray
    movement_center: np.ndarray
    movement_scale: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    widths: tuple[int, ...]

    @property
    def channels(self) -> int:
        """How many channels the scaling was learned for."""
        return len(self.center)

    @property
    def view_size(self) -> int:
        """Features of one view: each channel as it is and at each rolling width."""
        return self.channels * (1 + len(self.widths))

    @property
    def size(self) -> int:
        """Features of a row: the absolute view, the relative view, movement, one gap indicator a channel."""
        return count_ranged(self.channels, len(self.widths)) + self.channels


@dataclass(frozen=True, eq=False)
class Prepared:
    """A recording's values, bridged and centred, from which features are computed block by block.

    deviations: float32 (rows, channels), the relative view. gaps: float32 (rows, channels), 1 where the sensor said
    nothing. level: float64 (channels,), the recording's own median.
    """

    deviations: np.ndarray
    gaps: np.ndarray
    level: np.ndarray

    def __len__(self) -> int:
        return len(self.deviations)


def count_ranged(channels: int, widths: int) -> int:
    """Features of a row that have a range, which is all but the gap indicators: two views, and movement."""
    return channels * (2 * (1 + widths) + widths + 1)


def learn_scaling(recordings: Sequence[np.ndarray], widths: Sequence[int]) -> Scaling:
    """Learn centres and scales from the training recordings' values, each float64 (rows, channels), NaN allowed.

    A channel that never varies, or of which nothing was ever measured, gets the scale 1 and so the feature 0.
    """
    bridged = [bridge(values)[0] for values in recordings]
    everything = np.concatenate(bridged)
    center, scale = _location_and_scale(everything)
    deviations = np.concatenate([values - np.median(values, axis=0) for values in bridged])
    relative_scale = _location_and_scale(deviations)[1]
    # Movement and ranges are learned from what the rest makes of the recordings: until then they change nothing.
    none, one, lowest, highest = (np.array(value) for value in (0.0, 1.0, -np.inf, np.inf))
    plain = Scaling(center, scale, relative_scale, none, one, lowest, highest, tuple(widths))
    prepared = [prepare(values, plain) for values in recordings]
    moved = np.concatenate([_rolling(rows.deviations, plain.widths)[1] for rows in prepared])
    least = np.array([LEAST_SPREAD_SCALE] * len(widths) + [LEAST_SLOPE_SCALE])[:, None]
    scaled = replace(plain, movement_center=moved.mean(axis=0), movement_scale=np.maximum(moved.std(axis=0), least))
    ranges = [(seen.min(axis=0), seen.max(axis=0)) for seen in _all_features(prepared, scaled)]
    lowest, highest = np.min([low for low, _ in ranges], axis=0), np.max([high for _, high in ranges], axis=0)
    return replace(scaled, lowest=lowest, highest=highest)


def _all_features(recordings: Sequence[Prepared], scaling: Scaling) -> Iterator[np.ndarray]:
    """Features but the gaps of one recording after the other, those without a row left out."""
    for rows in recordings:
        if len(rows):
            yield compute_features(rows, scaling, 0, len(rows))[:, : -scaling.channels]


def prepare(values: np.ndarray, scaling: Scaling) -> Prepared:
    """Bridge gaps and centre a recording's values, float64 (rows, channels), on their own median."""
    bridged, gaps = bridge(values)
    bridged[:, gaps.all(axis=0)] = scaling.center[gaps.all(axis=0)]
    level = np.median(bridged, axis=0) if len(bridged) else scaling.center
    deviations = np.clip((bridged - level) / scaling.relative_scale, -2 * FAR, 2 * FAR)
    return Prepared(deviations.astype(np.float32), gaps.astype(np.float32), level)


def compute_features(prepared: Prepared, scaling: Scaling, first: int, last: int, view: View = "both") -> np.ndarray:
    """Features of the rows first..last-1, float32 (last - first, scaling.size).

    Rows before the beginning or after the end of the recording repeat its outermost row. The order of the features is
    the absolute view, the relative view, movement, gaps; a hidden view is 0.
    """
    reach = max(max(scaling.widths) // 2, min(scaling.widths))
    inner_first, inner_last = max(first, 0), min(last, len(prepared))
    start, stop = max(inner_first - reach, 0), min(inner_last + reach, len(prepared))
    means, movement = _rolling(prepared.deviations[start:stop], scaling.widths)
    keep = slice(inner_first - start, inner_last - start)
    features = np.empty((last - first, scaling.size), np.float32)
    inner = features[inner_first - first : inner_last - first]
    view_size, channels = scaling.view_size, scaling.channels
    absolute, relative = inner[:, :view_size], inner[:, view_size : 2 * view_size]
    moving, known = inner[:, 2 * view_size : -channels], inner[:, :-channels]
    relative[:, :channels] = prepared.deviations[inner_first:inner_last]
    relative[:, channels:] = means[keep].reshape(len(inner), -1)
    # Bounded, since float32 holds less: beyond a thousand times FAR nothing is told apart anyway.
    offset = np.clip((prepared.level - scaling.center) / scaling.scale, -1e3 * FAR, 1e3 * FAR)
    ratio = np.minimum(scaling.relative_scale / scaling.scale, 1e3)
    levels = 1 + len(scaling.widths)
    np.multiply(relative, np.tile(ratio, levels).astype(np.float32), out=absolute)
    absolute += np.tile(offset, levels).astype(np.float32)
    moved = movement[keep].reshape(len(inner), -1)
    np.subtract(moved, scaling.movement_center.ravel().astype(np.float32), out=moving)
    moving /= scaling.movement_scale.ravel().astype(np.float32)
    inner[:, -channels:] = prepared.gaps[inner_first:inner_last]
    lowest, highest = np.maximum(scaling.lowest, -FAR), np.minimum(scaling.highest, FAR)
    np.clip(known, lowest.astype(np.float32), highest.astype(np.float32), out=known)
    if view == "relative":
        absolute[:] = 0.0
    elif view == "absolute":
        relative[:] = 0.0
    features[: inner_first - first], features[inner_last - first :] = inner[0], inner[-1]
    return features


def bridge(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill gaps in a straight line between their neighbours: (filled float64, gaps bool), both (rows, channels).

    Infinite values count as gaps. A channel of which nothing was measured becomes 0.
    """
    gaps = ~np.isfinite(values)
    filled = np.clip(values, -LARGEST, LARGEST)
    rows = np.arange(len(values))
    for channel in np.flatnonzero(gaps.any(axis=0)):
        known = ~gaps[:, channel]
        if known.any():
            filled[~known, channel] = np.interp(rows[~known], rows[known], filled[known, channel])
        else:
            filled[:, channel] = 0.0
    return filled, gaps


def _location_and_scale(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, float64 (channels,), of values limited to their ordinary range."""
    low, middle, high = np.quantile(values, [0.002, 0.5, 0.998], axis=0)
    width = high - low
    limited = np.clip(values, middle - 2 * width, middle + 2 * width)
    # A channel at rest all but two rows in a thousand has no ordinary range: take its values as they are.
    resting = width <= CONSTANT * np.abs(middle)
    limited[:, resting] = values[:, resting]
    center = limited.mean(axis=0)
    scale = limited.std(axis=0)
    constant = ~(scale > CONSTANT * np.maximum(np.abs(center), np.finfo(np.float64).tiny))
    return center, np.where(constant, 1.0, scale)


def _rolling(deviations: np.ndarray, widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Rolling means, float32 (rows, widths, channels), and movement, float32 (rows, widths + 1, channels).

    Movement is the log spread in each window, then the slope at the narrowest width. Windows are shorter at the ends.
    """
    rows, channels = deviations.shape
    means = np.empty((rows, len(widths), channels), np.float32)
    movement = np.empty((rows, len(widths) + 1, channels), np.float32)
    # Values and squares side by side: one pass sums both. Float64, since differences of long sums are taken.
    sums = np.zeros((rows + 1, 2 * channels))
    sums[1:, :channels] = deviations
    np.square(sums[1:, :channels], out=sums[1:, channels:])
    np.cumsum(sums, axis=0, out=sums)
    for position, width in enumerate(widths):
        moments = _window_means(sums, width // 2).astype(np.float32)
        mean = means[:, position] = moments[:, :channels]
        variance = np.maximum(moments[:, channels:] - mean * mean, 0.0)
        np.log(variance + np.float32(STILL**2), out=movement[:, position])
    movement[:, :-1] *= 0.5
    movement[:, -1] = _slopes(sums[:, :channels], min(widths))
    return means, movement


def _slopes(sums: np.ndarray, width: int) -> np.ndarray:
    """Mean of a row and those after it less that of the row and those before: `width` rows each, fewer at the ends."""
    rows = len(sums) - 1
    if rows < 2 * width:
        return _slopes_at(sums, np.arange(rows), width)
    slopes = np.empty((rows, sums.shape[1]))
    means = (sums[width:] - sums[:-width]) / width  # of the rows from each on
    np.subtract(means[width - 1 :], means[: rows - 2 * width + 2], out=slopes[width - 1 : rows - width + 1])
    for ends in (np.arange(width - 1), np.arange(rows - width + 1, rows)):
        slopes[ends] = _slopes_at(sums, ends, width)
    return slopes


def _slopes_at(sums: np.ndarray, row: np.ndarray, width: int) -> np.ndarray:
    """`_slopes` of single rows, int (n,), wherever they are."""
    start, stop = np.maximum(row - width + 1, 0), np.minimum(row + width, len(sums) - 1)
    after = (sums[stop] - sums[row]) / (stop - row)[:, None]
    before = (sums[row + 1] - sums[start]) / (row + 1 - start)[:, None]
    slopes: np.ndarray = after - before
    return slopes


def _window_means(sums: np.ndarray, reach: int) -> np.ndarray:
    """Means over row - reach .. row + reach, as far as there are rows, from running sums (rows + 1, columns)."""
    rows = len(sums) - 1
    if rows <= 2 * reach:
        index = np.arange(rows)
        start, stop = np.maximum(index - reach, 0), np.minimum(index + reach + 1, rows)
        short: np.ndarray = (sums[stop] - sums[start]) / (stop - start)[:, None]
        return short
    result = np.empty((rows, sums.shape[1]))
    np.subtract(sums[2 * reach + 1 :], sums[: rows - 2 * reach], out=result[reach : rows - reach])
    result[reach : rows - reach] /= 2 * reach + 1
    count = np.arange(reach + 1, 2 * reach + 1)[:, None]
    result[:reach] = sums[reach + 1 : 2 * reach + 1] / count
    result[rows - reach :] = (sums[-1] - sums[rows - 2 * reach : rows - reach]) / count[::-1]
    return result

"""What cannot be seen on the recordings a network learned from: when to stop, how to decode, how sure to be.

Everything here is chosen on rows that the network in question was not fitted to: whole recordings where there are at
least two. Blocks of a single one, with a margin, tell how good it is but choose nothing. Recordings are put in order of
their level and left out in neighbouring groups, so that each network is judged on levels it has not seen: a random
split would hide any drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segmenter.decoding import best_path
from segmenter.durations import Duration, move_boundaries
from segmenter.metrics import Pair, Scores, evaluate
from segmenter.regions import State

FOLDS = 3
SWITCH_COSTS = (4.0, 7.0, 12.0, 20.0, 35.0)
# Nats a row that a clear segment can be counted on to bring: what the shortest annotated segments can afford to pay.
CERTAINTY = 1 / 3
# Merits that differ by less say nothing on so few segments.
ALIKE = 0.01
# Of durations against evidence; nothing that cannot be told from the usual weight is better than it.
DURATION_WEIGHTS, USUAL_WEIGHT = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0), 4.0
ALIKE_EDITS = 0.05
# Fewer stretches do not tell how much durations should weigh: those of their folds are of a recording or two.
LEAST_WEIGHED = 4
TEMPERATURES = tuple(float(value) for value in np.geomspace(0.5, 8.0, 13))
BINS = 10
SAMPLE = 50_000
# Held-out rows of a fold that are enough to choose by, where there are more of them in other recordings.
JUDGED_ROWS = 50_000


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to learn from and rows to judge by, each bool (rows,) for every recording; neither need cover the rest."""

    learn: tuple[np.ndarray, ...]
    judge: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Judged:
    """A stretch of consecutive held-out rows.

    logits: float32 (trials, rows, states), a trial being a checkpoint and a view. codes: int64 (rows,),
    the annotated states. times: float64 (rows,). durations: of what the network was fitted to. recording: its number.
    first: the row of the recording that the stretch begins with.
    """

    logits: np.ndarray
    codes: np.ndarray
    times: np.ndarray
    durations: tuple[Duration, ...] = ()
    recording: int = 0
    first: int = 0


@dataclass(frozen=True, eq=False)
class Decoded:
    """A stretch of held-out rows as they were annotated and as they are suggested, int64 (rows,) each.

    annotated is negative where nothing is known. recording, first: as in Judged.
    """

    recording: int
    first: int
    annotated: np.ndarray
    suggested: np.ndarray


@dataclass(frozen=True, eq=False)
class Choice:
    """What the held-out rows favour, and how good it was there (None where nothing could be judged).

    trial: index of the checkpoint and view that are the least surprised. duration_weight: of usual durations, where
    there are any. calibration_error: expected difference between
    how sure and how right (Guo et al., ICML 2017), before and after the temperature. reliability: (mean probability,
    part right, rows) of each tenth that occurs. decoded: the held-out rows under this choice. surprises: of each trial
    that was considered, its mean negative log probability of the annotated states.
    """

    trial: int
    switch_cost: float
    temperature: float
    duration_weight: float = USUAL_WEIGHT
    scores: Scores | None = None
    calibration_error: tuple[float, float] | None = None
    reliability: tuple[tuple[float, float, int], ...] = ()
    decoded: tuple[Decoded, ...] = ()
    surprises: Mapping[int, float] = field(default_factory=dict)


def make_folds(levels: np.ndarray, codes: Sequence[np.ndarray], margin: int) -> tuple[Fold, ...]:
    """Up to FOLDS folds; none when neither recordings nor blocks can be left out without leaving out all there is.

    levels: float (recordings, channels), the median of each channel in units of its scale. codes: the state of each
    row, negative where it may not be learned. margin: rows between a left-out block and the rows learned from.
    """
    if len(codes) == 1:
        folds = _block_folds(codes[0], margin)
    else:
        order = _order_of_levels(levels)
        groups = np.array_split(order, min(FOLDS, len(codes)))
        folds = [
            Fold(
                tuple(np.full(len(rows), index not in group) for index, rows in enumerate(codes)),
                tuple(np.full(len(rows), index in group) for index, rows in enumerate(codes)),
            )
            for group in groups
        ]
    return tuple(fold for fold in folds if _is_useful(fold, codes))


def enough_to_judge(rows: Sequence[int]) -> list[int]:
    """Recordings to judge a fold by, spread over all of them, given how many rows of each are held out."""
    held_out = [number for number, count in enumerate(rows) if count]
    every = max(1, round(sum(rows) / JUDGED_ROWS))
    return held_out[every // 2 :: every] or held_out[:1]


def choose(
    judged: Sequence[Judged], states: Sequence[State], usual: int, shortest: float, blocks: bool = False
) -> Choice:
    """The least surprised trial, the temperature that makes it as sure as it is right, and the best decoding.

    usual: the trial to take where nothing could be judged. shortest: rows of the shorter annotated segments, from which
    the cost of a change is guessed where held-out segments do not tell. blocks: the held-out rows are of one recording.
    They share its level and the order of events in it, so that they tell how good the usual choices are, but not which
    ones are better in other recordings, nor that the network may be surer of itself.
    """
    known = [stretch for stretch in judged if (stretch.codes >= 0).any()]
    guess = float(np.clip(CERTAINTY * shortest, SWITCH_COSTS[0], SWITCH_COSTS[-1]))
    if not known:
        return Choice(usual, guess, 1.0)
    trials: Sequence[int] = range(len(known[0].logits))
    temperatures: Sequence[float] = TEMPERATURES
    costs: Sequence[float] = SWITCH_COSTS
    weights: Sequence[float] = DURATION_WEIGHTS
    if blocks:
        trials, temperatures, costs = [usual], [value for value in TEMPERATURES if value >= 1], [guess]
    if blocks or len(known) < LEAST_WEIGHED or not any(stretch.durations for stretch in known):
        weights = [USUAL_WEIGHT]
    # Each trial at its own best temperature: else the one that is the least sure of itself would win too often.
    surprises = {index: min((_surprise(known, index, value), value) for value in temperatures) for index in trials}
    trial = min(surprises, key=lambda index: (surprises[index][0], index))
    temperature = surprises[trial][1]
    probabilities = [_softmax(stretch.logits[trial] / temperature) for stretch in known]
    paths = [[best_path(rows, cost) for rows in probabilities] for cost in costs]
    merits = [_merit(evaluate(_pairs(_decoded(known, found)))) for found in paths]
    best = _steadiest(merits, costs, guess, ALIKE)
    decoded = [_decoded(known, _moved(known, paths[best], probabilities, states, weight)) for weight in weights]
    scores = [evaluate(_pairs(stretches)) for stretches in decoded]
    heaviest = _steadiest([one.edits_saved for one in scores], weights, USUAL_WEIGHT, ALIKE_EDITS)
    plain = [_softmax(stretch.logits[trial]) for stretch in known]
    reliability = measure_reliability(probabilities, [stretch.codes for stretch in known])
    return Choice(
        trial,
        costs[best],
        temperature,
        weights[heaviest],
        scores[heaviest],
        (
            calibration_error(measure_reliability(plain, [stretch.codes for stretch in known])),
            calibration_error(reliability),
        ),
        reliability,
        decoded[heaviest],
        {index: surprise for index, (surprise, _) in surprises.items()},
    )


def measure_reliability(
    probabilities: Sequence[np.ndarray], codes: Sequence[np.ndarray]
) -> tuple[tuple[float, float, int], ...]:
    """(mean probability of the likeliest state, part of the rows where it is right, rows), for each tenth."""
    likeliest = np.concatenate([rows.argmax(axis=1) for rows in probabilities])
    sure = np.concatenate([rows.max(axis=1) for rows in probabilities])
    truth = np.concatenate(list(codes))
    sure, right = sure[truth >= 0], (likeliest == truth)[truth >= 0]
    tenth = np.minimum((sure * BINS).astype(int), BINS - 1)
    return tuple(
        (float(sure[tenth == index].mean()), float(right[tenth == index].mean()), int((tenth == index).sum()))
        for index in range(BINS)
        if (tenth == index).any()
    )


def calibration_error(reliability: Sequence[tuple[float, float, int]]) -> float:
    """Expected calibration error: the mean distance between how sure and how right, each row counting the same."""
    rows = sum(count for _, _, count in reliability)
    return sum(abs(sure - right) * count for sure, right, count in reliability) / max(rows, 1)


def _order_of_levels(levels: np.ndarray) -> np.ndarray:
    """Recordings along the direction in which their levels differ most; as given where they do not."""
    centred = np.clip(levels, -1e6, 1e6) - np.clip(levels, -1e6, 1e6).mean(axis=0)
    if not centred.any():
        return np.arange(len(levels))
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    return np.argsort(centred @ direction, kind="stable")


def _block_folds(codes: np.ndarray, margin: int) -> list[Fold]:
    """Three consecutive blocks of one recording, each left out once together with a margin on both sides."""
    folds = []
    for block in np.array_split(np.arange(len(codes)), 3):
        if not len(block):
            continue
        judge, learn = np.zeros(len(codes), bool), np.ones(len(codes), bool)
        judge[block] = True
        learn[max(block[0] - margin, 0) : block[-1] + margin + 1] = False
        folds.append(Fold((learn,), (judge,)))
    return folds


def _is_useful(fold: Fold, codes: Sequence[np.ndarray]) -> bool:
    """Whether all that is to be judged could be learned: a state seen nowhere else says nothing about the network."""
    learned = {code for rows, mask in zip(codes, fold.learn, strict=True) for code in np.unique(rows[mask])}
    judged = {code for rows, mask in zip(codes, fold.judge, strict=True) for code in np.unique(rows[mask])}
    return max(learned, default=-1) >= 0 and len((learned & judged) - {-1}) > 0 and bool(learned - {-1, 0})


def _moved(
    judged: Sequence[Judged],
    paths: Sequence[np.ndarray],
    probabilities: Sequence[np.ndarray],
    states: Sequence[State],
    weight: float,
) -> list[np.ndarray]:
    return [
        move_boundaries(path, rows, stretch.times, states, stretch.durations, weight)
        for stretch, path, rows in zip(judged, paths, probabilities, strict=True)
    ]


def _decoded(judged: Sequence[Judged], paths: Sequence[np.ndarray]) -> tuple[Decoded, ...]:
    return tuple(
        Decoded(stretch.recording, stretch.first, stretch.codes, path)
        for stretch, path in zip(judged, paths, strict=True)
    )


def _pairs(decoded: Sequence[Decoded]) -> list[Pair]:
    """(annotated, suggested) row codes; rows that nothing is known of are left out of both."""
    known = [stretch.annotated >= 0 for stretch in decoded]
    return [(stretch.annotated[rows], stretch.suggested[rows]) for stretch, rows in zip(decoded, known, strict=True)]


def _merit(scores: Scores) -> float:
    return (scores.f1_10 + scores.f1_25 + scores.f1_50 + scores.macro_f1) / 4


def _steadiest(merits: Sequence[float], values: Sequence[float], guess: float, alike: float) -> int:
    """Index of the best value, neighbours in the grid counted: a lone peak is luck; of equals, next to the guess."""
    padded = np.pad(np.asarray(merits), 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    equals = np.flatnonzero(smooth >= smooth.max() - alike)
    return int(min(equals, key=lambda index: abs(np.log(max(values[index], 0.5) / guess))))


def _surprise(judged: Sequence[Judged], trial: int, temperature: float) -> float:
    """Mean negative log probability of the annotated states, over at most about SAMPLE rows spread evenly."""
    every = 1 + sum(len(stretch.codes) for stretch in judged) // SAMPLE
    total, rows = 0.0, 0
    for stretch in judged:
        known = np.flatnonzero(stretch.codes >= 0)[::every]
        probabilities = _softmax(stretch.logits[trial, known] / temperature)
        total -= float(np.log(np.maximum(probabilities[np.arange(len(known)), stretch.codes[known]], 1e-6)).sum())
        rows += len(known)
    return total / max(rows, 1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return result

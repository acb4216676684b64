"""What is compared on the same recordings: this engine, and a random forest with a majority filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from segmenter.features import bridge
from segmenter.labeling import Labeling
from segmenter.metrics import Pair, pair_rows
from segmenter.prediction import suggest
from segmenter.training import Example, TrainingSettings, fit

TREES = 200
# Rows of the rolling windows that the forest sees, and of the majority that its answers are smoothed by.
FOREST_WIDTHS, MAJORITY = (5, 21, 61), 21

Learner = Callable[[Sequence[Example], Sequence[Example], Labeling, TrainingSettings], list[Pair]]
"""(to learn from, to suggest for, labeling, settings) -> annotated and suggested row codes of the latter."""


def network(
    train: Sequence[Example], test: Sequence[Example], labeling: Labeling, settings: TrainingSettings
) -> list[Pair]:
    """This engine."""
    segmenter = fit(train, labeling, settings, lambda progress: None)
    return pair_rows((example.targets, suggest(segmenter, example.recording, labeling).segments) for example in test)


def forest(
    train: Sequence[Example], test: Sequence[Example], labeling: Labeling, settings: TrainingSettings
) -> list[Pair]:
    """A random forest on rolling means and spreads; of the settings it takes seed, threads and effort (its trees)."""
    from sklearn.ensemble import RandomForestClassifier  # needed here alone

    numbers = {label: index for index, label in enumerate(labeling.labels, start=1)}

    def codes(example: Example) -> np.ndarray:
        of_states = [numbers[state.labels[0]] if state.labels else 0 for state in example.targets.states]
        return np.array(of_states)[example.targets.codes]

    trees = max(1, round(TREES * settings.effort))
    model = RandomForestClassifier(trees, random_state=settings.seed, n_jobs=settings.threads, min_samples_leaf=2)
    model.fit(np.concatenate([_rolling(example) for example in train]), np.concatenate([codes(e) for e in train]))
    return [(codes(example), _majority(model.predict(_rolling(example)))) for example in test]


def _rolling(example: Example) -> np.ndarray:
    """Each channel as it is, and its mean and spread in each window: float64 (rows, channels * 7)."""
    values, _ = bridge(example.recording.values)
    columns = [values]
    for width in FOREST_WIDTHS:
        padded = np.pad(values, ((width // 2, width // 2), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
        columns += [windows.mean(axis=2), windows.std(axis=2)]
    return np.concatenate(columns, axis=1)


def _majority(codes: np.ndarray) -> np.ndarray:
    padded = np.pad(codes, MAJORITY // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, MAJORITY)
    votes = np.stack([(windows == code).sum(axis=1) for code in range(int(codes.max()) + 1)])
    winners: np.ndarray = votes.argmax(axis=0)
    return winners

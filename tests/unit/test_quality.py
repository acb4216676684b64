"""Suggestions stay as good as they were, on recordings that are hard enough to show when they are not."""

from __future__ import annotations

import numpy as np
import pytest

from segmenter.labeling import Labeling
from segmenter.metrics import Scores, evaluate, pair_rows
from segmenter.model import FittedSegmenter
from segmenter.prediction import suggest
from segmenter.recording import Recording
from segmenter.regions import BACKGROUND, State, Targets
from segmenter.timeaxis import TimeAxis
from segmenter.training import Example, TrainingSettings, fit

LABELING = Labeling("label", "ts", ("Walk", "Run", "Climb"), ("height", "shake"), "csv")
STATES = (BACKGROUND, *(State((label,)) for label in LABELING.labels))
# Of each state: what it adds to the height, how strong it shakes, and how fast.
HEIGHT, SWING, SPEED = np.array([[0.0, 1.5, 1.5, -1.5], [0.0, 1.0, 1.0, 0.0], [0.0, 0.5, 1.4, 0.0]])


def wander(seed: int, rows: int = 400) -> Example:
    """Segments of 25 to 50 rows.

    Height tells one label from the rest, but lies and drifts elsewhere in each recording; the other two differ in how
    fast they shake.
    """
    random, time = np.random.default_rng(seed), np.arange(rows)
    codes, row = np.zeros(rows, np.int16), int(random.integers(5, 25))
    while row < rows:
        length = int(random.integers(25, 50))
        codes[row : row + length] = random.integers(1, len(STATES))
        row += length + int(random.integers(10, 35))
    height = HEIGHT[codes] + random.normal(0.0, 0.5, rows) + random.normal(0.0, 1.0)
    height += 0.5 * np.sin(time / 80 + random.uniform(0, 2 * np.pi))
    shake = SWING[codes] * np.sin(SPEED[codes] * time) + random.normal(0.0, 0.3, rows)
    values = np.column_stack([height, 1000 * shake])
    recording = Recording(time.astype(float), values, LABELING.channels, TimeAxis())
    return Example(str(seed), recording, Targets(STATES, codes))


def learned(seed: int, effort: float = 1.0) -> FittedSegmenter:
    settings = TrainingSettings(seed=seed, threads=1, effort=effort)
    return fit([wander(number) for number in range(4)], LABELING, settings, lambda progress: None)


def scored(segmenter: FittedSegmenter) -> Scores:
    fresh = [wander(number) for number in range(100, 105)]
    return evaluate(pair_rows((e.targets, suggest(segmenter, e.recording, LABELING).segments) for e in fresh))


@pytest.fixture(scope="module")
def scores() -> list[Scores]:
    return [scored(learned(seed)) for seed in (0, 1)]


# Twelve seeds gave .887, .891 and .616, with spreads of .017, .022 and .030: the floors are four spreads of a mean of
# two seeds below. A seventh of the steps gives .52, .45 and -.18.
@pytest.mark.parametrize(("measure", "floor"), [("macro_f1", 0.84), ("f1_50", 0.83), ("edits_saved", 0.53)])
def test_suggestions_are_as_good_as_they_were(scores: list[Scores], measure: str, floor: float) -> None:
    assert np.mean([getattr(one, measure) for one in scores]) > floor


def test_the_same_seed_gives_the_same_segments() -> None:
    first, second = (learned(3, effort=0.2) for _ in range(2))
    recording = wander(100).recording
    assert suggest(first, recording, LABELING) == suggest(second, recording, LABELING)
    assert suggest(first, recording, LABELING).segments

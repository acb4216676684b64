"""fit() learns from whatever there is, says how far it is, and never keeps what is broken."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from segmenter import training
from segmenter.errors import NothingToLearn, SegmenterError
from segmenter.fits import Progress
from segmenter.labeling import Labeling
from segmenter.metrics import evaluate, event_f1, pair_rows
from segmenter.model import FittedSegmenter
from segmenter.prediction import suggest
from segmenter.recording import Recording
from segmenter.regions import BACKGROUND, State, Targets
from segmenter.timeaxis import TimeAxis
from segmenter.training import Example, TrainingSettings, fit

LABELING = Labeling("label", "ts", ("Walk", "Run"), ("one", "two"), "csv")
WALK, RUN, HIT = State(("Walk",)), State(("Run",)), State(("Hit",), instant=True)


def activity(seed: int, rows: int = 300, states: tuple[State, ...] = (BACKGROUND, WALK, RUN)) -> Example:
    """Segments of 30 to 60 rows: one channel rises with the state, the other, far larger, shakes with it."""
    random = np.random.default_rng(seed)
    codes = np.zeros(rows, np.int16)
    row, code = 0, int(random.integers(0, len(states)))
    while row < rows:
        length = int(random.integers(30, 60))
        codes[row : row + length] = code
        row += length
        code = (code + int(random.integers(1, len(states)))) % len(states) if len(states) > 1 else 0
    values = random.standard_normal((rows, 2)) * np.column_stack([np.full(rows, 0.3), 1e6 * (0.2 + codes)])
    values[:, 0] += codes
    recording = Recording(np.arange(rows, dtype=float), values, ("one", "two"), TimeAxis())
    return Example(f"task {seed}", recording, Targets(states, codes))


def quietly(progress: Progress) -> None:
    assert 0.0 <= progress.percent <= 100.0


def settings(**changes: object) -> TrainingSettings:
    return replace(TrainingSettings(threads=1), **changes)  # type: ignore[arg-type]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps to go through everything, too few to learn much."""
    monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, steps=4))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps to learn what is plain to see."""
    monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, steps=50, batch=4, channel_dropouts=(0.0,)))


@pytest.mark.usefixtures("brief")
def test_three_states_are_learned_from_four_recordings() -> None:
    segmenter = fit([activity(seed) for seed in range(4)], LABELING, settings(), quietly)
    fresh = [activity(seed) for seed in range(100, 104)]
    scores = evaluate(pair_rows((e.targets, suggest(segmenter, e.recording, LABELING).segments) for e in fresh))
    assert scores.macro_f1 > 0.9
    assert scores.f1_50 > 0.9
    assert segmenter.report["held_out"]["f1_50"] > 0.85


@pytest.mark.usefixtures("brief")
def test_instants_are_found_within_two_rows() -> None:
    labeling = replace(LABELING, labels=("Hit",), channels=("one",))

    def hits(seed: int) -> Example:
        random = np.random.default_rng(seed)
        places = np.cumsum(random.integers(40, 120, size=8))
        values = 0.5 * random.standard_normal((places[-1] + 60, 1))
        codes = np.zeros(len(values), np.int16)
        codes[places] = 1
        for offset, height in ((-1, 2.0), (0, 4.0), (1, 2.0)):
            values[places + offset, 0] += height
        recording = Recording(np.arange(len(values), dtype=float), values, ("one",), TimeAxis())
        return Example(str(seed), recording, Targets((BACKGROUND, HIT), codes))

    segmenter = fit([hits(seed) for seed in range(4)], labeling, settings(), quietly)
    found = total = 0.0
    for example in (hits(seed) for seed in range(100, 104)):
        suggested = suggest(segmenter, example.recording, labeling).segments
        assert all(segment.first == segment.last and segment.state == HIT for segment in suggested)
        total += 1
        found += event_f1(np.flatnonzero(example.targets.codes).tolist(), [s.first for s in suggested], 2)
    assert found / total > 0.9


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("rows", [1, 2, 3, 40, 200])
def test_a_single_recording_of_any_length_is_enough(rows: int) -> None:
    example = activity(0, rows, (BACKGROUND, WALK))
    codes = np.ones(rows, np.int16)
    codes[rows // 2 + 1 :] = 0
    segmenter = fit([replace(example, targets=Targets((BACKGROUND, WALK), codes))], LABELING, settings(), quietly)
    for length in (1, 2, 500):
        assert 0.0 <= suggest(segmenter, activity(1, length).recording, LABELING).score <= 1.0


@pytest.mark.usefixtures("quick")
def test_recordings_of_one_row_do_not_disturb_longer_ones() -> None:
    fit([activity(0, 200), activity(1, 1), activity(2, 2), activity(3, 200)], LABELING, settings(), quietly)


@pytest.mark.usefixtures("quick")
def test_without_background_every_row_gets_a_label() -> None:
    examples = [activity(seed, states=(BACKGROUND, WALK, RUN)) for seed in range(3)]
    for unlabeled, covered in (("ignore", True), ("background", False)):
        segmenter = fit(examples, LABELING, settings(unlabeled=unlabeled), quietly)
        suggestion = suggest(segmenter, activity(9).recording, LABELING)
        if covered:
            assert sum(segment.last - segment.first + 1 for segment in suggestion.segments) == 300
        assert BACKGROUND not in {segment.state for segment in suggestion.segments}


@pytest.mark.usefixtures("quick")
def test_forty_labels_are_no_obstacle() -> None:
    labels = tuple(f"label {index}" for index in range(40))
    labeling = replace(LABELING, labels=labels)
    states = (BACKGROUND, *(State((label,)) for label in labels))
    segmenter = fit([activity(seed, 2_000, states) for seed in range(2)], labeling, settings(), quietly)
    assert len(segmenter.states) > 20
    suggest(segmenter, activity(5, 2_000).recording, labeling)


def broken(kind: str) -> Example:
    example = activity(0)
    values = example.recording.values.copy()
    if kind == "a gap":
        values[50:90, 0] = np.nan
    elif kind == "infinity":
        values[10], values[200, 1] = np.inf, -np.inf
    elif kind == "a channel never measured":
        values[:, 1] = np.nan
    elif kind == "a constant channel":
        values[:, 1] = 42.0
    elif kind == "huge":
        values[::7, 0] = 1.7e308
        values[3::7, 0] = -1.7e308
    return replace(example, recording=replace(example.recording, values=values))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["a gap", "infinity", "a channel never measured", "a constant channel", "huge"])
@pytest.mark.parametrize("others", [0, 2])
def test_nothing_a_sensor_says_reaches_the_weights(kind: str, others: int) -> None:
    segmenter = fit([broken(kind), *(activity(seed) for seed in range(1, 1 + others))], LABELING, settings(), quietly)
    for network in segmenter.networks:
        assert all(torch.isfinite(weight).all() for weight in network.parameters())
    assert np.isfinite(suggest(segmenter, broken(kind).recording, LABELING).score)


@pytest.mark.parametrize(
    "examples",
    [
        [],
        [activity(0, 100, (BACKGROUND,))],
        [activity(0, 0)],
        [replace(activity(0, 50), targets=Targets((BACKGROUND, State(("Gone",))), np.ones(50, np.int16)))],
    ],
)
@pytest.mark.parametrize("unlabeled", ["background", "ignore"])
def test_without_a_label_there_is_nothing_to_learn(examples: list[Example], unlabeled: str) -> None:
    with pytest.raises(NothingToLearn, match="annotate at least one region"):
        fit(examples, LABELING, settings(unlabeled=unlabeled), quietly)


def weights(segmenter: FittedSegmenter) -> torch.Tensor:
    return torch.cat([weight.flatten() for network in segmenter.networks for weight in network.parameters()])


@pytest.mark.usefixtures("quick")
def test_a_seed_fixes_everything_and_the_callers_randomness_is_left_alone() -> None:
    examples = [activity(seed) for seed in range(2)]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = fit(examples, LABELING, settings(seed=3), quietly)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(weights(fit(examples, LABELING, settings(seed=3), quietly)), weights(first))
    assert not torch.equal(weights(fit(examples, LABELING, settings(seed=4), quietly)), weights(first))
    assert torch.equal(weights(fit(examples, LABELING, settings(seed=3, threads=4), quietly)), weights(first))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("recordings", "phases"), [(1, 2), (3, 2), (6, 1)])
def test_progress_never_falls_and_ends_at_a_hundred(recordings: int, phases: int, threads: int) -> None:
    seen: list[Progress] = []
    fit([activity(seed, 600) for seed in range(recordings)], LABELING, settings(threads=threads), seen.append)
    percents = [progress.percent for progress in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    for phase in {progress.phase for progress in seen}:
        steps = [(progress.epoch, progress.epochs) for progress in seen if progress.phase == phase]
        assert steps == [(step + 1, steps[-1][0]) for step in range(len(steps))]
    assert len({progress.phase for progress in seen}) == phases


def test_raising_in_progress_stops_the_fit() -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        raise Stopped

    before = torch.get_num_threads()
    with pytest.raises(Stopped):
        fit([activity(0)], LABELING, settings(), stop)
    assert torch.get_num_threads() == before


def test_a_fit_that_diverges_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, learning_rate=1e38))
    with pytest.raises(SegmenterError, match="diverged"):
        fit([activity(0), activity(1)], LABELING, settings(), quietly)


@pytest.mark.usefixtures("quick")
def test_the_report_is_plain_and_says_what_was_learned() -> None:
    report = fit([activity(seed) for seed in range(3)], LABELING, settings(seed=7), quietly).report
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert [entry["task"] for entry in report["recordings"]] == ["task 0", "task 1", "task 2"]
    assert sum(report["rows"].values()) == 900
    assert report["seed"] == 7
    assert set(report["chosen"]) >= {"steps", "view", "switch_cost", "temperature"}

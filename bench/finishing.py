"""Finishing a recording: the first part is drawn, an interactive request suggests the rest; what is left to do by hand.

Label Studio puts the answer into the annotation at once. Without regard to what is drawn, the part that was drawn comes
back as well, and has to be deleted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.datasets import FOLDER, SETS, DataSet, load
from bench.figures import Figure, Outcome, Table
from bench.processes import side_by_side
from demo.console import Step
from segmenter.finishing import Drawn, keep_clear
from segmenter.metrics import Span, count_edits, find_spans
from segmenter.prediction import suggest
from segmenter.regions import BACKGROUND, Segment, State, Targets
from segmenter.training import Example, TrainingSettings, fit

PARTS = (1 / 3, 1 / 2, 2 / 3)
TOLERANCE = 2  # rows, as everywhere


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    folder: Path = FOLDER
    sets: tuple[str, ...] = SETS
    seeds: int = 3
    effort: float = 1.0


FULL = Plan()
QUICK = Plan(seeds=1, effort=0.03)


@dataclass(frozen=True)
class Trial:
    """Edits that are left in all recordings of a set, by the part drawn; `open`: annotated segments not drawn yet."""

    open: int
    regarded: int
    disregarded: int


def run(plan: Plan) -> Outcome:
    """Every set, with every part of its recordings drawn."""
    sets = [load(plan.folder, name) for name in plan.sets]
    step = Step(f"finishing a recording, {plan.seeds} seeds")
    found: dict[str, list[tuple[Trial, ...]]] = {name: [] for name in plan.sets}
    jobs = [
        (data, TrainingSettings(seed=seed, threads=1, effort=plan.effort))
        for data in sets
        for seed in range(plan.seeds)
    ]
    for (data, _), trials in zip(jobs, side_by_side(_finish, jobs), strict=True):
        found[data.name].append(trials)
        step.tell(data.name)
    step.done("by hand afterwards: " + ", ".join(f"{name} {_mean(found[name], 0, 'regarded'):.1f}" for name in found))
    rows = [
        (
            name,
            f"{part:.0%}",
            f"{_mean(trials, place, 'open'):.1f}",
            f"{_mean(trials, place, 'disregarded'):.1f}",
            f"{_mean(trials, place, 'regarded'):.1f}",
        )
        for name, trials in found.items()
        for place, part in enumerate(PARTS)
    ]
    header = ("data", "drawn", "by hand without suggestions", "drawn regions disregarded", "this engine")
    return Outcome(
        tuple(_figures(found)),
        (Table("Operations left to finish all recordings", header, tuple(rows)),),
        (),
        (
            "Trained on train.json, asked for the recordings of dev.json; drawn is what ends within the first part of"
            f" each. Edits as in segmenter/metrics.py, tolerance {TOLERANCE} rows; means of {plan.seeds} seeds.",
        ),
    )


def _figures(found: dict[str, list[tuple[Trial, ...]]]) -> list[Figure]:
    return [
        Figure(
            f"{name}, a third drawn: edits left, beside disregarding it",
            _mean(trials, 0, "regarded"),
            "",
            baseline=_mean(trials, 0, "disregarded"),
        )
        for name, trials in found.items()
    ]


def _mean(trials: Sequence[tuple[Trial, ...]], place: int, what: str) -> float:
    return float(np.mean([getattr(seed[place], what) for seed in trials]))


def _finish(data: DataSet, settings: TrainingSettings) -> tuple[Trial, ...]:
    segmenter = fit(data.train, data.labeling, settings, lambda progress: None)
    trials = []
    for part in PARTS:
        left, regarded, disregarded = 0, 0, 0
        for example in data.dev:
            truth = _segments(example.targets)
            drawn = [segment for segment in truth if segment.last < part * len(example.recording)]
            so_far = _drawn(example, drawn)
            suggestion = suggest(segmenter, example.recording, data.labeling, so_far)
            left += len(truth) - len(drawn)
            regarded += _edits(truth, [*drawn, *keep_clear(suggestion.segments, so_far, 0)])
            disregarded += _edits(truth, [*drawn, *suggest(segmenter, example.recording, data.labeling).segments])
        trials.append(Trial(left, regarded, disregarded))
    return tuple(trials)


def _segments(targets: Targets) -> list[Segment]:
    return [Segment(span.first, span.last, targets.states[span.code], 1.0) for span in find_spans(targets.codes)]


def _drawn(example: Example, segments: Sequence[Segment]) -> Drawn:
    codes = np.zeros_like(example.targets.codes)
    for segment in segments:
        codes[segment.first : segment.last + 1] = example.targets.codes[segment.first : segment.last + 1]
    nothing = Targets((BACKGROUND,), np.zeros_like(codes))
    return Drawn(Targets(example.targets.states, codes), nothing)


def _edits(truth: Sequence[Segment], there: Sequence[Segment]) -> int:
    numbers: dict[State, int] = {}

    def spans(segments: Sequence[Segment]) -> list[Span]:
        ordered = sorted(segments, key=lambda segment: (segment.first, segment.last))
        return [Span(one.first, one.last, numbers.setdefault(one.state, len(numbers))) for one in ordered]

    return count_edits(spans(truth), spans(there), TOLERANCE)

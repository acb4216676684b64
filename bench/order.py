"""Which recording to annotate next: the one that the model is the least sure of, or any.

Starts from one annotated recording. Then, again and again: train, suggest for the recordings that are not annotated
yet, annotate one of them. Every model is scored on recordings that nobody annotates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.datasets import FOLDER, SETS, DataMissing, DataSet, load
from bench.figures import Chart, Figure, Line, Outcome, Panel, Table
from bench.generated import LABELS, Sample, fetch_from, labeling_of, states
from bench.processes import side_by_side
from demo.console import Step
from segmenter.metrics import Scores, evaluate, pair_rows
from segmenter.model import FittedSegmenter
from segmenter.pipeline import read_task
from segmenter.prediction import suggest
from segmenter.training import Example, TrainingSettings, fit

GENERATED = "generated"
LEAST_SURE, RANDOM = "least sure first", "random order"
MEASURES = {"f1_50": "segmental F1 at .50", "edits_saved": "edits saved"}
# Of the generated recordings, one in so many holds the last label, which is in none of the others.
RARE_IN = 4

Choose = Callable[[Sequence[int], Callable[[int], float]], int]
"""(recordings not annotated yet, how sure the model is of one of them) -> the one to annotate next."""


@dataclass(frozen=True)
class Plan:
    """What to measure. starts: first recordings to start from, each followed by `random_orders` and by sureness.

    most: recordings annotated in the end. pool, held_out, rows: of the generated recordings.
    """

    folder: Path = FOLDER
    sets: tuple[str, ...] = (*SETS, GENERATED)
    starts: int = 3
    random_orders: int = 2
    most: int = 6
    pool: int = 12
    held_out: int = 6
    rows: int = 700
    effort: float = 0.5


FULL = Plan()
QUICK = Plan(sets=(GENERATED,), starts=1, random_orders=1, most=2, pool=3, held_out=1, rows=300, effort=0.03)


@dataclass(frozen=True)
class Curve:
    """Scores after the first recording, the second, ..., annotated in one order."""

    data: str
    order: str
    scores: tuple[Scores, ...]


def run(plan: Plan) -> Outcome:
    """All orders on all data sets; real data sets that are missing are left out, and a note says so."""
    sets, notes = [], []
    for name in plan.sets:
        try:
            sets.append(_load(plan, name))
        except DataMissing as missing:
            notes.append(f"Left out: {missing}.")
            print(f"- {notes[-1]}", flush=True)
    jobs = [
        (plan, data.name, start, number)
        for data in sets
        for start in _starts(data, plan.starts)
        for number in range(1 + plan.random_orders)
    ]
    step = Step(f"order, {len(jobs)} simulations")
    curves: list[Curve] = []
    for curve in side_by_side(_simulate, jobs):
        curves.append(curve)
        step.tell(f"{len(curves)} of {len(jobs)}, now {curve.data}")
    names = [data.name for data in sets]
    gains = [gain for name in names for gain in _gains(name, curves)]
    step.done("; ".join(f"{gain.name} {gain.value:+.3f}" for gain in gains))
    notes.append(
        f"Means of {plan.starts} first recordings, and of {plan.random_orders} random orders after each; effort"
        f" {plan.effort:g}. A gain is the mean over all steps after the first of {LEAST_SURE} less {RANDOM}."
    )
    table = Table("After each recording", _header(), tuple(row for name in names for row in _rows(name, curves)))
    return Outcome(tuple(gains), (table,), (_chart(names, curves),), tuple(notes))


def _simulate(plan: Plan, name: str, start: int, number: int) -> Curve:
    """One order from one start: by sureness for number 0, else at random."""
    data = _load(plan, name)
    random = np.random.default_rng([start, number])

    def least_sure(left: Sequence[int], sure: Callable[[int], float]) -> int:
        return min(left, key=sure)

    def any_of_them(left: Sequence[int], sure: Callable[[int], float]) -> int:
        return int(random.choice(left))

    choose = any_of_them if number else least_sure
    return Curve(name, RANDOM if number else LEAST_SURE, tuple(_annotate(data, start, choose, plan)))


def _annotate(data: DataSet, start: int, choose: Choose, plan: Plan) -> Iterable[Scores]:
    """The scores with `start` annotated, then with each further recording that `choose` takes."""
    annotated = [start]
    while True:
        examples = [data.train[index] for index in sorted(annotated)]
        segmenter = fit(examples, data.labeling, TrainingSettings(threads=1, effort=plan.effort), lambda step: None)
        yield _scores(segmenter, data)
        left = [index for index in range(len(data.train)) if index not in annotated]
        if not left or len(annotated) == plan.most:
            return
        sure = {index: suggest(segmenter, data.train[index].recording, data.labeling).score for index in left}
        annotated.append(choose(left, sure.__getitem__))


def _scores(segmenter: FittedSegmenter, data: DataSet) -> Scores:
    return evaluate(pair_rows((e.targets, suggest(segmenter, e.recording, data.labeling).segments) for e in data.dev))


def _starts(data: DataSet, count: int) -> list[int]:
    """Recordings to start from: chosen once, of those that hold a label."""
    labelled = [index for index, example in enumerate(data.train) if example.targets.codes.any()]
    return [int(index) for index in np.random.default_rng(0).permutation(labelled)[:count]]


def _load(plan: Plan, name: str) -> DataSet:
    return _generated(plan) if name == GENERATED else load(plan.folder, name)


def _generated(plan: Plan) -> DataSet:
    """Recordings with two of the common labels each, or with the rare one: a random order is long in meeting it."""
    labeling = labeling_of(3, LABELS)
    *common, rare = LABELS

    def labels(number: int) -> list[str]:
        two = [label for label in common if label != common[number % len(common)]]
        return [two[0], rare] if number % RARE_IN == RARE_IN - 1 else two

    samples: list[Sample] = [
        states(number, plan.rows, 3, labels(number)) for number in range(plan.pool + plan.held_out)
    ]
    read = [read_task(sample.task(number), labeling, fetch_from(samples)) for number, sample in enumerate(samples)]
    examples: list[Example] = [example for example in read if example is not None]
    return DataSet(GENERATED, labeling, tuple(examples[: plan.pool]), tuple(examples[plan.pool :]))


def _matrix(name: str, order: str, curves: Sequence[Curve], measure: str) -> np.ndarray:
    """One measure, float (simulations, recordings annotated)."""
    found = [curve for curve in curves if (curve.data, curve.order) == (name, order)]
    return np.array([[getattr(scores, measure) for scores in curve.scores] for curve in found])


def _gains(name: str, curves: Sequence[Curve]) -> list[Figure]:
    figures = []
    for measure, shown in MEASURES.items():
        by_start, at_random = (_matrix(name, order, curves, measure)[:, 1:] for order in (LEAST_SURE, RANDOM))
        # The random orders of one start lie side by side.
        compared = at_random.reshape(len(by_start), -1, at_random.shape[1]).mean(axis=1)
        each = (by_start - compared).mean(axis=1)
        figures.append(
            Figure(f"{name}, gain in {shown}", float(each.mean()), better="higher", repeats=tuple(each.tolist()))
        )
    return figures


def _header() -> tuple[str, ...]:
    return (
        "data", "annotated", *[f"{shown}, {order}" for shown in MEASURES.values() for order in (LEAST_SURE, RANDOM)]
    )  # fmt: skip


def _rows(name: str, curves: Sequence[Curve]) -> list[tuple[str, ...]]:
    columns = [
        _matrix(name, order, curves, measure).mean(axis=0) for measure in MEASURES for order in (LEAST_SURE, RANDOM)
    ]
    return [
        (name, str(number), *[f"{value:.3f}" for value in values])
        for number, values in enumerate(zip(*columns, strict=True), start=1)
    ]


def _chart(names: Sequence[str], curves: Sequence[Curve]) -> Chart:
    panels = []
    for measure, shown in MEASURES.items():
        for name in names:
            lines = []
            for order in (LEAST_SURE, RANDOM):
                matrix = _matrix(name, order, curves, measure)
                x = tuple(float(number) for number in range(1, matrix.shape[1] + 1))
                lines.append(Line(order, x, tuple(matrix.mean(axis=0).tolist())))
            panels.append(Panel(name, "annotated recordings", shown, tuple(lines)))
    return Chart("order", "Which recording to annotate next", tuple(panels), columns=len(names))

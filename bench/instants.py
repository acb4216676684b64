"""Instants: peaks in noise, one row in a hundred; learned from a few recordings, sought in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.figures import Chart, Figure, Line, Outcome, Panel, Table
from bench.generated import PEAK, Sample, fetch_from, labeling_of, peaks
from bench.processes import side_by_side
from demo.console import Step
from segmenter.metrics import event_f1
from segmenter.pipeline import learn, predict
from segmenter.training import TrainingSettings

TARGET, TOLERANCE = 0.90, 2
TOLERANCES = (0, 1, 2, 3, 5)


@dataclass(frozen=True)
class Plan:
    """What to measure: each seed has recordings of its own to learn from and to score on."""

    seeds: int = 5
    annotated: int = 4
    held_out: int = 4
    rows: int = 2_000
    channels: int = 4
    effort: float = 1.0


FULL = Plan()
QUICK = Plan(seeds=1, annotated=2, held_out=1, rows=400, effort=0.05)


def run(plan: Plan) -> Outcome:
    """Event F1 of each seed."""
    step = Step(f"instants, {plan.annotated} annotated recordings of {plan.rows} rows")
    found: list[dict[int, float]] = []
    for scores in side_by_side(_score, [(plan, seed) for seed in range(plan.seeds)]):
        found.append(scores)
        step.tell(f"seed {len(found)} of {plan.seeds}")
    each = [scores[TOLERANCE] for scores in found]
    mean = float(np.mean(each))
    step.done(f"event F1 within {TOLERANCE} rows {mean:.3f}, worst {min(each):.3f}")
    return Outcome(
        (Figure(f"event F1 within {TOLERANCE} rows", mean, "", TARGET, "higher", repeats=tuple(each)),),
        (_table(found),),
        (_chart(found),),
        (
            f"Generated: {plan.annotated} annotated recordings of {plan.rows} rows and {plan.channels} channels,"
            f" scored on {plan.held_out} others; mean of {plan.seeds} seeds.",
        ),
    )


def _score(plan: Plan, seed: int) -> dict[int, float]:
    """Event F1 on the held-out recordings at each tolerance."""
    samples = [
        peaks(1_000 * seed + number, plan.rows, plan.channels) for number in range(plan.annotated + plan.held_out)
    ]
    labelings, fetch = (labeling_of(plan.channels, [PEAK]),), fetch_from(samples)
    tasks = [samples[number].task(number) for number in range(plan.annotated)]
    settings = TrainingSettings(seed=seed, threads=1, effort=plan.effort)
    model = learn(labelings, tasks, fetch, settings, lambda progress: None).model
    suggested = {
        number: [
            int(entry["value"]["start"])
            for entry in predict(model, labelings, samples[number].task(number, annotated=False), fetch).result
            if entry["value"]["instant"]
        ]
        for number in range(plan.annotated, len(samples))
    }
    return {tolerance: _event_f1(samples, suggested, tolerance) for tolerance in TOLERANCES}


def _event_f1(samples: Sequence[Sample], suggested: dict[int, list[int]], tolerance: int) -> float:
    """Over all recordings at once: they are put one after the other, too far apart to be confused."""
    annotated, guesses, first = [], [], 0
    for number, rows in suggested.items():
        annotated += [first + row for row in samples[number].instants]
        guesses += [first + row for row in rows]
        first += samples[number].rows + 2 * max(TOLERANCES)
    return event_f1(annotated, guesses, tolerance)


def _table(found: Sequence[dict[int, float]]) -> Table:
    header = ("seed", *[f"within {tolerance}" for tolerance in TOLERANCES])
    rows = [(str(seed), *[f"{value:.3f}" for value in scores.values()]) for seed, scores in enumerate(found)]
    return Table("Event F1 by the rows that an instant may be off", header, tuple(rows))


def _chart(found: Sequence[dict[int, float]]) -> Chart:
    columns = [[scores[tolerance] for scores in found] for tolerance in TOLERANCES]
    line = Line(
        "network",
        tuple(map(float, TOLERANCES)),
        tuple(float(np.mean(column)) for column in columns),
        tuple((min(column), max(column)) for column in columns),
    )
    aim = Line("target", (float(TOLERANCE),), (TARGET,))
    panel = Panel("instants", "rows that an instant may be off", "event F1", (line, aim), range=(0.0, 1.05))
    return Chart("instants", "Instants found", (panel,), columns=1)

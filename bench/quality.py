"""Quality on the real data sets: this engine beside a random forest, with 1, 2, 4 and all training recordings.

Trains on train.json alone and scores on dev.json; what is tuned to these figures shows on other recordings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.datasets import FOLDER, SETS, load
from bench.figures import Chart, Figure, Line, Outcome, Panel, Table
from bench.learners import Learner, forest, network
from bench.processes import side_by_side
from demo.console import Step
from segmenter.metrics import Scores, evaluate
from segmenter.training import TrainingSettings

# Row macro-F1 and segmental F1 at .50 that the project aims for, with all training recordings.
TARGETS = {"valve": (0.95, 0.95), "occupancy": (0.97, 0.40), "motions": (0.97, 0.97)}
LEARNERS: dict[str, Learner] = {"network": network, "forest": forest}
MEASURES = {"f1_50": "segmental F1 at .50", "macro_f1": "row macro-F1"}
HEADER = (
    "data", "recordings", "learner", "row macro-F1", "worst", "segmental F1", "worst", "suggested for each annotated",
    "edits saved", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What to measure. recordings: how many to learn from, 0 means all. effort: of each fit, and of the forest."""

    folder: Path = FOLDER
    sets: tuple[str, ...] = SETS
    recordings: tuple[int, ...] = (1, 2, 4, 0)
    seeds: int = 5
    effort: float = 1.0


FULL = Plan()
QUICK = Plan(recordings=(1, 2), seeds=1, effort=0.03)


@dataclass(frozen=True)
class Trial:
    """One learner on one data set: the scores of each seed, and seconds from examples to suggestions."""

    data: str
    recordings: int
    learner: str
    scores: tuple[Scores, ...]
    seconds: float

    def each(self, measure: str) -> tuple[float, ...]:
        """One measure of every seed."""
        return tuple(float(getattr(scores, measure)) for scores in self.scores)

    def mean(self, measure: str) -> float:
        """The measure's mean over the seeds."""
        return float(np.mean(self.each(measure)))

    def row(self) -> tuple[str, ...]:
        """Its row of the table."""
        cells = [
            self.mean("macro_f1"), min(self.each("macro_f1")), self.mean("f1_50"), min(self.each("f1_50")),
        ]  # fmt: skip
        return (
            self.data, str(self.recordings), self.learner, *[f"{value:.3f}" for value in cells],
            f"{self.mean('over_segmentation'):.2f}", f"{self.mean('edits_saved'):.2f}", f"{self.seconds:.1f}",
        )  # fmt: skip


def run(plan: Plan) -> Outcome:
    """Every learner on every data set with every number of recordings; raises DataMissing."""
    settings = []  # of one trial each
    for name in plan.sets:
        most = len(load(plan.folder, name).train)
        counts = dict.fromkeys(min(wanted or most, most) for wanted in plan.recordings)
        settings += [(name, count, learner) for count in counts for learner in LEARNERS]
    jobs = [(plan, *setting, seed) for setting in settings for seed in range(plan.seeds)]
    answers = side_by_side(_score, jobs)
    trials = [_trial(*setting, answers, plan.seeds) for setting in settings]
    return Outcome(
        tuple(figure for name in plan.sets for figure in _figures(name, trials)),
        (Table("Learning curves", HEADER, tuple(trial.row() for trial in trials)),),
        (_chart(plan.sets, trials),),
        (
            f"Trained on train.json, scored on dev.json; means of {plan.seeds} seeds. Targets are for all recordings.",
            "Baseline: the random forest on rolling means and spreads with a majority filter, same recordings.",
        ),
    )


def _score(plan: Plan, name: str, count: int, learner: str, seed: int) -> tuple[Scores, float]:
    """The scores of one seed, and the seconds it took."""
    data = load(plan.folder, name)
    settings = TrainingSettings(seed=seed, threads=1, effort=plan.effort)
    began = time.perf_counter()
    pairs = LEARNERS[learner](data.train[:count], data.dev, data.labeling, settings)
    return evaluate(pairs), time.perf_counter() - began


def _trial(name: str, count: int, learner: str, answers: Iterator[tuple[Scores, float]], seeds: int) -> Trial:
    """Take the next `seeds` answers, and tell of them."""
    step = Step(f"{name}, {count} recordings, {learner}")
    scores, seconds = zip(*(next(answers) for _ in range(seeds)), strict=True)
    trial = Trial(name, count, learner, scores, float(np.mean(seconds)))
    step.done(
        f"row macro-F1 {trial.mean('macro_f1'):.3f}, segmental F1 {trial.mean('f1_50'):.3f}"
        f" (worst {min(trial.each('f1_50')):.3f}), edits saved {trial.mean('edits_saved'):.2f}"
    )
    return trial


def _curve(trials: Sequence[Trial], name: str, learner: str) -> list[Trial]:
    found = [trial for trial in trials if (trial.data, trial.learner) == (name, learner)]
    return sorted(found, key=lambda trial: trial.recordings)


def _figures(name: str, trials: Sequence[Trial]) -> list[Figure]:
    full, compared = (_curve(trials, name, learner)[-1] for learner in LEARNERS)
    rows, segments = TARGETS[name]
    return [
        Figure(f"{name}, {MEASURES[measure]}", full.mean(measure), "", target, "higher",
               compared.mean(measure), repeats=full.each(measure))
        for measure, target in (("macro_f1", rows), ("f1_50", segments))
    ]  # fmt: skip


def _chart(sets: Sequence[str], trials: Sequence[Trial]) -> Chart:
    """A learning curve for each measure (in rows) and data set (in columns), shaded from the worst seed to the best."""
    panels = []
    for measure, shown in MEASURES.items():
        for name in sets:
            lines = []
            for learner in LEARNERS:
                curve = _curve(trials, name, learner)
                lines.append(
                    Line(
                        learner,
                        tuple(float(trial.recordings) for trial in curve),
                        tuple(trial.mean(measure) for trial in curve),
                        tuple((min(trial.each(measure)), max(trial.each(measure))) for trial in curve),
                    )
                )
            panels.append(Panel(name, "annotated recordings", shown, tuple(lines), range=(0.0, 1.05)))
    return Chart("quality", "Quality by the number of annotated recordings", tuple(panels), columns=len(sets))

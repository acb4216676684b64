"""fit(): annotated recordings in, a fitted segmenter out, everything that has to be chosen chosen on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from segmenter.chart_data import Curve, chart_data, mean_losses
from segmenter.decoding import Decoding
from segmenter.durations import learn_durations, short_segment, usual_segment
from segmenter.errors import NothingToLearn, SegmenterError
from segmenter.features import VIEWS, View, compute_features, learn_scaling, prepare
from segmenter.fits import Fits, Progress, Step
from segmenter.labeling import Labeling
from segmenter.limits import USUAL, Limits
from segmenter.model import FittedSegmenter
from segmenter.network import NetworkShape, SegmentNetwork
from segmenter.optimization import RECIPE, Recipe, lay_out, train_network
from segmenter.prediction import row_logits
from segmenter.recording import Recording
from segmenter.regions import Targets
from segmenter.report import training_report
from segmenter.targets import IGNORED, LearnedStates, learn_states
from segmenter.validation import Choice, Fold, Judged, choose, enough_to_judge, make_folds

# From so many recordings on, the networks fitted to all but a fold, averaged, are as good as networks fitted to all.
LEAST_COMMITTEE = 4
# Steps of the LSTM that the usual segment takes at least.
LEAST_STEPS = 18
# Steps of the LSTM in a window that it is fitted to.
WINDOW_STEPS = 192

# The network of a checkpoint, and its logits of each held-out recording in each view.
Snapshot = tuple[SegmentNetwork, dict[int, list[np.ndarray]]]


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    seed: the same seed and examples give the same weights. threads: networks fitted at once, each on a core.
    unlabeled: whether rows outside all regions are learned as background, or left out (every row then gets a label).
    effort: factor on the steps of each fit: 0.5 takes half the time. device: where torch fits, "cpu" or "cuda".
    limits: of the recordings; larger ones are left out.
    """

    seed: int = 0
    threads: int = 2
    unlabeled: Literal["background", "ignore"] = "background"
    effort: float = 1.0
    device: str = "cpu"
    limits: Limits = USUAL


@dataclass(frozen=True, eq=False)
class Example:
    """One annotated recording; `task` names it in messages and in the report."""

    task: str
    recording: Recording
    targets: Targets


def fit(
    examples: Sequence[Example],
    labeling: Labeling,
    settings: TrainingSettings,
    progress: Callable[[Progress], None],
) -> FittedSegmenter:
    """Learn to segment recordings like the examples.

    Networks fitted to parts of the examples say on the rest when to stop and how to decode. From four recordings on
    these networks are kept and their probabilities averaged (each example is known to most of them); with fewer, two
    networks are fitted to everything.

    `progress` is called after every step, in threads of the fits but never by two at once, and may raise to stop.
    Raises NothingToLearn when no row carries a label, SegmenterError when the fit diverges.
    """
    usable = [example for example in examples if len(example.recording)]
    states = learn_states([example.targets for example in usable], labeling, settings.unlabeled == "ignore")
    if not usable or not any((codes > 0).any() for codes in states.codes):
        raise NothingToLearn(
            f"None of the {len(examples)} annotated recordings has a row with one of the labels"
            f" {', '.join(map(repr, labeling.labels))}: annotate at least one region."
        )
    return _Fit(usable, labeling, settings, states, progress, RECIPE).run()


class _Fit:
    """One fit: the prepared data and the bookkeeping of progress that its steps share."""

    def __init__(
        self,
        examples: Sequence[Example],
        labeling: Labeling,
        settings: TrainingSettings,
        learned: LearnedStates,
        progress: Callable[[Progress], None],
        recipe: Recipe,
    ) -> None:
        self.examples, self.labeling, self.settings, self.learned = examples, labeling, settings, learned
        self.recipe = recipe
        self.curves: list[Curve] = []
        values = [example.recording.values for example in examples]
        self.times = [example.recording.times for example in examples]
        usual = usual_segment(learned.codes)
        self.scaling = learn_scaling(values, rolling_widths(usual, recipe))
        self.prepared = [prepare(rows, self.scaling) for rows in values]
        self.shape = NetworkShape(self.scaling.size, len(learned.states), stride_for(usual), recipe.stem, recipe.hidden)
        total = sum(len(rows) for rows in values)
        steps = step_count(total, recipe, settings.effort)
        self.checkpoints = tuple(sorted({max(1, round(steps * part)) for part in recipe.checkpoints}))
        features = [compute_features(rows, self.scaling, 0, len(rows)) for rows in self.prepared]
        self.features = lay_out(features, WINDOW_STEPS * self.shape.stride)
        levels = np.stack([(rows.level - self.scaling.center) / self.scaling.scale for rows in self.prepared])
        self.folds = make_folds(levels, learned.codes, margin=usual)
        self.committee = len(examples) >= LEAST_COMMITTEE and len(self.folds) > 1
        self.blocks = len(examples) == 1  # which choose nothing
        self.dropouts = recipe.channel_dropouts[-1:] if self.blocks else recipe.channel_dropouts
        nets = len(self.folds) * len(self.dropouts) + (0 if self.committee else recipe.members)
        self.fits = Fits(settings.threads, self.checkpoints[-1] * nets, progress)

    def run(self) -> FittedSegmenter:
        """Validate; keep the networks that were validated, or with few recordings fit to everything."""
        judged, candidates = self._judge()
        # Where nothing can be chosen, hide channels, go to the end and see both views.
        usual = (len(self.dropouts) * len(self.checkpoints) - 1) * len(VIEWS)
        choice = choose(judged, self.learned.states, usual, short_segment(self.learned.codes), self.blocks)
        stop, view = divmod(choice.trial, len(VIEWS))
        variant, checkpoint = divmod(stop, len(self.checkpoints))
        dropout = self.dropouts[variant]
        steps = self.checkpoints[: checkpoint + 1]
        networks = [networks[stop] for networks in candidates] if self.committee else self._fit_to_all(steps, dropout)
        for network in networks:
            network.silence(self.learned.unseen)
        return FittedSegmenter(
            control=self.labeling.control,
            object=self.labeling.object,
            channels=self.examples[0].recording.channels,
            states=self.learned.states,
            scaling=self.scaling,
            view=VIEWS[view],
            networks=tuple(network.cpu() for network in networks),
            decoding=Decoding(
                choice.switch_cost,
                self.learned.instant_radius,
                learn_durations(self.learned.codes, self.times, self.learned.states),
                choice.duration_weight,
                self.examples[0].recording.axis.unit,
            ),
            temperature=choice.temperature,
            report=self._report(choice, steps[-1], dropout, VIEWS[view]),
            chart_data=self._chart_data(choice, variant, view),
        )

    def _judge(self) -> tuple[list[Judged], list[list[SegmentNetwork]]]:
        """Fit to what each fold learns from: its held-out rows' logits in each trial, and its networks."""
        phase = "fitting and checking"
        trials = []
        for index, fold in enumerate(self.folds):
            for dropout in self.dropouts:
                curve = self._curve(f"{phase}, {index + 1} of {len(self.folds)}", dropout)
                trials.append(partial(self._try, fold, curve, 1000 + index))
        tried = iter(self.fits.run(phase, self.checkpoints[-1], trials))
        judged, candidates = [], []
        for fold in self.folds:
            snapshots = [snapshot for _ in self.dropouts for snapshot in next(tried)]
            judged += self._judged(fold, [logits for _, logits in snapshots])
            candidates.append([network for network, _ in snapshots])
        return judged, candidates

    def _try(self, fold: Fold, curve: Curve, member: int, step: Step) -> list[Snapshot]:
        """Fit to what a fold learns from, and look at the rest at each checkpoint."""
        snapshots: list[Snapshot] = []

        def look(network: SegmentNetwork) -> None:
            logits = {
                number: [
                    row_logits(network, self.scaling, view, self.prepared[number])[fold.judge[number]] for view in VIEWS
                ]
                for number in _held_out(fold)
            }
            snapshots.append((deepcopy(network), logits))

        self._train(self._learned_from(fold), self.checkpoints, curve, member, step, look)
        return snapshots

    def _judged(self, fold: Fold, logits: Sequence[dict[int, list[np.ndarray]]]) -> list[Judged]:
        """A fold's held-out rows; logits: of each checkpoint, those of each recording in each view."""
        durations = learn_durations(self._learned_from(fold), self.times, self.learned.states)
        return [
            Judged(
                np.stack([rows for found in logits for rows in found[number]]),
                self.learned.codes[number][fold.judge[number]],
                self.times[number][fold.judge[number]],
                durations,
                number,
                int(fold.judge[number].argmax()),
            )
            for number in _held_out(fold)
        ]

    def _learned_from(self, fold: Fold) -> list[np.ndarray]:
        return [np.where(mask, rows, IGNORED) for rows, mask in zip(self.learned.codes, fold.learn, strict=True)]

    def _fit_to_all(self, checkpoints: Sequence[int], dropout: float) -> list[SegmentNetwork]:
        members, steps = self.recipe.members, checkpoints[-1]
        self.fits.planned = self.fits.done + steps * members
        curves = [self._curve(f"fitting, {member + 1} of {members}", dropout) for member in range(members)]
        fit_one = partial(self._train, self.learned.codes, checkpoints)
        return self.fits.run("fitting", steps, [partial(fit_one, curve, member) for member, curve in enumerate(curves)])

    def _curve(self, phase: str, dropout: float) -> Curve:
        self.curves.append(Curve(phase, dropout, []))
        return self.curves[-1]

    def _train(
        self,
        codes: Sequence[np.ndarray],
        checkpoints: Sequence[int],
        curve: Curve,
        member: int,
        step: Step,
        look: Callable[[SegmentNetwork], None] = lambda network: None,
    ) -> SegmentNetwork:
        """Fit one network; look: called at checkpoints."""

        def visit(loss: float, network: SegmentNetwork | None) -> None:
            curve.losses.append(loss)
            step(loss)
            if network is not None:
                look(network)

        seed, device = self.settings.seed * 10_000 + member, self.settings.device
        rows, dropout = self.features.with_targets(codes), curve.dropout
        try:
            return train_network(self.shape, rows, self.scaling, self.recipe, checkpoints, dropout, seed, visit, device)
        except FloatingPointError as error:
            raise SegmenterError(
                f"The training diverged ({error}), so nothing was kept: look for broken values in the recordings,"
                f" or train again with another seed."
            ) from error

    def _report(self, choice: Choice, steps: int, dropout: float, view: View) -> dict[str, Any]:
        recordings = [{"task": example.task, "rows": len(example.recording)} for example in self.examples]
        chosen = {
            "steps": steps,
            "channel_dropout": dropout,
            "view": view,
            "stride": self.shape.stride,
            "widths": list(self.scaling.widths),
        }
        history = mean_losses(self.curves, self.checkpoints)
        seed, folds = self.settings.seed, len(self.folds)
        return training_report(recordings, self.learned, choice, chosen, history, folds, seed)

    def _chart_data(self, choice: Choice, variant: int, view: int) -> dict[str, Any]:
        """What charts are drawn from; variant: of the channel dropouts, view: of VIEWS, as chosen."""
        first = variant * len(self.checkpoints)
        trials = [(steps, (first + place) * len(VIEWS) + view) for place, steps in enumerate(self.checkpoints)]
        held_out = [(steps, choice.surprises[trial]) for steps, trial in trials if trial in choice.surprises]
        recordings = [(example.task, example.recording) for example in self.examples]
        return chart_data(self.curves, self.dropouts[variant], held_out, self.learned, choice.decoded, recordings)


def rolling_widths(usual: int, recipe: Recipe) -> tuple[int, ...]:
    """Odd widths of rolling windows, in rows, as parts of the usual segment."""
    widths = {2 * int(usual * part / 2) + 1 for part in recipe.widths}
    return tuple(sorted(min(max(width, 3), recipe.widest) for width in widths))


def stride_for(usual: int) -> int:
    """Rows a step of the LSTM: a power of two, at least LEAST_STEPS to the usual segment."""
    return max(stride for stride in (1, 2, 4, 8) if stride == 1 or stride * LEAST_STEPS <= usual)


def step_count(rows: int, recipe: Recipe, effort: float) -> int:
    """Steps of one fit: more for more rows, but by their square root."""
    return max(1, int(recipe.steps * effort * np.clip(np.sqrt(rows / 10_000), 1.0, 10.0)))


def _held_out(fold: Fold) -> list[int]:
    """The recordings that a fold is judged by."""
    return enough_to_judge([int(mask.sum()) for mask in fold.judge])

"""What the charts of a training are drawn from, as plain data of bounded size: curves, a matrix, a few recordings.

It lies beside the report, which is read with every model, and is read for drawing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from segmenter.features import LARGEST
from segmenter.metrics import Span, find_spans, match
from segmenter.recording import Recording
from segmenter.regions import State
from segmenter.report import FOUND_AT, confuse
from segmenter.targets import LearnedStates
from segmenter.validation import Decoded

MOST_RECORDINGS = 4
MOST_CHANNELS = 12
MOST_POINTS = 600  # of a channel: the lowest and the highest value of each of half as many stretches
MOST_SEGMENTS = 400  # of a recording, annotated and suggested each; the longest
MOST_STATES = 20  # of the matrix; the rarest beyond them are one
MOST_LOSSES = 60  # of a fit: means of as many stretches of its steps
_DIGITS = 100  # before and after the point, which is where LARGEST ends


@dataclass(frozen=True)
class Curve:
    """The losses of one fit, one a step, and the channel dropout that it was made with."""

    phase: str
    dropout: float
    losses: list[float]


def mean_losses(curves: Sequence[Curve], checkpoints: Sequence[int]) -> list[dict[str, Any]]:
    """The mean loss of each fit up to each checkpoint from the one before."""
    return [
        {"phase": curve.phase, "step": last, "loss": float(np.mean(curve.losses[first:last]))}
        for curve in curves
        for first, last in pairwise((0, *checkpoints))
        if last <= len(curve.losses)
    ]


def thin_losses(losses: Sequence[float]) -> tuple[list[int], list[float]]:
    """(steps counted from 1, mean losses): each mean of a stretch of steps, told at its last one."""
    ends = np.unique(np.linspace(0, len(losses), MOST_LOSSES + 1).astype(int))
    means = [round(float(np.mean(losses[first:last])), 5) for first, last in pairwise(ends)]
    return [int(end) for end in ends[1:]], means


def confusion_matrix(decoded: Sequence[Decoded], states: Sequence[State]) -> dict[str, Any] | None:
    """{states: codes that occur, the last -1 where it stands for all the others; rows: counts [annotated][suggested]}.

    None where nothing could be held out.
    """
    counts = confuse(decoded, len(states))
    if not counts.any():
        return None
    seen = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    if len(seen) <= MOST_STATES:
        return {"states": seen.tolist(), "rows": counts[np.ix_(seen, seen)].tolist()}
    frequent = np.argsort(-(counts.sum(axis=0) + counts.sum(axis=1)), kind="stable")[: MOST_STATES - 1]
    kept = np.sort(frequent)
    place = np.full(len(states), MOST_STATES - 1)
    place[kept] = np.arange(MOST_STATES - 1)
    joined = np.zeros((MOST_STATES, MOST_STATES), np.int64)
    np.add.at(joined, (place[:, None], place[None]), counts)
    return {"states": [*kept.tolist(), -1], "rows": joined.tolist()}


def worst_recordings(
    recordings: Sequence[tuple[str, Recording]], learned: LearnedStates, decoded: Sequence[Decoded]
) -> list[dict[str, Any]]:
    """The held-out recordings of which the most rows differ between annotation and suggestion, worst first."""
    stretches: dict[int, list[Decoded]] = {}
    for stretch in decoded:
        stretches.setdefault(stretch.recording, []).append(stretch)
    differing = {number: _differing(found) for number, found in stretches.items()}
    worst = sorted(differing, key=lambda number: (-differing[number], number))[:MOST_RECORDINGS]
    return [
        {
            "task": recordings[number][0],
            "rows": len(recordings[number][1]),
            "differing": differing[number],
            **_count_found(stretches[number]),
            **_draw(recordings[number][1], learned, stretches[number]),
        }
        for number in worst
    ]


def _differing(stretches: Sequence[Decoded]) -> float:
    """The part of the held-out rows that are suggested otherwise than they were annotated."""
    known = np.concatenate([stretch.annotated >= 0 for stretch in stretches])
    wrong = np.concatenate([stretch.annotated != stretch.suggested for stretch in stretches])
    return float(wrong[known].mean()) if known.any() else 0.0


def _count_found(stretches: Sequence[Decoded]) -> dict[str, int]:
    regions = found = 0
    for stretch in stretches:
        known = stretch.annotated >= 0
        truth = find_spans(stretch.annotated[known])
        regions += len(truth)
        found += len(match(truth, find_spans(stretch.suggested[known]), FOUND_AT))
    return {"regions": regions, "found": found}


def _draw(recording: Recording, learned: LearnedStates, stretches: Sequence[Decoded]) -> dict[str, Any]:
    """A recording's thinned channels and its annotated and suggested segments, in its own time.

    judged: [start, end] of the stretches that were held out; elsewhere nothing is suggested.
    """
    suggested = np.zeros(len(recording), np.int64)
    for stretch in stretches:
        suggested[stretch.first : stretch.first + len(stretch.suggested)] = stretch.suggested
    times, values = thin(recording.times, recording.values[:, :MOST_CHANNELS])
    instants = {code for code, state in enumerate(learned.states) if state.instant}
    annotated_spans = find_spans(np.maximum(learned.codes[stretches[0].recording], 0))
    suggested_spans = find_spans(suggested)
    return {
        "stamps": recording.axis.format is not None,
        "time_column": recording.axis.column,
        "times": times.tolist(),
        "channels": [
            {"name": name, "values": _told(column)} for name, column in zip(recording.channels, values.T, strict=False)
        ],
        "channels_not_drawn": max(len(recording.channels) - MOST_CHANNELS, 0),
        "annotated": _segments(annotated_spans, recording.times, instants),
        "suggested": _segments(suggested_spans, recording.times, instants),
        "judged": [
            [float(recording.times[stretch.first]), float(recording.times[stretch.first + len(stretch.suggested) - 1])]
            for stretch in stretches
        ],
        "segments_not_drawn": sum(max(len(spans) - MOST_SEGMENTS, 0) for spans in (annotated_spans, suggested_spans)),
    }


def thin(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_POINTS rows of float64 (rows,) times and (rows, channels) values, peaks kept.

    Each stretch of rows becomes its lowest and its highest value, the one first that the stretch begins nearer to, at
    the times of its first and last row. What is not finite is NaN, also in the result where a stretch has nothing else.
    """
    values = np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), np.nan)
    if len(values) <= MOST_POINTS:
        return times, values
    starts = np.linspace(0, len(values), MOST_POINTS // 2, endpoint=False).astype(int)
    ends = np.append(starts[1:], len(values)) - 1
    lowest, highest = np.fmin.reduceat(values, starts, axis=0), np.fmax.reduceat(values, starts, axis=0)
    falling = values[starts] > values[ends]
    thinned = np.empty((2 * len(starts), values.shape[1]))
    thinned[::2], thinned[1::2] = np.where(falling, highest, lowest), np.where(falling, lowest, highest)
    return np.column_stack([times[starts], times[ends]]).ravel(), thinned


def _segments(spans: Sequence[Span], times: np.ndarray, instants: set[int]) -> list[list[Any]]:
    """[start, end, code] in order of time; a segment reaches to the next row's time, an instant is its middle row."""
    longest = sorted(spans, key=lambda span: -span.rows)[:MOST_SEGMENTS]
    segments = []
    for span in sorted(longest, key=lambda span: span.first):
        first, last = span.first, min(span.last + 1, len(times) - 1)
        if span.code in instants:
            first = last = (span.first + span.last) // 2
        segments.append([float(times[first]), float(times[last]), span.code])
    return segments


def _told(column: np.ndarray) -> list[float | None]:
    """A channel's values to a two-thousandth of their range, which is finer than a picture; None for a gap."""
    known = column[~np.isnan(column)]
    if not len(known):
        return [None] * len(column)
    extent = known.max() / 2 - known.min() / 2 or np.abs(known).max()
    digits = np.clip(3 - np.floor(np.log10(extent)), -_DIGITS, _DIGITS) if extent else 0
    rounded = np.round(column, int(digits)).tolist()
    return [None if gap else value for value, gap in zip(rounded, np.isnan(column).tolist(), strict=True)]


def chart_data(
    curves: Sequence[Curve],
    dropout: float,
    held_out_losses: Sequence[tuple[int, float]],
    learned: LearnedStates,
    decoded: Sequence[Decoded],
    recordings: Sequence[tuple[str, Recording]],
) -> dict[str, Any]:
    """All of it, for one control.

    dropout: the one that was chosen. held_out_losses: (step, loss) where stopping was considered. recordings: (task,
    recording), in the order of codes.
    """
    thinned = [(curve, *thin_losses(curve.losses)) for curve in curves]
    return {
        "states": [{"labels": list(state.labels), "instant": state.instant} for state in learned.states],
        "losses": [
            {"phase": curve.phase, "kept": curve.dropout == dropout, "steps": steps, "losses": losses}
            for curve, steps, losses in thinned
        ],
        "held_out_losses": [[step, round(loss, 5)] for step, loss in held_out_losses],
        "confusion": confusion_matrix(decoded, learned.states),
        "recordings": worst_recordings(recordings, learned, decoded),
    }

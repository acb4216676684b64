"""Row probabilities -> one state a row, in pieces no smaller than the evidence warrants, and rows -> segments.

The best path is Viterbi's (A. J. Viterbi, IEEE Trans. Inf. Theory 13, 1967) under one cost for every change of state,
which makes each step linear in the number of states. It is exact for any length, and fast for long ones: blocks of rows
are decoded side by side, each from the scores its predecessor ended with, until those no longer change. Since a path
forgets where it came from, that takes two or three rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmenter.durations import SMALLEST_PROBABILITY, Duration
from segmenter.metrics import run_edges
from segmenter.regions import Segment, State

# Scores are whole numbers in steps of 1/UNITS: sums are exact, so that blocks agree to the last digit.
UNITS = 1024


@dataclass(frozen=True)
class Decoding:
    """How row probabilities become segments, chosen on held-out recordings.

    switch_cost: what a change of state costs, in nats. instant_radius: rows by which an instant was widened for the
    network, on either side. durations, duration_weight: by which boundaries are moved, in recordings whose times are in
    `time_unit` (TimeAxis.unit).
    """

    switch_cost: float = 0.0
    instant_radius: int = 0
    durations: tuple[Duration, ...] = ()
    duration_weight: float = 0.0
    time_unit: str = "rows"


def best_path(probabilities: np.ndarray, switch_cost: float) -> np.ndarray:
    """The state of each row, int64 (rows,), with the highest sum of log probabilities less the costs of changes.

    probabilities: float (rows, states), each row adding up to one.
    """
    rows, states = probabilities.shape
    if rows == 0 or states == 1:
        return np.zeros(rows, np.int64)
    length = int(min(rows, max(48, round(np.sqrt(rows)))))
    blocks = -(-rows // length)
    # Rows beyond the end carry no evidence, so that the path stays where it is.
    evidence = np.zeros((blocks * length, states), np.int32)
    evidence[:rows] = np.rint(np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)) * UNITS)
    by_step = np.ascontiguousarray(evidence.reshape(blocks, length, states).transpose(1, 0, 2))
    changed, origin, final = _forward(by_step, round(switch_cost * UNITS))
    entry, last = _trace(changed, origin, np.broadcast_to(np.arange(states), (blocks, states)), None), int(final)
    exits = np.empty(blocks, np.int64)
    for block in range(blocks - 1, -1, -1):
        exits[block] = last
        last = int(entry[block, last])
    path = np.empty((length, blocks), np.int64)
    _trace(changed, origin, exits[:, None], path)
    return path.T.reshape(-1)[:rows]


def _forward(evidence: np.ndarray, cost: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Best scores forwards: (where a change paid, from which state it came, the best final state)."""
    length, blocks, states = evidence.shape
    changed = np.empty((length, blocks, states), bool)
    origin = np.empty((length, blocks), np.int16)
    entry = np.zeros((blocks, states), np.int32)
    exits = np.zeros((blocks, states), np.int32)
    todo = np.arange(blocks)
    while len(todo):
        score = entry[todo]
        for step in range(length):
            leave = score.max(axis=1, keepdims=True) - cost
            changed[step, todo] = leave > score
            origin[step, todo] = score.argmax(axis=1)
            score = np.maximum(score, leave) + evidence[step, todo]
        exits[todo] = score - score.max(axis=1, keepdims=True)
        successors = todo[todo + 1 < blocks] + 1
        todo = successors[(exits[successors - 1] != entry[successors]).any(axis=1)]
        entry[todo] = exits[todo - 1]
    return changed, origin, int(exits[-1].argmax())


def _trace(changed: np.ndarray, origin: np.ndarray, exits: np.ndarray, path: np.ndarray | None) -> np.ndarray:
    """Follow paths back from the states `exits` (blocks, paths) to the states before each block's first row."""
    state = np.array(exits)
    block = np.arange(len(state))[:, None]
    for step in range(len(changed) - 1, -1, -1):
        if path is not None:
            path[step] = state[:, 0]
        state = np.where(changed[step][block, state], origin[step][:, None], state)
    return state


def merge_rows(
    path: np.ndarray, probabilities: np.ndarray, states: Sequence[State], instant_radius: int
) -> tuple[Segment, ...]:
    """Consecutive rows of one state as a segment, background left out; a run of an instant as its one likeliest row."""
    if not len(path):
        return ()
    edges = run_edges(path)
    firsts, lasts = edges[:-1], edges[1:] - 1
    chosen = probabilities[np.arange(len(path)), path].astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(chosen)])
    segments = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        state = states[path[first]]
        if state.instant:
            row = first + _peak(chosen[first : last + 1], instant_radius)
            segments.append(Segment(row, row, state, float(chosen[row])))
        elif state.labels:
            score = (sums[last + 1] - sums[first]) / (last + 1 - first)
            segments.append(Segment(first, last, state, float(np.clip(score, 0.0, 1.0))))
    return tuple(segments)


def _peak(scores: np.ndarray, radius: int) -> int:
    """Where the scores, averaged over the width that an instant was given, are highest: the middle of a plateau."""
    width = min(2 * radius + 1, 2 * ((len(scores) - 1) // 2) + 1)
    averages = np.convolve(scores, np.ones(width) / width, mode="valid")
    best = np.flatnonzero(averages >= averages.max() - 1e-9)
    return int(best[(len(best) - 1) // 2]) + width // 2

"""How long segments and the pauses between them usually last, and boundaries moved to where evidence and that agree.

The network sees a boundary as a slope of probabilities, often many rows wide; where recordings follow a protocol or a
machine's cycle, the usual durations say where on the slope it lies. As in a hidden semi-Markov model (S.-Z. Yu,
Artificial Intelligence 174, 2010) the duration of each state has a distribution of its own, but only boundaries that
decoding found are moved, one after the other until none gains (iterated conditional modes, J. Besag, J. R. Stat.
Soc. B 48, 1986): linear in the rows, however long segments are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from segmenter.metrics import find_spans, run_edges
from segmenter.regions import State

Place = Literal["first", "between", "last"]
PLACES: tuple[Place, ...] = get_args(Place)
# One example says nothing of what is usual; two or three may agree by chance, so that their spread is taken as wider.
LEAST_EXAMPLES, VAGUENESS = 2, 8.0
LEAST_SPREAD = 0.01
# Degrees of freedom of the Student distribution: an exception costs a bounded number of rows' evidence.
FREEDOM = 4.0
SMALLEST_PROBABILITY, SHORTEST = 1e-6, 1e-9
# Offsets tried on either side of a boundary, from one row to the whole way, in even ratios; times that all are tried.
OFFSETS, SWEEPS = 28, 8


@dataclass(frozen=True)
class Duration:
    """How long a state usually lasts: the middle and the spread of the logarithm of its duration, in units of time.

    state: its code. place: in the recording; the first and the last run of a recording have durations of their own,
    since a recording may begin and end anywhere.
    """

    state: int
    place: Place
    middle: float
    spread: float


def learn_durations(
    codes: Sequence[np.ndarray], times: Sequence[np.ndarray], states: Sequence[State]
) -> tuple[Duration, ...]:
    """The usual durations in annotated recordings.

    codes: int64 (rows,) each, negative where nothing is known; runs next to such rows are left out. times: float64
    (rows,) each. Instants have no duration, and nothing is usual about what stands next to them.
    """
    lasted: dict[tuple[int, Place], list[float]] = {}
    for rows, stamps in zip(codes, times, strict=True):
        edges = run_edges(rows)
        around = np.concatenate([[0], rows[edges[:-1]], [0]])
        still = (around < 0) | np.isin(around, _instants(states))
        ends = _with_end(stamps)[edges]
        for index, place in enumerate(_places(len(edges) - 1)):
            if not still[index : index + 3].any():
                lasted.setdefault((int(around[index + 1]), place), []).append(float(ends[index + 1] - ends[index]))
    return tuple(
        _usual(*key, np.log(np.maximum(found, SHORTEST)))
        for key, found in sorted(lasted.items())
        if len(found) >= LEAST_EXAMPLES
    )


def move_boundaries(
    path: np.ndarray,
    probabilities: np.ndarray,
    times: np.ndarray,
    states: Sequence[State],
    durations: Sequence[Duration],
    weight: float,
) -> np.ndarray:
    """The path with the same runs in the same order, their boundaries where evidence and usual durations agree best.

    path: int64 (rows,). probabilities: float (rows, states). times: float64 (rows,). weight: of durations against
    the rows' evidence, which neighbouring rows repeat; 0 leaves the path as it is. Boundaries of instants stay.
    """
    edges = run_edges(path)
    runs = path[edges[:-1]]
    if weight == 0.0 or len(runs) < 2 or not durations:
        return path
    middle, spread = _expected(runs, durations)
    evidence = np.zeros((len(path) + 1, probabilities.shape[1]))
    np.cumsum(np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)), axis=0, dtype=np.float64, out=evidence[1:])
    ends = _with_end(times)
    steps = np.unique(np.geomspace(1, max(len(path) / 2, 1), OFFSETS).astype(np.int64))
    offsets = np.concatenate([[0], steps, -steps])

    def gain(run: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        distance = (np.log(np.maximum(ends[last] - ends[first], SHORTEST)) - middle[run]) / spread[run]
        likelihood: np.ndarray = -weight * (FREEDOM + 1) / 2 * np.log1p(distance**2 / FREEDOM)
        return likelihood

    movable = ~np.isin(runs[:-1], _instants(states)) & ~np.isin(runs[1:], _instants(states))
    movable &= np.isfinite(spread[:-1]) | np.isfinite(spread[1:])
    boundaries = np.flatnonzero(movable) + 1
    unsettled = np.ones(len(edges), bool)  # whether it or a neighbour has moved since it was last looked at
    for _ in range(SWEEPS):
        for parity in (0, 1):  # neighbours never move at once
            chosen = boundaries[(boundaries % 2 == parity) & unsettled[boundaries]][:, None]
            if not len(chosen):
                continue
            place = np.clip(edges[chosen] + offsets, edges[chosen - 1] + 1, edges[chosen + 1] - 1)
            total = evidence[place, runs[chosen - 1]] - evidence[place, runs[chosen]]
            total += gain(chosen - 1, edges[chosen - 1], place) + gain(chosen, place, edges[chosen + 1])
            best = total.argmax(axis=1)  # 0 is where it is
            edges[chosen[:, 0]] = place[np.arange(len(place)), best]
            unsettled[chosen] = False
            moved = chosen[best > 0, 0]
            unsettled[moved - 1] = unsettled[moved] = unsettled[moved + 1] = True
    return np.repeat(runs, np.diff(edges))


def usual_segment(codes: Sequence[np.ndarray]) -> int:
    """The median length in rows of the annotated segments."""
    return int(np.median(_segment_rows(codes)))


def short_segment(codes: Sequence[np.ndarray]) -> float:
    """Rows of the shorter segments in each recording's codes, int (rows,): one in ten is shorter still."""
    return float(np.quantile(_segment_rows(codes), 0.1))


def _segment_rows(codes: Sequence[np.ndarray]) -> list[int]:
    return [span.rows for rows in codes for span in find_spans(np.maximum(rows, 0))] or [1]


def _usual(state: int, place: Place, logarithms: np.ndarray) -> Duration:
    middle = float(np.median(logarithms))
    # The mean, not the median of the deviations: half of a few durations may be equal by chance, the others far away.
    spread = float(np.sqrt(np.pi / 2) * np.mean(np.abs(logarithms - middle)))  # of a normal distribution
    return Duration(state, place, middle, max(spread, LEAST_SPREAD) * (1 + VAGUENESS / len(logarithms) ** 2))


def _places(runs: int) -> list[Place]:
    """Where in a recording each run is; nothing for one that is all of it and so neither begins nor ends."""
    between: list[Place] = ["between"] * (runs - 2)
    return ["first", *between, "last"] if runs > 1 else []


def _expected(runs: np.ndarray, durations: Sequence[Duration]) -> tuple[np.ndarray, np.ndarray]:
    """Middle and spread of each run's duration, float64 (runs,) each; an infinite spread where nothing is usual."""
    known = {(usual.state, usual.place): (usual.middle, usual.spread) for usual in durations}
    places = _places(len(runs))
    found = [known.get((int(state), place), (0.0, np.inf)) for state, place in zip(runs, places, strict=True)]
    middle, spread = np.array(found).T
    return middle, spread


def _with_end(times: np.ndarray) -> np.ndarray:
    """The times, and when the last row ends: float64 (rows + 1,)."""
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return np.append(times, (times[-1] if len(times) else 0.0) + usual)


def _instants(states: Sequence[State]) -> list[int]:
    return [code for code, state in enumerate(states) if state.instant]

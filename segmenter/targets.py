"""Targets of many recordings -> one list of states to learn and a code for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmenter.labeling import Labeling
from segmenter.regions import BACKGROUND, State, Targets

# A row whose state may not be learned.
IGNORED = -1
# An instant is widened by this part of the usual distance between two of them, within these bounds, in rows.
RADIUS_PART, LEAST_RADIUS, MOST_RADIUS = 1 / 12, 1, 4


@dataclass(frozen=True, eq=False)
class LearnedStates:
    """States in a fixed order, states[0] BACKGROUND, and int64 codes of each recording's rows, IGNORED where unknown.

    instant_radius: rows by which instants were widened on either side; 0 where there are none.
    """

    states: tuple[State, ...]
    codes: tuple[np.ndarray, ...]
    instant_radius: int

    @property
    def unseen(self) -> tuple[int, ...]:
        """Codes of states that no row may be learned as: background, where every row is labelled."""
        seen = {int(code) for rows in self.codes for code in np.unique(rows)}
        return tuple(code for code in range(len(self.states)) if code not in seen)


def learn_states(targets: Sequence[Targets], labeling: Labeling, ignore_background: bool) -> LearnedStates:
    """Collect the states that occur, in the order of the labeling's labels.

    A label drawn now and then as an instant, but more often as a region, is learned as a region: a click on one spot
    makes an instant, and two kinds of one thing would be told apart by chance. Labels that the labeling no longer has
    are background. Instants are widened so that a network can find them.
    """
    kinds = _kinds(targets)
    known = set(labeling.labels)

    def canonical(state: State) -> State:
        if not state.labels or not set(state.labels) <= known:
            return BACKGROUND
        return State(state.labels, kinds.get(state.labels, state.instant))

    order = {label: index for index, label in enumerate(labeling.labels)}
    found = {canonical(target.states[code]) for target in targets for code in np.unique(target.codes)} - {BACKGROUND}
    states = (
        BACKGROUND,
        *sorted(found, key=lambda state: (len(state.labels), [order[label] for label in state.labels], state.instant)),
    )
    number = {state: code for code, state in enumerate(states)}
    # A state that a recording lists but has no row of may be absent: its code then stands for nothing.
    codes = [
        np.array([number.get(canonical(state), 0) for state in target.states], np.int64)[target.codes]
        for target in targets
    ]
    instants = [code for code, state in enumerate(states) if state.instant]
    radius = _radius(codes, instants)
    codes = [_widen(rows, instants, radius) for rows in codes]
    if ignore_background:
        codes = [np.where(rows == 0, IGNORED, rows) for rows in codes]
    return LearnedStates(states, tuple(codes), radius)


def _kinds(targets: Sequence[Targets]) -> dict[tuple[str, ...], bool]:
    """Whether each set of labels is drawn as an instant more often than not."""
    drawn: dict[State, int] = {}
    for target in targets:
        starts = np.flatnonzero(np.diff(target.codes, prepend=-1))
        for code in target.codes[starts]:
            drawn[target.states[code]] = drawn.get(target.states[code], 0) + 1
    return {
        state.labels: drawn.get(State(state.labels, True), 0) > drawn.get(State(state.labels), 0) for state in drawn
    }


def _radius(codes: Sequence[np.ndarray], instants: Sequence[int]) -> int:
    """Wide enough to be found, too narrow for neighbours to run into each other."""
    distances = [np.diff(np.flatnonzero(np.isin(rows, instants))) for rows in codes]
    if not instants:
        return 0
    gaps = np.concatenate(distances)
    usual = float(np.median(gaps)) if len(gaps) else np.inf
    return int(np.clip(usual * RADIUS_PART, LEAST_RADIUS, MOST_RADIUS))


def _widen(codes: np.ndarray, instants: Sequence[int], radius: int) -> np.ndarray:
    """Give background next to an instant the instant's state; between two of them, each has its nearer half."""
    widened = codes.copy()
    for _ in range(radius):
        before = widened.copy()
        for code in instants:
            reached = np.zeros(len(codes), bool)
            reached[1:] |= before[:-1] == code
            reached[:-1] |= before[1:] == code
            widened[reached & (before == 0)] = code
    return widened

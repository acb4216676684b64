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

    A label drawn as instants and as regions is two states: what was clicked is suggested to be clicked. Labels that
    the labeling no longer has are background. Instants are widened so that a network can find them.
    """
    known = set(labeling.labels)

    def canonical(state: State) -> State:
        return state if set(state.labels) <= known else BACKGROUND

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


def _radius(codes: Sequence[np.ndarray], instants: Sequence[int]) -> int:
    """Wide enough to be found, too narrow for neighbours to run into each other."""
    distances = [np.diff(np.flatnonzero(np.isin(rows, instants))) for rows in codes]
    if not instants:
        return 0
    gaps = np.concatenate(distances)
    usual = float(np.median(gaps)) if len(gaps) else np.inf
    return int(np.clip(usual * RADIUS_PART, LEAST_RADIUS, MOST_RADIUS))


def _widen(codes: np.ndarray, instants: Sequence[int], radius: int) -> np.ndarray:
    """Give the rows next to an instant its state, of background and of regions: it lies on top of both.

    Between two instants each has its nearer half.
    """
    widened = codes.copy()
    for _ in range(radius):
        before = widened.copy()
        free = ~np.isin(before, instants)
        for code in instants:
            reached = np.zeros(len(codes), bool)
            reached[1:] |= before[:-1] == code
            reached[:-1] |= before[1:] == code
            widened[reached & free] = code
    return widened

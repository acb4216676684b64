"""What an annotator has drawn so far in the recording at hand: taken as given, and kept clear of by suggestions.

An interactive suggestion goes straight into the annotation, so that one on top of a region drawn before would have to
be deleted by hand. Rows between the drawn regions are not taken for background: nobody said that they were looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segmenter.labeling import Labeling
from segmenter.recording import Recording
from segmenter.regions import BACKGROUND, Segment, State, Targets, read_regions, regions_to_targets


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is drawn in one recording: a state for each row under a region, and the instants on top, by their rows."""

    regions: Targets
    instants: Targets

    @property
    def covered(self) -> np.ndarray:
        """Which rows a region covers, bool (rows,)."""
        return self.regions.codes > 0


def read_drawn(entries: Sequence[Any], labeling: Labeling, recording: Recording) -> Drawn:
    """Result entries of an annotation in progress -> what they say of the recording's rows.

    Entries of other controls or kinds are left out. Raises RecordingError for a region that cannot be placed in time.
    """
    regions = read_regions(entries, labeling, recording.axis)
    return Drawn(
        regions_to_targets([region for region in regions if not region.instant], recording, labeling),
        regions_to_targets([region for region in regions if region.instant], recording, labeling),
    )


def insist(probabilities: np.ndarray, states: Sequence[State], drawn: Drawn) -> None:
    """Make the state drawn in a row the only one but for instants, in place: evidence for the rows around it, too.

    probabilities: float (rows, states). A drawn state that is none of these is background here, which none of the
    others can then claim.
    """
    number = {state: code for code, state in enumerate(states)}
    code = np.array([number.get(state, number[BACKGROUND]) for state in drawn.regions.states])[drawn.regions.codes]
    rows, lasting = np.flatnonzero(drawn.covered), np.flatnonzero([not state.instant for state in states])
    mass = probabilities[np.ix_(rows, lasting)].sum(axis=1)
    probabilities[np.ix_(rows, lasting)] = 0.0
    probabilities[rows, code[rows]] = mass


def keep_clear(segments: Sequence[Segment], drawn: Drawn, reach: int) -> tuple[Segment, ...]:
    """Segments of which no row is drawn already, in order of time.

    What goes on beyond a drawn region in the same state is left out: the annotator said where it ends. So is an instant
    no more than `reach` rows from a drawn one of its label.
    """
    clear: list[Segment] = []
    for segment in segments:
        if segment.state.instant:
            clear += [] if _is_drawn_near(segment, drawn.instants, reach) else [segment]
        else:
            clear += _uncovered(segment, drawn)
    return tuple(clear)


def _is_drawn_near(instant: Segment, drawn: Targets, reach: int) -> bool:
    near = drawn.codes[max(instant.first - reach, 0) : instant.last + reach + 1]
    return any(set(drawn.states[code].labels) & set(instant.state.labels) for code in np.unique(near[near > 0]))


def _uncovered(segment: Segment, drawn: Drawn) -> list[Segment]:
    """The parts of a segment that no region covers and none of its own state touches."""
    codes = drawn.regions.codes
    free = np.flatnonzero(codes[segment.first : segment.last + 1] == 0) + segment.first
    parts = np.split(free, np.flatnonzero(np.diff(free) > 1) + 1) if len(free) else []
    found = [Segment(int(part[0]), int(part[-1]), segment.state, segment.score) for part in parts]
    return [
        part
        for part in found
        if not any(
            0 <= row < len(codes) and drawn.regions.states[codes[row]] == part.state
            for row in (part.first - 1, part.last + 1)
        )
    ]


def entries_so_far(context: Mapping[str, Any], task: Mapping[str, Any]) -> tuple[Any, ...]:
    """Result entries that an interactive request carries: of the user's newest draft, and those just drawn.

    Label Studio sends the region that was just finished in the context, the task's drafts (this user's) as last saved.
    """
    drafts = [draft for draft in _listed(task.get("drafts")) if isinstance(draft, Mapping)]
    newest = max(drafts, key=lambda draft: str(draft.get("updated_at") or draft.get("created_at") or ""), default={})
    return (*_listed(newest.get("result")), *_listed(context.get("result")))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

"""Suggestions against the truth of the generator: what a newcomer would count by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.recordings import SampleRecording, TrueSegment

_SAME = 0.5  # intersection over union from which a suggestion counts as the true segment


@dataclass(frozen=True)
class Comparison:
    """Numbers of segments: suggested, true, and matched (one to one, same label, IoU of at least one half)."""

    suggested: int = 0
    true: int = 0
    matched: int = 0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(self.suggested + other.suggested, self.true + other.true, self.matched + other.matched)


def compare(result: Sequence[Mapping[str, Any]], recording: SampleRecording) -> Comparison:
    """Compare the result entries suggested for a recording with what the pump really did.

    At an IoU above one half a segment overlaps at most one other of a series without overlaps, so the order in which
    pairs are looked for does not matter.
    """
    row_of = {time: row for row, time in enumerate(recording.times)}
    suggested = [
        TrueSegment(row_of[entry["value"]["start"]], row_of[entry["value"]["end"]], label)
        for entry in result
        for label in entry["value"]["timeserieslabels"]
    ]
    left = list(suggested)
    matched = 0
    for true in recording.truth:
        same = [one for one in left if one.label == true.label and _overlap(one, true) >= _SAME]
        if same:
            left.remove(max(same, key=lambda one: _overlap(one, true)))
            matched += 1
    return Comparison(len(suggested), len(recording.truth), matched)


def _overlap(one: TrueSegment, other: TrueSegment) -> float:
    """Intersection over union, in rows."""
    shared = min(one.last, other.last) - max(one.first, other.first) + 1
    return max(shared, 0) / (one.last - one.first + other.last - other.first + 2 - shared)

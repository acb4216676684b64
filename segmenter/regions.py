"""Regions and rows: an annotator's intervals to a state for each row, suggested segments back to result entries."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt

from segmenter.errors import RecordingError
from segmenter.labeling import Labeling
from segmenter.recording import Recording
from segmenter.timeaxis import TimeAxis

_TYPE = "timeserieslabels"
_TOUCHED = ("manual", "prediction-changed")


@dataclass(frozen=True)
class Region:
    """An annotator's interval on the time axis, both ends included, start <= end, in the axis' unit."""

    start: float
    end: float
    labels: tuple[str, ...]  # as stored, sorted as in the labeling; more than one only with choice="multiple"
    instant: bool = False


@dataclass(frozen=True, order=True)
class State:
    """What a row can be: background (no label), one label, a set of labels, or an instant."""

    labels: tuple[str, ...] = ()
    instant: bool = False


BACKGROUND = State()


@dataclass(frozen=True, eq=False)
class Targets:
    """A state for each row of an annotated recording.

    codes: int16 (rows,), index into `states`; states[0] is BACKGROUND, the others are those that occur.
    """

    states: tuple[State, ...]
    codes: npt.NDArray[np.int16]


@dataclass(frozen=True)
class Segment:
    """A suggested interval: rows `first` to `last`, both included, all in one state.

    score: the average over its rows, 0..1.
    """

    first: int
    last: int
    state: State
    score: float


def annotated_regions(
    annotations: Sequence[Mapping[str, Any]], labeling: Labeling, axis: TimeAxis
) -> tuple[Region, ...] | None:
    """The regions to learn from a task's annotations, in the order drawn; () when the annotator saw nothing.

    None when there is nothing to learn from: only skipped annotations, drafts, or suggestions accepted unseen (copies
    of a prediction with no time spent on them and no entry changed or added). Ground truth wins over the others; of
    several annotators the newest (`updated_at`, then id) wins.

    Raises RecordingError for a region whose start or end cannot be read on the axis: to leave it out would teach that
    nothing is there.
    """
    usable = [found for found in annotations if not found.get("was_cancelled") and not _accepted_unseen(found)]
    if not usable:
        return None
    chosen = max(usable, key=lambda found: (bool(found.get("ground_truth")), *_age(found)))
    return read_regions(_entries(chosen), labeling, axis)


def read_regions(result: Sequence[Any], labeling: Labeling, axis: TimeAxis) -> tuple[Region, ...]:
    """The regions among an annotation's result entries, in the order drawn; entries of other kinds are left out.

    Raises RecordingError for a region whose start or end cannot be read on the axis.
    """
    entries = [(entry, labels) for entry in result if (labels := _labels(entry, labeling))]
    starts = axis.read_bounds([entry["value"]["start"] for entry, _ in entries])
    ends = axis.read_bounds([entry["value"]["end"] for entry, _ in entries])
    return tuple(
        _region(entry, labels, axis, start, end)
        for (entry, labels), start, end in zip(entries, starts.tolist(), ends.tolist(), strict=True)
    )


def regions_to_targets(regions: Sequence[Region], recording: Recording, labeling: Labeling) -> Targets:
    """Every row with start <= time <= end takes the region's state (on equal footing the later drawn wins).

    An instant marks the row nearest to it, on top of any region there. With choice="multiple" a row under several
    regions, or several instants, carries the labels of all of them.
    """
    states = [BACKGROUND]
    painted = np.zeros(len(recording), dtype=np.int64)  # indexes into `states`
    for region in sorted(regions, key=lambda region: region.instant):
        rows = _rows(region, recording)
        becomes = np.zeros(len(states), dtype=np.int64)
        for code in np.unique(painted[rows]):
            state = _drawn_over(states[code], region, labeling)
            if state not in states:
                states.append(state)
            becomes[code] = states.index(state)
        painted[rows] = becomes[painted[rows]]
    return _sorted_targets(states, painted, labeling)


def join_under_instants(segments: Sequence[Segment], reach: int) -> tuple[Segment, ...]:
    """Segments in order of time, with instants on top of regions as an annotator would draw them.

    Two segments of one state that only instants part are one. What is no longer than `reach` rows beside an instant of
    the same label is its flank, and left out. `reach` is also how many rows may be missing between an instant and its
    neighbours, having been taken for parts of it.
    """
    joined: list[Segment] = []
    under: int | None = None  # the place in `joined` of a region that may go on after the instants that follow it
    for before, segment, after in zip([None, *segments], segments, [*segments[1:], None], strict=False):
        if before is not None and segment.first - before.last - 1 > reach:
            under = None
        if segment.state.instant:
            joined.append(segment)
        elif under is not None and before and before.state.instant and joined[under].state == segment.state:
            joined[under] = _joined(joined[under], segment)
        elif not _is_flank(segment, before, reach) and not _is_flank(segment, after, reach):
            joined.append(segment)
            under = len(joined) - 1
    return tuple(joined)


def _is_flank(segment: Segment, neighbour: Segment | None, reach: int) -> bool:
    if neighbour is None or neighbour.state != State(segment.state.labels, instant=True):
        return False
    between = max(segment.first - neighbour.last, neighbour.first - segment.last) - 1
    return segment.last - segment.first < reach and between <= reach


def _joined(first: Segment, second: Segment) -> Segment:
    rows = first.last - first.first + 1, second.last - second.first + 1
    score = (first.score * rows[0] + second.score * rows[1]) / sum(rows)
    return Segment(first.first, second.last, first.state, score)


def segments_to_result(segments: Sequence[Segment], recording: Recording, labeling: Labeling) -> list[dict[str, Any]]:
    """Segments as the `result` of a Label Studio prediction, in the form an annotation of this config would have.

    Background, and labels that the config does not have (any more), are left out.
    """
    entries = []
    for segment in segments:
        known = [label for label in labeling.labels if label in segment.state.labels]
        if not known:
            continue
        first, last = segment.first, segment.last
        if segment.state.instant:
            first = last = (first + last) // 2
        start, end = _bounds(first, last, recording)
        entries.append(
            {
                "id": uuid.uuid4().hex[:10],
                "from_name": labeling.control,
                "to_name": labeling.object,
                "type": _TYPE,
                "value": {
                    "start": start,
                    "end": end,
                    "instant": segment.state.instant,
                    _TYPE: known if labeling.multiple else known[:1],
                },
                "score": _score(segment.score),
            }
        )
    return entries


def _accepted_unseen(annotation: Mapping[str, Any]) -> bool:
    """Whether this is a suggestion turned into an annotation in bulk: a person who had it open left some trace."""
    if annotation.get("parent_prediction") is None or annotation.get("ground_truth") or annotation.get("lead_time"):
        return False
    return not any(isinstance(entry, Mapping) and entry.get("origin") in _TOUCHED for entry in _entries(annotation))


def _age(annotation: Mapping[str, Any]) -> tuple[float, int]:
    """Sorts annotations from the oldest to the newest."""
    stamp, number = annotation.get("updated_at") or annotation.get("created_at"), annotation.get("id")
    if isinstance(stamp, str):
        try:
            stamp = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        except ValueError:
            stamp = None  # unknown is older than any
    if isinstance(stamp, datetime):
        stamp = (stamp if stamp.tzinfo else stamp.replace(tzinfo=timezone.utc)).timestamp()
    return (
        float(stamp) if isinstance(stamp, int | float) else float("-inf"),
        number if isinstance(number, int) else -1,
    )


def _entries(annotation: Mapping[str, Any]) -> Sequence[Any]:
    entries = annotation.get("result")
    return entries if isinstance(entries, list | tuple) else ()


def _labels(entry: Any, labeling: Labeling) -> tuple[str, ...]:
    """The labels that a result entry gives; () for one of another kind or control, or one without an extent in time."""
    if not isinstance(entry, Mapping) or entry.get("type") != _TYPE:
        return ()
    if entry.get("from_name") != labeling.control or entry.get("to_name") != labeling.object:
        return ()
    value = entry.get("value")
    if not isinstance(value, Mapping) or value.get("start") is None or value.get("end") is None:
        return ()
    given = value.get(_TYPE)
    names = [given] if isinstance(given, str) else given if isinstance(given, Sequence) else []
    stored = {labeling.stored_label(name) for name in names if isinstance(name, str)}
    labels = tuple(label for label in labeling.labels if label in stored)
    return labels if labeling.multiple else labels[:1]


def _region(entry: Mapping[str, Any], labels: tuple[str, ...], axis: TimeAxis, start: float, end: float) -> Region:
    value = entry["value"]
    if math.isnan(start) or math.isnan(end):
        bound = value["start"] if math.isnan(start) else value["end"]
        expected = "a number" if axis.format is None else f"a number or a stamp in the format {axis.format!r}"
        raise RecordingError(
            f"region {entry.get('id')!r} of {entry['from_name']!r} cannot be placed in time, for {bound!r} is not "
            f"{expected}: was the timeFormat changed after it was drawn?"
        )
    start, end = min(start, end), max(start, end)
    instant = bool(value.get("instant")) and start == end  # an instant that was widened by hand is a region
    if isinstance(value["end"], str) and not instant:
        # A stamp of whole seconds stands for all of its second: up to the last millisecond that is written like it.
        end += max(axis.resolution() - 1, 0)
    return Region(start, end, labels, instant)


def _rows(region: Region, recording: Recording) -> slice:
    times = recording.times
    if region.instant:
        early = times[0] - region.start  # a stamp that drops the fractions of a second lies before its row
        if 0 < early >= recording.axis.resolution() or region.start > times[-1]:
            return slice(0, 0)
        nearest = int(np.abs(times - region.start).argmin())
        return slice(nearest, nearest + 1)
    first = int(np.searchsorted(times, region.start, side="left"))
    return slice(first, int(np.searchsorted(times, region.end, side="right")))


def _drawn_over(below: State, region: Region, labeling: Labeling) -> State:
    """The state of rows in state `below` once the region is drawn over them."""
    if not labeling.multiple or below.instant != region.instant:
        return State(region.labels, region.instant)
    both = {*below.labels, *region.labels}
    return State(tuple(label for label in labeling.labels if label in both), region.instant)


def _sorted_targets(states: list[State], painted: npt.NDArray[np.int64], labeling: Labeling) -> Targets:
    """Only the states that occur, background first, then in the order of the labeling: the same for the same rows."""
    places = {label: place for place, label in enumerate(labeling.labels)}
    used = {int(code) for code in np.unique(painted)} - {0}
    order = sorted(
        used, key=lambda code: (states[code].instant, [places.get(label, -1) for label in states[code].labels])
    )
    codes = np.zeros(len(states), dtype=np.int16)
    for place, code in enumerate(order, start=1):
        codes[code] = place
    return Targets((BACKGROUND, *(states[code] for code in order)), codes[painted])


def _bounds(first: int, last: int, recording: Recording) -> tuple[str | float | int, str | float | int]:
    """The ends of rows `first` to `last` as an annotation has them; numbers where the format cannot tell these rows."""
    times, axis = recording.times, recording.axis
    start, end = axis.write_bound(times[first]), axis.write_bound(times[last])
    if isinstance(start, str) and axis.read_bounds([start, end]).tolist() != [times[first], times[last]]:
        plain = TimeAxis()
        return plain.write_bound(times[first]), plain.write_bound(times[last])
    return start, end


def _score(score: float) -> float:
    return round(min(1.0, max(0.0, float(score))), 4) if math.isfinite(score) else 0.0

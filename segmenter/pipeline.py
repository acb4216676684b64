"""The two ways through the engine, each told once: annotated tasks to a model, a task to suggested segments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segmenter.errors import LabelConfigError, NothingToLearn, RecordingError
from segmenter.finishing import keep_clear, read_drawn
from segmenter.fits import Progress
from segmenter.labeling import Labeling
from segmenter.limits import USUAL, Limits
from segmenter.model import FittedSegmenter, Model
from segmenter.prediction import suggest
from segmenter.recording import Recording, read_recording
from segmenter.regions import annotated_regions, join_under_instants, regions_to_targets, segments_to_result
from segmenter.training import Example, TrainingSettings, fit

logger = logging.getLogger(__name__)

NO_PAIR = (
    "the label config has no <TimeSeriesLabels> with a <Label> whose toName names a <TimeSeries>, so that there is "
    "nothing to learn or suggest: add them in the labeling interface"
)

Fetch = Callable[[str, "int | str | None"], bytes]
"""(address in a task's data, the task's id) -> the bytes behind it; raises RecordingError."""


@dataclass(frozen=True, eq=False)
class Task:
    """A task as Label Studio holds it: `data` names the recording, `annotations` hold what was drawn.

    so_far: result entries of an annotation that somebody is drawing at this moment.
    """

    id: int | str | None
    data: Mapping[str, Any]
    annotations: tuple[Mapping[str, Any], ...] = ()
    so_far: tuple[Any, ...] = ()

    @property
    def annotated(self) -> bool:
        """Somebody annotated it, if only to say that there is nothing; a skipped task is not annotated."""
        return any(not annotation.get("was_cancelled") for annotation in self.annotations)


@dataclass(frozen=True)
class LeftOut:
    """A task that a training went on without, and why."""

    task: int | str | None
    reason: str


@dataclass(frozen=True, eq=False)
class Learned:
    """What a training ends with."""

    model: Model
    tasks: int  # learned from
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Prediction:
    """The suggestions for one task.

    `failure`: why some or all of them are missing; `read`: whether some are not; `rows`: given a state, for all pairs.
    """

    result: tuple[dict[str, Any], ...]
    score: float
    failure: str | None = None
    read: bool = True
    rows: int = 0


def learn(
    labelings: Sequence[Labeling],
    tasks: Iterable[Task],
    fetch: Fetch,
    settings: TrainingSettings,
    progress: Callable[[Progress], None],
) -> Learned:
    """Annotated tasks -> recordings and a state for each row -> a segmenter for each labeling.

    A task that cannot be read is left out, with the reason. Raises NothingToLearn when none is left, LabelConfigError
    where there are no labelings.
    """
    if not labelings:
        raise LabelConfigError(NO_PAIR)
    left_out: dict[LeftOut, None] = {}  # each once, though several controls may label one recording
    examples: dict[Labeling, list[Example]] = {labeling: [] for labeling in labelings}
    for task in tasks:
        fetch_once = _once(fetch)
        for labeling in labelings:
            try:
                example = read_task(task, labeling, fetch_once, settings.limits)
            except RecordingError as error:
                left_out[LeftOut(task.id, str(error))] = None
                continue
            if example is not None:
                examples[labeling].append(example)
    learnable = {labeling: found for labeling, found in examples.items() if _has_regions(found)}
    if not learnable:
        raise NothingToLearn(_why_nothing(examples, tuple(left_out)), tuple(left_out))
    segmenters: list[FittedSegmenter] = []
    for number, (labeling, found) in enumerate(learnable.items()):
        segmenters.append(fit(found, labeling, settings, _share(progress, number, len(learnable))))
    used = {example.task for found in learnable.values() for example in found}
    return Learned(Model(tuple(segmenters)), len(used), tuple(left_out))


def predict(
    model: Model, labelings: Sequence[Labeling], task: Task, fetch: Fetch, limits: Limits = USUAL, threads: int = 1
) -> Prediction:
    """A task's recording -> segments of every labeling the model knows, as Label Studio's result entries.

    They keep clear of what is drawn so far. A recording that cannot be read gives nothing but the reason. threads: for
    long recordings; torch itself is quickest, and disturbed the least, with one (`torch.set_num_threads`).
    """
    result: list[dict[str, Any]] = []
    scores: list[float] = []
    failures: list[str] = []
    rows = 0
    fetch_once = _once(fetch)
    for labeling, segmenter in pairs(model, labelings):
        try:
            recording = recording_of(task, labeling, fetch_once, limits)
            drawn = read_drawn(task.so_far, labeling, recording) if task.so_far else None
        except RecordingError as error:
            failures.append(str(error))
            continue
        suggestion = suggest(segmenter, recording, labeling, drawn, threads)
        reach = 2 * segmenter.decoding.instant_radius
        segments = join_under_instants(suggestion.segments, reach)
        if drawn is not None:
            segments = keep_clear(segments, drawn, reach)
        result += segments_to_result(segments, recording, labeling)
        scores.append(suggestion.score)
        rows += len(recording)
    failure = "; ".join(dict.fromkeys(failures)) or None
    return Prediction(tuple(result), min(scores, default=0.0), failure, read=bool(scores), rows=rows)


def pairs(model: Model, labelings: Sequence[Labeling]) -> list[tuple[Labeling, FittedSegmenter]]:
    """The labelings that a model can serve, each with its segmenter: matched by the names of control and object."""
    known = {(segmenter.control, segmenter.object): segmenter for segmenter in model.segmenters}
    found = ((labeling, known.get((labeling.control, labeling.object))) for labeling in labelings)
    return [(labeling, segmenter) for labeling, segmenter in found if segmenter and segmenter.fits(labeling) is None]


def misfits(model: Model, labelings: Sequence[Labeling]) -> list[str]:
    """What of a config gets no suggestions from a model, and what the model knows that the config no longer has."""
    known = {(segmenter.control, segmenter.object): segmenter for segmenter in model.segmenters}
    found = [
        (labeling, reason)
        for labeling in labelings
        for reason in _misfits(known.pop((labeling.control, labeling.object), None), labeling)
    ]
    return [
        *[f"control {labeling.control!r} on {labeling.object!r}: {reason}" for labeling, reason in found],
        *[f"control {control!r} on {series!r} was learned, but the label config no longer has it"
          for control, series in known],
    ]  # fmt: skip


def _misfits(segmenter: FittedSegmenter | None, labeling: Labeling) -> list[str]:
    if segmenter is None:
        return ["nothing was learned for it yet: annotate and train again"]
    refused = segmenter.fits(labeling)
    if refused:
        return [refused]
    learned = {label for state in segmenter.states for label in state.labels}
    channels = {name.casefold() for name in segmenter.channels}
    new = [label for label in labeling.labels if label not in learned]
    gone = sorted(learned.difference(labeling.labels))
    added = [name for name in labeling.channels if name.casefold() not in channels]
    return [
        *[f"label {label!r} was not learned yet, so it is not suggested: annotate and train again" for label in new],
        *[
            f"label {label!r} was learned, but the label config no longer has it, so it is not suggested"
            for label in gone
        ],
        *[f"channel {name!r} was not learned yet, so it is not looked at: train again" for name in added],
    ]


def read_task(task: Task, labeling: Labeling, fetch: Fetch, limits: Limits = USUAL) -> Example | None:
    """None for a task that has nothing to learn from: only skipped annotations, or suggestions accepted unseen."""
    if not task.annotated:
        return None
    recording = recording_of(task, labeling, fetch, limits)
    regions = annotated_regions(task.annotations, labeling, recording.axis)
    if regions is None:
        return None
    return Example(str(task.id), recording, regions_to_targets(regions, recording, labeling))


def recording_of(task: Task, labeling: Labeling, fetch: Fetch, limits: Limits = USUAL) -> Recording:
    """The recording that a task's data names; raises RecordingError."""
    value = labeling.task_value(task.data)
    if labeling.value_type == "url":
        if not isinstance(value, str):
            kind = type(value).__name__
            raise RecordingError(f"expected an address under {labeling.value_key!r} in the task's data, found {kind}")
        value = fetch(value, task.id)
    recording = read_recording(value, labeling, limits)
    for remark in recording.remarks:
        logger.info("task %(task)s: %(remark)s", {"task": task.id, "remark": remark})
    return recording


def _once(fetch: Fetch) -> Fetch:
    """Fetches an address once, though several controls may label one recording; what failed once is not tried again."""
    answers: dict[str, bytes | RecordingError] = {}

    def fetch_once(address: str, task: int | str | None) -> bytes:
        if address not in answers:
            try:
                answers[address] = fetch(address, task)
            except RecordingError as error:
                answers[address] = error
        answer = answers[address]
        if isinstance(answer, RecordingError):
            raise answer
        return answer

    return fetch_once


def _has_regions(examples: Sequence[Example]) -> bool:
    return any(example.targets.codes.any() for example in examples)


def _why_nothing(examples: Mapping[Labeling, Sequence[Example]], left_out: Sequence[LeftOut]) -> str:
    read = max((len(found) for found in examples.values()), default=0)
    sentence = f"found no region with a label of the config in {read} readable annotated tasks"
    if left_out:
        sentence += f" ({len(left_out)} could not be read, the first because: {left_out[0].reason})"
    return sentence + "; annotate a region and submit"


def _share(progress: Callable[[Progress], None], number: int, count: int) -> Callable[[Progress], None]:
    """Progress of one of several segmenters, as a part of the whole training."""
    return lambda step: progress(replace(step, percent=(100.0 * number + step.percent) / count))

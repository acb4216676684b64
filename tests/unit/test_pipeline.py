"""The two ways through the engine: what is left out and why, what of a config a model cannot serve, what is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segmenter import training
from segmenter.errors import LabelConfigError, NothingToLearn, RecordingError
from segmenter.fits import Progress
from segmenter.labeling import Labeling
from segmenter.model import Model
from segmenter.optimization import lay_out
from segmenter.pipeline import Learned, LeftOut, Task, learn, misfits, predict
from segmenter.training import TrainingSettings
from tests.recordings import activity, regions
from tests.unit.fitted import LABELING as FITTED
from tests.unit.fitted import recording, untrained

LABELING = Labeling("label", "ts", ("Run", "Walk"), ("sensorone", "sensortwo"), "csv_url", time_column="time")
SECOND = replace(LABELING, control="effort", labels=("High",))
OTHER_SERIES = replace(LABELING, control="other", object="ts2", value_key="second")


def quietly(progress: Progress) -> None:
    """Say nothing."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps to go through everything, too few to learn much."""
    monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, steps=4))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps to learn what is plain to see."""
    monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, steps=60, batch=4, channel_dropouts=(0.0,)))


class Files:
    """Recordings by address; counts how often each is asked for."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files, self.asked = files, dict.fromkeys(files, 0)

    def __call__(self, address: str, task: int | str | None) -> bytes:
        self.asked[address] = self.asked.get(address, 0) + 1
        if address not in self.files:
            raise RecordingError(f"{address} is not there")
        return self.files[address]


def task(number: int, result: Any = None, address: str | None = None) -> Task:
    annotations = () if result is None else ({"id": number, "result": result},)
    return Task(number, {"csv_url": address or str(number)}, annotations)


def learned(labelings: tuple[Labeling, ...], tasks: list[Task], files: Files) -> Learned:
    return learn(labelings, tasks, files, TrainingSettings(threads=1), quietly)


RECORDINGS = {str(seed): activity(seed)[0] for seed in range(3)}


def test_a_task_that_cannot_be_read_is_left_out_once_with_the_reason_whatever_the_number_of_controls() -> None:
    files = Files(RECORDINGS)
    tasks = [task(0, regions(activity(0)[1])), task(7, regions(activity(0)[1])), task(1, [])]
    found = learned((LABELING, SECOND), tasks, files)
    assert found.left_out == (LeftOut(7, "7 is not there"),)
    assert found.tasks == 2
    assert files.asked == {"0": 1, "1": 1, "2": 0, "7": 1}


def test_where_nothing_is_left_every_task_is_named() -> None:
    with pytest.raises(NothingToLearn, match="2 could not be read, the first because: 7 is not there") as refused:
        learned((LABELING,), [task(7, []), task(0, []), task(8, [])], Files(RECORDINGS))
    assert [left.task for left in refused.value.left_out] == [7, 8]


def test_a_config_without_a_pair_is_named_as_the_reason() -> None:
    with pytest.raises(LabelConfigError, match="no <TimeSeriesLabels>"):
        learned((), [task(0, regions(activity(0)[1]))], Files(RECORDINGS))


@pytest.mark.usefixtures("brief")
def test_a_label_drawn_as_regions_and_as_instants_is_suggested_as_both() -> None:
    def spikes(seed: int) -> tuple[bytes, list[dict[str, Any]], list[tuple[bool, int]]]:
        random = np.random.default_rng(seed)
        values, drawn, row = 0.3 * random.standard_normal(600), [], 20
        while row < 500:
            length = int(random.integers(25, 45))
            values[row : row + length] += 2.0
            drawn.append((False, row, row + length - 1))
            row += length + int(random.integers(25, 40))
            values[row - 1 : row + 2] += [3.0, 7.0, 3.0]
            drawn.append((True, row, row))
            row += int(random.integers(25, 40))
        result = regions([("Run", first, last) for _, first, last in drawn])
        for entry, (instant, _, _) in zip(result, drawn, strict=True):
            entry["value"]["instant"] = instant
        csv = "time,sensorone\n" + "".join(f"{row},{value:.3f}\n" for row, value in enumerate(values))
        return csv.encode(), result, [(instant, first) for instant, first, _ in drawn]

    how = replace(LABELING, channels=("sensorone",))
    drawn = {seed: spikes(seed) for seed in range(5)}
    files = Files({str(seed): csv for seed, (csv, _, _) in drawn.items()})
    model = learned((how,), [task(seed, drawn[seed][1]) for seed in range(4)], files).model
    values = [entry["value"] for entry in predict(model, (how,), task(4), files).result]
    assert all((value["start"] == value["end"]) == value["instant"] for value in values)
    found = sorted((value["instant"], value["start"]) for value in values)
    expected = sorted(drawn[4][2])
    assert [instant for instant, _ in found] == [instant for instant, _ in expected]
    assert np.abs(np.subtract([start for _, start in found], [start for _, start in expected])).max() <= 3


@pytest.mark.parametrize(
    ("what", "config", "sentences"),
    [
        ("all fits", [FITTED], []),
        ("another order", [replace(FITTED, labels=("Run", "Walk"), channels=("two", "ONE"))], []),
        ("a label added", [replace(FITTED, labels=("Walk", "Run", "Swim"))], ["'Swim' was not learned yet"]),
        ("a label removed", [replace(FITTED, labels=("Walk",))], ["'Run' was learned, but the label config"]),
        (
            "a label renamed",
            [replace(FITTED, labels=("Walk", "Sprint"))],
            ["'Sprint' was not learned yet", "'Run' was learned, but the label config"],
        ),
        ("a channel added", [replace(FITTED, channels=("One", "Two", "Three"))], ["channel 'Three' was not learned"]),
        (
            "a channel removed",
            [replace(FITTED, channels=("One",))],
            ["'Two', which the label config no longer"],
        ),
        ("all labels gone", [replace(FITTED, labels=("Swim",))], ["None of the labels"]),
        ("a control added", [FITTED, SECOND], ["'effort' on 'ts': nothing was learned for it yet"]),
        (
            "the control renamed",
            [replace(FITTED, control="activity")],
            ["'activity' on 'ts': nothing was learned", "'label' on 'ts' was learned, but the label config no longer"],
        ),
        ("nothing left", [], ["'label' on 'ts' was learned"]),
    ],
)
def test_what_of_a_config_a_model_cannot_serve(what: str, config: list[Labeling], sentences: list[str]) -> None:
    found = misfits(Model((untrained(),)), config)
    assert len(found) == len(sentences)
    assert all(sentence in reason for sentence, reason in zip(sentences, found, strict=True)), found


def test_of_two_time_series_of_a_task_the_one_that_can_be_read_is_suggested() -> None:
    one = replace(FITTED, value_key="csv_url")
    other = replace(FITTED, control="other", object="ts2", value_key="second")
    model = Model((untrained(), replace(untrained(), control="other", object="ts2")))
    files = Files({"good": b"one,two\n" + b"".join(b"%g,%g\n" % tuple(row) for row in recording(300).values)})
    half = predict(model, (one, other), Task(1, {"csv_url": "good", "second": "gone"}), files)
    assert {entry["to_name"] for entry in half.result} == {"ts"}
    assert (half.read, half.failure) == (True, "gone is not there")
    none = predict(model, (one, other), Task(1, {"csv_url": "gone", "second": "gone"}), files)
    assert (none.read, none.failure, none.result) == (False, "gone is not there", ())
    assert files.asked == {"good": 1, "gone": 2}


def test_nothing_in_an_annotation_kills_the_training() -> None:
    good = regions(activity(0)[1])
    odd: list[Any] = [
        None,
        "text",
        {"type": "relation", "from_id": "r0", "to_id": "r1", "direction": "right"},
        {**good[0], "value": {**good[0]["value"], "timeserieslabels": []}},
        {**good[0], "value": None},
        {**good[0], "from_name": "foreign"},
        {**good[0], "type": "choices", "value": {"choices": ["Sure"]}},
    ]
    tasks = [task(0, [*odd, *good, *odd]), task(1, None), Task(2, {}, ({"id": 2},))]
    found = learned((LABELING,), tasks, Files(RECORDINGS))
    assert [example["task"] for example in found.model.segmenters[0].report["recordings"]] == ["0"]
    assert [left.task for left in found.left_out] == [2]


def test_a_skipped_annotation_teaches_nothing_and_an_empty_one_that_there_is_nothing() -> None:
    spans = regions(activity(0)[1])
    skipped = Task(1, {"csv_url": "1"}, ({"id": 1, "result": spans, "was_cancelled": True},))
    report = learned((LABELING,), [task(0, spans), skipped, task(2, [])], Files(RECORDINGS)).model.segmenters[0].report
    assert [example["task"] for example in report["recordings"]] == ["0", "2"]
    assert report["rows"]["background"] > 240


def test_windows_never_run_across_recordings() -> None:
    lengths = [1, 2, 7, 30, 31, 200]
    layout = lay_out([np.full((rows, 1), number, np.float32) for number, rows in enumerate(lengths)], window=32)
    rows = layout.with_targets([np.ones(length, np.int64) for length in lengths])
    windows = [rows.features[start : start + rows.window] for start in rows.starts.tolist()]
    assert all(len(window) == 32 and len(window.unique()) == 1 for window in windows)
    assert {int(window[0]) for window in windows} == set(range(len(lengths)))

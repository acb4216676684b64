"""What is too large is refused in a sentence that names the setting, before memory is taken for it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest

from segmenter.errors import LabelConfigError, NothingToLearn, NotXml, RecordingError
from segmenter.labeling import read_label_config
from segmenter.limits import Limits
from segmenter.pipeline import Task, learn, predict
from segmenter.recording import read_recording
from segmenter.training import TrainingSettings
from tests.backend.server import Server
from tests.recordings import CONFIG, activity, regions

(LABELING,) = read_label_config(CONFIG)
SMALL = Limits(rows=300, channels=4, labels=3)


def csv(rows: int, columns: int = 3) -> bytes:
    names = ["time", "sensorone", "sensortwo", *(f"more{place}" for place in range(columns - 3))]
    lines = [",".join(names), *(",".join([str(row)] * columns) for row in range(rows))]
    return "\n".join(lines).encode()


def columns_of(rows: int) -> dict[str, Any]:
    return {name: list(range(rows)) for name in ("time", "sensorone", "sensortwo")}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (csv(301), "301 rows, at most 300 are read.*MAX_ROWS"),
        (columns_of(301), "301 rows, at most 300 are read.*MAX_ROWS"),
        (csv(10, 5), "5 columns, at most 4 are read.*MAX_CHANNELS"),
    ],
)
def test_a_recording_with_more_rows_or_columns_is_refused(content: bytes | Mapping[str, Any], words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        read_recording(content, LABELING, SMALL)


@pytest.mark.parametrize("content", [csv(300), csv(300) + b"\n", columns_of(300), csv(10, 4)])
def test_a_recording_of_just_so_many_is_read(content: bytes | Mapping[str, Any]) -> None:
    assert len(read_recording(content, LABELING, SMALL)) in (300, 10)


@pytest.mark.parametrize(
    "content", [b"," * 20_000_000, b"\n" * 20_000_000, b"a,b\n" * 12_000_000, b"a,b\n" + b"," * 20_000_000]
)
@pytest.mark.parametrize("separator", ["", ' sep="auto"'])
def test_a_file_of_nothing_but_separators_takes_no_memory_for_each(content: bytes, separator: str) -> None:
    (labeling,) = read_label_config(CONFIG.replace(' valueType="url"', f' valueType="url"{separator}'))
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError):
            read_recording(content, labeling)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (CONFIG.replace("<Label ", '<Label value="a"/><Label value="b"/><Label ', 1), "more than 3 labels.*MAX_LABELS"),
        (CONFIG.replace("<Channel ", '<Channel column="a"/><Channel column="b"/><Channel column="c"/><Channel ', 1),
         "5 channels, at most 4 are read.*MAX_CHANNELS"),
        (CONFIG + " " * 1_000_000, "characters, at most 1,000,000 are read"),
    ],
)  # fmt: skip
def test_a_label_config_with_too_much_in_it_is_refused(config: str, words: str) -> None:
    with pytest.raises(LabelConfigError, match=words):
        read_label_config(config, SMALL)


def test_controls_and_series_that_multiply_are_counted_as_what_they_become() -> None:
    names = [f"t{number}" for number in range(2000)]
    series = "".join(f'<TimeSeries name="{name}" value="$a"><Channel column="x"/></TimeSeries>' for name in names)
    control = f'<TimeSeriesLabels name="c" toName="{",".join(names)}"><Label value="y"/></TimeSeriesLabels>'
    with pytest.raises(LabelConfigError, match="more than 1,000 labels"):
        read_label_config(f"<View>{series}{control * 50}</View>")


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE v [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(12)) + "]>",
        '<!DOCTYPE v [<!ENTITY a12 "' + "A" * 500_000 + '">]>',
        '<!DOCTYPE v [<!ENTITY a12 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE v SYSTEM "http://127.0.0.1:1/a.dtd">',
        '<!DOCTYPE v [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    ],
    ids=["a billion laughs", "a long entity", "a file of this host", "a foreign document type", "a parameter entity"],
)
def test_entities_of_a_label_config_are_never_expanded_nor_looked_up(doctype: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(NotXml, match="DOCTYPE"):
            read_label_config(f"{doctype}<View>{'&a12;' * 1000}</View>")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_label_config_however_deep_is_read_or_refused() -> None:
    depth = 100_000
    assert read_label_config("<a>" * depth + "</a>" * depth) == ()
    with pytest.raises(NotXml):
        read_label_config("<a>" * depth)


def test_a_training_leaves_out_what_is_too_large_and_says_so() -> None:
    content, spans = activity(0)
    files = {"good": content, "long": csv(301), "wide": csv(10, 5)}
    tasks = [Task(number, {"csv_url": name}, ({"result": regions(spans)},)) for number, name in enumerate(files)]
    settings = TrainingSettings(threads=1, effort=0.05, limits=SMALL)
    learned = learn([LABELING], tasks, lambda address, task: files[address], settings, lambda progress: None)
    assert learned.tasks == 1
    assert [(left.task, left.reason.split(" are read")[0]) for left in learned.left_out] == [
        (1, "the recording has 301 rows, at most 300"),
        (2, "the file has 5 columns, at most 4"),
    ]
    with pytest.raises(NothingToLearn, match="MAX_ROWS"):
        learn([LABELING], tasks[1:2], lambda address, task: files[address], settings, lambda progress: None)
    refused = predict(learned.model, [LABELING], tasks[1], lambda address, task: files[address], SMALL)
    assert (refused.read, refused.result) == (False, ())


def test_a_request_with_too_many_tasks_is_refused_others_are_not(server: Server, trained: int) -> None:
    body = {"project": f"{trained}.1", "label_config": CONFIG}
    answer = server.http.post("/predict", json={**body, "tasks": [{}] * 5001})
    assert answer.status_code == 400
    assert answer.json()["error"] == "expected at most 5,000 tasks at once, found 5,001; raise MAX_TASKS for more"
    assert server.http.post("/predict", json={**body, "tasks": [{}] * 50}).json()["results"] == []


@pytest.mark.parametrize(("path", "key"), [("/predict", "label_config"), ("/setup", "schema")])
def test_a_label_config_that_is_too_long_is_refused_unread(server: Server, path: str, key: str) -> None:
    answer = server.http.post(path, json={"project": "8.1", "tasks": [], key: "<View>" + " " * 1_000_000})
    assert (answer.status_code, answer.json()["error"][:51]) == (
        400,
        "expected a label config of at most 1,000,000 charac",
    )


def test_a_label_config_with_too_many_labels_gets_no_suggestions_and_the_status_says_why(server: Server) -> None:
    many = CONFIG.replace("<Label ", "".join(f'<Label value="l{n}"/>' for n in range(1001)) + "<Label ", 1)
    assert server.http.post("/setup", json={"project": "9.1", "schema": many}).status_code == 200
    answer = server.http.post("/predict", json={"project": "9.1", "label_config": many, "tasks": [{}]})
    assert answer.json()["results"] == []
    assert "raise MAX_LABELS" in server.status(9)["config_problem"]

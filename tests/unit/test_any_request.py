"""No input makes the backend answer 500, or the trainer fail without a reason: anything, and things nearly right."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.routes import add_routes
from backend.sdk import create_app
from backend.service import service
from backend.settings import current_settings
from model import TimeSeriesSegmenter
from segmenter import training
from segmenter.errors import LabelConfigError, NothingToLearn, RecordingError
from segmenter.labeling import read_label_config
from segmenter.model import Model
from segmenter.pipeline import Task, learn, predict
from segmenter.training import TrainingSettings
from tests.recordings import CONFIG, activity, regions
from tests.unit.fitted import untrained

laws = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

JSON_CONFIG = CONFIG.replace('valueType="url"', 'valueType="json"').replace("sensorone", "One").replace(
    "sensortwo", "Two").replace(' timeColumn="time"', "")  # fmt: skip


class Unexpected(logging.Handler):
    """Collects the tracebacks that are logged: what nobody foresaw."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.records.append(record)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The app with a model for project 1; Label Studio is out of reach."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MODEL_DIR", str(tmp_path_factory.mktemp("models")))
        environment.setenv("LABEL_STUDIO_HOST", "http://127.0.0.1:1")
        environment.setenv("LABEL_STUDIO_API_KEY", "a-legacy-token")
        current_settings.cache_clear()
        service.cache_clear()
        app = create_app(TimeSeriesSegmenter)
        add_routes(app, TimeSeriesSegmenter, current_settings())
        service().store.publish(1, Model((untrained(),)), JSON_CONFIG)
        yield app.test_client()
        service().studio.close()
    current_settings.cache_clear()
    service.cache_clear()


@pytest.fixture(scope="module")
def unexpected() -> Iterator[Unexpected]:
    handler = Unexpected()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


KEYS = st.sampled_from(
    ["project", "tasks", "label_config", "schema", "params", "context", "action", "id", "data", "csv_url", "One", "Two",
     "annotations", "result", "value", "start", "end", "instant", "timeserieslabels", "title", "\ud800"]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([10**30, "1", "1.5", "2020-06-15", "http://[", "s3://b/k", "/data/x", "\ud800", "\0", "x" * 500]),
)
ANYTHING = st.recursive(
    SCALARS, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS, inside, max_size=3), max_leaves=10
)


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([*[right] * 15, ANYTHING]).flatmap(lambda strategy: strategy)


ROWS = st.lists(st.tuples(*[mostly(st.floats(-1e3, 1e3))] * 2), min_size=1, max_size=20)
COLUMNS = ROWS.map(lambda rows: dict(zip(["One", "Two"], map(list, zip(*rows, strict=True)), strict=True)))
DATA = mostly(st.fixed_dictionaries({"csv_url": st.just("/data/upload/1/x.csv") | COLUMNS | COLUMNS}))
TASKS = st.lists(mostly(st.fixed_dictionaries({"id": mostly(st.integers(1, 99)), "data": DATA})), max_size=4)
PIECES = st.sampled_from(
    [JSON_CONFIG, CONFIG, "<View>", "</View>", "&a;", "<!DOCTYPE a>", '<Label value="x"/>', "\ud800"]
)
CONFIGS = mostly(st.just(JSON_CONFIG)) | st.lists(PIECES, max_size=3).map("".join)
BODIES = {
    "/predict": st.fixed_dictionaries(
        {"project": mostly(st.just("1.17")), "tasks": mostly(TASKS), "label_config": CONFIGS},
        optional={"params": ANYTHING},
    ),
    "/setup": st.fixed_dictionaries(
        {"project": mostly(st.just("1.17")), "schema": CONFIGS}, optional={"extra_params": ANYTHING}
    ),
    "/webhook": st.fixed_dictionaries(
        {
            "action": mostly(
                st.sampled_from(["START_TRAINING", "ANNOTATION_CREATED", "TASKS_CREATED", "PROJECT_UPDATED"])
            )
        },
        optional={
            "project": mostly(st.fixed_dictionaries({"id": mostly(st.integers(1, 3)), "label_config": CONFIGS})),
            "tasks": ANYTHING,
            "annotation": ANYTHING,
        },
    ),
}


@settings(laws, max_examples=150)
@given(st.data(), st.sampled_from(list(BODIES)))
def test_any_request_is_answered_and_never_with_500(
    client: FlaskClient, unexpected: Unexpected, data: st.DataObject, path: str
) -> None:
    body = data.draw(mostly(BODIES[path]))
    content = json.dumps(body).encode()
    if data.draw(st.integers(0, 9)) == 0:
        content = data.draw(st.binary(max_size=20)) + content[: data.draw(st.integers(0, len(content)))]
    answer = client.post(path, data=content, content_type=data.draw(st.sampled_from(["application/json", "text/csv"])))
    assert not unexpected.records, unexpected.records[0].exc_info
    told = json.loads(answer.text, parse_constant=pytest.fail)  # NaN is no JSON
    if answer.status_code == 400:
        assert isinstance(told["error"], str)
        assert "\n" not in told["error"]
    else:
        assert answer.status_code in (200, 201)
    if path == "/predict" and answer.status_code == 200:
        assert len(told["results"]) in (0, len(body["tasks"]))
        assert all(0.0 <= prediction["score"] <= 1.0 for prediction in told["results"])
    assert client.get("/projects/1/status").status_code == 200


NOTHING: st.SearchStrategy[dict[str, Any]] = st.just({})
ENTRIES = st.builds(
    lambda entry, changes, bounds: {**entry, **changes, "value": {**entry["value"], **bounds}},
    st.sampled_from(regions([("Run", 5, 60), ("Walk", 80, 80)])),
    NOTHING | st.dictionaries(st.sampled_from(["id", "from_name", "to_name", "type", "origin"]), ANYTHING, max_size=1),
    NOTHING | st.dictionaries(st.sampled_from(["start", "end", "instant", "timeserieslabels"]), ANYTHING, max_size=1),
)
ANNOTATIONS = st.fixed_dictionaries(
    {"id": mostly(st.integers(1, 99)), "result": mostly(st.lists(mostly(ENTRIES), min_size=1, max_size=4))},
    optional=dict.fromkeys(
        ["was_cancelled", "ground_truth", "updated_at", "created_at", "parent_prediction", "lead_time"], ANYTHING
    ),
)
GOOD = activity(0, 120)[0]
FILES = st.builds(
    lambda at, put, end: (GOOD[:at] + put + GOOD[at:])[:end],
    st.integers(0, len(GOOD)),
    st.sampled_from([*[b""] * 10, b",", b"\n", b'"', b"x", b"\0", b"1e999", b"\xff", b"9" * 400]),
    st.sampled_from([*[len(GOOD)] * 8, 30, 100]),
)


@settings(laws, max_examples=25)
@given(st.lists(st.tuples(FILES, st.lists(ANNOTATIONS, min_size=1, max_size=2), mostly(st.none())), max_size=3))
def test_a_training_succeeds_or_says_why_not(
    tasks: list[tuple[bytes, list[Mapping[str, Any]], Any]],
) -> None:
    labelings = read_label_config(CONFIG)
    found = [
        Task(number, {"csv_url": str(number) if data is None else data}, tuple(annotations))
        for number, (_, annotations, data) in enumerate(tasks)
    ]

    def fetch(address: str, task: Any) -> bytes:
        if address.isdigit() and int(address) < len(tasks):
            return tasks[int(address)][0]
        raise RecordingError(f"{address} is not there")

    with pytest.MonkeyPatch.context() as recipe:
        recipe.setattr(training, "RECIPE", replace(training.RECIPE, steps=1))
        try:
            model = learn(labelings, found, fetch, TrainingSettings(threads=1), lambda step: None).model
        except (NothingToLearn, LabelConfigError):
            return
    for task in found:
        json.dumps(predict(model, labelings, task, fetch).result, allow_nan=False)

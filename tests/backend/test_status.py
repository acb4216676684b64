"""The status says why there are no suggestions: the config, what of it was not learned, the tasks not read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG, activity

WALK = '<Label value="Walk"/>'
NO_PAIR = '<View><Text name="t" value="$t"/></View>'


def test_a_trained_project_has_nothing_to_explain(server: Server, trained: int) -> None:
    server.predict(trained, 1000 * trained + 6)
    status = server.status(trained)
    assert (status["config_problem"], status["misfits"], status["left_out"]) == (None, [], [])


@pytest.mark.parametrize(
    ("project", "config", "problem"),
    [
        (70, NO_PAIR, "no <TimeSeriesLabels>"),
        (71, "<View", "not XML"),
        (72, '<!DOCTYPE v [<!ENTITY a "b">]><View>&a;</View>', "DOCTYPE"),
        (73, CONFIG.replace("$csv_url", ""), "no value"),
    ],
)
@pytest.mark.parametrize("told_by", ["setup", "predict", "event"])
def test_a_config_without_a_pair_is_told_whichever_request_brings_it(
    server: Server, studio: StandIn, project: int, config: str, problem: str, told_by: str
) -> None:
    project += 10 * ["setup", "predict", "event"].index(told_by)
    studio.add_project(project, config)
    if told_by == "setup":
        server.http.post("/setup", json={"project": project, "schema": config})
    elif told_by == "predict":
        server.http.post("/predict", json={"project": project, "label_config": config, "tasks": []})
    else:
        server.event("PROJECT_UPDATED", project)
    assert problem in server.status(project)["config_problem"]
    told = [line for line in server.log_text().splitlines() if f"project {project}: " in line and problem in line]
    assert len(told) == 1


def test_a_training_on_a_config_without_a_pair_fails_for_that_reason(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 74, annotated=1, config=NO_PAIR)
    server.event("START_TRAINING", project)
    assert "no <TimeSeriesLabels>" in server.wait_for_state(project, "failed")["reason"]


def test_the_status_follows_the_label_config(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 75, annotated=1, others=1)
    server.train(project)
    row: dict[str, Any] = {"id": project}
    for config, sentences in (
        (CONFIG.replace(WALK, WALK + '<Label value="Swim"/>'), ["'Swim' was not learned yet"]),
        (CONFIG.replace(WALK, ""), ["'Walk' was learned, but the label config no longer has it"]),
        (CONFIG.replace('<Channel column="sensorone"/>', ""), ["'sensorone', which the label config no longer has"]),
        (CONFIG, []),
    ):
        server.http.post("/webhook", json={"action": "PROJECT_UPDATED", "project": {**row, "label_config": config}})
        misfits = server.status(project)["misfits"]
        assert len(misfits) == len(sentences)
        assert all(sentence in misfit for sentence, misfit in zip(sentences, misfits, strict=True)), misfits


def test_a_failed_training_names_every_task_it_could_not_read(server: Server, studio: StandIn) -> None:
    studio.add_project(76, CONFIG)
    broken = [studio.add_task(76, content, []) for content in (b"", None, b"time,a\n0,1\n")]
    server.event("START_TRAINING", 76)
    status = server.wait_for_state(76, "failed")
    assert [entry["task"] for entry in status["left_out"]] == broken
    assert "the file is empty" in status["left_out"][0]["reason"]


def test_a_task_that_can_be_read_again_is_no_longer_listed(server: Server, studio: StandIn, trained: int) -> None:
    csv = activity(100)[0]
    task = studio.add_task(trained, b"")
    assert server.predict(trained, task) == []
    assert task in [failure["task"] for failure in server.status(trained)["failures"]]
    studio.files[f"/data/upload/{trained}/{task}.csv"] = csv
    assert server.predict(trained, task)[0]["result"]
    assert task not in [failure["task"] for failure in server.status(trained)["failures"]]


@pytest.mark.parametrize("project", ["x", "-1", "1.2.3", "9" * 30, "%00"])
def test_the_status_of_what_is_no_project_is_not_found(server: Server, project: str) -> None:
    answer = server.http.get(f"/projects/{project}/status")
    assert answer.status_code == 404
    assert "error" in answer.json()

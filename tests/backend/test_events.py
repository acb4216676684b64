"""Events: what asks for a training, and how it is answered."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG, activity, regions


@pytest.mark.parametrize(
    ("project", "action", "payload"),
    [
        (11, "START_TRAINING", {}),
        (12, "ANNOTATION_CREATED", {"annotation": {"id": 1, "result": []}, "task": {"id": 1}}),
        (13, "ANNOTATION_UPDATED", {"annotation": {"id": 1, "result": []}, "task": {"id": 1}}),
        (14, "ANNOTATIONS_CREATED", {"annotation": [{"id": 1}], "task": [{"id": 1}]}),
        (15, "ANNOTATIONS_DELETED", {"annotations": [{"id": 1}]}),
        (17, "TASKS_DELETED", {"tasks": [{"id": 1}]}),
    ],
)
def test_an_event_that_changes_what_there_is_to_learn_asks_for_a_training(
    server: Server, studio: StandIn, project: int, action: str, payload: dict[str, Any]
) -> None:
    studio.add_project(project, CONFIG)
    answer = server.event(action, project, **payload)
    assert answer.status_code == 201
    assert answer.json()["job"] == f"{project}-1"
    assert server.wait_for_state(project, "untrained")["reason"].startswith("0 annotated tasks")


@pytest.mark.parametrize(
    "body",
    [
        {"action": "ANNOTATION_CREATED"},
        {"action": "TASKS_CREATED", "tasks": [{"id": 1}]},
        {"action": "PROJECT_UPDATED", "project": {"id": 18}},
        {"action": "LABEL_LINK_CREATED", "project": {"id": 18}},
        {"action": "SOMETHING_NEW", "project": {"id": 18}},
        {"action": 7, "project": {"id": 18}},
        {"action": "START_TRAINING", "project": {"id": "../18"}},
        {"action": "START_TRAINING", "project": None},
        {},
    ],
)
def test_any_other_event_is_answered_and_ignored(server: Server, body: dict[str, Any]) -> None:
    assert server.http.post("/webhook", json=body).status_code == 200
    assert server.status(18)["state"] == "untrained"


def test_the_webhook_answers_at_once_while_a_training_runs(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 20)
    server.event("START_TRAINING", project)
    server.wait_for_state(project, "training")
    took = []
    while server.status(project)["state"] == "training" and len(took) < 20:
        began = time.monotonic()
        assert server.event("PROJECT_UPDATED", project).status_code == 200
        server.event("ANNOTATION_UPDATED", project, annotation={"id": 1}, task={"id": 1})
        took.append((time.monotonic() - began) / 2)
    assert sorted(took)[len(took) // 2] < 0.2
    server.wait_for_state(project, "ready")


def test_events_that_arrive_during_a_training_become_one_more(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 21)
    for _ in range(5):
        server.event("START_TRAINING", project)
    server.wait_for_state(project, "training")
    csv, spans = activity(50)
    studio.add_task(project, csv, regions(spans))
    for _ in range(5):
        server.event("ANNOTATION_CREATED", project, annotation={"id": 1}, task={"id": 1})
    server.wait(lambda: len(server.status(project)["versions"]) == 2, "the second version", 120)
    status = server.wait_for_state(project, "ready")
    assert len(status["versions"]) == 2
    assert "learned from 6 tasks" in server.log_text()


def test_two_hundred_events_in_ten_seconds_are_at_most_three_trainings(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 24, annotated=2)
    slots = iter(range(200))
    began = time.monotonic()

    def annotate(client: httpx.Client) -> list[int]:
        answers = []
        for number in slots:  # of all eight together, one each twentieth of a second
            time.sleep(max(0.0, began + number / 20 - time.monotonic()))
            if number == 199:  # the last annotation, and the last event
                csv, spans = activity(50)
                studio.add_task(project, csv, regions(spans))
            body = {"action": "ANNOTATION_CREATED", "project": {"id": project}, "annotation": {}, "task": {}}
            answers.append(client.post("/webhook", json=body).status_code)
        return answers

    clients = [httpx.Client(base_url=server.http.base_url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = [status for found in pool.map(annotate, clients) for status in found]
    for client in clients:
        client.close()
    assert answers == [201] * 200
    assert 9 < time.monotonic() - began < 15
    server.wait_for_state(project, "ready")
    log = [line for line in server.log_text().splitlines() if f"project {project}: " in line]
    trained = [line for line in log if "training on" in line or "no training" in line]
    assert 2 <= len(trained) <= 3
    assert "learned from 3 tasks" in [line for line in log if "published" in line][-1]


def test_training_begins_after_every_nth_annotation_event(studio: StandIn, tmp_path: Any) -> None:
    project = annotated_project(studio, 22)
    server = Server(studio, tmp_path / "models", START_TRAINING_EACH_N_UPDATES="3")
    try:
        answers = [server.event("ANNOTATION_CREATED", project, annotation={}, task={}).status_code for _ in range(3)]
        assert answers == [200, 200, 201]
        server.wait_for_state(project, "ready")
        assert len(server.status(project)["versions"]) == 1
    finally:
        server.close()


def test_skipped_tasks_are_too_few_annotations(server: Server, studio: StandIn) -> None:
    project = 23
    studio.add_project(project, CONFIG)
    csv, spans = activity(0)
    studio.add_task(project, csv, regions(spans), was_cancelled=True)
    server.event("START_TRAINING", project)
    server.wait(lambda: server.status(project).get("last_training_at"), "the training to end")
    status = server.status(project)
    assert (status["state"], status["version"]) == ("untrained", None)
    assert "MIN_ANNOTATED_TASKS" in status["reason"]


def test_an_import_that_brings_annotations_is_learned_one_without_is_not(server: Server, studio: StandIn) -> None:
    """Label Studio reports an import before its annotations can be seen, and never says that there are any."""
    project = 64
    studio.add_project(project, CONFIG)
    assert server.event("TASKS_CREATED", project, tasks=[{"id": 1, "annotations": []}]).status_code == 200
    for seed in range(4):
        csv, spans = activity(seed)
        studio.add_task(project, csv, regions(spans))
    assert server.wait_for_state(project, "ready")["last_event"] == "TASKS_CREATED"
    studio.add_task(project, activity(100)[0])
    began = time.monotonic()
    server.event("TASKS_CREATED", project, tasks=[{"id": 5, "annotations": []}])
    server.wait(lambda: time.monotonic() - began > 4, "the first look")
    assert len(server.status(project)["versions"]) == 1


def test_nothing_new_is_not_learned_again_unless_start_training_is_pressed(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 65)
    server.event("ANNOTATION_CREATED", project, annotation={}, task={})
    version = server.wait_for_state(project, "ready")["version"]
    server.event("ANNOTATION_UPDATED", project, annotation={}, task={})
    server.wait(lambda: "has learned all there is" in server.status(project)["reason"], "the reason")
    assert server.status(project)["version"] == server.setup(project) == version
    assert server.train(project) != version


@pytest.mark.parametrize(
    ("project", "before", "after", "trains"),
    [
        (66, '<Label value="Walk"/>', '<Label value="Walk"/><Label value="Jump"/>', True),
        (67, '<Channel column="sensortwo"/>', "", True),
        (68, '<Label value="Run"/>\n    <Label value="Walk"/>', '<Label value="Walk"/><Label value="Run"/>', False),
        (69, '<Label value="Run"/>', '<Label value="Run" background="#123456"/>', False),
        (70, "<View>", "<View", False),
    ],
    ids=["a label added", "a channel removed", "labels in another order", "another colour", "no XML"],
)
def test_a_changed_label_config_asks_for_a_training_when_labels_or_channels_changed(
    server: Server, studio: StandIn, project: int, before: str, after: str, trains: bool
) -> None:
    annotated_project(studio, project, annotated=2)
    server.train(project)
    assert before in CONFIG
    studio.projects[project].label_config = CONFIG.replace(before, after)
    assert server.event("PROJECT_UPDATED", project).status_code == (201 if trains else 200)
    if trains:
        server.wait(lambda: len(server.status(project)["versions"]) == 2, "the second version", 90)

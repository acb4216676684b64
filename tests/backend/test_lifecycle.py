"""Versions and processes: what serves, when it changes, and what survives."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import ROOT, Server
from tests.recordings import CONFIG, activity, overlap, regions


def test_an_untrained_project_gets_no_results(server: Server, studio: StandIn) -> None:
    studio.add_project(30, CONFIG)
    task = studio.add_task(30, activity(0)[0])
    assert server.predict(30, task) == []
    assert server.setup(30) == "untrained"


def test_an_interactive_request_gets_one_entry_a_task_even_when_untrained(server: Server, studio: StandIn) -> None:
    studio.add_project(31, CONFIG)
    task = studio.add_task(31, activity(0)[0])
    assert server.predict(31, task, context={"result": []}) == [{"result": [], "score": 0.0}]


def test_suggestions_match_what_the_recordings_hold(server: Server, studio: StandIn, trained: int) -> None:
    tasks = [task for task, stored in studio.projects[trained].tasks.items() if not stored["annotations"]]
    predictions = server.predict(trained, *tasks)
    assert len(predictions) == len(tasks) == 3
    for prediction, seed in zip(predictions, range(100, 103), strict=True):
        spans = activity(seed)[1]
        assert overlap(prediction["result"], spans) == len(spans)
        assert len(prediction["result"]) == len(spans)
        assert prediction["model_version"] == server.setup(trained)
        assert 0 <= prediction["score"] <= 1


def test_an_interactive_request_suggests_what_is_not_drawn_yet(server: Server, studio: StandIn, trained: int) -> None:
    task = next(task for task, stored in studio.projects[trained].tasks.items() if not stored["annotations"])
    everything = server.predict(trained, task, context={"result": []})[0]["result"]
    draft, finished, *open_ones = sorted(everything, key=lambda entry: entry["value"]["start"])
    body = server.predict_body(trained, task, context={"result": [finished]})
    body["tasks"][0]["drafts"] = [{"id": 1, "updated_at": "2026-01-02T10:00:00Z", "result": [draft]}]
    answer = server.http.post("/predict", json=body).json()["results"][0]["result"]
    assert [entry["value"] for entry in answer] == [entry["value"] for entry in open_ones] != []


def test_every_training_gives_a_new_version_that_all_workers_serve_at_once(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 32, annotated=2)
    first = server.train(project)
    second = server.train(project)
    assert first != second
    task = studio.add_task(project, activity(100)[0])
    versions = {server.setup(project) for _ in range(20)}
    versions |= {server.predict(project, task)[0]["model_version"] for _ in range(20)}
    assert versions == {second}


def test_no_answer_to_a_request_made_after_a_publish_carries_the_old_version(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 42, annotated=2)
    old = server.train(project)
    current = server.model_dir / "projects" / str(project) / "current"

    def predict(number: int) -> tuple[str, str]:
        published = current.read_text()
        return published, server.predict(project, 1000 * project + 3)[0]["model_version"]

    server.event("START_TRAINING", project)
    server.wait_for_state(project, "training")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(predict, range(100)))
        server.wait_for_state(project, "ready")
        answers += pool.map(predict, range(100))
    new = server.setup(project)
    assert {version for _, version in answers} == {old, new}
    assert [version for published, version in answers if published == new and version != new] == []


def test_the_old_version_serves_until_the_new_one_is_whole(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 33, annotated=2)
    old = server.train(project)
    task = studio.add_task(project, activity(100)[0])
    before = server.predict(project, task)
    server.event("START_TRAINING", project)
    server.wait_for_state(project, "training")
    during = server.predict(project, task)
    if server.status(project)["state"] == "training":
        assert [entry["value"] for entry in during[0]["result"]] == [entry["value"] for entry in before[0]["result"]]
        assert during[0]["model_version"] == old
    server.wait_for_state(project, "ready")


def test_a_damaged_version_is_set_aside_and_the_one_before_serves(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 34, annotated=2)
    first, second = server.train(project), server.train(project)
    folder = server.model_dir / "projects" / str(project)
    weights = folder / second / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    server.kill()
    server.start()
    task = studio.add_task(project, activity(100)[0])
    assert server.predict(project, task)[0]["model_version"] == first
    assert server.setup(project) == first
    assert (folder / f"{second}.damaged" / "model.safetensors").exists()
    status = server.status(project)
    assert (status["version"], status["versions"], status["damaged"]) == (first, [first], [second])
    assert status["scores"][0]["control"] == "label"
    assert status["scores"][0]["held_out"]["macro_f1"] > 0


def test_a_machine_trains_as_many_projects_at_once_as_it_is_set_to(studio: StandIn, tmp_path: Path) -> None:
    projects = [annotated_project(studio, number) for number in (43, 44, 45)]
    server = Server(studio, tmp_path / "models", TRAININGS_AT_ONCE="2", TRAINING_EFFORT="1")
    try:
        server.wait(lambda: len(server.trainers()) == 2, "two trainers")
        for project in projects:
            server.event("START_TRAINING", project)
        seen = []

        def all_ready() -> bool:
            seen.append([server.status(project)["state"] for project in projects])
            return seen[-1] == ["ready"] * 3

        server.wait(all_ready, "all trainings", 120)
        assert max(states.count("training") for states in seen) == 2
        assert len(server.trainers()) == 2
    finally:
        server.close()


def test_a_training_that_is_killed_is_done_after_all(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 35)
    server.event("START_TRAINING", project)
    server.wait_for_state(project, "training")
    os.kill(server.trainers()[0], signal.SIGKILL)
    assert server.wait_for_state(project, "ready")["version"].startswith("v1-")


def test_a_request_survives_when_everything_is_killed(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 36)
    server.event("START_TRAINING", project)
    server.kill()
    server.start()
    assert server.wait_for_state(project, "ready")["version"].startswith("v1-")


def test_the_default_model_dir_is_the_current_directory(studio: StandIn, tmp_path: Path) -> None:
    """MODEL_DIR empty means unset; the models land where the backend was started."""
    project = annotated_project(studio, 37, annotated=2)
    for name in ("_wsgi.py", "model.py", "gunicorn.conf.py", "backend", "segmenter"):
        (tmp_path / name).symlink_to(ROOT / name)
    server = Server(studio, tmp_path, working_folder=tmp_path, MODEL_DIR="")
    try:
        server.train(project)
        assert (tmp_path / "projects" / str(project) / "current").exists()
    finally:
        server.close()


def test_a_project_never_gets_the_model_of_another(server: Server, studio: StandIn, trained: int) -> None:
    studio.add_project(38, CONFIG)
    task = studio.add_task(38, activity(100)[0])
    assert server.predict(38, task) == []


@pytest.mark.parametrize("project", ["../1", "1/../1", "..", "", None, [1], {"id": 1}, "1.2.3", "-1", True, "１"])
def test_a_project_that_is_not_a_number_is_refused_and_names_no_file(
    server: Server, trained: int, project: Any
) -> None:
    before = sorted(path.name for path in (server.model_dir / "projects").iterdir())
    for path, body in (("/predict", {"tasks": []}), ("/setup", {"schema": CONFIG})):
        answer = server.http.post(path, json={**body, "project": project})
        assert answer.status_code == 400
        assert "project" in answer.json()["error"]
    assert sorted(path.name for path in (server.model_dir / "projects").iterdir()) == before


def test_annotations_without_a_region_save_no_model(server: Server, studio: StandIn) -> None:
    studio.add_project(39, CONFIG)
    studio.add_task(39, activity(0)[0], [])
    server.event("START_TRAINING", 39)
    status = server.wait_for_state(39, "failed")
    assert "no region" in status["reason"]
    assert status["versions"] == []


def test_a_recording_that_cannot_be_read_is_left_out_and_harms_no_other(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 40, annotated=2, others=1)
    spans = activity(7)[1]
    broken = [
        studio.add_task(project, None, regions(spans)),
        studio.add_task(project, b"", regions(spans)),
        studio.add_task(project, b"a,b\n1,2\n", regions(spans)),
    ]
    server.train(project)
    left_out = {entry["task"]: entry["reason"] for entry in server.status(project)["left_out"]}
    assert sorted(left_out) == broken
    assert "404" in left_out[broken[0]]
    good = 1000 * project + 3
    predictions = server.predict(project, broken[0], good, broken[2])
    assert [bool(prediction["result"]) for prediction in predictions] == [False, True, False]
    assert server.predict(project, *broken) == []


def test_a_stop_ends_all_processes_and_a_stopped_training_starts_over(studio: StandIn, tmp_path: Path) -> None:
    project = annotated_project(studio, 41)
    server = Server(studio, tmp_path / "models")
    try:
        server.event("START_TRAINING", project)
        server.wait_for_state(project, "training")
        assert server.trainers()
        server.stop()
        assert not server.trainers()
        server.start()
        server.wait_for_state(project, "ready")
    finally:
        server.close()

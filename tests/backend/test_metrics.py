"""`/metrics` is right with several workers, and stays right when they and the trainers die."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from backend.training_rules import RESULTS, WAITING
from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.exposition import Exposition
from tests.recordings import CONFIG, activity


@pytest.fixture(scope="module")
def server(studio: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    backend = Server(studio, tmp_path_factory.mktemp("metrics") / "models", TRAINING_EFFORT="0.1")
    yield backend
    backend.close()


def metrics(server: Server) -> Exposition:
    answer = server.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Exposition(answer.text)


def trainings(server: Server) -> dict[str, float]:
    told = metrics(server)
    return {result: told.value("segmenter_training_seconds_count", result=result) for result in RESULTS}


def files(server: Server) -> Path:
    """The folder that the workers count in, as one of them has it mapped."""
    maps = Path(f"/proc/{server.workers()[0]}/maps").read_text()
    folders = {Path(path) for path in re.findall(r"(\S+/segmenter-metrics-[^/]+)/\S+\.db", maps)}
    (folder,) = folders
    return folder


def test_a_training_and_a_suggestion_are_told_as_prometheus_wants_it(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 130, annotated=2, others=2)
    before = metrics(server)
    version = server.train(project)
    unreadable = studio.add_task(project, b"")
    server.predict(project, 1000 * project + 3, 1000 * project + 4, unreadable)
    server.predict(project, unreadable, config=CONFIG.replace('name="label"', 'name="other"'))
    server.http.get("/nothing/at/all")
    told = metrics(server)
    assert list(told.problems()) == []
    rows = sum(len(activity(seed)[0].splitlines()) - 1 for seed in (100, 101))
    assert told.value("segmenter_rows_predicted_total") - before.value("segmenter_rows_predicted_total") == rows
    for outcome, tasks in (("suggested", 2), ("unreadable", 1), ("no_model", 1)):
        asked = "segmenter_tasks_asked_total"
        assert told.value(asked, outcome=outcome) - before.value(asked, outcome=outcome) == tasks, outcome
    number, status = str(project), server.status(project)
    assert [sample.labels["version"] for sample in told.samples("segmenter_model_info", project=number)] == [version]
    f1 = told.value("segmenter_model_held_out_f1", project=number)
    assert f1 == status["scores"][0]["held_out"]["macro_f1"] > 0
    ended = told.value("segmenter_last_training_timestamp_seconds", project=number)
    assert ended == pytest.approx(status["last_training_at"])
    assert told.value("segmenter_training_seconds_count", result="published") == 1
    assert 0.01 < told.value("segmenter_training_seconds_sum", result="published") < 60
    assert told.value("segmenter_queue_up") == 1
    assert {sample.labels["state"] for sample in told.samples("segmenter_queue_projects")} == set(WAITING)
    assert told.value("segmenter_queue_projects") == 0


def test_series_are_named_after_routes_never_after_what_was_asked_for(server: Server) -> None:
    for path in ("/nothing", "/nothing/2", "/projects/1/status", "/projects/x/status", "/projects/2/status"):
        server.http.get(path)
    server.http.request("BREW", "/predict")
    told = metrics(server).samples("segmenter_request_seconds_count")
    routes = {sample.labels["route"] for sample in told}
    assert {"unknown", "/projects/<project>/status", "/metrics", "/health"} <= routes
    assert not [route for route in routes if re.search(r"\d|nothing|/x", route)]


def test_no_request_is_lost_nor_counted_twice_by_two_workers_even_when_they_are_killed(server: Server) -> None:
    def asked() -> float:
        return metrics(server).value("segmenter_request_seconds_count", route="/versions", code="200")

    def ask(requests: int) -> None:
        with httpx.Client(base_url=server.http.base_url) as client:
            for _ in range(requests):
                assert client.get("/versions").status_code == 200

    before, sent = asked(), 0
    for victim in [None, *server.workers()]:
        if victim:
            os.kill(victim, signal.SIGKILL)
            server.wait(lambda victim=victim: victim not in server.workers(), "the killed worker to be reaped")
            server.wait(lambda: len(server.workers()) == 2, "another worker")
            server.wait(lambda: _answers(server), "an answer")
        assert asked() == before + sent
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, [25] * 8))
        sent += 200
        assert [asked() for _ in range(10)] == [before + sent] * 10
        bounds = metrics(server).samples("segmenter_request_seconds_bucket", route="/versions", code="200", le="+Inf")
        assert [sample.value for sample in bounds] == [before + sent]


def test_what_a_killed_worker_had_in_flight_is_forgotten(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 131, annotated=1, others=2)
    server.train(project)
    studio.file_delay = 30
    try:
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(_predict_or_break, server, project) for _ in range(3)]
            server.wait(lambda: metrics(server).value("segmenter_requests_in_flight") == 4, "three requests and this")
            for victim in server.workers():
                os.kill(victim, signal.SIGKILL)
            server.wait(lambda: all(future.done() for future in waiting), "the connections to break")
        server.wait(lambda: _answers(server), "an answer")
        server.wait(lambda: metrics(server).value("segmenter_requests_in_flight") == 1, "this request alone")
    finally:
        studio.file_delay = 0


def test_trainings_are_counted_by_result_and_outlive_their_trainer_and_a_restart(
    server: Server, studio: StandIn
) -> None:
    before = trainings(server)
    studio.add_project(132, CONFIG)
    studio.add_task(132, activity(0)[0], [])
    server.event("START_TRAINING", 132)
    server.wait_for_state(132, "failed")
    assert trainings(server) == {**before, "failed": before["failed"] + 1}
    studio.failing_with = 503
    try:
        server.event("START_TRAINING", 132)
        server.wait(lambda: trainings(server)["put_off"] > before["put_off"], "a training to be put off")
        assert metrics(server).value("segmenter_queue_projects", state="put_off") == 1
    finally:
        studio.failing_with = None
    server.wait(lambda: trainings(server)["failed"] == before["failed"] + 2, "the second try")
    project = annotated_project(studio, 133, annotated=3)
    studio.file_delay = 0.3
    server.event("START_TRAINING", project)
    server.wait_for_state(project, "training")
    assert metrics(server).value("segmenter_queue_projects", state="training") == 1
    os.kill(server.trainers()[0], signal.SIGKILL)
    server.wait(lambda: trainings(server)["died"] == before["died"] + 1, "the next trainer to take it")
    studio.file_delay = 0
    server.wait_for_state(project, "ready")
    counted = trainings(server)
    assert counted["published"] == before["published"] + 1
    folder = files(server)
    assert list(folder.glob("histogram_*.db"))
    server.stop()
    assert not folder.exists()  # the counts of this run of the server are gone, those of trainings are not
    server.start()
    assert trainings(server) == counted
    folder = files(server)
    server.kill()
    server.start()
    assert not folder.exists()
    assert trainings(server) == counted


def _answers(server: Server) -> bool:
    try:
        return server.http.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _predict_or_break(server: Server, project: int) -> None:
    with httpx.Client(base_url=server.http.base_url, timeout=60) as client, pytest.raises(httpx.TransportError):
        client.post("/predict", json=server.predict_body(project, 1000 * project + 2))

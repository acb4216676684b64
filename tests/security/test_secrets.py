"""What real processes log at DEBUG, in either form, show and store: what happened, and nothing secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server, TrainerHost
from tests.recordings import activity, regions
from tests.redis_server import PASSWORD, RedisServer, needs_redis

pytestmark = needs_redis

PROJECT = 140
BASIC = ("operator", "the-password-of-basic-auth")
SECRETS = {
    "the password of basic auth": BASIC[1],
    "its header": base64.b64encode(":".join(BASIC).encode()).decode(),
    "a wrong password that somebody tried": "a-wrong-password",
    "the password of the Redis": PASSWORD,
    "what /setup carries": "the-token-of-the-project-creator",
    "a password among what an event tells of the project": "the-task-data-password",
    "a password in a recording's address": "password-of-the-address",
    "a signature in a recording's address": "signature-of-the-address",
    "an access token": "Bearer ",
}
ADDRESSES = [
    "http://user:password-of-the-address@127.0.0.1:1/a.csv?sig=signature-of-the-address",
    "http://user:password-of-the-address#or-more@127.0.0.1/a.csv",
    "ftp://user:password-of-the-address@host/a.csv",
    "//user:password-of-the-address@host/a.csv",
]


@dataclass
class Told:
    """The logs of a web host and a trainer host, what they show and store, and the tasks that had the addresses."""

    web: str
    trainer: str
    elsewhere: dict[str, str]
    tasks: list[int]
    key: str


@pytest.fixture(scope="module", params=["text", "json"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Told]]:
    """A life with all that may go wrong where there is something secret."""
    folder = tmp_path_factory.mktemp("logs")
    studio, redis = StandIn(), RedisServer(folder)
    settings = {
        "REDIS_URL": redis.url, "LOG_LEVEL": "DEBUG", "LOG_FORMAT": request.param, "TRAINING_EFFORT": "0.1",
        "BASIC_AUTH_USER": BASIC[0], "BASIC_AUTH_PASS": BASIC[1], "REQUEST_TIMEOUT": "3",
    }  # fmt: skip
    server = Server(studio, folder / "models", **settings)
    host = TrainerHost(studio, folder / "models", folder / "trainer.log", **settings)
    try:
        tasks = _live(server, studio)
        elsewhere = _shown(server) | _titles(server.process.pid, host.process.pid)
        redis.kill()
        assert server.event("START_TRAINING", PROJECT).status_code == 503
        assert server.http.get("/metrics").status_code == 200
        host.stop()
        server.close()
        yield (
            request.param,
            Told(server.log_text(), host.log.read_text(), elsewhere | _stored(folder / "models"), tasks, studio.key),
        )
    finally:
        host.kill()
        server.close()
        redis.kill()
        studio.close()


def _live(server: Server, studio: StandIn) -> list[int]:
    server.http.get("/versions")
    server.http.get("/versions", auth=(BASIC[0], "a-wrong-password"))
    server.http.auth = BASIC
    annotated_project(studio, PROJECT, annotated=2, others=1)
    tasks = [studio.add_task(PROJECT, None, regions(activity(9)[1])) for _ in ADDRESSES]
    for task, address in zip(tasks, ADDRESSES, strict=True):
        studio.projects[PROJECT].tasks[task]["data"] = {"csv_url": address, "password": "the-task-data-password"}
    server.http.post("/setup", json={**server.setup_body(PROJECT), "access_token": "the-token-of-the-project-creator"})
    server.train(PROJECT)
    server.predict(PROJECT, 1000 * PROJECT + 3, *tasks)
    secret = {"task_data_password": "the-task-data-password", "token": "the-token-of-the-project-creator"}
    body = server.event_body("ANNOTATION_CREATED", PROJECT, annotation={}, task={})
    body["project"].update(secret)
    server.http.post("/webhook", json=body)
    server.http.post("/webhook", json={"action": 7, "project": secret})
    studio.failing_with = 401
    server.event("START_TRAINING", PROJECT)
    server.wait_for_state(PROJECT, "failed")
    return tasks


def _shown(server: Server) -> dict[str, str]:
    """Every page, and what is answered to whom it is not for."""
    project = f"/projects/{PROJECT}"
    paths = ["/", "/health", "/metrics", "/versions", "/projects", "/projects/list", project, f"{project}/state",
             f"{project}/status", f"{project}?version=x", "/nothing"]  # fmt: skip
    shown = {path: server.http.get(path).text for path in paths}
    assert f"Project {PROJECT}" in shown[project]
    assert shown[f"{project}/status"].count('"reason"') > 4  # of the tasks that could not be read, too
    return shown | {f"{path}, refused": server.http.get(path, auth=("x", "y")).text for path in paths}


def _titles(*groups: int) -> dict[str, str]:
    """What `ps` shows of all processes of these groups."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                stat = (process / "stat").read_text()
                if int(stat.rsplit(")", 1)[1].split()[2]) in groups:
                    found[f"process {process.name}"] = stat + (process / "cmdline").read_text()
    assert len(found) > 4
    return found


def _stored(folder: Path) -> dict[str, str]:
    """Every file that is kept, models included."""
    files = {str(path): path.read_text("latin-1") for path in folder.rglob("*") if path.is_file()}
    assert any(name.endswith("model.safetensors") for name in files)
    return files


@pytest.mark.parametrize("secret", ["the key", *SECRETS])
def test_no_line_holds_a_secret(told: tuple[str, Told], secret: str) -> None:
    _, logs = told
    word = logs.key if secret == "the key" else SECRETS[secret]
    assert word not in logs.web
    assert word not in logs.trainer


@pytest.mark.parametrize("secret", ["the key", *SECRETS])
def test_no_page_metric_model_or_process_title_holds_a_secret(told: tuple[str, Told], secret: str) -> None:
    _, logs = told
    word = logs.key if secret == "the key" else SECRETS[secret]
    assert [name for name, text in logs.elsewhere.items() if word in text] == []


def test_what_happened_is_told_of_each_task_and_training(told: tuple[str, Told]) -> None:
    _, logs = told
    assert "Listening at" in logs.web  # gunicorn's own
    assert "ANNOTATION_CREATED asks for training" in logs.web
    assert "START_TRAINING is lost" in logs.web
    assert "published, learned from 2 tasks, 4 left out" in logs.trainer
    assert "training failed after" in logs.trainer
    for task in logs.tasks:
        assert f"project {PROJECT}, task {task}: left out of the training" in logs.trainer
        assert f"project {PROJECT}, task {task}: no suggestions" in logs.web


def test_json_has_an_object_a_line_with_the_facts_as_fields(told: tuple[str, Told]) -> None:
    form, logs = told
    if form == "text":
        lines = [line for line in (logs.web + logs.trainer).splitlines() if " INFO " in line]
        assert all(line[:2] == "20" for line in lines)
        return
    web, trainer = ([json.loads(line) for line in log.splitlines()] for log in (logs.web, logs.trainer))
    assert all({"time", "level", "logger", "process", "message"} <= set(line) for line in web + trainer)
    assert {line["logger"] for line in web} >= {"gunicorn.error", "backend.service", "backend.routes"}
    assert _facts(trainer, "published") == {"project", "version", "tasks", "left_out", "seconds"}
    assert _facts(trainer, "training failed") == {"project", "reason", "seconds"}
    assert _facts(web, "suggested by") == {"project", "version", "tasks", "suggested", "seconds"}
    assert _facts(web, "no suggestions") == {"project", "task", "reason"}
    assert _facts(web, "asks for training") == {"project", "event", "request"}


def _facts(lines: list[dict[str, Any]], words: str) -> set[str]:
    """The fields of the first line with these words, beside those that every line has."""
    line = next(line for line in lines if words in line["message"])
    return set(line) - {"time", "level", "logger", "process", "message"}

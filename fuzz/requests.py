"""Requests to the app itself, with a model that was really trained and a Label Studio that has the files.

What an input is, `bodies` says. Beside its tasks stands one that can be read: its suggestions stay the same whatever
comes with it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import torch
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fuzz.bodies import GOOD, SCRIPT, change, read_input, seeds
from fuzz.part import Part, hold
from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.recordings import CONFIG, activity

# Only the harness writes these into requests and settings: where one comes out, something leaks.
_PASSWORD, _TOKEN, _LOGIN = "fuzz-password-5f1c", "fuzz-access-token-77ab", "fuzz-task-password-c39d"
_USER = "Basic dXNlcjpmdXp6LXBhc3N3b3JkLTVmMWM="  # user:_PASSWORD
_SIGNED = "fuzz-signature-1be0"  # in an address that a task names, where clouds put one
_GOOD_TASK = 1_006  # of the stand-in, not annotated


_SIGNED_TASK = {"id": 99, "data": {"csv_url": f"http://u:{_SIGNED}@8.8.8.8/a.csv?sig={_SIGNED}"}}


def part() -> Part:
    """Requests as Label Studio sends them, and what changes make of them."""
    harness = _Harness()
    return Part(tuple(json.dumps(seed).encode() for seed in seeds()), change, harness.attempt, longest=20_000)


class _Log(logging.Handler):
    """Everything that is logged at any level, and whether a traceback was among it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.tracebacks: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if record.exc_info and record.exc_info[1]:
            self.tracebacks.append(record.exc_info[1])


class _Harness:
    """The app, the Label Studio that it asks, and the laws that hold for every request."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._studio = StandIn()
        annotated_project(self._studio, 1, annotated=5, others=1)
        self._studio.files[GOOD] = activity(4, 90)[0]
        self._folder = tempfile.TemporaryDirectory(
            prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None
        )
        os.environ.update(
            LABEL_STUDIO_HOST=self._studio.address, LABEL_STUDIO_API_KEY=self._studio.key, MODEL_DIR=self._folder.name,
            BASIC_AUTH_USER="user", BASIC_AUTH_PASS=_PASSWORD, LOG_LEVEL="DEBUG", RENEW_SUGGESTIONS="0",
            TRAINING_EFFORT="0.3",
            TRAINING_THREADS="1", MAX_RECORDING_MB="1", REQUEST_TIMEOUT="3", MAX_BODY_MB="1",
        )  # fmt: skip
        self.client = _app()
        self._log = _Log()
        logging.getLogger().handlers[:] = [self._log]
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._connected: list[Any] = []
        _watch_connections(self._connected, self._studio.address)
        self._task = self._studio.task(1, _GOOD_TASK)
        self._good = self._suggested(self._predict([self._task]).get_json()["results"][0])
        hold(self._good, "the model suggests something")
        self._version = self._setup()

    def attempt(self, data: bytes) -> str:
        """Send it, hold the answer, the log and the backend to all laws; the status is what came of it."""
        given = read_input(data)
        secrets = (_PASSWORD, _TOKEN, _LOGIN, _SIGNED, self._studio.key)
        if given is None or any(secret in data.decode("utf-8", "replace") for secret in secrets):
            return "no input"
        for name in [name for name in self._studio.files if "/fuzz/" in name]:
            del self._studio.files[name]
        for name, text in given["files"].items():
            self._studio.files[f"/data/upload/fuzz/{name}"] = text.encode("latin-1", "replace")
        self._log.lines.clear()
        self._log.tracebacks.clear()
        self._connected.clear()
        answer, added = self._send(given)
        if self._log.tracebacks:
            raise self._log.tracebacks[0]
        hold(not self._connected, f"no address of this network is connected to: {self._connected}")
        said = answer.get_data(as_text=True)
        for text in (said, str(answer.headers), *self._log.lines):
            for secret in secrets:
                hold(secret not in text, f"no secret comes out: {text[:300]}")
        hold(SCRIPT not in said or "json" in (answer.content_type or ""), f"names in pages are text: {given['path']}")
        self._is_an_answer(answer, given)
        if added is not None and answer.status_code == 200:
            self._harmed_nothing(json.loads(said)["results"], given["body"], added)
        if len(data) % 8 == 0:
            hold(self._setup() == self._version, "the version that serves stays the same")
            status = self.client.get("/projects/1/status", headers={"Authorization": _USER})
            hold(status.status_code == 200, "there is a status")
        return f"answered {answer.status_code}"

    def _send(self, given: dict[str, Any]) -> tuple[TestResponse, int | None]:
        """Send a request with secrets where Label Studio has them, and a task that can be read among the others."""
        body, added = given["body"], None
        if isinstance(body, dict):
            if given["path"] == "/setup":
                body = {**body, "access_token": _TOKEN, "extra_params": {"password": _LOGIN}}
            if isinstance(body.get("project"), dict):
                body = {**body, "project": {**body["project"], "task_data_password": _LOGIN, "token": _TOKEN}}
            if isinstance(body.get("params"), dict):
                body = {**body, "params": {**body["params"], "password": _LOGIN}}
            tasks = body.get("tasks")
            asked = (given["method"], given["path"]) == ("POST", "/predict")
            if asked and isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks):
                added = len(tasks) // 2
                body = {**body, "tasks": [*tasks[:added], self._task, *tasks[added:], _SIGNED_TASK]}
        content = body.encode("utf-8", "replace") if isinstance(body, str) else json.dumps(body).encode()
        headers = {"Authorization": _USER, "Content-Type": "application/json"}
        headers |= {
            name: text for name, text in given["headers"].items() if text.isprintable() and name.isascii() and name
        }
        path = given["path"].encode("utf-8", "replace").decode()
        answer = self.client.open(
            path, method=given["method"], data=None if given["method"] in ("GET", "HEAD") else content, headers=headers
        )
        return answer, added

    def _is_an_answer(self, answer: TestResponse, given: dict[str, Any]) -> None:
        hold(answer.status_code < 500, f"no 500: {answer.status_code} {answer.get_data(as_text=True)[:200]}")
        if given["method"] == "HEAD" or answer.status_code in (204, 304, 308):
            return
        if (answer.content_type or "").startswith("application/json"):
            told = json.loads(answer.get_data(as_text=True), parse_constant=_no_json)
            if answer.status_code >= 400:
                hold(isinstance(told["error"], str) and "\n" not in told["error"], "an error is one line")
                hold(len(told["error"]) < 2_000, "an error is short")

    def _harmed_nothing(self, results: list[dict[str, Any]], body: dict[str, Any], added: int) -> None:
        hold(len(results) in (0, len(body["tasks"]) + 2), "a result a task, or none")
        hold(all(0.0 <= result["score"] <= 1.0 for result in results), "a score is 0..1")
        params = body.get("params")
        drawing = isinstance(params, dict) and isinstance(
            params.get("context"), dict
        )  # which says something of all tasks
        if not drawing and body.get("label_config") == CONFIG and str(body["project"]).split(".")[0].lstrip("0") == "1":
            hold(results, "a task that can be read is answered")
            hold(self._suggested(results[added]) == self._good, "no task harms another one")

    def _predict(self, tasks: list[Any]) -> TestResponse:
        body = {"project": "1.17", "label_config": CONFIG, "tasks": tasks}
        return self.client.post("/predict", json=body, headers={"Authorization": _USER})

    def _setup(self) -> str:
        body = {"project": "1.17", "schema": CONFIG}
        return str(self.client.post("/setup", json=body, headers={"Authorization": _USER}).get_json()["model_version"])

    @staticmethod
    def _suggested(result: dict[str, Any]) -> list[Any]:
        return [entry["value"] for entry in result["result"]]


def _app() -> FlaskClient:
    """The app as gunicorn serves it, with a version that the trainer has made."""
    from _wsgi import app, settings  # reads the environment
    from backend.service import service
    from backend.trainer import _Trainer

    service().jobs.request(1, "START_TRAINING", 0)
    trainer = _Trainer(settings, threading.Event())
    hold(trainer.train_one() and service().version(1) != "untrained", "the model is trained")
    return app.test_client()


def _watch_connections(connected: list[Any], studio: str) -> None:
    """Nothing but the stand-in is reached from here; what would have been reached is noted unless it is public."""
    from backend.private_addresses import is_public

    really: Callable[..., socket.socket] = socket.create_connection
    ours = ("127.0.0.1", int(studio.rpartition(":")[2]))

    def connect(address: tuple[str, int], *args: Any, **named: Any) -> socket.socket:
        if address == ours:
            return really(address, *args, **named)
        if not is_public(address[0]):
            connected.append(address)
        raise ConnectionRefusedError(f"the fuzzer does not connect to {address}")

    def look_up(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in str(host) else socket.AF_INET, str(host))
        except (OSError, ValueError):
            if host != "localhost":
                str(host).encode("idna")
                raise socket.gaierror(-2, "Name or service not known") from None
        return found(host, port, *args, **named)

    found = socket.getaddrinfo
    for name, stand_in in (("create_connection", connect), ("getaddrinfo", look_up)):
        setattr(socket, name, stand_in)


def _no_json(constant: str) -> None:
    hold(False, f"an answer is JSON, without {constant}")

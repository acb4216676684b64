"""A Label Studio for tests: answers over real HTTP what the backend asks of it, as Label Studio 1.23.2 does."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

_NO_CREDENTIALS = {"detail": "Authentication credentials were not provided."}
_SIGNED_WITH = "a secret that only this stand-in knows, long enough"


@dataclass
class ProjectState:
    """A project of the stand-in."""

    label_config: str
    model_version: str | None = None  # whose suggestions the label stream shows
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)


class StandIn:
    """Projects, tasks and uploaded files in memory, behind a personal access token."""

    def __init__(self) -> None:
        self.projects: dict[int, ProjectState] = {}
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.release = "1.23.2"
        self.writes: list[tuple[str, str]] = []  # method and path
        self.failing_with: int | None = None  # a status that every API call answers
        self.failing_at = ""  # only calls whose path holds this
        self.retry_after = ""  # the header that goes with it
        self.delay = 0.0  # seconds before a list of tasks is answered
        self.file_delay = 0.0  # seconds before a recording is
        self.slow_at = ""  # only those whose path holds this
        self.key = _token("refresh", 3600)
        self._predictions = 0
        self.open()

    def open(self, port: int = 0) -> None:
        """Begin to answer, on a free port where none is named."""
        handler = type("Handler", (_Handler,), {"studio": self})
        self._server = _Http(("127.0.0.1", port), handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()  # closes at once

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def add_project(self, number: int, label_config: str) -> ProjectState:
        """A new project without tasks."""
        self.projects[number] = ProjectState(label_config)
        return self.projects[number]

    def add_task(
        self, project: int, csv: bytes | None, regions: list[dict[str, Any]] | None = None, **annotation: Any
    ) -> int:
        """A task with an uploaded recording (None: the file is missing); annotated when `regions` is a list."""
        task = 1000 * project + len(self.projects[project].tasks) + 1
        path = f"/data/upload/{project}/{task}.csv"
        if csv is not None:
            self.files[path] = csv
        annotations = [] if regions is None else [{"id": task, "result": regions, "was_cancelled": False, **annotation}]
        self.projects[project].tasks[task] = {
            "id": task, "data": {"csv_url": path}, "annotations": annotations, "predictions": [],
        }  # fmt: skip
        return task

    def add_prediction(self, task: int, version: str, score: float = 0.5, age: float = 0.0, **content: Any) -> int:
        """A stored prediction, made `age` seconds ago; returns its id."""
        self._predictions += 1
        made = datetime.fromtimestamp(time.time() - age, timezone.utc).isoformat()
        prediction = {"id": self._predictions, "task": task, "model_version": version, "score": score, "result": []}
        self.projects[task // 1000].tasks[task]["predictions"].append({**prediction, "created_at": made, **content})
        return self._predictions

    def versions(self, task: int) -> list[str]:
        """Whose predictions a task has, from the oldest to the newest."""
        return [prediction["model_version"] for prediction in self.projects[task // 1000].tasks[task]["predictions"]]

    def prediction(self, number: int) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """A stored prediction and its task."""
        for project in self.projects.values():
            for task in project.tasks.values():
                for prediction in task["predictions"]:
                    if prediction["id"] == number:
                        return prediction, task
        return None

    def task(self, project: int, task: int) -> dict[str, Any]:
        """A task as /predict gets it."""
        stored = self.projects[project].tasks[task]
        return {"id": task, "data": stored["data"], "project": project, "annotations": [], "predictions": []}


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what goes wrong here, not of a client that is gone: tests kill theirs."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    studio: StandIn
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.path == "/api/token/refresh/":
            valid = _valid(self._body().get("refresh"), "refresh")
            self._answer(200, {"access": _token("access", 300)}) if valid else self._answer(401, _NO_CREDENTIALS)
        else:
            self._write()

    def do_PATCH(self) -> None:
        self._write()

    def do_DELETE(self) -> None:
        self._write()

    def do_GET(self) -> None:
        self.studio.requests.append(self.path)
        url = urlsplit(self.path)
        if url.path == "/health":
            self._answer(200, {"status": "UP"})
            return
        if not self._lets_in():
            return
        if url.path == "/api/version/":
            self._answer(200, {"release": self.studio.release})
        elif url.path == "/api/current-user/whoami":
            self._answer(200, {"username": "anna", "email": "anna@example.com"})
        elif url.path.startswith("/api/projects/"):
            number = int(url.path.split("/")[3])
            project = self.studio.projects.get(number)
            self._answer(200, _row(number, project)) if project else self._answer(404, {"detail": "Not found."})
        elif url.path == "/api/tasks/":
            time.sleep(self.studio.delay)
            self._list_tasks({name: values[0] for name, values in parse_qs(url.query).items()})
        elif url.path in self.studio.files:
            time.sleep(self.studio.file_delay if self.studio.slow_at in url.path else 0.0)
            self._answer_bytes(200, "text/csv", self.studio.files[url.path])
        else:
            self._answer(404, {"detail": "Not found."})

    def _lets_in(self) -> bool:
        """Whether the call is to be answered in earnest; otherwise it has been refused."""
        if self.studio.failing_with is not None and self.studio.failing_at in self.path:
            self._answer(self.studio.failing_with, {"detail": "failing, as the test wants it"})
        elif not _valid(self.headers.get("Authorization", "").removeprefix("Bearer "), "access"):
            self._answer(401, _NO_CREDENTIALS)
        else:
            return True
        return False

    def _write(self) -> None:
        body = self._body()
        self.studio.writes.append((self.command, self.path))
        if not self._lets_in():
            return
        kind, number, *rest = self.path.removeprefix("/api/").strip("/").split("/")
        if kind == "projects" and rest == ["import", "predictions"]:
            self._import_predictions(self.studio.projects[int(number)], body)
        elif kind == "projects" and self.command == "PATCH":
            project = self.studio.projects[int(number)]
            project.model_version = body["model_version"]
            self._answer(200, _row(int(number), project))
        elif kind == "predictions" and (found := self.studio.prediction(int(number))):
            prediction, task = found
            if self.command == "DELETE":
                task["predictions"].remove(prediction)
                self._answer_bytes(204, "application/json", b"")
            else:
                prediction.update(body)
                self._answer(200, prediction)
        else:
            self._answer(404, {"detail": "Not found."})

    def _import_predictions(self, project: ProjectState, predictions: list[dict[str, Any]]) -> None:
        """All, or none where one is for a task that is not there."""
        if any(prediction["task"] not in project.tasks for prediction in predictions):
            self._answer(400, {"detail": "Validation error"})
            return
        for prediction in predictions:
            content = {name: value for name, value in prediction.items() if name not in ("task", "model_version")}
            self.studio.add_prediction(prediction["task"], prediction["model_version"], **content)
        self._answer(201, {"created": len(predictions)})

    def _list_tasks(self, query: Mapping[str, str]) -> None:
        if int(query["project"]) not in self.studio.projects:
            self._answer(404, {"detail": "Not found."})
            return
        chosen = _chosen(
            list(self.studio.projects[int(query["project"])].tasks.values()), json.loads(query.get("query", "{}"))
        )
        size, page = int(query["page_size"]), int(query.get("page", 1))
        tasks = [_only(task, query["include"]) for task in chosen[size * (page - 1) : size * page]]
        if page > 1 and not tasks:
            self._answer(404, {"detail": "Invalid page."})
        else:
            self._answer(200, {"tasks": tasks, "total": len(chosen), "total_annotations": 0, "total_predictions": 0})

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")

    def _answer(self, status: int, body: Any) -> None:
        self._answer_bytes(status, "application/json", json.dumps(body).encode())

    def _answer_bytes(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == self.studio.failing_with and self.studio.retry_after:
            self.send_header("Retry-After", self.studio.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests print."""


def _row(number: int, project: ProjectState) -> dict[str, Any]:
    return {"id": number, "label_config": project.label_config, "model_version": project.model_version}


def _chosen(tasks: list[dict[str, Any]], query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tasks that a query of the Data Manager chooses, in its order."""
    for wanted in query.get("filters", {}).get("items", []):
        assert (wanted["filter"], wanted["value"]) == ("filter:tasks:total_annotations", 0)
        tasks = [task for task in tasks if bool(_annotations(task)) == (wanted["operator"] == "greater")]
    if "selectedItems" in query:
        tasks = [task for task in tasks if task["id"] in query["selectedItems"]["included"]]
    (ordering,) = query.get("ordering", ["tasks:id"])
    if ordering == "tasks:predictions_score":
        return sorted(tasks, key=lambda task: (not task["predictions"], _score(task)))
    return sorted(tasks, key=lambda task: int(task["id"]), reverse=ordering.startswith("-"))


def _score(task: Mapping[str, Any]) -> float:
    scores = [prediction["score"] for prediction in task["predictions"]]
    return sum(scores) / len(scores) if scores else 0.0


def _annotations(task: Mapping[str, Any]) -> list[Any]:
    return [annotation for annotation in task["annotations"] if not annotation["was_cancelled"]]


def _only(task: dict[str, Any], include: str) -> dict[str, Any]:
    """The fields asked for, of a task and of the annotations in it: Label Studio takes the list for both."""
    fields = include.split(",")
    kept = {name: value for name, value in _counted(task).items() if name in fields}
    kept["annotations"] = [
        {name: value for name, value in annotation.items() if name in fields} for annotation in task["annotations"]
    ]
    return kept


def _counted(task: dict[str, Any]) -> dict[str, Any]:
    counted = len(_annotations(task))
    return {**task, "total_annotations": counted, "cancelled_annotations": len(task["annotations"]) - counted}


def _token(kind: str, seconds: float) -> str:
    return jwt.encode({"token_type": kind, "exp": int(time.time() + seconds)}, _SIGNED_WITH, algorithm="HS256")


def _valid(token: str | None, kind: str) -> bool:
    try:
        return bool(jwt.decode(token or "", _SIGNED_WITH, algorithms=["HS256"])["token_type"] == kind)
    except jwt.InvalidTokenError:
        return False

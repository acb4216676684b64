"""A Label Studio for tests: answers over real HTTP what the backend asks of it, as Label Studio 1.23.2 does."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

_SIGNED_WITH = "a secret that only this stand-in knows, long enough"


@dataclass
class ProjectState:
    """A project of the stand-in."""

    label_config: str
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)


class StandIn:
    """Projects, tasks and uploaded files in memory, behind a personal access token."""

    def __init__(self) -> None:
        self.projects: dict[int, ProjectState] = {}
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.release = "1.23.2"
        self.failing_with: int | None = None  # a status that every API call answers
        self.retry_after = ""  # the header that goes with it
        self.delay = 0.0  # seconds before a list of tasks is answered
        self.file_delay = 0.0  # seconds before a recording is
        self.key = _token("refresh", 3600)
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
        self.projects[project].tasks[task] = {"id": task, "data": {"csv_url": path}, "annotations": annotations}
        return task

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
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if self.path == "/api/token/refresh/" and _valid(body.get("refresh"), "refresh"):
            self._answer(200, {"access": _token("access", 300)})
        else:
            self._answer(401, {"detail": "Token is invalid or expired"})

    def do_GET(self) -> None:
        self.studio.requests.append(self.path)
        url = urlsplit(self.path)
        if url.path == "/health":
            self._answer(200, {"status": "UP"})
        elif self.studio.failing_with is not None:
            self._answer(self.studio.failing_with, {"detail": "failing, as the test wants it"})
        elif not _valid(self.headers.get("Authorization", "").removeprefix("Bearer "), "access"):
            self._answer(401, {"detail": "Authentication credentials were not provided."})
        elif url.path == "/api/version/":
            self._answer(200, {"release": self.studio.release})
        elif url.path == "/api/current-user/whoami":
            self._answer(200, {"username": "anna", "email": "anna@example.com"})
        elif url.path.startswith("/api/projects/"):
            number = int(url.path.split("/")[3])
            project = self.studio.projects.get(number)
            found = {"id": number, "label_config": project.label_config} if project else {"detail": "Not found."}
            self._answer(200 if project else 404, found)
        elif url.path == "/api/tasks/":
            time.sleep(self.studio.delay)
            self._list_tasks({name: values[0] for name, values in parse_qs(url.query).items()})
        elif url.path in self.studio.files:
            time.sleep(self.studio.file_delay)
            self._answer_bytes(200, "text/csv", self.studio.files[url.path])
        else:
            self._answer(404, {"detail": "Not found."})

    def _list_tasks(self, query: Mapping[str, str]) -> None:
        tasks = self.studio.projects[int(query["project"])].tasks.values()
        wanted = [task for task in tasks if task["annotations"] or "query" not in query]
        size, page = int(query["page_size"]), int(query.get("page", 1))
        shown = [_only(task, query["include"]) for task in wanted[size * (page - 1) : size * page]]
        if page > 1 and not shown:
            self._answer(404, {"detail": "Invalid page."})
        else:
            self._answer(200, {"tasks": shown, "total": len(wanted), "total_annotations": 0, "total_predictions": 0})

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


def _only(task: dict[str, Any], include: str) -> dict[str, Any]:
    """The fields asked for, of a task and of the annotations in it: Label Studio takes the list for both."""
    fields = include.split(",")
    kept = {name: value for name, value in task.items() if name in fields}
    kept["annotations"] = [
        {name: value for name, value in annotation.items() if name in fields} for annotation in task["annotations"]
    ]
    return kept


def _token(kind: str, seconds: float) -> str:
    return jwt.encode({"token_type": kind, "exp": int(time.time() + seconds)}, _SIGNED_WITH, algorithm="HS256")


def _valid(token: str | None, kind: str) -> bool:
    try:
        return bool(jwt.decode(token or "", _SIGNED_WITH, algorithms=["HS256"])["token_type"] == kind)
    except jwt.InvalidTokenError:
        return False

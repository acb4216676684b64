"""What the demo asks of Label Studio, over its HTTP API, as the browser would: logged in, with a session."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.recordings import LABEL_CONFIG, VALUE_KEY, SampleRecording
from demo.servers import PASSWORD, USERNAME, DemoError

_SLOW = 180.0  # seconds; Label Studio waits 100 for predictions and answers after that
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Task:
    """A task as the demo looks at it. predictions: (model version, result) of each."""

    id: int
    recording: str
    annotations: int
    predictions: tuple[tuple[str, list[dict[str, Any]]], ...]

    def suggested(self, version: str) -> list[dict[str, Any]]:
        """The result entries that a model version suggested for it, [] when it suggested nothing."""
        return [entry for of_version, result in self.predictions if of_version == version for entry in result]


class Studio:
    """A running Label Studio, logged in; as a context manager it ends the session's connections."""

    def __init__(self, url: str, username: str = USERNAME, password: str = PASSWORD) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False, headers={"Referer": url})
        self._http.get("/user/login/").raise_for_status()
        token = self._http.cookies["csrftoken"]
        answer = self._http.post(
            "/user/login/", data={"email": username, "password": password, "csrfmiddlewaretoken": token}
        )
        if answer.status_code != httpx.codes.FOUND:
            raise DemoError(
                f"Label Studio does not let {username} in with the demo's password: take the password back that was "
                "changed, or remove the demo's data (make demo: the folder .demo) and start anew"
            )

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def personal_access_token(self, stored: Path) -> str:
        """The user's token; Label Studio shows it once, so it is kept in the file `stored`."""
        if not stored.exists():
            answer = self._ask("POST", "/api/token/")
            stored.touch(mode=0o600)
            stored.write_text(answer["token"])
        return stored.read_text()

    def project(self, title: str) -> int:
        """The project of that title, made where there is none."""
        for project in self._ask("GET", "/api/projects/", params={"title": title, "page_size": 100})["results"]:
            if project["title"] == title:
                return int(project["id"])
        made = self._ask("POST", "/api/projects/", json={"title": title, "label_config": LABEL_CONFIG})
        return int(made["id"])

    def import_recordings(
        self, project: int, recordings: Sequence[SampleRecording], annotated: Iterable[str] = ()
    ) -> None:
        """Upload the recordings as files and make a task of each, annotated where its name is in `annotated`."""
        addresses = self._upload(project, recordings)
        with_annotation = frozenset(annotated)
        tasks = []
        for recording, address in zip(recordings, addresses, strict=True):
            task: dict[str, Any] = {"data": {"recording": recording.name, VALUE_KEY: address}}
            if recording.name in with_annotation:
                task["annotations"] = [{"result": recording.annotation()}]
            tasks.append(task)
        self._ask("POST", f"/api/projects/{project}/import", json=tasks)

    def _upload(self, project: int, recordings: Sequence[SampleRecording]) -> list[str]:
        """The addresses (/data/upload/...) under which Label Studio serves the recordings."""
        files = [(recording.name, (f"{recording.name}.csv", recording.csv(), "text/csv")) for recording in recordings]
        # A committed upload would make a task of every row; this one only stores the files.
        path = f"/api/projects/{project}/import"
        uploaded = self._ask("POST", path, params={"commit_to_project": "false"}, files=files)["file_upload_ids"]
        stored = self._ask("GET", f"/api/projects/{project}/file-uploads", params={"ids": json.dumps(uploaded)})
        by_id = {upload["id"]: f"/data/{upload['file']}" for upload in stored}
        return [by_id[number] for number in uploaded]

    def tasks(self, project: int) -> list[Task]:
        """All tasks of a project, in the order they were imported."""
        found = self._ask("GET", "/api/tasks/", params={"project": project, "fields": "all", "page_size": 1000})
        return [
            Task(
                id=task["id"],
                recording=task["data"].get("recording", ""),
                annotations=task["total_annotations"],
                predictions=tuple((one["model_version"], one["result"]) for one in task["predictions"]),
            )
            for task in sorted(found["tasks"], key=lambda task: int(task["id"]))
        ]

    def annotate(self, task: int, result: Sequence[Mapping[str, Any]]) -> int:
        """Submit an annotation, as an annotator does; returns its id. Label Studio's webhook goes out meanwhile."""
        return int(self._ask("POST", f"/api/tasks/{task}/annotations/", json={"result": list(result)})["id"])

    def start_training(self, connection: int) -> None:
        """Press "Start training" of a connected backend."""
        self._ask("POST", f"/api/ml/{connection}/train", json={}, timeout=_SLOW)

    def retrieve_predictions(self, project: int, tasks: Sequence[int]) -> None:
        """The Data Manager's "Retrieve predictions" for these tasks, all in one request to the backend.

        Label Studio reports success whatever became of it: look at the tasks afterwards.
        """
        self._act("retrieve_tasks_predictions", project, tasks)

    def _act(self, action: str, project: int, tasks: Sequence[int]) -> None:
        """One of the Data Manager's actions, on these tasks."""
        self._ask(
            "POST",
            "/api/dm/actions/",
            params={"id": action, "project": project},
            json={"selectedItems": {"all": False, "included": list(tasks)}},
            timeout=_SLOW,
        )

    def _ask(self, method: str, path: str, timeout: float = _TIMEOUT, **content: Any) -> Any:
        headers = {"X-CSRFToken": self._http.cookies["csrftoken"]}
        try:
            answer = self._http.request(method, path, headers=headers, timeout=timeout, **content)
        except httpx.TransportError as error:
            raise DemoError(f"Label Studio did not answer {method} {path}: {error}; its log may tell why") from error
        if answer.is_error:
            raise DemoError(f"Label Studio answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else None

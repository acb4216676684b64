"""What the tests ask of Label Studio beyond the demo: projects of any config, recordings of any form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from demo.studio import Studio


class AnyStudio(Studio):
    """A running Label Studio, logged in, for projects of any form."""

    def project_with(self, title: str, config: str) -> int:
        """A new project with this config."""
        made = self._ask("POST", "/api/projects/", json={"title": title, "label_config": config})
        return int(made["id"])

    def upload(self, project: int, files: Mapping[str, bytes]) -> list[str]:
        """The addresses (/data/upload/...) under which Label Studio serves the files."""
        path = f"/api/projects/{project}/import"
        parts = [(name, (name, content)) for name, content in files.items()]
        uploaded = self._ask("POST", path, params={"commit_to_project": "false"}, files=parts)["file_upload_ids"]
        stored = self._ask("GET", f"/api/projects/{project}/file-uploads", params={"ids": json.dumps(uploaded)})
        by_id = {upload["id"]: f"/data/{upload['file']}" for upload in stored}
        return [by_id[number] for number in uploaded]

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Tasks as Label Studio imports them: {"data": ..., "annotations": ...}."""
        self._ask("POST", f"/api/projects/{project}/import", json=list(tasks))

    def change_project(self, project: int, **fields: Any) -> None:
        """Set fields of a project, as its settings pages do."""
        self._ask("PATCH", f"/api/projects/{project}/", json=fields)

    def connect(self, project: int, url: str, title: str, interactive: bool = False) -> int:
        """Connect a backend as the Model page does; returns its id. Label Studio makes the webhook, if it can."""
        body = {"project": project, "url": url, "title": title, "is_interactive": interactive}
        return int(self._ask("POST", "/api/ml/", json=body)["id"])

    def connection(self, connection: int) -> dict[str, Any]:
        """A connected backend as Label Studio knows it; looking at it makes Label Studio ask the backend."""
        answer: dict[str, Any] = self._ask("GET", f"/api/ml/{connection}")
        return answer

    def interactive_suggestion(self, connection: int, task: int, context: Mapping[str, Any]) -> dict[str, Any]:
        """What the editor asks of an interactive backend while an annotator draws; nothing of it is stored."""
        body = {"task": task, "context": dict(context)}
        answer: dict[str, Any] = self._ask("POST", f"/api/ml/{connection}/interactive-annotating", json=body)
        return answer

    def connections(self, project: int) -> list[dict[str, Any]]:
        """A project's backends as Label Studio has them."""
        return list(self._ask("GET", "/api/ml/", params={"project": project}))

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        """A project's webhooks as Label Studio has them."""
        return list(self._ask("GET", "/api/webhooks/", params={"project": project}))

    def make_webhook(self, project: int, url: str) -> None:
        """Make a webhook that sends everything."""
        self._ask("POST", "/api/webhooks/", json={"project": project, "url": url})

    def change_webhook(self, webhook: int, **changes: Any) -> None:
        """Change a webhook; Label Studio forgets the actions that are not named again."""
        self._ask("PATCH", f"/api/webhooks/{webhook}/", json=changes)

    def delete_webhook(self, webhook: int) -> None:
        """Delete a webhook."""
        self._ask("DELETE", f"/api/webhooks/{webhook}/")

    def model_version(self, project: int) -> str:
        """Whose suggestions the project shows."""
        return str(self._ask("GET", f"/api/projects/{project}/")["model_version"])

    def legacy_token(self) -> str:
        """The user's legacy token, which a new organization does not accept."""
        return str(self._ask("GET", "/api/current-user/token")["token"])

    def access_token(self, key: str) -> str:
        """The access token that Label Studio gives for a personal one."""
        return str(self._ask("POST", "/api/token/refresh/", json={"refresh": key})["access"])

    def delete_annotations(self, project: int, tasks: Sequence[int]) -> None:
        """The Data Manager's "Delete Annotations" for these tasks."""
        self._act("delete_tasks_annotations", project, tasks)

    def annotations(self, task: int) -> list[dict[str, Any]]:
        """A task's annotations as Label Studio stores them."""
        return list(self._ask("GET", f"/api/tasks/{task}/annotations/"))

    def shown_version(self, project: int) -> str:
        """What "Use predictions to prelabel tasks" is set to: a backend's title, or a version."""
        return str(self._ask("GET", f"/api/projects/{project}/")["model_version"])

    def show_version(self, project: int, version: str) -> None:
        """Set "Use predictions to prelabel tasks" to a version."""
        self._ask("PATCH", f"/api/projects/{project}/", json={"model_version": version})

    def scores(self, project: int, version: str) -> dict[int, float]:
        """What a version gave the tasks that it suggested something for."""
        asked = {"project": project, "fields": "all", "page_size": 1000}
        return {
            task["id"]: suggestion["score"]
            for task in self._ask("GET", "/api/tasks/", params=asked)["tasks"]
            for suggestion in task["predictions"]
            if suggestion["model_version"] == version
        }

    def download(self, address: str) -> bytes:
        """An uploaded file."""
        return self._http.get(address).raise_for_status().content

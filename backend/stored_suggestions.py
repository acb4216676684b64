"""The suggestions that Label Studio stores with the tasks: which tasks there are, what they have, and renewing that.

Label Studio's editor opens a task with the newest stored one, whatever its version, and asks for none where there is
one. Two things that it does decide how old ones may go:

- What an annotator submits names the suggestion it was opened with, and is refused (400) when that is gone. So one of
  an older version is overwritten where it lies, one call each; those without any get theirs in bulk.
- Deleting a suggestion takes away from the annotations made of it where they come from, by which a training knows those
  that nobody looked at. So of annotated tasks nothing is deleted, which rules out deleting a version in bulk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

import httpx
from label_studio_sdk import PredictionRequest
from label_studio_sdk.client import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.label_studio import WITHOUT_ANNOTATION, LabelStudioError, Studio

Order = Literal["oldest", "newest", "unsure"]

_ORDERINGS: Mapping[Order, list[str]] = {
    "oldest": ["tasks:id"],
    "newest": ["-tasks:id"],
    "unsure": ["tasks:predictions_score"],  # those without a score come last
}
_IDS_PAGE = 1000  # numbers alone; Label Studio takes a third of a second for so many
_FIELDS = "id,data,total_annotations,cancelled_annotations,predictions"


@dataclass(frozen=True)
class Stored:
    """A suggestion that a task has. since: when it was first stored."""

    id: int
    version: str
    since: datetime


@dataclass(frozen=True)
class SuggestedTask:
    """A task with the suggestions it has, of whichever model, from the oldest to the newest."""

    id: int
    data: Any
    annotated: bool  # skipped counts: the annotation that says so is kept
    stored: tuple[Stored, ...]


@dataclass(frozen=True)
class Suggestion:
    """What a version suggests for a task."""

    task: int
    version: str
    result: tuple[dict[str, Any], ...]
    score: float


class SuggestionStudio(Studio):
    """Label Studio, asked about tasks' suggestions. All methods raise LabelStudioError."""

    def task_ids(
        self, project: int, annotated: bool = False, order: Order = "oldest", limit: int | None = None
    ) -> list[int]:
        """The project's tasks without an annotation, or all of them; the first `limit` in that order."""
        query = {"ordering": _ORDERINGS[order]} | ({} if annotated else WITHOUT_ANNOTATION)
        tasks = self._list(project, query, "id", min(limit or _IDS_PAGE, _IDS_PAGE))
        return [task.id for task in islice(tasks, limit)]

    def tasks(self, project: int, ids: Sequence[int]) -> list[SuggestedTask]:
        """These tasks, in this order, without those that the project does not have (any more)."""
        chosen = {"selectedItems": {"all": False, "included": list(ids)}}
        found = {task.id: task for task in islice(self._list(project, chosen, _FIELDS, len(ids)), len(ids))}
        return [_suggested_task(found[number]) for number in ids if number in found]

    def add(self, project: int, suggestions: Sequence[Suggestion]) -> int:
        """Store suggestions beside those that the tasks have, in one call; returns how many Label Studio took."""
        if not suggestions:
            return 0
        request = [
            PredictionRequest(task=new.task, result=list(new.result), score=new.score, model_version=new.version)
            for new in suggestions
        ]
        with self.client(f"suggestions of project {project} to be stored") as client:
            try:
                return client.projects.import_predictions(project, request=request).created or 0
            except ApiError as error:
                if error.status_code != httpx.codes.BAD_REQUEST:
                    raise
                raise LabelStudioError(
                    f"Label Studio at {self._host} refused suggestions for project {project}: a task may have been"
                    " deleted meanwhile",
                    passing=True,
                ) from error

    def replace(self, stored: int, by: Suggestion) -> None:
        """Overwrite a stored suggestion; nothing happens where it is gone."""
        with self._where_there(f"the suggestion of task {by.task} to be renewed") as client:
            client.predictions.update(stored, result=list(by.result), score=by.score, model_version=by.version)

    def drop(self, stored: int) -> None:
        """Delete a stored suggestion; nothing happens where it is gone."""
        with self._where_there(f"suggestion {stored} to be deleted") as client:
            client.predictions.delete(stored)

    def shown_version(self, project: int) -> str | None:
        """What the label stream suggests from: a connected backend, by its title, or one version.

        The Data Manager's prediction scores are those of this version alone: with a backend's title it has none.
        """
        with self.client(f"project {project}") as client:
            return client.projects.get(id=project).model_version

    def show_version(self, project: int, version: str) -> None:
        """Let Label Studio show a version's scores and suggestions, of which there must be one."""
        with self.client(f"project {project} to show version {version}") as client:
            client.projects.update(project, model_version=version)

    def _list(self, project: int, query: Mapping[str, Any], fields: str, page: int) -> Iterator[Any]:
        with self.client(f"the tasks of project {project}") as client:
            yield from client.tasks.list(
                project=project, page_size=page, query=json.dumps(query), include=fields, resolve_uri=False
            )

    @contextmanager
    def _where_there(self, wanted: str) -> Iterator[LabelStudio]:
        """The client, to change what may be gone by now: that is no failure."""
        with self.client(wanted) as client:
            try:
                yield client
            except ApiError as error:
                if error.status_code != httpx.codes.NOT_FOUND:
                    raise


def _suggested_task(task: Any) -> SuggestedTask:
    stored = [Stored(one.id, one.model_version or "", one.created_at) for one in task.predictions or ()]
    annotated = bool(task.total_annotations or task.cancelled_annotations)
    return SuggestedTask(task.id, task.data, annotated, tuple(sorted(stored, key=lambda one: one.id)))

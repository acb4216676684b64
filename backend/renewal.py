"""Suggestions renewed: the tasks of a project get those of the version that serves, in small steps.

The trainer that has published a version renews by itself, whenever it has nothing to train; `python -m backend predict
--project` renews on demand. What is interrupted is done by the next renewal: it finds out what tasks have, and goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from backend.label_studio import LabelStudioError
from backend.logs import unexpected
from backend.model_store import ModelStore, StoredModel, is_version
from backend.places import last_seen
from backend.settings import Settings
from backend.stored_suggestions import Stored, SuggestedTask, Suggestion, SuggestionStudio
from backend.training_jobs import TrainingJobs
from segmenter.errors import LabelConfigError
from segmenter.labeling import Labeling, read_label_config
from segmenter.pipeline import NO_PAIR, Prediction, Task, pairs, predict

logger = logging.getLogger(__name__)

# Tasks asked for at once, and suggestions imported at once. More would hold more recordings in memory where they lie in
# the tasks themselves; with fewer, Label Studio counts all tasks of the project again (a second for 10,000) more often.
_PAGE = 50
_AT_ONCE = 4  # tasks of a step: a training that becomes due waits for no more than these
_MAY_BE_OPEN = timedelta(hours=1)  # an annotator may have a task open for so long, and submit it then
_PAUSES = (5.0, 20.0, 80.0)  # seconds before another try where Label Studio is in trouble
_Item = TypeVar("_Item")


@dataclass
class Progress:
    """How far a renewal is, in tasks: `done` of `of`."""

    version: str
    of: int
    done: int = 0
    renewed: int = 0
    had: int = 0  # the version's suggestion before
    missing: int = 0  # not in the project (any more)
    unread: int = 0  # no recording could be read
    refused: int = 0  # by Label Studio


class Renewer:
    """Renews suggestions of the projects of one Label Studio."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = ModelStore(settings.model_dir, settings.keep_versions)
        self._studio = SuggestionStudio(settings)
        self._seen = last_seen(settings)

    @property
    def wanted(self) -> bool:
        """Whether anything is to be renewed after a training."""
        return self._settings.renew_suggestions > 0

    def close(self) -> None:
        """Close the connections to Label Studio."""
        self._studio.close()

    def next_tasks(self, project: int) -> list[int]:
        """The tasks whose suggestions are renewed after a training."""
        return self._studio.task_ids(project, order=self._settings.renew_first, limit=self._settings.renew_suggestions)

    def all_tasks(self, project: int, annotated: bool) -> list[int]:
        """The tasks without annotations, or all."""
        return self._studio.task_ids(project, annotated)

    def renew(self, project: int, ids: Sequence[int]) -> Iterator[Progress]:
        """Give these tasks the suggestions of the version that serves; yields after each step of a few tasks.

        Ends early where another version serves by then. Raises LabelStudioError, and LabelConfigError where there is
        no version for the project's label config.
        """
        stored = self._store.load(project)
        labelings = read_label_config(self._studio.project(project).label_config, self._settings.limits)
        if stored is None or not pairs(stored.model, labelings):
            raise LabelConfigError(
                NO_PAIR if not labelings else f"project {project} has no model for its label config: train it first"
            )
        progress = Progress(stored.version, len(ids))
        shown = self._studio.shown_version(project)
        for page in _parts(ids, _PAGE):
            there = self._studio.tasks(project, page)
            tasks = [task for task in there if not self._is_renewed(task, stored.version)]
            progress.missing += len(page) - len(there)
            progress.had += len(there) - len(tasks)
            progress.done += len(page) - len(tasks)
            new: list[Suggestion] = []
            for few in _parts(tasks, _AT_ONCE):
                yield progress
                if not self._serves(project, stored.version):
                    return
                new += self._renew_few(project, stored, labelings, few, progress)
            if new:
                yield progress
                if not self._serves(project, stored.version):
                    return
                new = self._still_wanted(project, new)  # meanwhile somebody may have opened one of these tasks
                taken = self._studio.add(project, new)
                progress.renewed += taken
                progress.refused += len(new) - taken
            if progress.renewed and shown != stored.version and is_version(shown):
                # Somebody chose a version to be shown, as sorting by score asks for; of that one ever less is left.
                self._studio.show_version(project, stored.version)
                shown = stored.version
        yield progress

    def _serves(self, project: int, version: str) -> bool:
        return self._store.current_version(project) == version

    def _is_renewed(self, task: SuggestedTask, version: str) -> bool:
        """Whether a task has the version's suggestion; if so, its older ones are dropped."""
        if not _has(task, version):
            return False
        self._drop_older(task)
        return True

    def _renew_few(
        self, project: int, model: StoredModel, labelings: Sequence[Labeling], tasks: Sequence[SuggestedTask],
        progress: Progress,
    ) -> list[Suggestion]:  # fmt: skip
        """Renew what these tasks have; returns the suggestions of those that have none of ours yet."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda task: self._predict(model, labelings, task), tasks))
            read = [
                (task, Suggestion(task.id, model.version, one.result, one.score))
                for task, one in zip(tasks, found, strict=True)
                if one.read
            ]
            own = {task.id: ours[-1].id for task, _ in read if (ours := _ours(task))}
            list(pool.map(lambda one: self._studio.replace(own[one.task], one),
                          [one for task, one in read if task.id in own]))  # fmt: skip
        for task, _ in read:
            self._drop_older(task)
        self._seen.note_tasks(project, [(task.id, one.failure) for task, one in zip(tasks, found, strict=True)])
        if not read:
            self._studio.shown_version(project)  # raises where Label Studio itself is the reason
        progress.done += len(tasks)
        progress.renewed += len(own)
        progress.unread += len(tasks) - len(read)
        return [one for task, one in read if task.id not in own]

    def _still_wanted(self, project: int, new: Sequence[Suggestion]) -> list[Suggestion]:
        """Those whose tasks are still there, without a suggestion of this version."""
        tasks = {task.id: task for task in self._studio.tasks(project, [one.task for one in new])}
        return [one for one in new if one.task in tasks and not _has(tasks[one.task], one.version)]

    def _predict(self, model: StoredModel, labelings: Sequence[Labeling], task: SuggestedTask) -> Prediction:
        try:
            return predict(model.model, labelings, Task(task.id, task.data), self._studio.fetch, self._settings.limits)
        except LabelStudioError:
            raise
        except Exception:  # a bug: the other tasks go on, the log has the whole of it
            return Prediction((), 0.0, unexpected("task %(task)d", {"task": task.id}), read=False)

    def _drop_older(self, task: SuggestedTask) -> None:
        """Delete all of our suggestions but the newest, once that has been there for so long that no other is open."""
        ours = _ours(task)
        if ours and not task.annotated and datetime.now(timezone.utc) - ours[-1].since > _MAY_BE_OPEN:
            for stored in ours[:-1]:
                self._studio.drop(stored.id)


@dataclass
class _Waiting:
    tries: int = 0
    not_before: float = 0.0
    began: float = field(default_factory=time.monotonic)


class Renewals:
    """The renewals that a trainer still has to do, one after the other, in between trainings."""

    def __init__(self, renewer: Renewer, jobs: TrainingJobs) -> None:
        self._renewer = renewer
        self._jobs = jobs
        self._waiting: dict[int, _Waiting] = {}
        self._steps: tuple[int, Iterator[Progress]] | None = None  # of the project that is at work

    def add(self, project: int) -> None:
        """A version of the project has been published."""
        if self._steps and self._steps[0] == project:
            self._steps = None
        if self._renewer.wanted:
            self._waiting[project] = _Waiting()

    def work(self) -> bool:
        """Take one step, of a second or so; False when there is nothing to do now. Raises QueueError."""
        project = self._next()
        if project is None:
            return False
        if self._steps is None or self._steps[0] != project:
            self._steps = project, self._whole(project)
        try:
            if next(self._steps[1], None) is None:
                self._end(project)
        except LabelStudioError as error:
            self._put_off(project, error)
        except LabelConfigError as reason:
            logger.info(
                "project %(project)d: no suggestions are renewed: %(reason)s", {"project": project, "reason": reason}
            )
            self._end(project)
        except Exception:  # a bug: trainings go on, the log has the whole of it
            logger.exception("project %(project)d: the suggestions are not renewed", {"project": project})
            self._end(project)
        return True

    def _next(self) -> int | None:
        """The project to work on: not one that is to be trained, for its suggestions would be old at once."""
        for project, waiting in self._waiting.items():
            if waiting.not_before <= time.monotonic() and not self._jobs.is_due(project):
                return project
        return None

    def _whole(self, project: int) -> Iterator[Progress]:
        progress = None
        for progress in self._renewer.renew(project, self._renewer.next_tasks(project)):
            yield progress
        if progress is not None:
            logger.info(
                "project %(project)d: %(renewed)s in %(seconds).1f s",
                {
                    "project": project,
                    "renewed": in_words(progress),
                    "seconds": round(time.monotonic() - self._waiting[project].began, 1),
                },
            )

    def _end(self, project: int) -> None:
        del self._waiting[project]
        self._steps = None

    def _put_off(self, project: int, error: LabelStudioError) -> None:
        waiting = self._waiting[project]
        self._end(project)
        if not error.passing or waiting.tries >= len(_PAUSES):
            logger.warning(
                "project %(project)d: the suggestions are not renewed: %(reason)s; the next training does it",
                {"project": project, "reason": error},
            )
            return
        pause = max(_PAUSES[waiting.tries], error.retry_after)
        logger.warning(
            "project %(project)d: the suggestions are not renewed: %(reason)s; trying again in %(pause)g s",
            {"project": project, "reason": error, "pause": pause},
        )
        self._waiting[project] = _Waiting(waiting.tries + 1, time.monotonic() + pause, waiting.began)


def in_words(progress: Progress) -> str:
    """What a renewal has come to, as a line of the log."""
    words = f"{progress.renewed} of {progress.of} tasks have new suggestions by {progress.version}"
    if progress.had:
        words += f", {progress.had} had them"
    if progress.missing:
        words += f", {progress.missing} are not in the project"
    if progress.unread:
        words += f", {progress.unread} could not be read (the status names them)"
    if progress.refused:
        words += f", {progress.refused} were refused by Label Studio"
    return words


def _has(task: SuggestedTask, version: str) -> bool:
    return any(stored.version == version for stored in task.stored)


def _ours(task: SuggestedTask) -> list[Stored]:
    return [stored for stored in task.stored if is_version(stored.version)]


def _parts(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]

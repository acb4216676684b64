"""What the backend does for Label Studio: names the version that serves, suggests, takes events."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Any

from backend.label_studio import LabelStudioError, Studio
from backend.logs import unexpected
from backend.metrics import count_suggestions
from backend.model_store import ModelStore, StoredModel
from backend.places import last_seen, training_jobs
from backend.settings import Settings, current_settings
from segmenter.errors import LabelConfigError
from segmenter.finishing import entries_so_far
from segmenter.labeling import Labeling, read_label_config
from segmenter.limits import LONGEST_CONFIG, Limits
from segmenter.pipeline import NO_PAIR, Prediction, Task, misfits, pairs, predict

logger = logging.getLogger(__name__)

UNTRAINED = "untrained"  # the version of a project without a model: no prediction ever carries it
COUNTED_EVENTS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED"}
)
# All that Label Studio's webhook is to tell of; START_TRAINING comes by another way.
WEBHOOK_EVENTS = COUNTED_EVENTS | {"TASKS_CREATED", "PROJECT_UPDATED"}
_TOLD = 1000  # projects that the log is not told twice of
_READ_AT_ONCE = 4  # recordings of one request that are downloaded and read side by side


class Service:
    """The backend of all projects, for one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = ModelStore(settings.model_dir, settings.keep_versions)
        self.jobs = training_jobs(settings)
        self.studio = Studio(settings)
        self.seen = last_seen(settings)
        self._told: dict[int, tuple[str, ...]] = {}  # what the log was last told of each project's label config

    def version(self, project: int) -> str:
        """The version that /setup and every prediction of the project give."""
        return self.store.current_version(project) or UNTRAINED

    def remember(self, project: int, label_config: str) -> LabelConfigError | None:
        """Take note of the label config that a request came with; returns why nothing is suggested for it, if so."""
        self.seen.note_label_config(project, label_config)
        _, problem = _labelings(label_config, self.settings.limits)
        if problem:
            self._tell(project, [str(problem)])
        return problem

    def event(self, project: int, event: str, payload: Mapping[str, Any]) -> int | None:
        """Take note of an event; returns the number of the training it asked for, None when it asked for none."""
        row = payload.get("project")
        label_config = row.get("label_config") if isinstance(row, Mapping) else None
        if isinstance(label_config, str) and 0 < len(label_config) <= LONGEST_CONFIG:
            self.remember(project, label_config)
        if event == "TASKS_CREATED":  # an import may bring annotations, and its payload does not show them
            self.jobs.look(project, event)
            return None
        if event == "START_TRAINING":
            every = 0
        elif event in COUNTED_EVENTS:
            every = self.settings.start_training_each_n_updates
        elif event == "PROJECT_UPDATED" and self._is_relabelled(project):
            every = 1
        else:
            return None
        request = self.jobs.request(project, event, every)
        asked = "asks for training %(request)d" if request else "is counted"
        logger.info(f"project %(project)d: %(event)s {asked}", {"project": project, "event": event, "request": request})
        return request

    def suggest(
        self,
        project: int,
        label_config: str,
        tasks: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Predictions in Label Studio's form, one a task.

        None at all when the project is untrained, its model does not fit the config, or no recording could be read:
        Label Studio then stores nothing and asks again. An interactive request, which has a `context`, always gets one
        a task, and its suggestions keep clear of what is drawn already.
        """
        began = time.monotonic()
        stored = self.store.load(project)
        predictions = self._predictions(project, stored, label_config, tasks, context) if stored else []
        count_suggestions(len(tasks), predictions)
        if stored is None or not any(prediction.read for prediction in predictions):
            return [{"result": [], "score": 0.0} for _ in tasks] if context is not None else []
        logger.info(
            "project %(project)d: %(suggested)d of %(tasks)d tasks suggested by %(version)s in %(seconds).3f s",
            {
                "project": project,
                "suggested": sum(prediction.read for prediction in predictions),
                "tasks": len(tasks),
                "version": stored.version,
                "seconds": round(time.monotonic() - began, 4),
            },
        )
        return [
            {"result": list(prediction.result), "score": prediction.score, "model_version": stored.version}
            for prediction in predictions
        ]

    def status(self, project: int) -> dict[str, Any]:
        """The state of a project's trainings, the version that serves, and all that keeps suggestions from coming.

        Raises QueueError where the queue cannot be read.
        """
        stored = self.store.load(project)  # which sets a damaged version aside
        status = self.jobs.status(project)
        if stored and status["state"] == "untrained":
            status["state"] = "ready"
        # Where the queue lies in MODEL_DIR and that cannot be written to, nobody could note that a training failed.
        unwritable = None if self.settings.many_machines else self.store.problem()
        if unwritable:
            status |= {"state": "failed", "reason": unwritable}
        problem, reasons = self._misfits(project, stored)
        return {
            "project": project,
            "version": stored.version if stored else None,
            "scores": _scores(stored) if stored else [],
            "versions": self.store.versions(project),
            "damaged": self.store.damaged(project),
            **status,
            "config_problem": problem,
            "misfits": reasons,
            "failures": self.seen.failures(project),
        }

    def _is_relabelled(self, project: int) -> bool:
        """Whether labels, channels or how to read recordings differ from what the version that serves has learned."""
        version, now = self.store.current_version(project), self.seen.label_config(project)
        if version is None or now is None:
            return False
        before, _ = _labelings(self.store.label_config(project, version), self.settings.limits)
        after, problem = _labelings(now, self.settings.limits)
        return problem is None and set(map(_unordered, before)) != set(map(_unordered, after))

    def _misfits(self, project: int, stored: StoredModel | None) -> tuple[str | None, list[str]]:
        """Why nothing can be suggested for the project's label config, or what of it not by the model that serves."""
        label_config = self.seen.label_config(project)
        if label_config is None:
            return None, []
        labelings, problem = _labelings(label_config, self.settings.limits)
        if problem:
            return str(problem), []
        return None, misfits(stored.model, labelings) if stored else []

    def _tell(self, project: int, reasons: Sequence[str]) -> None:
        """Tell the log what is wrong with a project's label config, once until it changes."""
        if self._told.get(project, ()) != tuple(reasons):
            if len(self._told) >= _TOLD:
                self._told.clear()
            self._told[project] = tuple(reasons)
            for reason in reasons:
                logger.warning("project %(project)d: %(reason)s", {"project": project, "reason": reason})

    def _predictions(
        self,
        project: int,
        stored: StoredModel,
        label_config: str,
        tasks: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
    ) -> list[Prediction]:
        labelings, problem = _labelings(label_config, self.settings.limits)
        self._tell(project, [str(problem)] if problem else misfits(stored.model, labelings))
        if not pairs(stored.model, labelings):
            return []
        with ThreadPoolExecutor(min(_READ_AT_ONCE, max(1, len(tasks)))) as pool:
            predictions = list(pool.map(lambda task: self._predict(stored, labelings, task, context), tasks))
        outcomes = [(_task_id(task), found.failure) for task, found in zip(tasks, predictions, strict=True)]
        for number, failure in outcomes:
            if failure:
                logger.warning(
                    "project %(project)d, task %(task)s: no suggestions: %(reason)s",
                    {"project": project, "task": number, "reason": failure},
                )
        self.seen.note_tasks(project, outcomes)
        return predictions

    def _predict(
        self,
        stored: StoredModel,
        labelings: Sequence[Labeling],
        task: Mapping[str, Any],
        context: Mapping[str, Any] | None,
    ) -> Prediction:
        data, number = task.get("data"), _task_id(task)
        if not isinstance(data, Mapping):
            failure = f"expected an object under `data` in the task, found {type(data).__name__}"
        else:
            try:
                so_far = () if context is None else entries_so_far(context, task)
                task_now = Task(number, data, so_far=so_far)
                limits, threads = self.settings.limits, self.settings.inference_threads
                return predict(stored.model, labelings, task_now, self.studio.fetch, limits, threads)
            except LabelStudioError as error:
                failure = str(error)
            except Exception:  # a bug: the other tasks of the request are answered, the log has the whole of it
                failure = unexpected("task %(task)s", {"task": number})
        return Prediction((), 0.0, failure, read=False)


@lru_cache(maxsize=1)
def service() -> Service:
    """The service of this process."""
    return Service(current_settings())


@lru_cache(maxsize=32)
def _labelings(label_config: str, limits: Limits) -> tuple[tuple[Labeling, ...], LabelConfigError | None]:
    """The pairs of a label config, or why there are none."""
    try:
        labelings = read_label_config(label_config, limits)
    except LabelConfigError as error:
        return (), error
    return labelings, None if labelings else LabelConfigError(NO_PAIR)


def _scores(stored: StoredModel) -> list[dict[str, Any]]:
    """How good a version was on recordings left out of its training, a pair of the config each; None where unknown."""
    return [
        {"control": segmenter.control, "object": segmenter.object, "held_out": segmenter.report.get("held_out")}
        for segmenter in stored.model.segmenters
    ]


def _unordered(labeling: Labeling) -> Labeling:
    """A labeling with its names in a fixed order: their order in the config means nothing."""
    return replace(
        labeling,
        labels=tuple(sorted(labeling.labels)),
        channels=tuple(sorted(labeling.channels)),
        synonyms=tuple(sorted(labeling.synonyms)),
    )


def _task_id(task: Mapping[str, Any]) -> int | None:
    """A task's id in Label Studio. From a request anything may come, and an id ends up in addresses."""
    number = task.get("id")
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63 else None

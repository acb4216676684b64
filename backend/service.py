"""What the backend does for Label Studio: names the version that serves, suggests, takes events."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from backend.label_studio import LabelStudioError, Studio
from backend.model_store import ModelStore, StoredModel
from backend.settings import Settings, current_settings
from backend.training_jobs import TrainingJobs
from segmenter.errors import LabelConfigError
from segmenter.labeling import Labeling, read_label_config
from segmenter.pipeline import Prediction, Task, misfits, pairs, predict

logger = logging.getLogger(__name__)

UNTRAINED = "untrained"  # the version of a project without a model: no prediction ever carries it
COUNTED_EVENTS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED"}
)
_READ_AT_ONCE = 4  # recordings of one request that are downloaded and read side by side


class Service:
    """The backend of all projects, for one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = ModelStore(settings.model_dir, settings.keep_versions)
        self.jobs = TrainingJobs(settings.model_dir)
        self.studio = Studio(settings)

    def version(self, project: int) -> str:
        """The version that /setup and every prediction of the project give."""
        return self.store.current_version(project) or UNTRAINED

    def event(self, project: int, event: str, payload: Mapping[str, Any]) -> int | None:
        """Take note of an event; returns the number of the training it asked for, None when it asked for none."""
        if event == "START_TRAINING":
            every = 0
        elif event in COUNTED_EVENTS or (event == "TASKS_CREATED" and _brings_annotations(payload)):
            every = self.settings.start_training_each_n_updates
        else:
            return None
        request = self.jobs.request(project, event, every)
        logger.info("project %d: %s%s", project, event, f" asks for training {request}" if request else " is counted")
        return request

    def suggest(
        self, project: int, label_config: str, tasks: Sequence[Mapping[str, Any]], interactive: bool
    ) -> list[dict[str, Any]]:
        """Predictions in Label Studio's form, one a task.

        None at all when the project is untrained, its model does not fit the config, or no recording could be read:
        Label Studio then stores nothing and asks again. An interactive request always gets one a task.
        """
        began = time.monotonic()
        stored = self.store.load(project)
        predictions = self._predictions(project, stored, label_config, tasks) if stored else []
        if stored is None or all(prediction.failure for prediction in predictions):
            return [{"result": [], "score": 0.0} for _ in tasks] if interactive else []
        logger.info("project %d: %d of %d tasks suggested by %s in %.0f ms", project,
                    sum(not prediction.failure for prediction in predictions), len(tasks), stored.version,
                    1000 * (time.monotonic() - began))  # fmt: skip
        return [
            {"result": list(prediction.result), "score": prediction.score, "model_version": stored.version}
            for prediction in predictions
        ]

    def status(self, project: int) -> dict[str, Any]:
        """The state of a project's trainings and the version that serves."""
        version = self.store.current_version(project)
        status = self.jobs.status(project)
        if version and status["state"] == "untrained":
            status["state"] = "ready"
        return {"project": project, "version": version, "versions": self.store.versions(project), **status}

    def _predictions(
        self, project: int, stored: StoredModel, label_config: str, tasks: Sequence[Mapping[str, Any]]
    ) -> list[Prediction]:
        try:
            labelings = _labelings(label_config)
        except LabelConfigError as error:
            logger.warning("project %d: no suggestions: %s", project, error)
            return []
        for reason in misfits(stored.model, labelings):
            logger.warning("project %d: %s", project, reason)
        if not pairs(stored.model, labelings):
            return []

        def predict_one(task: Mapping[str, Any]) -> Prediction:
            prediction = self._predict(stored, labelings, task)
            if prediction.failure:
                logger.warning("project %d, task %s: no suggestions: %s", project, task.get("id"), prediction.failure)
            return prediction

        with ThreadPoolExecutor(min(_READ_AT_ONCE, max(1, len(tasks)))) as pool:
            return list(pool.map(predict_one, tasks))

    def _predict(self, stored: StoredModel, labelings: Sequence[Labeling], task: Mapping[str, Any]) -> Prediction:
        data = task.get("data")
        if not isinstance(data, Mapping):
            return Prediction((), 0.0, f"expected an object under `data` in the task, found {type(data).__name__}")
        try:
            return predict(stored.model, labelings, Task(task.get("id"), data), self.studio.fetch)
        except LabelStudioError as error:
            return Prediction((), 0.0, str(error))


@lru_cache(maxsize=1)
def service() -> Service:
    """The service of this process."""
    return Service(current_settings())


@lru_cache(maxsize=64)
def _labelings(label_config: str) -> tuple[Labeling, ...]:
    return read_label_config(label_config)


def _brings_annotations(payload: Mapping[str, Any]) -> bool:
    """Whether tasks arrived with annotations in them: an import fires no annotation event."""
    tasks = payload.get("tasks")
    return isinstance(tasks, list) and any(
        isinstance(task, Mapping) and (task.get("annotations") or task.get("total_annotations")) for task in tasks
    )

"""What the training queue and the model store know, as metrics, read when they are asked for.

So they are right with any number of workers and trainers, outlive all of them, and are the same on all hosts that share
the queue and the store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache

from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from backend.model_store import ModelStore, VersionError
from backend.training_jobs import QueueError, TrainingJobs
from backend.training_rules import RESULTS, WAITING, Trainings
from segmenter.errors import ModelError

logger = logging.getLogger(__name__)

SHOWN_PROJECTS = 50  # those whose trainings ended last have series of their own


class ProjectMetrics(Collector):
    """The metrics of trainings, of the queue, and of the models of the projects trained last."""

    def __init__(self, jobs: TrainingJobs, store: ModelStore) -> None:
        self._jobs = jobs
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """All of them; of a queue that cannot be read only that it cannot."""
        projects: Mapping[int, Trainings] | None = None
        try:
            projects = self._jobs.of_all_projects()
        except QueueError as error:
            logger.error("the metrics lack trainings and models: %(reason)s", {"reason": error})
        readable = float(projects is not None)
        yield GaugeMetricFamily("segmenter_queue_up", "Whether the training queue can be read: 1, or 0.", readable)
        if projects is not None:
            yield _trainings(projects)
            yield _queue(projects, time.time())
            yield from self._models(projects)

    def _models(self, projects: Mapping[int, Trainings]) -> Iterator[Metric]:
        ended = {project: known.last_training_at for project, known in projects.items() if known.last_training_at}
        last = sorted(ended, key=ended.__getitem__, reverse=True)[:SHOWN_PROJECTS]
        trained = GaugeMetricFamily(
            "segmenter_last_training_timestamp_seconds",
            f"When a project's last training ended, with whatever result; the {SHOWN_PROJECTS} projects trained last.",
            labels=["project"],
        )
        version = GaugeMetricFamily(
            "segmenter_model_info",
            f"1, with the version that serves a project; the {SHOWN_PROJECTS} projects trained last.",
            labels=["project", "version"],
        )
        f1 = GaugeMetricFamily(
            "segmenter_model_held_out_f1",
            "Macro F1 (0 to 1) of the version that serves, on recordings left out of its training; of the worst control"
            f" where there are several; the {SHOWN_PROJECTS} projects trained last.",
            labels=["project"],
        )
        for project in last:
            trained.add_metric([str(project)], ended[project])
            serving = self._store.current_version(project)
            if serving is None:
                continue
            version.add_metric([str(project), serving], 1)
            score = _held_out_f1(self._store, project, serving)
            if score is not None:
                f1.add_metric([str(project)], score)
        yield from (trained, version, f1)


def _trainings(projects: Mapping[int, Trainings]) -> Metric:
    family = SummaryMetricFamily(
        "segmenter_training_seconds",
        "Seconds that trainings took, by their result; its count is the number of trainings.",
        labels=["result"],
    )
    for result in RESULTS:
        tallies = [known.tally.get(result, (0, 0.0)) for known in projects.values()]
        count, seconds = sum(count for count, _ in tallies), sum(seconds for _, seconds in tallies)
        family.add_metric([result], count_value=count, sum_value=seconds)
    return family


def _queue(projects: Mapping[int, Trainings], now: float) -> Metric:
    family = GaugeMetricFamily(
        "segmenter_queue_projects", "Projects in the training queue, by where they stand in it.", labels=["state"]
    )
    standing = [known.waits_as(now) for known in projects.values()]
    for state in WAITING:
        family.add_metric([state], standing.count(state))
    return family


@lru_cache(maxsize=4 * SHOWN_PROJECTS)
def _held_out_f1(store: ModelStore, project: int, version: str) -> float | None:
    """A version's score, which never changes; None where there is none, or it cannot be read."""
    try:
        held_out = [report["held_out"] for report in store.reports(project, version) if report.get("held_out")]
    except (VersionError, ModelError, OSError) as error:
        logger.warning(
            "project %(project)d: the score of version %(version)s cannot be read: %(reason)s",
            {"project": project, "version": version, "reason": error},
        )
        return None
    return min((scores["macro_f1"] for scores in held_out), default=None)

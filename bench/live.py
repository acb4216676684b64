"""A running backend: the real server with its workers and its trainer, and a stand-in for Label Studio."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.generated import LABELS, Sample, label_config
from bench.processes import CORES
from tests.backend.label_studio import StandIn
from tests.backend.server import Server

WORKERS = 2


@contextmanager
def running_backend(effort: float) -> Iterator[Server]:
    """A backend with nothing trained yet, on two workers and settings that are otherwise the defaults."""
    with tempfile.TemporaryDirectory() as scratch, closing(StandIn()) as studio:
        server = Server(
            studio,
            Path(scratch) / "models",
            WORKERS=str(WORKERS),
            TRAINING_THREADS=str(CORES),
            TRAINING_EFFORT=str(effort),
        )
        with closing(server):
            yield server


def add_project(server: Server, number: int, channels: int, samples: Sequence[Sample]) -> None:
    """A project with these recordings, all of them annotated."""
    server.studio.add_project(number, label_config(channels, LABELS))
    for sample in samples:
        server.studio.add_task(number, sample.csv, list(sample.result))


def annotate(server: Server, number: int) -> None:
    """Tell the backend, as Label Studio does, that somebody has saved an annotation of the project."""
    task = max(server.studio.projects[number].tasks)
    answer = server.event("ANNOTATION_CREATED", number, annotation={"id": task, "result": []}, task={"id": task})
    answer.raise_for_status()

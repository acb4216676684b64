from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG, activity, regions


@pytest.fixture(scope="session")
def studio() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="session")
def server(studio: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("backend") / "models"
    backend = Server(studio, folder, REQUEST_TIMEOUT="3", MAX_RECORDING_MB="1", ALLOW_PRIVATE_ADDRESSES="true")
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def trained(server: Server, studio: StandIn) -> int:
    """A project that has learned from five annotated recordings, with three more to suggest for."""
    project = annotated_project(studio, 1)
    server.train(project)
    return project


def annotated_project(studio: StandIn, number: int, annotated: int = 5, others: int = 3, config: str = CONFIG) -> int:
    """A project with recordings of activities, the first of them annotated; returns its number."""
    studio.add_project(number, config)
    for seed in range(annotated):
        csv, spans = activity(seed)
        studio.add_task(number, csv, regions(spans))
    for seed in range(100, 100 + others):
        studio.add_task(number, activity(seed)[0])
    return number

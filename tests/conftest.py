"""A backend and a stand-in for Label Studio that all tests of one run share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server


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

"""A real Label Studio and the real backend for all end-to-end tests, on free ports, with nothing stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo import servers
from demo.recordings import SampleRecording, sample_recordings
from demo.training import status, wait_for_version
from tests.e2e import browser
from tests.e2e.browser import Browser
from tests.e2e.studio import AnyStudio
from tests.e2e.tap import Tap
from tests.ports import free_port

START_WITHIN = 600.0  # seconds; Label Studio makes its database first
TRAIN_WITHIN = 600.0


@dataclass(frozen=True)
class Pair:
    """Label Studio and the backend, each ready, and the tap between them. key: the backend's, for Label Studio."""

    studio: AnyStudio
    key: str = field(repr=False)
    backend: str
    tap: Tap
    folder: Path  # of both; the backend's models are in `models`

    def version(self, project: int) -> str | None:
        """The version that serves a project."""
        version: str | None = status(self.backend, project)["version"]
        return version

    def wait_for_version(self, project: int, other_than: str | None) -> str:
        """The version that serves once all trainings are done, and it is another one."""
        return wait_for_version(self.backend, project, TRAIN_WITHIN, other_than=other_than)


@dataclass(frozen=True)
class TrainedProject:
    """A connected project whose backend has learned from real annotations."""

    id: int
    connection: int
    version: str
    recordings: dict[str, SampleRecording]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    if sentence := browser.missing():
        pytest.fail(sentence, pytrace=False)
    folder = tmp_path_factory.mktemp("pair")
    try:
        label_studio = servers.label_studio(folder, free_port())
    except servers.DemoError as error:
        pytest.fail(str(error), pytrace=False)
    with ExitStack() as running:
        running.enter_context(label_studio).wait_until_healthy(START_WITHIN)
        studio = running.enter_context(AnyStudio(label_studio.url))
        key = studio.personal_access_token(folder / "token")
        port = free_port()
        # These tests look at what Label Studio itself asks for.
        backend = running.enter_context(
            servers.backend(folder, folder / "models", port, label_studio.url, key, RENEW_SUGGESTIONS="0")
        )
        backend.wait_until_healthy(START_WITHIN)
        yield Pair(studio, key, backend.url, running.enter_context(Tap(port)), folder)


@pytest.fixture(scope="module")
def hasty_backend(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a second backend, for many small projects: it trains briefly, and only when it is told to."""
    folder = tmp_path_factory.mktemp("hasty")
    with servers.backend(
        folder, folder / "models", free_port(), pair.studio.url, pair.key,
        TRAINING_EFFORT="0.2", START_TRAINING_EACH_N_UPDATES="1000", RENEW_SUGGESTIONS="0",
    ) as server:  # fmt: skip
        server.wait_until_healthy(START_WITHIN)
        yield server.url


@pytest.fixture(scope="session")
def strict(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the same Label Studio, started as it comes: it calls no local address."""
    folder = tmp_path_factory.mktemp("strict")
    for kept in ("label-studio", "secret-key"):
        (folder / kept).symlink_to(pair.folder / kept)
    guards = {"ML_BLOCK_LOCAL_IP": "true", "SSRF_PROTECTION_ENABLED": "true"}
    with servers.label_studio(folder, free_port(), **guards) as server:
        server.wait_until_healthy(START_WITHIN)
        yield server.url


@pytest.fixture(scope="session")
def trained(pair: Pair) -> TrainedProject:
    """Twelve recordings, five imported with an annotation, and a sixth annotated while the backend is connected."""
    return train(pair, "Pumps", sample_recordings(12), imported_annotated=5)


@pytest.fixture(scope="session")
def unopened(pair: Pair) -> TrainedProject:
    """One annotated recording, and two tasks that nobody has opened: they have no suggestions yet."""
    first, *_, eleventh, twelfth = sample_recordings(12)
    return train(pair, "Never opened", [first, eleventh, twelfth], imported_annotated=0)


@pytest.fixture(scope="session")
def chromium(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser.open_browser(pair.studio.url, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def screenshot(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a test may put a picture of what it saw."""
    return tmp_path / f"{request.node.name}.png"


def train(pair: Pair, title: str, recordings: list[SampleRecording], imported_annotated: int) -> TrainedProject:
    """A connected project of these recordings, trained by annotating the one after those imported with annotations."""
    project = pair.studio.project(title)
    pair.studio.import_recordings(
        project, recordings, [recording.name for recording in recordings[:imported_annotated]]
    )
    connection = pair.studio.connect(project, pair.tap.url, "segmenter", interactive=True)
    assert pair.version(project) is None
    pair.studio.annotate(pair.studio.tasks(project)[imported_annotated].id, recordings[imported_annotated].annotation())
    version = pair.wait_for_version(project, None)
    return TrainedProject(project, connection, version, {recording.name: recording for recording in recordings})

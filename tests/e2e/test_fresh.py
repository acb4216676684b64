"""Suggestions renewed by themselves: a task opened in a real Label Studio shows those of the newest version."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import servers
from demo.recordings import sample_recordings
from demo.studio import Task
from demo.training import wait_for_version
from tests.e2e.browser import Browser
from tests.e2e.conftest import START_WITHIN, TRAIN_WITHIN, Pair
from tests.ports import free_port

CHANNELS = 3
_WITHIN = 60.0  # seconds from a version to the suggestions of so few tasks


@dataclass(frozen=True)
class Fresh:
    """A project of seven recordings whose backend renews suggestions; two are annotated at first."""

    pair: Pair
    backend: str
    models: Path
    project: int
    connection: int

    def tasks(self) -> list[Task]:
        """The project's tasks."""
        return self.pair.studio.tasks(self.project)

    def train(self) -> str:
        """Press Start training; returns the new version."""
        self.pair.studio.start_training(self.connection)
        return self.wait_for_other_version_than(self.versions_of(6)[-1] if self.versions_of(6) else None)

    def wait_for_other_version_than(self, version: str | None) -> str:
        """The next version."""
        return wait_for_version(self.backend, self.project, TRAIN_WITHIN, other_than=version)

    def versions_of(self, place: int) -> list[str]:
        """Whose suggestions the task at a place of the project has."""
        return [version for version, _ in self.tasks()[place].predictions]

    def wait_until_renewed(self, version: str) -> None:
        """Return once all tasks without an annotation have this version's suggestion, and no other."""
        wait(lambda: all([one for one, _ in task.predictions] == [version] for task in self.tasks()
                         if not task.annotations))  # fmt: skip


def wait(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + _WITHIN
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def fresh(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    folder = tmp_path_factory.mktemp("fresh")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRAINING_EFFORT", "0.3")
        server = servers.backend(folder, folder / "models", free_port(), pair.studio.url, pair.key)
    with server:
        server.wait_until_healthy(START_WITHIN)
        project = pair.studio.project("Fresh")
        recordings = sample_recordings(7)
        pair.studio.import_recordings(project, recordings, [recording.name for recording in recordings[:2]])
        connection = pair.studio.connect(project, server.url, "segmenter")
        yield Fresh(pair, server.url, folder / "models", project, connection)


def test_a_task_opened_after_a_training_shows_the_new_version_and_one_that_was_open_meanwhile_can_be_submitted(
    fresh: Fresh, chromium: Browser
) -> None:
    recordings, studio = sample_recordings(7), fresh.pair.studio
    first = fresh.train()
    fresh.wait_until_renewed(first)
    opened, other = fresh.tasks()[3], fresh.tasks()[4]
    chromium.open_task(fresh.project, opened.id)
    suggested = len(opened.suggested(first))
    assert chromium.drawn(at_least=suggested).counts() == [suggested] * CHANNELS

    studio.annotate(fresh.tasks()[2].id, recordings[2].annotation())
    second = fresh.wait_for_other_version_than(first)
    fresh.wait_until_renewed(second)
    chromium.submit()
    wait(lambda: bool(studio.annotations(opened.id)))

    (annotation,) = studio.annotations(opened.id)
    assert len(annotation["result"]) == suggested
    third = fresh.wait_for_other_version_than(second)
    fresh.wait_until_renewed(third)
    chromium.open_task(fresh.project, other.id)
    expected = fresh.tasks()[4].suggested(third)
    assert expected
    assert chromium.drawn(at_least=len(expected)).counts() == [len(expected)] * CHANNELS


def test_predict_suggests_for_the_tasks_of_a_project_that_have_no_suggestion_of_the_version(fresh: Fresh) -> None:
    recordings = sample_recordings(9)[7:]
    if not fresh.versions_of(6):
        fresh.wait_until_renewed(fresh.train())
    (version,) = fresh.versions_of(6)
    fresh.pair.studio.import_recordings(fresh.project, recordings)

    done = subprocess.run(
        [sys.executable, "-m", "backend", "predict", "--project", str(fresh.project)],
        cwd=servers.ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "LABEL_STUDIO_HOST": fresh.pair.studio.url, "LABEL_STUDIO_API_KEY": fresh.pair.key,
             "MODEL_DIR": str(fresh.models)},
    )  # fmt: skip

    assert f"2 of {sum(not task.annotations for task in fresh.tasks())} tasks have new suggestions" in done.stderr
    assert [task.suggested(version) != [] for task in fresh.tasks()[7:]] == [True, True]
    fresh.wait_until_renewed(version)


def test_a_version_chosen_to_be_shown_stays_the_newest_and_the_data_manager_sorts_by_its_scores(
    fresh: Fresh, chromium: Browser
) -> None:
    fresh.wait_until_renewed(before := fresh.train())
    fresh.pair.studio.show_version(fresh.project, before)

    fresh.wait_until_renewed(version := fresh.train())

    wait(lambda: fresh.pair.studio.shown_version(fresh.project) == version)
    scores = fresh.pair.studio.scores(fresh.project, version)
    listed = [task for task in chromium.tasks_ordered_by(fresh.project, "Prediction score") if task in scores]
    assert listed == sorted(scores, key=lambda task: scores[task])

"""What an annotator's work does to the backend while it is busy: nothing is held up, and nothing is forgotten."""

from __future__ import annotations

import time

from demo.recordings import sample_recordings
from demo.training import status
from tests.e2e.conftest import Pair

HELD_UP = 0.2  # seconds
_TRAINING_WITHIN = 60.0


def test_annotations_saved_while_a_training_runs_are_not_held_up_and_one_more_training_follows(pair: Pair) -> None:
    recordings = sample_recordings(6)
    project = pair.studio.project("Busy")
    pair.studio.import_recordings(project, recordings, [recording.name for recording in recordings[:3]])
    tasks = pair.studio.tasks(project)
    pair.studio.connect(project, pair.tap.url, "segmenter")
    pair.studio.annotate(tasks[3].id, recordings[3].annotation())
    _wait_until_fitting(pair, project)

    for task, recording in list(zip(tasks, recordings, strict=True))[4:]:
        pair.studio.annotate(task.id, recording.annotation())

    now = status(pair.backend, project)
    assert now["state"] == "training", "the training was over before the annotations were saved: nothing was tested"
    assert now["version"] is None
    events = pair.tap.events(project)
    assert [(event.event, event.accepted) for event in events] == [("ANNOTATION_CREATED", True)] * 3
    assert max(event.seconds for event in events) < HELD_UP, [event.seconds for event in events]
    pair.wait_for_version(project, None)
    assert len(status(pair.backend, project)["versions"]) == 2


def test_start_training_makes_a_new_version_for_which_suggestions_are_made_anew(pair: Pair) -> None:
    recordings = sample_recordings(3)
    project = pair.studio.project("Start training")
    pair.studio.import_recordings(project, recordings, [recordings[0].name, recordings[1].name])
    connection = pair.studio.connect(project, pair.tap.url, "segmenter")
    versions: list[str] = []
    for _ in range(2):
        pair.studio.start_training(connection)
        versions.append(pair.wait_for_version(project, versions[-1] if versions else None))
        pair.studio.retrieve_predictions(project, [pair.studio.tasks(project)[2].id])

    assert [event.event for event in pair.tap.events(project)] == ["START_TRAINING"] * 2
    assert [version for version, _ in pair.studio.tasks(project)[2].predictions] == versions


def _wait_until_fitting(pair: Pair, project: int) -> None:
    """A training that still loads the tasks would see the next annotation, and nothing would be left for one more."""
    deadline = time.monotonic() + _TRAINING_WITHIN
    while not status(pair.backend, project).get("epoch"):
        assert time.monotonic() < deadline, f"no training began: {status(pair.backend, project)}"
        time.sleep(0.05)

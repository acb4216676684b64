"""What makes a real Label Studio's projects learn again, how often, and that they learn apart."""

from __future__ import annotations

from demo.recordings import LABEL_CONFIG, LABELS, SampleRecording, sample_recordings
from demo.training import status
from tests.e2e.conftest import Pair

_OTHER_LABELS = {label: f"{label} (again)" for label in LABELS}


def test_an_import_with_annotations_is_learned_and_so_is_their_deletion_in_bulk(pair: Pair) -> None:
    recordings = sample_recordings(4)
    project = pair.studio.project("Imported")
    pair.studio.connect(project, pair.tap.url, "segmenter")

    pair.studio.import_recordings(project, recordings, [recording.name for recording in recordings[:3]])
    imported = pair.wait_for_version(project, None)
    pair.studio.delete_annotations(project, [task.id for task in pair.studio.tasks(project)[:2]])
    deleted = pair.wait_for_version(project, imported)

    assert [event.event for event in pair.tap.events(project)] == ["TASKS_CREATED", "ANNOTATIONS_DELETED"]
    assert deleted != imported
    pair.studio.retrieve_predictions(project, [pair.studio.tasks(project)[3].id])
    assert pair.studio.tasks(project)[3].suggested(deleted)


def test_two_projects_side_by_side_learn_and_suggest_their_own_labels(pair: Pair) -> None:
    recordings = sample_recordings(3)
    config = LABEL_CONFIG
    for label, other in _OTHER_LABELS.items():
        config = config.replace(f'value="{label}"', f'value="{other}"')
    projects = {
        pair.studio.project("One"): set(LABELS),
        pair.studio.project_with("Another", config): set(_OTHER_LABELS.values()),
    }
    for project, labels in projects.items():
        pair.studio.import_recordings(project, recordings)
        pair.studio.connect(project, pair.tap.url, "segmenter")
        for task, recording in zip(pair.studio.tasks(project)[:2], recordings, strict=False):
            pair.studio.annotate(task.id, _relabelled(recording, labels))

    for project, labels in projects.items():
        version = pair.wait_for_version(project, None)
        task = pair.studio.tasks(project)[2].id
        pair.studio.retrieve_predictions(project, [task])
        suggested = pair.studio.tasks(project)[2].suggested(version)
        assert {entry["value"]["timeserieslabels"][0] for entry in suggested} == labels


def test_start_training_pressed_five_times_trains_at_most_twice(pair: Pair) -> None:
    recordings = sample_recordings(2)
    project = pair.studio.project("Impatient")
    pair.studio.import_recordings(project, recordings, [recording.name for recording in recordings])
    connection = pair.studio.connect(project, pair.tap.url, "segmenter")

    for _ in range(5):
        pair.studio.start_training(connection)

    pair.wait_for_version(project, None)
    assert [event.event for event in pair.tap.events(project)] == ["START_TRAINING"] * 5
    assert 1 <= len(status(pair.backend, project)["versions"]) <= 2


def _relabelled(recording: SampleRecording, labels: set[str]) -> list[dict[str, object]]:
    """The recording's annotation in the labels of a project."""
    entries = []
    for entry in recording.annotation():
        (label,) = entry["value"]["timeserieslabels"]
        named = label if label in labels else _OTHER_LABELS[label]
        entries.append({**entry, "value": {**entry["value"], "timeserieslabels": [named]}})
    return entries

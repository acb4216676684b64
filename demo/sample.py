"""The sample project in a Label Studio and with a backend that both run: filled, connected, trained, with suggestions.

`python -m demo.sample` does that with the Label Studio of the environment (LABEL_STUDIO_HOST, LABEL_STUDIO_API_KEY, and
the login, LABEL_STUDIO_USERNAME and LABEL_STUDIO_PASSWORD), as the profile `demo` of docker-compose.yml does.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass

from backend.label_studio import LabelStudioError
from backend.label_studio import Studio as Client
from backend.registration import Registration
from backend.settings import Settings, SettingsError, read_settings
from demo.comparison import Comparison, compare
from demo.console import Step
from demo.recordings import SampleRecording, sample_recordings
from demo.servers import PASSWORD, USERNAME, DemoError
from demo.studio import Studio
from demo.training import status, wait_for_version

TITLE = "Pump (demo)"
RECORDINGS, ANNOTATED = 24, 8
_TRAIN_WITHIN = 1200.0  # seconds
_RENEWED_WITHIN = 60.0  # after that, suggestions are retrieved as by a click


@dataclass(frozen=True)
class Sample:
    """The sample project. complete: whether every recording without an annotation has suggestions."""

    project: int
    complete: bool


def set_up(studio: Studio, settings: Settings, backend: str) -> Sample:
    """The sample project, step by step; each step looks at what is there first. Raises DemoError.

    settings: the backend's, for its key. backend: its address, as Label Studio and this process reach it.
    """
    recordings = {recording.name: recording for recording in sample_recordings(RECORDINGS)}
    project = _fill_project(studio, recordings)
    connection = _connect(settings, project, backend)
    version = _train(studio, project, connection, backend, recordings)
    return Sample(project, _suggest(studio, project, version, recordings))


def what_to_click(studio: str, project: int, username: str, password: str) -> str:
    """What a newcomer does with the sample project in a browser, which reaches Label Studio at the address `studio`."""
    return f"""
Open {studio}/projects/{project}/data
  Login     {username}
  Password  {password}

What to do there:
- Click a recording from pump-{ANNOTATED + 1:02d} on: the suggested segments are drawn. Mend them, press Submit.
- Every Submit starts a training in the background. Half a minute later, other recordings that you open show the new
  suggestions.
- Settings -> Model shows the connected backend; Start Training is in its menu.
"""


def _fill_project(studio: Studio, recordings: dict[str, SampleRecording]) -> int:
    step = Step("Sample project")
    project = studio.project(TITLE)
    if not studio.tasks(project):
        # The last annotation is left to be submitted by hand, so to speak: an import starts no training.
        studio.import_recordings(project, list(recordings.values()), list(recordings)[: ANNOTATED - 1])
    tasks = studio.tasks(project)
    annotated = sum(task.annotations > 0 for task in tasks)
    step.done(f"{len(tasks)} recordings of a pump, {annotated} of them annotated")
    return project


def _connect(settings: Settings, project: int, backend: str) -> int:
    """What `python -m backend connect` does; a connection to where the backend was at an earlier start goes."""
    step = Step("Connection")
    with closing(Client(settings)) as client:
        registration = Registration(client, project, settings)
        try:
            for older in registration.connections():
                if older.url != backend:
                    registration.disconnect(older.url)
            registration.connect(backend)
            (connection,) = registration.connections()
        except LabelStudioError as error:
            raise DemoError(f"The backend cannot be connected: {error}") from error
    step.done("Label Studio knows the backend, and tells it of every annotation")
    return connection.id


def _train(studio: Studio, project: int, connection: int, backend: str, recordings: dict[str, SampleRecording]) -> str:
    step = Step("Training")
    last = recordings[list(recordings)[ANNOTATED - 1]]
    task = next((task for task in studio.tasks(project) if task.recording == last.name), None)
    cause = "learned at an earlier start"
    if task and not task.annotations:
        studio.annotate(task.id, last.annotation())
        cause = f"the annotation of {last.name} started it, through Label Studio's webhook"
    now = status(backend, project)
    if now["version"] is None and now["state"] in ("untrained", "failed"):
        studio.start_training(connection)
        cause = "started as with Start Training"
    version = wait_for_version(backend, project, _TRAIN_WITHIN, step.tell)
    step.done(f"version {version} serves; {cause}")
    return version


def _suggest(studio: Studio, project: int, version: str, recordings: dict[str, SampleRecording]) -> bool:
    step = Step("Suggestions")
    opened = [task.id for task in studio.tasks(project) if not task.annotations]
    missing, deadline = opened, time.monotonic() + _RENEWED_WITHIN
    while missing and time.monotonic() < deadline:  # they come by themselves, unless that is switched off
        step.tell(f"{len(opened) - len(missing)} of {len(opened)} recordings have some")
        time.sleep(0.5)
        tasks = [task for task in studio.tasks(project) if task.id in opened]
        missing = [task.id for task in tasks if version not in [of_version for of_version, _ in task.predictions]]
    if missing:
        studio.retrieve_predictions(project, missing)
    tasks = [task for task in studio.tasks(project) if task.id in opened]
    with_suggestions = [task for task in tasks if task.suggested(version)]
    step.done(f"{len(with_suggestions)} of {len(tasks)} recordings without an annotation have some")
    ours = [task for task in tasks if task.recording in recordings]
    total = sum((compare(task.suggested(version), recordings[task.recording]) for task in ours), Comparison())
    print(
        f"  {total.suggested} segments are suggested; {total.matched} of the {total.true} that the pump really went "
        "through are among them (same label, IoU >= 0.5)."
    )
    return len(with_suggestions) == len(tasks)


def main() -> int:
    """Set the sample project up and say where it is; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.sample", description=__doc__)
    parser.add_argument("--backend", required=True, help="the backend's address, as Label Studio reaches it")
    parser.add_argument("--browser", required=True, help="Label Studio's address, as a browser reaches it")
    addresses = parser.parse_args()
    username = os.environ.get("LABEL_STUDIO_USERNAME") or USERNAME
    password = os.environ.get("LABEL_STUDIO_PASSWORD") or PASSWORD
    try:
        settings = read_settings()
        with Studio(settings.label_studio_host, username, password) as studio:
            sample = set_up(studio, settings, addresses.backend)
    except (DemoError, SettingsError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(what_to_click(addresses.browser, sample.project, username, password), flush=True)
    return 0 if sample.complete else 1


if __name__ == "__main__":
    sys.exit(main())

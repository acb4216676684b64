"""`make demo`: a real Label Studio, this backend and a sample project, connected and trained, with suggestions."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from backend.label_studio import LabelStudioError
from backend.label_studio import Studio as Client
from backend.registration import Registration
from backend.settings import Settings
from demo import servers
from demo.comparison import Comparison, compare
from demo.console import Step
from demo.recordings import SampleRecording, sample_recordings
from demo.servers import ROOT, DemoError
from demo.studio import Studio
from demo.training import status, wait_for_version

FOLDER = ROOT / ".demo"
TITLE = "Pump (demo)"
RECORDINGS, ANNOTATED = 24, 8
_START_WITHIN = 600.0  # seconds; Label Studio's first start makes its database
_TRAIN_WITHIN = 1200.0
_RENEWED_WITHIN = 60.0  # after that, suggestions are retrieved as by a click


@dataclass(frozen=True)
class Ports:
    """Where the two servers listen."""

    studio: int
    backend: int


def run_demo(ports: Ports, stay: bool) -> bool:
    """The whole demo, step by step. Returns whether every open recording got suggestions, or stays up for good.

    Raises DemoError. Every step looks at what is there first, so a second start goes on from where the first one ended.
    """
    servers.check_port(ports.studio, "Label Studio", "LABEL_STUDIO_PORT")
    servers.check_port(ports.backend, "the backend", "PORT")
    with ExitStack() as running:
        running.callback(print, "Stopped.", flush=True)
        step = Step("Label Studio" if (FOLDER / "token").exists() else "Label Studio, first start: makes its database")
        label_studio = running.enter_context(servers.label_studio(FOLDER, ports.studio))
        label_studio.wait_until_healthy(_START_WITHIN, step.tell)
        studio = running.enter_context(Studio(label_studio.url))
        key = studio.personal_access_token(FOLDER / "token")
        step.done(f"serves {label_studio.url}")

        step = Step("Backend")
        models = Path(os.environ.get("MODEL_DIR") or FOLDER / "models")
        backend = running.enter_context(servers.backend(FOLDER, models, ports.backend, label_studio.url, key))
        running.callback(print, "\nStopping ...", flush=True)
        backend.wait_until_healthy(_START_WITHIN, step.tell)
        step.done(f"serves {backend.url}")

        recordings = {recording.name: recording for recording in sample_recordings(RECORDINGS)}
        project = _fill_project(studio, recordings)
        connection = _connect(studio, key, project, backend.url)
        version = _train(studio, project, connection, backend.url, recordings)
        complete = _suggest(studio, project, version, recordings)
        if stay:
            print(_what_to_click(studio, project, label_studio.log, backend.log), flush=True)
            threading.Event().wait()  # until a signal
    return complete


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


def _connect(studio: Studio, key: str, project: int, backend: str) -> int:
    """What `python -m backend connect` does; a connection to where the backend was at an earlier start goes."""
    step = Step("Connection")
    settings = Settings.model_validate(
        {"LABEL_STUDIO_HOST": studio.url, "label_studio_api_key": key, "basic_auth_user": "", "basic_auth_pass": ""}
    )
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


def _what_to_click(studio: Studio, project: int, *logs: Path) -> str:
    return f"""
Open {studio.url}/projects/{project}/data
  Login     {servers.USERNAME}
  Password  {servers.PASSWORD}

What to do there:
- Click a recording from pump-{ANNOTATED + 1:02d} on: the suggested segments are drawn. Mend them, press Submit.
- Every Submit starts a training in the background. Half a minute later, other recordings that you open show the new
  suggestions.
- Settings -> Model shows the connected backend; Start Training is in its menu.

Logs: {", ".join(str(log.relative_to(ROOT)) for log in logs)}
The project stays in .demo and is there at the next start; remove that folder to begin anew. Ctrl-C stops both servers.
"""


def _port(variable: str, default: int) -> int:
    written = os.environ.get(variable) or str(default)
    if not written.isdigit() or not 0 < int(written) < 65536:
        raise DemoError(f"{variable} is {written!r}: expected a port number from 1 to 65535")
    return int(written)


def _stop(number: int, frame: FrameType | None) -> None:
    """Leave through the context managers, which stop the servers; a second signal does not interrupt them."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--exit", action="store_true", help="stop at the end; status 1 unless every open recording got suggestions"
    )
    leave = parser.parse_args().exit
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, _stop)
    try:
        ports = Ports(_port("LABEL_STUDIO_PORT", 8080), _port("PORT", 9090))
        complete = run_demo(ports, stay=not leave)
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())

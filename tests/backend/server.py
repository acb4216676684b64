"""The real backend for tests: gunicorn with its workers and trainer, over real HTTP, against the stand-in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.backend.label_studio import StandIn
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def environment(studio: StandIn, model_dir: Path, **settings: str) -> dict[str, str]:
    """The environment of a backend's process: small trainings, so that many fit into a test."""
    return {
        **os.environ,
        "LABEL_STUDIO_HOST": studio.address,
        "LABEL_STUDIO_API_KEY": studio.key,
        "MODEL_DIR": str(model_dir),
        "WORKERS": "2",
        "TRAINING_THREADS": "1",
        "TRAINING_EFFORT": "0.3",
        "RENEW_SUGGESTIONS": "0",  # unasked for, it is one more thing that goes on
        **settings,
    }


class TrainerHost:
    """A machine that only trains: `python -m backend trainer` with the processes it starts, in a group of its own."""

    def __init__(self, studio: StandIn, model_dir: Path, log: Path, **settings: str) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend", "trainer"],
                cwd=ROOT, env=environment(studio, model_dir, **settings), stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        """Ask it to stop, as an operator does, and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=15)

    def kill(self) -> None:
        """Kill all of its processes at once: the machine is gone."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)


class Server:
    """A running backend: gunicorn in a process group of its own, on a free port."""

    def __init__(self, studio: StandIn, model_dir: Path, working_folder: Path = ROOT, **settings: str) -> None:
        self.studio = studio
        self.model_dir = model_dir
        self._working_folder = working_folder
        self.port = free_port()
        self.log = model_dir.parent / f"{model_dir.name}-{self.port}.log"
        self._environment = environment(studio, model_dir, **{"PORT": str(self.port), **settings})
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "_wsgi:app"],
                cwd=self._working_folder, env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.wait(self._answers, "the backend to answer")

    def stop(self) -> None:
        """Ask it to stop, as an operator does, and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=40)

    def close(self) -> None:
        """Stop it for good."""
        self.http.close()  # first: a worker that stops waits for the connections that are kept open
        if self.process.poll() is None:
            self.stop()

    def kill(self) -> None:
        """Kill all of its processes at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def fresh_client(self, timeout: float) -> httpx.Client:
        """A client of its own connections."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=timeout)

    def event(self, action: str, project: int, **payload: Any) -> httpx.Response:
        """Send an event as Label Studio's webhook does."""
        return self.http.post("/webhook", json=self.event_body(action, project, **payload))

    def event_body(self, action: str, project: int, **payload: Any) -> dict[str, Any]:
        """What Label Studio's webhook sends."""
        known = self.studio.projects.get(project)
        label_config = known.label_config if known else ""
        return {"action": action, "project": {"id": project, "label_config": label_config}, **payload}

    def predict(
        self, project: int, *tasks: int, config: str | None = None, context: Any = None
    ) -> list[dict[str, Any]]:
        """What Label Studio gets for tasks of the stand-in."""
        answer = self.http.post("/predict", json=self.predict_body(project, *tasks, config=config, context=context))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["results"])

    def predict_body(self, project: int, *tasks: int, config: str | None = None, context: Any = None) -> dict[str, Any]:
        """What Label Studio posts to /predict."""
        return {
            "tasks": [self.studio.task(project, task) for task in tasks],
            "project": f"{project}.1700000000",
            "label_config": config or self.studio.projects[project].label_config,
            "params": {"login": None, "password": None, "context": context},
        }

    def setup(self, project: int) -> str:
        """The version that /setup gives."""
        answer = self.http.post("/setup", json=self.setup_body(project))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["model_version"])

    def setup_body(self, project: int) -> dict[str, Any]:
        """What Label Studio posts to /setup."""
        return {
            "project": f"{project}.1700000000",
            "schema": self.studio.projects[project].label_config,
            "access_token": "x",
        }

    def status(self, project: int) -> dict[str, Any]:
        """The project's status."""
        return dict(self.http.get(f"/projects/{project}/status").json())

    def wait_for_state(self, project: int, *states: str, seconds: float = 90) -> dict[str, Any]:
        """Wait until the project is in one of the states; returns its status."""
        self.wait(
            lambda: self.status(project)["state"] in states, f"project {project} to be {' or '.join(states)}", seconds
        )
        return self.status(project)

    def train(self, project: int) -> str:
        """Press Start training and wait for the new version."""
        before = self.setup(project)
        assert self.event("START_TRAINING", project).status_code == 201
        self.wait(lambda: self.setup(project) != before, f"a new version of project {project}", 90)
        self.wait_for_state(project, "ready")
        return self.setup(project)

    def wait(self, condition: Any, what: str, seconds: float = 60) -> None:
        """Wait until a condition holds; fails with the backend's log."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until or self.process.poll() is not None:
                raise AssertionError(
                    f"waited {seconds:g} s for {what}; the backend's log ends with:\n{self.log_text()[-4000:]}"
                )
            time.sleep(0.05)

    def log_text(self) -> str:
        """Everything it has logged."""
        return self.log.read_text()

    def workers(self) -> list[int]:
        """The process ids of its web workers: the children of gunicorn's first process."""
        first = self.process.pid
        return [int(child) for child in Path(f"/proc/{first}/task/{first}/children").read_text().split()]

    def trainers(self) -> list[int]:
        """The process ids of its trainers."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line, stat = (entry / "cmdline").read_bytes(), (entry / "stat").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if b"\0backend.trainer\0" in line and int(stat.rsplit(")", 1)[1].split()[2]) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def _answers(self) -> bool:
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

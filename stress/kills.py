"""Kill a trainer, a web worker or everything at a random moment: the training is done after all, by itself."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server

_TARGETS = ("a trainer", "a web worker", "everything")
_LATEST = 5.0  # seconds after its request that a training is struck at the latest
_DONE_WITHIN = 120.0  # seconds


@dataclass(frozen=True)
class Round:
    """One kill: what was struck, in which state the training was, and how long until it was done after all."""

    target: str
    state: str
    seconds: float


def run_kills(folder: Path, kills: int, chance: random.Random) -> list[str]:
    """Kill so many times, print a table; returns what went wrong."""
    studio = StandIn()
    project = annotated_project(studio, 1, annotated=3)
    folder.mkdir(parents=True)
    server = Server(studio, folder / "models", TRAINING_EFFORT="0.5")
    rounds: list[Round] = []
    faults: list[str] = []
    try:
        server.train(project)
        for number in range(kills):
            rounds.append(_kill_once(server, project, chance))
            faults += _damage(server.model_dir, number + 1)
    except AssertionError as error:  # what was waited for did not come
        faults.append(f"kill {len(rounds) + 1}: {error}")
    finally:
        server.close()
        studio.close()
    _print(rounds)
    return faults


def _kill_once(server: Server, project: int, chance: random.Random) -> Round:
    before = server.status(project)["version"]
    server.wait(lambda: server.trainers() != [], "a trainer", 60)
    assert server.event("START_TRAINING", project).status_code == 201
    time.sleep(chance.uniform(0, _LATEST))
    target, state = chance.choice(_TARGETS), server.status(project)["state"]
    if target == "everything":
        server.kill()
        server.start()
    else:
        victims = server.trainers() if target == "a trainer" else server.workers()
        if victims:  # the trainer may be on its way up again
            os.kill(chance.choice(victims), signal.SIGKILL)
    struck = time.monotonic()
    server.wait(lambda: _is_done(server, project, before), "the training to be done after all", _DONE_WITHIN)
    return Round(target, state, time.monotonic() - struck)


def _is_done(server: Server, project: int, before: str) -> bool:
    try:
        status = server.status(project)
    except httpx.TransportError:  # the worker that was asked is the one that was killed
        return False
    assert status["state"] != "failed", status["reason"]
    return bool(status["state"] == "ready" and status["version"] != before)


def _damage(model_dir: Path, number: int) -> list[str]:
    """Versions that are not whole, after the kill of this number."""
    faults = []
    for version in (model_dir / "projects" / "1").glob("v*"):
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=version, capture_output=True, text=True
        )
        if checked.returncode or version.name.endswith(".damaged"):
            faults.append(f"after kill {number} {version.name} is not whole: {checked.stdout}{checked.stderr}")
    return faults


def _print(rounds: list[Round]) -> None:
    print("| killed | times | while training | done by itself after: median | longest |")
    print("| --- | --- | --- | --- | --- |")
    times, training = Counter(r.target for r in rounds), Counter(r.target for r in rounds if r.state == "training")
    for target in _TARGETS:
        seconds = sorted(r.seconds for r in rounds if r.target == target)
        if seconds:
            print(
                f"| {target} | {times[target]} | {training[target]} | {seconds[len(seconds) // 2]:.1f} s |"
                f" {seconds[-1]:.1f} s |"
            )
    print()

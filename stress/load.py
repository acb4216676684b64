"""Load: how long each kind of request takes, idle and while a training runs, and what memory the web workers keep."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import numpy as np

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import activity

_CONNECTIONS = 8
_IDLE = 400  # requests of each kind while nothing is trained
_WARM = 500  # predictions before memory is looked at: every thread has its arenas then
_ROWS = 2_000  # of the recording that suggestions are asked for
_MOST_GROWTH = 0.05
_PATHS = ("/health", "/setup", "/webhook", "/predict")


def run_load(folder: Path, predictions: int) -> list[str]:
    """Load a backend of two workers, print a table; returns what went wrong."""
    studio = StandIn()
    project = annotated_project(studio, 1, others=0)
    task = studio.add_task(project, activity(100, _ROWS)[0])
    folder.mkdir(parents=True)
    server = Server(studio, folder / "models", START_TRAINING_EACH_N_UPDATES="1000000", TRAINING_EFFORT="4")
    failed: list[str] = []
    try:
        server.train(project)
        ask = _requests(server, project, task, failed)
        idle = {path: _time(ask[path], _IDLE) for path in _PATHS}
        busy: dict[str, list[float]] = {path: [] for path in _PATHS}
        began = server.event("START_TRAINING", project).status_code == 201
        server.wait_for_state(project, "training")
        while began and server.status(project)["state"] == "training":
            for path in _PATHS:
                busy[path] += _time(ask[path], _CONNECTIONS)
        _time(ask["/predict"], _WARM)
        before = _memory(server)
        began_at = time.monotonic()
        _time(ask["/predict"], predictions)
        rate = predictions / (time.monotonic() - began_at)
        after = _memory(server)
        trained = server.log_text().count(" published, ")
        events = sum(len(times["/webhook"]) for times in (idle, busy)) + 2
    finally:
        server.close()
        studio.close()
    _print(idle, busy)
    print(f"events sent: {events}; trainings run: {trained}; requests failed: {len(failed)}")
    print(f"memory of the web workers: {before / 1e6:.0f} MB, after {predictions} predictions {after / 1e6:.0f} MB"
          f" ({100 * (after / before - 1):+.1f} %), at {rate:.0f} predictions a second of {_ROWS} rows")  # fmt: skip
    faults = [f"a request failed: {failure}" for failure in failed[:10]]
    if after / before > 1 + _MOST_GROWTH:
        faults.append(f"memory grew from {before / 1e6:.0f} to {after / 1e6:.0f} MB")
    return faults


def _requests(server: Server, project: int, task: int, failed: list[str]) -> dict[str, Callable[[], None]]:
    """Each kind of request, ready to be sent over a connection of its thread's own; failures are noted."""
    client = httpx.Client(
        base_url=server.http.base_url, timeout=60, limits=httpx.Limits(max_keepalive_connections=_CONNECTIONS)
    )
    bodies = {
        "/setup": server.setup_body(project),
        "/webhook": server.event_body("ANNOTATION_CREATED", project),
        "/predict": server.predict_body(project, task),
    }

    def send(path: str) -> None:
        try:
            answer = client.post(path, json=bodies[path]) if path in bodies else client.get(path)
            if answer.status_code >= 400 or (path == "/predict" and not answer.json()["results"]):
                failed.append(f"{path} answered {answer.status_code}: {answer.text[:200]}")
        except httpx.HTTPError as error:
            failed.append(f"{path}: {error!r}")

    return {path: partial(send, path) for path in _PATHS}


def _time(send: Callable[[], None], times: int) -> list[float]:
    """Send it so often over eight connections at once; seconds that each took."""

    def one(_: int) -> float:
        began = time.monotonic()
        send()
        return time.monotonic() - began

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(pool.map(one, range(times)))


def _memory(server: Server) -> int:
    """Bytes that the web workers and gunicorn's first process take, shared pages counted once."""
    total = 0
    for process in (server.process.pid, *server.workers()):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total += 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def _print(idle: dict[str, list[float]], busy: dict[str, list[float]]) -> None:
    print("| request | idle: sent | p50 | p99 | max | while training: sent | p50 | p99 | max |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for path in _PATHS:
        cells = [f"{len(idle[path])} | {_shown(idle[path])}", f"{len(busy[path])} | {_shown(busy[path])}"]
        print(f"| {path} | {' | '.join(cells)} |")
    print()


def _shown(seconds: list[float]) -> str:
    figures = [*np.percentile(seconds, [50, 99]), max(seconds)]
    return " | ".join(f"{1000 * figure:.0f} ms" for figure in figures)

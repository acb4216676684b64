"""Waiting for the backend: what GET /projects/<id>/status tells of a training, until its version serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from demo.servers import DemoError

_EVERY = 0.5  # seconds between two looks


def status(backend: str, project: int) -> dict[str, Any]:
    """What the backend knows of a project's trainings; raises DemoError when it does not say."""
    try:
        answer = httpx.get(f"{backend}/projects/{project}/status", timeout=10, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise DemoError(f"The backend does not tell how the training goes: {error}; its log may tell why") from error
    told: dict[str, Any] = answer.json()
    return told


def wait_for_version(
    backend: str,
    project: int,
    seconds: float,
    tell: Callable[[str], None] = lambda news: None,
    other_than: str | None = None,
) -> str:
    """The version that serves when no training runs or is due any more, and it is not `other_than`.

    Raises DemoError when the training fails, or takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        now = status(backend, project)
        if now["state"] == "failed":
            raise DemoError(f"The training failed: {now.get('reason')}")
        if now["state"] == "ready" and now["version"] != other_than:
            return str(now["version"])
        if time.monotonic() > deadline:
            raise DemoError(f"No new model version came in {seconds:g} s; the backend says: {now}")
        tell(_news(now))
        time.sleep(_EVERY)


def _news(now: dict[str, Any]) -> str:
    if now["state"] != "training":
        return f"{now['state']} {now.get('reason') or ''}".strip()
    steps = f", step {now['epoch']} of {now['epochs']}" if now.get("epochs") else ""
    return f"{now['percent']:3.0f} %, {now['phase']}{steps}"

"""The commands `connect` and `doctor` with the settings of a running pair, and what is to come of them."""

from __future__ import annotations

import json
from typing import Any

import click
from click.testing import CliRunner, Result

from backend.connect_cli import connect
from backend.service import WEBHOOK_EVENTS
from tests.e2e.conftest import Pair


def run(pair: Pair, command: click.Command, *arguments: str, **settings: str) -> Result:
    """A command with the settings of the pair's backend."""
    environment = {
        "LABEL_STUDIO_HOST": pair.studio.url,
        "LABEL_STUDIO_API_KEY": pair.key,
        "MODEL_DIR": str(pair.folder / "models"),
        **settings,
    }
    return CliRunner().invoke(command, arguments, env=environment, catch_exceptions=False)


def run_connect(pair: Pair, project: int, url: str, *arguments: str, **settings: str) -> Result:
    return run(pair, connect, "--project", str(project), "--url", url, *arguments, **settings)


def wanted_webhook(url: str) -> dict[str, Any]:
    """What connect makes of a webhook."""
    return {
        "url": f"{url}/webhook", "is_active": True, "send_payload": True, "send_for_all_actions": False,
        "actions": sorted(WEBHOOK_EVENTS), "headers": {},
    }  # fmt: skip


def webhooks(pair: Pair, project: int) -> list[dict[str, Any]]:
    """The project's webhooks, as far as connect sees to them."""
    return [
        {**{name: hook[name] for name in wanted_webhook("")}, "actions": sorted(hook["actions"])}
        for hook in pair.studio.webhooks(project)
    ]


def failures(done: Result) -> list[tuple[str, str]]:
    """(check, what it found) of what failed, from the doctor's JSON."""
    return [(one["check"], one["found"]) for one in json.loads(done.output) if one["status"] == "failed"]


def without_a_dot(url: str) -> str:
    """The same address with a host that has no dot, like a service of docker-compose: 127.0.0.1 as one number."""
    return url.replace("localhost", str(0x7F000001))

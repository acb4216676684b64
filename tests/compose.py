"""docker-compose.yml as docker-compose reads it: services of a profile, their environments and commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[1] / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def services(profile: str | None = None, **given: str) -> dict[str, dict[str, Any]]:
    """What `docker-compose [--profile ...] up` starts, by name, with the variables `given` in its environment."""
    found = yaml.safe_load(
        _VARIABLE.sub(lambda variable: given.get(variable[1]) or variable[2] or "", FILE.read_text())
    )
    return {
        name: service for name, service in found["services"].items() if profile in service.get("profiles", [profile])
    }


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of a service that are not empty."""
    return {name: str(value) for name, value in service["environment"].items() if value not in (None, "")}

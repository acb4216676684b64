"""`python -m backend doctor`: what works, what does not, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict

import click

from backend import doctor_connection, doctor_here, doctor_studio
from backend.doctor import Check, Installation, Outcome, examine

INSTALLATION = (
    Check("settings", doctor_here.settings),
    Check("model folder", doctor_here.model_folder, ("settings",)),
    Check("disk", doctor_here.disk_room, ("model folder",)),
    Check("Label Studio", doctor_studio.label_studio, ("settings",)),
    Check("key", doctor_studio.key, ("Label Studio",)),
    Check("version", doctor_studio.version, ("key",)),
    Check("Redis", doctor_here.redis, ("settings",)),
)
CONNECTION = (
    Check("project", doctor_studio.project, ("key",)),
    Check("label config", doctor_studio.label_config, ("project",)),
    Check("connection", doctor_connection.connection, ("project",)),
    Check("webhook host", doctor_connection.webhook_host, ("project", "connection")),
    Check("local addresses", doctor_connection.local_addresses, ("webhook host",)),
    Check("reached", doctor_connection.reached, ("local addresses",)),
    Check("webhook", doctor_connection.webhook, ("webhook host",)),
    Check("webhook events", doctor_connection.webhook_events, ("webhook",)),
    Check("webhook credentials", doctor_connection.webhook_credentials, ("webhook",)),
    Check("backend", doctor_connection.answer, ("webhook", "reached")),
    Check("suggestions", doctor_connection.suggestions, ("connection",)),
)
PROJECT = (
    Check("recording", doctor_studio.recording, ("label config",)),
    Check("annotated tasks", doctor_studio.annotated_tasks, ("project",)),
    Check("model", doctor_here.model, ("model folder", "Redis")),
    Check("same model", doctor_here.same_model, ("model", "reached")),
)
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "not tried": "bright_black"}


@click.command()
@click.option("--project", type=click.IntRange(min=0), help="Look at this project of Label Studio, too.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects: check, status, found, advice.")
@click.pass_context
def doctor(context: click.Context, project: int | None, as_json: bool) -> None:
    """Check the installation and a project's connection; exit status 1 when a check failed."""
    checks = INSTALLATION if project is None else (*INSTALLATION, *CONNECTION, *PROJECT)
    with closing(Installation(project)) as installation:
        findings = examine(installation, checks)
        if as_json:
            found = dict(findings)
            click.echo(json.dumps([{"check": name, **asdict(outcome)} for name, outcome in found.items()], indent=1))
        else:
            found = show(findings, checks)
    context.exit(int(any(outcome.status == "failed" for outcome in found.values())))


def show(findings: Iterator[tuple[str, Outcome]], checks: Iterable[Check]) -> dict[str, Outcome]:
    """Print what each check found as it comes, and what to do on a line below; returns it by the checks' names."""
    width = max(len(check.name) for check in checks)
    shown = {}
    for name, outcome in findings:
        status = click.style(outcome.status.ljust(9), fg=_COLOURS[outcome.status])
        click.echo(f"{status}  {name.ljust(width)}  {outcome.found}")
        if outcome.advice:
            click.echo(f"{' ' * (width + 13)}-> {outcome.advice}")
        shown[name] = outcome
    return shown

"""`python -m backend connect`: Label Studio's side of a project, put in order for this backend, and looked at."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from urllib.parse import urlsplit

import click

from backend.doctor import Check, Installation, Outcome, examine, ok
from backend.doctor_cli import CONNECTION, INSTALLATION, show
from backend.doctor_connection import unusable
from backend.label_studio import LabelStudioError
from backend.settings import SettingsError

# What has to be well before anything is changed; the rest of the doctor's checks tell what has come of it.
_BEFORE = ("settings", "Label Studio", "key", "version", "project", "webhook host", "local addresses")


def _connect(installation: Installation) -> Outcome:
    try:
        changed = installation.registration.connect(installation.url)
    except LabelStudioError as error:
        return unusable(installation, str(error))
    return ok(", ".join(changed) or "all was in order, nothing is changed")


CHECKS = (
    *[check for check in (*INSTALLATION, *CONNECTION) if check.name in _BEFORE],
    Check("changes", _connect, _BEFORE),
    *[replace(check, needs=(*check.needs, "changes")) for check in CONNECTION if check.name not in _BEFORE],
)


class _Address(click.ParamType):
    """A backend's address: http(s)://host[:port], without credentials or a slash at the end."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            self.fail(f"expected an address like http://192.168.1.20:9090, found {value!r}", param, ctx)
        if parts.username or parts.password or parts.query or parts.fragment:
            self.fail(
                "expected an address alone; credentials belong in BASIC_AUTH_USER and BASIC_AUTH_PASS", param, ctx
            )
        return value.rstrip("/")


@click.command()
@click.option("--project", type=click.IntRange(min=0), required=True, help="The project's id in Label Studio.")
@click.option("--url", type=_Address(), required=True, help="This backend's address, as Label Studio reaches it.")
@click.option("--remove", is_flag=True, help="Undo it: remove the connection and the webhook.")
@click.pass_context
def connect(context: click.Context, project: int, url: str, remove: bool) -> None:
    """Connect this backend to a project: backend, webhook and live suggestions. Twice changes nothing."""
    with closing(Installation(project, url)) as installation:
        if remove:
            try:
                removed = installation.registration.disconnect(url)
            except (LabelStudioError, SettingsError) as error:
                raise click.ClickException(str(error)) from error
            click.echo(", ".join(removed) or f"project {project} had neither a connection nor a webhook to {url}")
            return
        found = show(examine(installation, CHECKS), CHECKS)
    broken = [outcome for outcome in found.values() if outcome.status == "failed"]
    if broken:
        click.echo(f"\nTo change: {broken[0].advice or broken[0].found}")
    else:
        click.echo(
            f"\nProject {project} is connected: a saved annotation trains, a task that is opened gets suggestions."
        )
    context.exit(int(bool(broken)))

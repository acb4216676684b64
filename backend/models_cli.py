"""`python -m backend models …`: what versions a project has, how good they are, which one serves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from backend.model_store import ModelStore, VersionError
from backend.settings import current_settings
from segmenter.errors import ModelError

_PROJECT = click.option("--project", type=click.IntRange(min=0), required=True, help="The project's id.")


class _Sentences(click.Group):
    """A group whose commands' known errors end in one sentence, not in a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (VersionError, ModelError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Sentences)
def models() -> None:
    """List, show, pin and delete model versions."""


@models.command("list")
@click.option("--project", type=click.IntRange(min=0), help="Only this project's.")
def list_versions(project: int | None) -> None:
    """All versions, oldest first, with their held-out scores; * serves."""
    store = _store()
    rows = []
    for number in store.projects() if project is None else [project]:
        serving, pinned = store.current_version(number), store.is_pinned(number)
        for version in store.versions(number):
            mark = ("* pinned" if pinned else "*") if version == serving else ""
            rows.append((str(number), version, *_summary(store, number, version), mark))
    if not rows:
        raise click.ClickException("there is no version yet in MODEL_DIR: annotate and train first")
    _print_table(("project", "version", "recordings", "macro F1", "F1 at .50", "serves"), rows)


@models.command()
@_PROJECT
@click.argument("version")
def show(project: int, version: str) -> None:
    """The training report and label config of a version, as JSON."""
    store = _store()
    report = {"label_config": store.label_config(project, version), "segmenters": store.reports(project, version)}
    click.echo(json.dumps(report, indent=1))


@models.command()
@_PROJECT
@click.argument("version")
def use(project: int, version: str) -> None:
    """Let VERSION serve from the next request on, whatever is trained later; `newest` lets the newest serve again."""
    store = _store()
    if version == "newest":
        click.echo(f"project {project}: {store.unpin(project)} serves, and so will those trained from now on")
    else:
        store.use(project, version)
        click.echo(f"project {project}: {version} serves; `use newest` lets newer ones serve again")


@models.command()
@_PROJECT
@click.argument("version")
def delete(project: int, version: str) -> None:
    """Remove a version that does not serve."""
    _store().delete(project, version)
    click.echo(f"project {project}: {version} is deleted")


def _store() -> ModelStore:
    settings = current_settings()
    return ModelStore(settings.model_dir, settings.keep_versions)


def _summary(store: ModelStore, project: int, version: str) -> tuple[str, str, str]:
    """Recordings learned from, and the held-out scores of the worst control."""
    try:
        reports = store.reports(project, version)
    except ModelError:
        return ("damaged", "", "")
    held_out = [report["held_out"] for report in reports if report.get("held_out")]
    worst = [f"{min(scores[name] for scores in held_out):.2f}" if held_out else "-" for name in ("macro_f1", "f1_50")]
    return (str(max(len(report["recordings"]) for report in reports)), worst[0], worst[1])


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

"""Label Studio's files, as the offline commands take them: a label config, tasks, the recordings beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from segmenter.errors import LabelConfigError, RecordingError
from segmenter.labeling import Labeling, read_label_config
from segmenter.pipeline import Fetch, Task

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def read_config(path: Path) -> tuple[Labeling, ...]:
    """The pairs of a label config; raises LabelConfigError."""
    try:
        return read_label_config(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LabelConfigError(f"the label config {path} cannot be read: {error}") from error


def files_beside(tasks: Path) -> Fetch:
    """Recordings named by a path are read from beside the tasks' file; what comes back raises RecordingError."""

    def fetch(address: str, task: int | str | None) -> bytes:
        path = tasks.parent / address
        try:
            return path.read_bytes()
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror}; paths are relative to {tasks.name}") from error

    return fetch


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file, in its order; raises ClickException."""
    return [
        Task(task.get("id", number), task["data"], tuple(task.get("annotations") or ()))
        for number, task in enumerate(read_json(path))
    ]


def read_json(path: Path) -> list[Mapping[str, Any]]:
    """The same as Label Studio wrote them."""
    try:
        tasks = json.loads(path.read_text())
    except ValueError as error:
        raise click.ClickException(f"{path} is not JSON ({error}); expected a list of tasks") from error
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and isinstance(t.get("data"), dict) for t in tasks):
        raise click.ClickException(f"{path}: expected a list of tasks, each with `data`")
    return tasks

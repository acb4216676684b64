"""`python -m backend predict`: suggestions for the tasks of a project in Label Studio, or for those of a file."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import click
import torch

from backend.label_studio import LabelStudioError
from backend.model_store import CONFIG_FILE
from backend.offline import FILE, files_beside, read_config, read_json, read_tasks
from backend.renewal import Renewer, in_words
from backend.settings import current_settings
from segmenter.errors import SegmenterError
from segmenter.model import Model
from segmenter.pipeline import predict as predict_task

_EITHER = "expected either --project, or --model, --tasks and --out together"


class _Ids(click.ParamType):
    """Ids of tasks, like 1,2,3."""

    name = "ids"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> list[int]:
        """The ids, each once, in their order."""
        words = [word.strip() for word in value.split(",")]
        if not all(word.isascii() and word.isdigit() for word in words):
            self.fail(f"expected the ids of tasks, like 1,2,3, found {value!r}", param, context)
        return list(dict.fromkeys(map(int, words)))


@click.command()
@click.option(
    "--project", type=click.IntRange(min=0), help="Id of a project: its tasks in Label Studio get suggestions."
)
@click.option("--all", "annotated", is_flag=True, help="With --project: annotated tasks as well.")
@click.option("--ids", type=_Ids(), help="With --project: only these tasks, annotated or not.", metavar="1,2,3")
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A model that `fit` made.")
@click.option("--tasks", type=FILE, help="With --model: tasks (JSON).")
@click.option("--out", type=click.Path(path_type=Path), help="With --model: file for the tasks with predictions.")
def predict(
    project: int | None,
    annotated: bool,
    ids: list[int] | None,
    model: Path | None,
    tasks: Path | None,
    out: Path | None,
) -> None:
    """Suggest segments.

    With --project, by the version that serves and into Label Studio: for its tasks without annotations, unless told
    otherwise. Tasks that have suggestions of this version already are passed over, so what was interrupted goes on.

    With --model, --tasks and --out, without Label Studio; the output can be imported there.
    """
    torch.set_num_threads(1)
    try:
        if project is not None and not (model or tasks or out):
            if annotated and ids:
                raise click.UsageError("expected --all or --ids, found both")
            _predict_project(project, annotated, ids)
        elif model and tasks and out and not (annotated or ids or project is not None):
            _predict_file(model, tasks, out)
        else:
            raise click.UsageError(_EITHER)
    except (LabelStudioError, SegmenterError) as error:
        raise click.ClickException(str(error)) from error


def _predict_project(project: int, annotated: bool, ids: list[int] | None) -> None:
    with closing(Renewer(current_settings())) as renewer:
        chosen = renewer.all_tasks(project, annotated) if ids is None else ids
        with click.progressbar(length=len(chosen), label=f"project {project}", file=sys.stderr) as bar:
            for progress in renewer.renew(project, chosen):
                bar.update(progress.done - bar.pos)
    click.echo(in_words(progress), err=True)


def _predict_file(folder: Path, tasks: Path, out: Path) -> None:
    model = Model.load(folder)
    labelings = read_config(folder / CONFIG_FILE)
    version = f"{folder.name}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}"
    written = []
    with click.progressbar(
        list(zip(read_json(tasks), read_tasks(tasks), strict=True)), label="tasks", file=sys.stderr
    ) as bar:
        for raw, task in bar:
            prediction = predict_task(model, labelings, task, files_beside(tasks))
            if prediction.failure:
                click.echo(f"task {task.id}: no suggestions: {prediction.failure}", err=True)
            entry = {"result": list(prediction.result), "score": prediction.score, "model_version": version}
            written.append({**raw, "predictions": [entry]})
    out.write_text(json.dumps(written, indent=1))
    click.echo(f"wrote {out}", err=True)

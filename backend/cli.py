"""`python -m backend …`: learn, suggest and score offline from Label Studio's files, and run the trainer."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import torch

from backend.connect_cli import connect
from backend.doctor_cli import doctor
from backend.logs import configure_logging
from backend.model_store import CONFIG_FILE
from backend.models_cli import models
from backend.settings import SettingsError, current_settings
from backend.trainer_keeper import TrainerKeeper
from segmenter.errors import LabelConfigError, RecordingError, SegmenterError
from segmenter.labeling import Labeling, read_label_config
from segmenter.metrics import Scores, pair_rows
from segmenter.metrics import evaluate as score_pairs
from segmenter.model import Model
from segmenter.pipeline import Fetch, Learned, Task, learn, pairs, predict, read_task
from segmenter.prediction import suggest
from segmenter.training import Progress, TrainingSettings

_SHOWN = (
    "macro_f1", "f1_10", "f1_25", "f1_50", "edits_saved", "row_accuracy", "background_f1", "edit_score", "covering",
    "over_segmentation", "boundary_error",
)  # fmt: skip
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """The time series segmenter for Label Studio."""
    try:
        configure_logging(current_settings())
    except SettingsError as error:
        if context.invoked_subcommand not in (doctor.name, connect.name):  # they tell it in their list
            raise click.ClickException(str(error)) from error


main.add_command(models)
main.add_command(connect)
main.add_command(doctor)


@main.command()
def trainer() -> None:
    """Take trainings until stopped, TRAININGS_AT_ONCE of them. Without REDIS_URL the web workers see to that."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    keeper = TrainerKeeper(current_settings())
    keeper.start()
    stopping.wait()
    keeper.stop()


@main.command("fit")
@click.option("--config", required=True, type=_FILE, help="Label config, XML.")
@click.option("--tasks", required=True, type=_FILE, help="Annotated tasks, as Label Studio exports them (JSON).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the model.")
@click.option("--seed", default=0, show_default=True, help="Same data and seed, same model.")
def fit_command(config: Path, tasks: Path, out: Path, seed: int) -> None:
    """Learn a model from an export."""
    learned = _learn(config, tasks, current_settings().training(seed))
    out.mkdir(parents=True, exist_ok=True)
    learned.model.save(out)
    (out / CONFIG_FILE).write_bytes(config.read_bytes())
    click.echo(f"learned from {learned.tasks} tasks; the model is in {out}", err=True)


@main.command("predict")
@click.option("--model", "model_folder", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tasks", required=True, type=_FILE, help="Tasks (JSON).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File for the tasks with predictions.")
def predict_command(model_folder: Path, tasks: Path, out: Path) -> None:
    """Suggest segments for tasks; the output can be imported into Label Studio."""
    try:
        model = Model.load(model_folder)
        labelings = _read_config(model_folder / CONFIG_FILE)
        written = []
        version = f"{model_folder.name}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}"
        for number, (raw, task) in enumerate(zip(_read_json(tasks), _tasks(tasks), strict=True), start=1):
            prediction = predict(model, labelings, task, _files_beside(tasks))
            if prediction.failure:
                click.echo(f"task {task.id}: no suggestions: {prediction.failure}", err=True)
            entry = {"result": list(prediction.result), "score": prediction.score, "model_version": version}
            written.append({**raw, "predictions": [entry]})
            _show(f"{number} tasks suggested")
    except SegmenterError as error:
        raise click.ClickException(str(error)) from error
    out.write_text(json.dumps(written, indent=1))
    click.echo(f"\nwrote {out}", err=True)


@main.command()
@click.option("--config", required=True, type=_FILE, help="Label config, XML.")
@click.option("--train", required=True, type=_FILE, help="Annotated tasks to learn from (JSON).")
@click.option("--test", required=True, type=_FILE, help="Annotated tasks to score on (JSON).")
@click.option("--seeds", default=3, show_default=True, help="How many models are learned, with seeds 0, 1, …")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the scores to this file, too.")
def evaluate(config: Path, train: Path, test: Path, seeds: int, json_file: Path | None) -> None:
    """Learn from some annotated tasks, score the suggestions on others."""
    runs: list[dict[str, float]] = []
    for seed in range(seeds):
        began = time.monotonic()
        learned = _learn(config, train, current_settings().training(seed))
        seconds = time.monotonic() - began
        scores = _score(learned.model, _read_config(config), test)
        found = {name: getattr(scores, name) for name in _SHOWN}
        runs.append({**{name: value for name, value in found.items() if value is not None}, "fit_seconds": seconds})
        click.echo(f"seed {seed}  {_in_words(runs[-1])}")
    mean = {name: sum(run[name] for run in runs) / len(runs) for name in runs[0] if all(name in run for run in runs)}
    click.echo(f"mean    {_in_words(mean)}")
    if json_file:
        json_file.write_text(json.dumps({"mean": mean, "runs": runs}, indent=1))


def _in_words(scores: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" if value < 10 else f"{name} {value:.1f}" for name, value in scores.items())


def _score(model: Model, labelings: Sequence[Labeling], tasks: Path) -> Scores:
    found = []
    for task in _tasks(tasks):
        for labeling, segmenter in pairs(model, labelings):
            example = read_task(task, labeling, _files_beside(tasks))
            if example is not None:
                suggestion = suggest(segmenter, example.recording, labeling)
                found.append((example.targets, suggestion.segments))
    if not found:
        raise click.ClickException(f"{tasks} has no annotated task that can be read")
    return score_pairs(pair_rows(found))


def _learn(config: Path, tasks: Path, settings: TrainingSettings) -> Learned:
    torch.set_num_threads(settings.threads)
    try:
        learned = learn(_read_config(config), _tasks(tasks), _files_beside(tasks), settings, _show_progress)
    except SegmenterError as error:
        raise click.ClickException(str(error)) from error
    finally:
        _show("")
    for task in learned.left_out:
        click.echo(f"task {task.task} was left out: {task.reason}", err=True)
    return learned


def _read_config(path: Path) -> tuple[Labeling, ...]:
    try:
        return read_label_config(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LabelConfigError(f"the label config {path} cannot be read: {error}") from error


def _files_beside(tasks: Path) -> Fetch:
    """Recordings named by a path are read from beside the tasks' file."""

    def fetch(address: str, task: int | str | None) -> bytes:
        path = tasks.parent / address
        try:
            return path.read_bytes()
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror}; paths are relative to {tasks.name}") from error

    return fetch


def _tasks(path: Path) -> list[Task]:
    return [
        Task(task.get("id", number), task["data"], tuple(task.get("annotations") or ()))
        for number, task in enumerate(_read_json(path))
    ]


def _read_json(path: Path) -> list[Mapping[str, Any]]:
    try:
        tasks = json.loads(path.read_text())
    except ValueError as error:
        raise click.ClickException(f"{path} is not JSON ({error}); expected a list of tasks") from error
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and isinstance(t.get("data"), dict) for t in tasks):
        raise click.ClickException(f"{path}: expected a list of tasks, each with `data`")
    return tasks


def _show_progress(step: Progress) -> None:
    _show(f"{step.percent:3.0f} %  {step.phase}, epoch {step.epoch}")


def _show(line: str) -> None:
    """One line that is written over, on a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

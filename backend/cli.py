"""`python -m backend …`: learn, suggest and score offline from Label Studio's files, and run the trainer."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch

from backend.connect_cli import connect
from backend.doctor_cli import doctor
from backend.logs import configure_logging
from backend.model_store import CONFIG_FILE
from backend.models_cli import models
from backend.offline import FILE, files_beside, read_config, read_tasks
from backend.predict_cli import predict
from backend.settings import SettingsError, current_settings
from backend.trainer_keeper import TrainerKeeper
from segmenter.errors import SegmenterError
from segmenter.fits import Progress
from segmenter.labeling import Labeling
from segmenter.metrics import Scores, pair_rows
from segmenter.metrics import evaluate as score_pairs
from segmenter.model import Model
from segmenter.pipeline import Learned, learn, pairs, read_task
from segmenter.prediction import suggest
from segmenter.training import TrainingSettings

_SHOWN = (
    "macro_f1", "f1_10", "f1_25", "f1_50", "edits_saved", "row_accuracy", "background_f1", "edit_score", "covering",
    "over_segmentation", "boundary_error",
)  # fmt: skip


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
main.add_command(predict)


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
@click.option("--config", required=True, type=FILE, help="Label config, XML.")
@click.option("--tasks", required=True, type=FILE, help="Annotated tasks, as Label Studio exports them (JSON).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the model.")
@click.option("--seed", default=0, show_default=True, help="Same data and seed, same model.")
def fit_command(config: Path, tasks: Path, out: Path, seed: int) -> None:
    """Learn a model from an export."""
    learned = _learn(config, tasks, current_settings().training(seed))
    out.mkdir(parents=True, exist_ok=True)
    learned.model.save(out)
    (out / CONFIG_FILE).write_bytes(config.read_bytes())
    click.echo(f"learned from {learned.tasks} tasks; the model is in {out}", err=True)


@main.command()
@click.option("--config", required=True, type=FILE, help="Label config, XML.")
@click.option("--train", required=True, type=FILE, help="Annotated tasks to learn from (JSON).")
@click.option("--test", required=True, type=FILE, help="Annotated tasks to score on (JSON).")
@click.option("--seeds", default=3, show_default=True, help="How many models are learned, with seeds 0, 1, …")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the scores to this file, too.")
def evaluate(config: Path, train: Path, test: Path, seeds: int, json_file: Path | None) -> None:
    """Learn from some annotated tasks, score the suggestions on others."""
    torch.set_num_threads(1)
    runs: list[dict[str, float]] = []
    for seed in range(seeds):
        began = time.monotonic()
        learned = _learn(config, train, current_settings().training(seed))
        seconds = time.monotonic() - began
        scores = _score(learned.model, read_config(config), test)
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
    for task in read_tasks(tasks):
        for labeling, segmenter in pairs(model, labelings):
            example = read_task(task, labeling, files_beside(tasks))
            if example is not None:
                suggestion = suggest(segmenter, example.recording, labeling)
                found.append((example.targets, suggestion.segments))
    if not found:
        raise click.ClickException(f"{tasks} has no annotated task that can be read")
    return score_pairs(pair_rows(found))


def _learn(config: Path, tasks: Path, settings: TrainingSettings) -> Learned:
    try:
        learned = learn(read_config(config), read_tasks(tasks), files_beside(tasks), settings, _show_progress)
    except SegmenterError as error:
        raise click.ClickException(str(error)) from error
    finally:
        _show("")
    for task in learned.left_out:
        click.echo(f"task {task.task} was left out: {task.reason}", err=True)
    return learned


def _show_progress(at: Progress) -> None:
    _show(f"{at.percent:3.0f} %  {at.phase}, step {at.epoch} of {at.epochs}")


def _show(line: str) -> None:
    """One line that is written over, on a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

"""The real recordings: three data sets as Label Studio exports them, kept beside the checkout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from segmenter.labeling import Labeling, read_label_config
from segmenter.pipeline import Task, read_task
from segmenter.training import Example

SETS = ("valve", "occupancy", "motions")
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


class DataMissing(Exception):
    """The data sets are not in the folder that was given."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Annotated recordings to learn from, and others to score on."""

    name: str
    labeling: Labeling
    train: tuple[Example, ...]
    dev: tuple[Example, ...]


def load(folder: Path, name: str) -> DataSet:
    """Read one data set; raises DataMissing."""
    place = folder / name
    if not (place / "train.json").is_file():
        raise DataMissing(f"no data set in {place}: give the folder that holds {name}/train.json with --data")
    (labeling,) = read_label_config((place / "label_config.xml").read_text("utf-8"))
    return DataSet(name, labeling, _examples(place, "train", labeling), _examples(place, "dev", labeling))


def _examples(place: Path, part: str, labeling: Labeling) -> tuple[Example, ...]:
    def fetch(address: str, task: int | str | None) -> bytes:
        return (place / address).read_bytes()

    tasks = [
        Task(number, task["data"], tuple(task["annotations"]))
        for number, task in enumerate(json.loads((place / f"{part}.json").read_text("utf-8")))
    ]
    read = (read_task(task, labeling, fetch) for task in tasks)
    return tuple(example for example in read if example is not None)

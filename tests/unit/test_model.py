"""A saved model comes back the same, and anything else is refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from segmenter.errors import ModelError
from segmenter.model import Model
from segmenter.prediction import suggest
from tests.unit.fitted import LABELING, recording, untrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Model((untrained(members=2), untrained(seed=1))).save(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_suggests_the_same(tmp_path: Path) -> None:
    segmenter = untrained(members=2)
    Model((segmenter,)).save(tmp_path)
    (loaded,) = Model.load(tmp_path).segmenters
    sample = recording(500)
    before, after = suggest(segmenter, sample, LABELING), suggest(loaded, sample, LABELING)
    assert [(s.first, s.last, s.state) for s in after.segments] == [(s.first, s.last, s.state) for s in before.segments]
    assert after.score == pytest.approx(before.score, abs=1e-6)
    assert before.segments
    assert (loaded.states, loaded.channels, loaded.decoding, loaded.view, loaded.temperature, loaded.report) == (
        segmenter.states,
        segmenter.channels,
        segmenter.decoding,
        segmenter.view,
        segmenter.temperature,
        segmenter.report,
    )


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "report.json"])
@pytest.mark.parametrize("damage", ["absent", "empty", "half", "foreign"])
def test_a_damaged_file_is_refused(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    content = file.read_bytes()
    if damage == "absent":
        file.unlink()
    else:
        file.write_bytes(
            {"empty": b"", "half": content[: len(content) // 2], "foreign": b"\x80\x04PK\xff" * 99}[damage]
        )
    with pytest.raises(ModelError, match="train again"):
        Model.load(folder)


def description_with(folder: Path, *path: Any, value: Any) -> None:
    file = folder / "model.json"
    description = json.loads(file.read_text())
    place = description
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 99),
        (("segmenters",), []),
        (("segmenters",), {"0": 1}),
        (("segmenters", 0), None),
        (("segmenters", 0, "channels"), ["One"]),
        (("segmenters", 0, "channels"), [1, 2]),
        (("segmenters", 0, "states", 0, "labels"), ["Walk"]),
        (("segmenters", 0, "states", 1, "instant"), "yes"),
        (("segmenters", 0, "widths"), [3]),
        (("segmenters", 0, "widths"), [3, -9]),
        (("segmenters", 0, "view"), "sideways"),
        (("segmenters", 0, "network", "hidden"), 2**40),
        (("segmenters", 0, "network", "hidden"), 1000),
        (("segmenters", 0, "network", "stride"), 4),
        (("segmenters", 0, "network", "surprise"), 4),
        (("segmenters", 0, "network", "inputs"), 7),
        (("segmenters", 0, "members"), 3),
        (("segmenters", 0, "members"), 10**9),
        (("segmenters", 0, "temperature"), "warm"),
        (("segmenters", 0, "temperature"), 0),
        (("segmenters", 0, "decoding", "switch_cost"), -1),
        (("segmenters", 0, "decoding"), []),
        (("segmenters", 0, "decoding", "duration_weight"), -1),
        (("segmenters", 0, "decoding", "durations"), {}),
        (("segmenters", 0, "decoding", "durations", 0, "state"), 3),
        (("segmenters", 0, "decoding", "durations", 0, "place"), "anywhere"),
        (("segmenters", 0, "decoding", "durations", 0, "spread"), 0.0),
    ],
)
def test_a_description_that_does_not_fit_is_refused(folder: Path, path: tuple[Any, ...], value: Any) -> None:
    description_with(folder, *path, value=value)
    with pytest.raises(ModelError, match="train again"):
        Model.load(folder)


def test_a_version_from_before_durations_decodes_as_it_did(folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text())
    for part in description["segmenters"]:
        del part["decoding"]["durations"], part["decoding"]["duration_weight"]
    (folder / "model.json").write_text(json.dumps(description))
    assert [(one.decoding.durations, one.decoding.duration_weight) for one in Model.load(folder).segmenters] == [
        ((), 0.0)
    ] * len(description["segmenters"])


@pytest.mark.parametrize("name", ["0.network.0.head.weight", "0.scaling.center", "1.scaling.movement_scale"])
def test_weights_that_are_not_numbers_are_refused(folder: Path, name: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelError, match="finite"):
        Model.load(folder)


def test_a_model_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        Model.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("labels", "channels", "reason"),
    [
        (("Walk", "Run"), ("One", "Two"), None),
        (("Run", "Walk", "Jump"), ("two", "Three", "ONE"), None),
        (("Walk",), ("One", "Two"), None),
        (("Jump",), ("One", "Two"), "None of the labels"),
        (("Walk", "Run"), ("One",), "'Two'"),
    ],
)
def test_it_says_whether_it_serves_a_labeling(
    labels: tuple[str, ...], channels: tuple[str, ...], reason: str | None
) -> None:
    answer = untrained().fits(replace(LABELING, labels=labels, channels=channels))
    assert answer is None if reason is None else reason in str(answer)


def test_the_report_is_plain_json(folder: Path) -> None:
    assert json.loads((folder / "report.json").read_text()) == [untrained().report] * 2


def test_scaling_survives_to_the_last_digit(folder: Path) -> None:
    loaded = Model.load(folder).segmenters[0].scaling
    assert np.array_equal(loaded.movement_center, untrained().scaling.movement_center)

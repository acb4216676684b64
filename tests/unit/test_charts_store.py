"""The pictures of a version: whole or absent, gone with the version, and no harm when they cannot be drawn."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend import charts
from backend.charts_store import are_drawn, draw_charts, read_charts, undrawn
from backend.model_store import ModelStore
from segmenter.model import Model
from tests.unit.fitted import untrained
from tests.unit.test_charts import STATES, recording

REPORT: dict[str, Any] = {**untrained().report, "chosen": {"steps": 8}, "reliability": [[0.9, 0.8, 50]]}
TOLD = {"rows": 4, "differing": 0.25, "regions": 1, "found": 1, "channels_not_drawn": 0, "segments_not_drawn": 0}
CHART_DATA = {
    "states": STATES,
    "losses": [{"phase": "fitting", "kept": True, "steps": [4, 8], "losses": [0.7, 0.4]}],
    "held_out_losses": [[8, 0.5]],
    "confusion": {"states": [0, 1], "rows": [[2, 1], [0, 3]]},
    "recordings": [recording(**TOLD), recording(**TOLD, task="8")],
}


def never() -> bool:
    return False


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path, keep_versions=2)


def publish(store: ModelStore, **changes: Any) -> str:
    return store.publish(
        1, Model((replace(untrained(), **{"report": REPORT, "chart_data": CHART_DATA, **changes}),)), "<View/>"
    )


def test_a_version_is_drawn_once_and_read_with_what_is_told_of_it(store: ModelStore) -> None:
    version = publish(store)
    assert read_charts(store, 1, version) is None
    assert list(undrawn(store)) == [(1, version)]
    draw_charts(store, 1, version, never)
    found = read_charts(store, 1, version)
    assert found is not None
    assert [chart.kind for chart in found] == ["training", "confusion", "reliability", "recording", "recording"]
    assert [chart.told["task"] for chart in found[3:]] == ["7", "8"]
    assert list(undrawn(store)) == []
    assert store.load(1) is not None, "the checksums do not cover the pictures"


def test_a_version_of_an_older_release_gets_what_its_report_holds(store: ModelStore) -> None:
    version = publish(store)
    (store.version_folder(1, version) / "chart_data.json").unlink()
    draw_charts(store, 1, version, never)
    assert [chart.kind for chart in read_charts(store, 1, version) or []] == ["reliability"]


def test_a_training_that_held_nothing_out_has_no_pictures_but_those_of_its_fit(store: ModelStore) -> None:
    report, data = {**REPORT, "reliability": []}, {**CHART_DATA, "confusion": None, "recordings": []}
    version = publish(store, report=report, chart_data=data)
    draw_charts(store, 1, version, never)
    assert [chart.kind for chart in read_charts(store, 1, version) or []] == ["training"]


def test_a_picture_that_cannot_be_drawn_costs_only_itself(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr(charts, "draw_confusion", fail)
    version = publish(store)
    draw_charts(store, 1, version, never)
    assert [chart.kind for chart in read_charts(store, 1, version) or []] == [
        "training", "reliability", "recording", "recording",
    ]  # fmt: skip
    assert "confusion-0-0.svg" in caplog.text
    assert "no ink" in caplog.text


@pytest.mark.parametrize("damage", ["a report", "a folder"])
def test_what_cannot_be_read_or_written_is_logged_and_nothing_else(
    store: ModelStore, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    version = publish(store)
    if damage == "a report":
        (store.version_folder(1, version) / "report.json").write_text("{")
    else:
        (store.project_folder(1) / "charts").write_text("in the way")
    draw_charts(store, 1, version, never)
    assert not are_drawn(store, 1, version)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert [path.name for path in store.project_folder(1).glob("charts/*")] == []


def test_a_stop_between_two_pictures_leaves_nothing_and_it_is_begun_again(store: ModelStore) -> None:
    asked = iter([False, False, True])
    version = publish(store)
    draw_charts(store, 1, version, lambda: next(asked))
    assert list((store.project_folder(1) / "charts").iterdir()) == []
    assert list(undrawn(store)) == [(1, version)]


def test_pictures_go_with_their_version(store: ModelStore) -> None:
    versions = []
    for _ in range(3):
        versions.append(publish(store))
        draw_charts(store, 1, versions[-1], never)
    kept = sorted(path.name for path in (store.project_folder(1) / "charts").iterdir())
    assert kept == versions[1:]
    store.delete(1, versions[1])
    assert [path.name for path in (store.project_folder(1) / "charts").iterdir()] == versions[2:]


def test_what_a_killed_trainer_left_and_pictures_without_a_version_are_removed(store: ModelStore) -> None:
    version = publish(store)
    ages = {".v1-20240101T000000-abc": 5_000.0, ".v1-20240101T000000-def": 5.0, "v0-20200101T000000": 5.0}
    for name, age in ages.items():
        folder = store.charts_folder(1, name)
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    draw_charts(store, 1, version, never)
    left = sorted(path.name for path in (store.project_folder(1) / "charts").iterdir())
    assert left == [".v1-20240101T000000-def", version]


def test_the_contents_name_only_files_that_are_there(store: ModelStore) -> None:
    version = publish(store)
    draw_charts(store, 1, version, never)
    folder = store.charts_folder(1, version)
    named = {entry["file"] for entry in json.loads((folder / "charts.json").read_text())}
    assert named == {path.name for path in folder.glob("*.svg")}

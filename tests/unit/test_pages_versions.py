"""What the pages tell of versions: scores, differences, and what changed from one to the next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.model_store import ModelStore
from backend.pages_versions import Part, read_parts, tell_versions, what_changed
from segmenter.model import Model
from tests.unit.fitted import untrained


def part(
    tasks: str = "12", labels: tuple[str, ...] = ("Walk",), channels: tuple[str, ...] = ("x",), rows: int = 9
) -> Part:
    states = [{"labels": [], "instant": False}, *({"labels": [label], "instant": False} for label in labels)]
    report = {"recordings": [{"task": task, "rows": 50} for task in tasks], "rows": {"Walk": rows}}
    return Part("label", "ts", channels, tuple(states), report)


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (part(), ("the same tasks and rows of each label",)),
        (part(rows=12), ("other annotations of the same tasks",)),
        (part("123"), ("task 3 added",)),
        (part("1345678"), ("tasks 3, 4, 5, 6 and 2 more added", "task 2 gone")),
        (part(labels=("Walk", "<b>")), ("label <b> added",)),
        (part(labels=("Run",)), ("label Run added", "label Walk gone")),
        (part(channels=("y", "z")), ("channels y, z added", "channel x gone")),
    ],
)
def test_what_changed_is_told(after: Part, changes: tuple[str, ...]) -> None:
    assert what_changed([part()], [after]) == changes


def store_with(folder: Path, *held_out: dict[str, float] | None) -> ModelStore:
    store = ModelStore(folder)
    for scores in held_out:
        report = {**untrained().report, "held_out": scores}
        store.publish(1, Model((replace(untrained(), report=report),)), "<View/>")
    return store


def scores(macro_f1: float) -> dict[str, float]:
    return {"macro_f1": macro_f1, "f1_50": 0.5, "edits_saved": 0.2}


def test_differences_are_to_the_version_before_where_both_were_measured(tmp_path: Path) -> None:
    told = tell_versions(store_with(tmp_path, None, scores(0.5), scores(0.75), None), 1)
    assert [version.name.partition("-")[0] for version in told] == ["v4", "v3", "v2", "v1"]
    assert [version.scores["macro_f1"] for version in told] == [None, 0.75, 0.5, None]
    assert [version.differences.get("macro_f1") for version in told] == [None, 0.25, None, None]
    assert [bool(version.changes) for version in told] == [True, True, True, False]


@pytest.mark.parametrize("file", ["report.json", "model.json"])
@pytest.mark.parametrize("content", ["{", "[]", "{}", None])
def test_a_version_that_cannot_be_read_is_not_in_the_table(tmp_path: Path, file: str, content: str | None) -> None:
    store = store_with(tmp_path, scores(0.5), scores(0.6))
    path = store.version_folder(1, store.versions(1)[0]) / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    assert [version.name for version in tell_versions(store, 1)] == store.versions(1)[1:]


def test_the_table_of_an_older_release_knows_the_rows_alone(tmp_path: Path) -> None:
    store = store_with(tmp_path, scores(0.5))
    (found,) = read_parts(store, 1, store.versions(1)[0])
    assert [(row["labels"], row["rows"], row["held_out"]) for row in found.label_table] == [
        (["Walk"], 3, None),
        (["Run"], None, None),
    ]


def test_background_is_the_last_of_the_labels() -> None:
    def row(labels: list[str], rows: int) -> dict[str, Any]:
        return {"labels": labels, "instant": False, "rows": rows, "regions": 0, "held_out": None}

    for rows, names in ((5, [["Walk"], []]), (0, [["Walk"]])):
        found = replace(part(), report=json.loads(json.dumps({"labels": [row([], rows), row(["Walk"], 4)]})))
        assert [entry["labels"] for entry in found.label_table] == names

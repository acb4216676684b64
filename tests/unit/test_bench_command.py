"""`python -m bench` runs, goes on without what is missing or fails, and draws charts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import __main__ as command
from bench import plots, processes, serving, speed
from bench.figures import Chart, Figure, Line, Outcome, Panel
from bench.generated import LABELS, VALUE_KEY, label_config, states
from bench.report import JSON_FILE, MARKDOWN_FILE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one of the real data sets, so to speak."""
    folder = tmp_path / "data" / "valve"
    folder.mkdir(parents=True)
    (folder / "label_config.xml").write_text(label_config(2, LABELS))
    for part, seeds in (("train", (0, 1)), ("dev", (2,))):
        tasks = []
        for seed in seeds:
            sample = states(seed, 400, 2)
            (folder / f"{seed}.csv").write_bytes(sample.csv)
            tasks.append({"data": {VALUE_KEY: f"{seed}.csv"}, "annotations": [{"result": list(sample.result)}]})
        (folder / f"{part}.json").write_text(json.dumps(tasks))
    return tmp_path / "data"


def test_a_quick_run_measures_prints_and_writes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "CORES", 1)  # no more processes than it takes
    monkeypatch.setattr(speed, "QUICK", speed.Plan(sizes=((300, 1),), annotated_rows=300, effort=0.01))
    out = tmp_path / "out"
    parts = ["quality", "instants", "order", "finishing", "speed"]
    assert command.main([*parts, "--quick", "--data", str(data), "--sets", "valve", "--out", str(out)]) == 0
    found = {part["part"]: part for part in json.loads((out / JSON_FILE).read_text())["parts"]}
    assert list(found) == parts
    assert all(part["figures"] and part["tables"] for part in found.values())
    assert {path.name for path in out.glob("*.svg")} == {f"{part}.svg" for part in parts if found[part]["charts"]}
    printed = capsys.readouterr().out
    for figure in ("valve, segmental F1 at .50", "event F1 within 2 rows", "suggesting for 300 rows"):
        assert figure in printed
        assert figure in (out / MARKDOWN_FILE).read_text()


def test_a_part_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(plan: speed.Plan) -> Outcome:
        raise RuntimeError("no disk left")

    monkeypatch.setattr(speed, "run", broken)
    monkeypatch.setattr(serving, "run", lambda plan: Outcome((Figure("answers", 1.0),)))
    assert command.main(["speed", "serving", "--quick", "--out", str(tmp_path)]) == 1
    assert "answers" in (tmp_path / MARKDOWN_FILE).read_text()
    output = capsys.readouterr()
    assert "no disk left" in output.err
    assert "Failed: speed." in output.out


def test_without_the_data_sets_quality_is_left_out_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["quality", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 0
    assert "no data set in" in capsys.readouterr().out
    assert not (tmp_path / JSON_FILE).exists()


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_charts_are_the_same_for_the_same_numbers_and_readable_on_any_page(tmp_path: Path) -> None:
    line = Line("engine", (1.0, 10.0), (2.0, 3.0), ((1.5, 2.5), (2.0, 4.0)))
    chart = Chart("it", "It", (Panel("a", "x", "y", (line, line), log=True), Panel("b", "x", "y", (line,))))
    drawn = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        drawn.append(plots.draw(chart, tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert b"<dc:date>" not in drawn[0]
    for colour in (plots.INK, *plots.COLOURS):
        for page in ("#ffffff", "#0d1117"):
            dark, light = sorted(0.05 + luminance(one) for one in (colour, page))
            assert light / dark > 4

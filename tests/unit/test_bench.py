"""What the benchmarks measure is what they say, and is reported as such; those of the server run here, in small."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from bench import processes, serving, training
from bench.figures import Figure, Outcome, Table, median_figure
from bench.floor import multiply_adds
from bench.generated import LABELS, PEAK, fetch_from, labeling_of, peaks, states
from bench.live import running_backend
from bench.report import JSON_FILE, MARKDOWN_FILE, figure_lines, record, write
from bench.stages import STAGES, WATCHED, watch
from segmenter.metrics import find_spans
from segmenter.model import Model
from segmenter.network import NetworkShape, SegmentNetwork
from segmenter.pipeline import Task, predict, read_task
from segmenter.prediction import CHUNK_STEPS, CONTEXT_STEPS
from tests.backend.server import Server
from tests.unit.fitted import LABELING, recording, untrained


@pytest.fixture(scope="module")
def backend() -> Iterator[Server]:
    with running_backend(0.05) as server:
        yield server


def test_serving_is_measured_idle_and_while_it_trains(backend: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "running_backend", lambda effort: nullcontext(backend))
    outcome = serving.run(serving.QUICK)
    assert {figure.name: figure.value > 0 for figure in outcome.figures} == {
        "/predict, 2,000 rows": True,
        "/predict, 8 connections": True,
        "/predict while training, times its idle time": True,
        "/predict while training, 8 connections": True,
        "/health, idle, p50": True,
        "/health, idle, p99": True,
        "/health, while training, p50": True,
        "/health, while training, p99": True,
    }


def test_training_is_measured_from_the_event_to_the_version(backend: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "running_backend", lambda effort: nullcontext(backend))
    seconds, large, memory = training.run(training.QUICK).figures
    assert (seconds.target, large.target, memory.target) == (15.0, 600.0, 4.0)
    assert 0 < seconds.value < 60
    assert 0.1 < memory.value < 4


def test_a_target_is_met_on_its_good_side() -> None:
    assert median_figure("", [3.0, 1.0, 2.0], "s", target=2.0).met is True
    assert Figure("", 2.1, "s", 2.0).met is False
    assert Figure("", 2.1, "", 2.0, "higher").met is True
    assert Figure("", 1.0, "s", 2.0).ratio == 0.5
    assert Figure("", 1.0).met is None


def test_a_part_that_is_not_run_again_keeps_its_results(tmp_path: Path) -> None:
    def outcome(value: float) -> Outcome:
        table = Table("numbers", ("one", "two"), (("1", "2"),))
        return Outcome((Figure("taken", value, "s", 1.0, repeats=(0.5, 2.0)),), (table,), notes=("a note.",))

    for part, value in (("b", 1.0), ("a", 2.0), ("b", 3.0)):
        write(record(part, part.upper(), outcome(value), 0.1, 9.0, quick=False), tmp_path, ("a", "b"))
    parts = json.loads((tmp_path / JSON_FILE).read_text())["parts"]
    assert [(part["part"], part["figures"][0]["value"]) for part in parts] == [("a", 2.0), ("b", 3.0)]
    text = (tmp_path / MARKDOWN_FILE).read_text()
    assert text.index("## A") < text.index("## B")
    assert "| taken | 3 s | 0.500 | 2 | 1 s | 3.00 | MISSED |  |  |" in text
    assert figure_lines(outcome(0.5).figures)[1].split() == ["taken", "0.5", "s", "0.500", "2", "1", "s", "0.50", "met"]


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_every_weight_is_counted_once_for_each_time_it_is_used(stride: int) -> None:
    shape = NetworkShape(inputs=5, states=3, stride=stride)
    network = SegmentNetwork(shape)
    weights = {name: value.numel() for name, value in network.named_parameters() if "bias" not in name}
    in_row = weights.pop("local.weight") + weights.pop("local_head.weight")
    steps = CHUNK_STEPS + 2 * CONTEXT_STEPS
    one_chunk = steps * (in_row * stride + sum(weights.values()))
    assert multiply_adds(shape, 1, CHUNK_STEPS * stride) == one_chunk
    assert multiply_adds(shape, 3, CHUNK_STEPS * stride + 1) == 6 * one_chunk


def test_every_stage_of_a_suggestion_is_timed_and_put_back() -> None:
    before = [getattr(place, name) for _, place, name in WATCHED]
    csv = b"One,Two\n" + b"".join(b"%g,%g\n" % tuple(row) for row in recording(500).values)
    with watch() as spent:
        found = predict(Model((untrained(),)), (LABELING,), Task(1, {"csv": "it"}), lambda address, task: csv)
    assert found.result
    assert list(spent) == list(STAGES)
    assert all(seconds > 0 for seconds in spent.values())
    assert [getattr(place, name) for _, place, name in WATCHED] == before


def test_a_fresh_process_does_not_begin_with_the_memory_of_this_one() -> None:
    ballast = np.ones(60_000_000)
    assert processes.in_fresh_process(processes.peak_memory) < processes.peak_memory() - ballast.nbytes / 2


def test_generated_recordings_are_annotated_with_what_is_in_them() -> None:
    sample = states(3, 2_000, 3)
    assert sample.csv == states(3, 2_000, 3).csv
    example = read_task(sample.task(0), labeling_of(3, LABELS), fetch_from([sample]))
    assert example is not None
    assert example.recording.values.shape == (2_000, 3)
    spans = find_spans(example.targets.codes)
    assert [span.first for span in spans] == [entry["value"]["start"] for entry in sample.result]
    assert len(example.targets.states) == 1 + len(LABELS)


def test_generated_peaks_are_instants_in_one_row_of_a_hundred() -> None:
    samples = [peaks(seed, 5_000, 4) for seed in range(4)]
    assert 0.008 < sum(len(sample.instants) for sample in samples) / 20_000 < 0.012
    example = read_task(samples[0].task(0), labeling_of(4, [PEAK]), fetch_from(samples))
    assert example is not None
    assert tuple(np.flatnonzero(example.targets.codes).tolist()) == samples[0].instants
    assert all(state.instant for state in example.targets.states[1:])

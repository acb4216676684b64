"""Speed and memory of suggesting: the whole way from the bytes of a CSV file to result entries."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from bench.figures import Chart, Figure, Line, Outcome, Panel, Table, median_figure
from bench.floor import Floor, measure_floor
from bench.generated import LABELS, fetch_from, labeling_of, states
from bench.processes import in_fresh_process, peak_memory
from bench.stages import REST, STAGES, watch
from demo.console import Step
from segmenter.model import Model
from segmenter.pipeline import Prediction, Task, learn, predict
from segmenter.training import TrainingSettings

CHANNELS, THREADS = 4, 2
WARM_UP_ROWS = 2_000
# Seconds for so many rows that the project aims for, and gigabytes that a process may grow by.
SECONDS = {2_000: 0.015, 100_000: 0.3, 1_000_000: 2.5}
GIGABYTES = {1_000_000: 1.2}
# The public example of this kind on as many rows and channels: (seconds, gigabytes). Not measured here.
EXAMPLE = {100_000: (4.45, 1.2), 1_000_000: (56.7, 7.6)}
EXAMPLE_SOURCE = (
    "Baseline: the public example of this kind, measured once on 2 cores, see docs; not measured again here."
)


@dataclass(frozen=True)
class Plan:
    """What to measure: (rows, repeats) of each size. effort: of the fit that makes the model."""

    sizes: tuple[tuple[int, int], ...] = ((2_000, 50), (100_000, 9), (1_000_000, 5), (2_000_000, 3))
    annotated_rows: int = 2_000
    effort: float = 0.3


FULL = Plan()
QUICK = Plan(sizes=((2_000, 3), (20_000, 1)), annotated_rows=600, effort=0.03)


@dataclass(frozen=True)
class Measured:
    """One size. stages: seconds, on one thread. growth, peak: bytes, by the first suggestion and of the process."""

    rows: int
    seconds: tuple[float, ...]
    stages: dict[str, float]
    growth: int
    peak: int
    floor: Floor
    entries: int


def run(plan: Plan) -> Outcome:
    """Every size in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = _make_model(plan, folder / "model")
        measured = [_measure_size(folder, rows, repeats) for rows, repeats in plan.sizes]
    shape, networks = model.segmenters[0].networks[0].shape, len(model.segmenters[0].networks)
    return Outcome(
        tuple(figure for one in measured for figure in _figures(one)),
        (_table(measured),),
        (_chart(measured),),
        (
            f"{CHANNELS} channels and a time column; {networks} networks with a stride of {shape.stride},"
            f" {shape.inputs} features a row; {THREADS} threads; each size in a fresh process, medians after a"
            " warm-up.",
            "Memory is how far the process grew beyond what it held with the model loaded and the file's bytes read.",
            "Floor: pandas' C parser on the same bytes, plus the networks' multiply-adds at the speed of a plain matrix"
            " product on as many threads.",
            EXAMPLE_SOURCE,
        ),
    )


def _make_model(plan: Plan, folder: Path) -> Model:
    """A committee learned from four recordings: how well it was fitted does not change what it has to do."""
    step = Step("speed, a model to suggest with")
    samples = [states(seed, plan.annotated_rows, CHANNELS) for seed in range(4)]
    tasks = [sample.task(number) for number, sample in enumerate(samples)]
    settings = TrainingSettings(threads=1, effort=plan.effort)
    labelings = (labeling_of(CHANNELS, LABELS),)
    model = learn(
        labelings, tasks, fetch_from(samples), settings, lambda progress: step.tell(f"{progress.percent:.0f} %")
    ).model
    model.save(folder)
    step.done(f"{len(model.segmenters[0].networks)} networks")
    return model


def _measure_size(folder: Path, rows: int, repeats: int) -> Measured:
    step = Step(f"speed, {rows:,} rows")
    file = folder / f"{rows}.csv"
    file.write_bytes(states(1_000, rows, CHANNELS).csv)
    one = in_fresh_process(_suggest, folder / "model", file, rows, repeats)
    file.unlink()
    step.done(
        f"{median(one.seconds):.4g} s, floor {one.floor.seconds:.4g} s, grew by {one.growth / 1e6:,.0f} MB,"
        f" {one.entries:,} segments"
    )
    return one


def _suggest(folder: Path, file: Path, rows: int, repeats: int) -> Measured:
    """Memory by the first suggestion, then the time of each of the following."""
    torch.set_num_threads(1)
    model, labelings, csv = Model.load(folder), (labeling_of(CHANNELS, LABELS),), file.read_bytes()

    def suggest(content: bytes, threads: int = THREADS) -> Prediction:
        return predict(model, labelings, Task(1, {"csv_url": "it"}), lambda address, task: content, threads=threads)

    suggest(states(1, WARM_UP_ROWS, CHANNELS).csv)  # what is loaded on first use is no growth
    before = peak_memory()
    entries = len(suggest(csv).result)
    peak = peak_memory()
    seconds, stages = [], []
    for _ in range(repeats):
        seconds.append(_seconds(lambda: suggest(csv)))
        with watch() as spent:
            whole = _seconds(lambda: suggest(csv, threads=1))
        stages.append({**spent, REST: whole - sum(spent.values())})
    middle = {stage: median(spent[stage] for spent in stages) for stage in (*STAGES, REST)}
    networks = model.segmenters[0].networks
    torch.set_num_threads(THREADS)
    floor = measure_floor(csv, rows, networks[0].shape, len(networks), min(repeats, 5))
    return Measured(rows, tuple(seconds), middle, max(peak - before, 0), peak, floor, entries)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _figures(one: Measured) -> list[Figure]:
    name = f"suggesting for {one.rows:,} rows"
    seconds, gigabytes = EXAMPLE.get(one.rows, (None, None))
    growth = Figure(f"{name}, memory growth", one.growth / 1e9, "GB", GIGABYTES.get(one.rows), baseline=gigabytes)
    return [median_figure(name, one.seconds, "s", SECONDS.get(one.rows), seconds, one.floor.seconds), growth]


def _table(measured: Sequence[Measured]) -> Table:
    header = (
        "rows", "segments", "seconds", *STAGES, REST, "µs a row", "floor: parse", "floor: multiply", "times the floor",
        "peak, GB",
    )  # fmt: skip
    rows = []
    for one in measured:
        whole = median(one.seconds)
        cells = [whole, *one.stages.values(), 1e6 * whole / one.rows, one.floor.parse, one.floor.multiply]
        rows.append(
            (
                f"{one.rows:,}",
                f"{one.entries:,}",
                *[f"{value:.3g}" for value in cells],
                f"{whole / one.floor.seconds:.1f}",
                f"{one.peak / 1e9:.2f}",
            )
        )
    return Table("Where the seconds go, the stages on one thread", header, tuple(rows))


def _chart(measured: Sequence[Measured]) -> Chart:
    rows = tuple(float(one.rows) for one in measured)
    grown = [one for one in measured if one.growth > 1e6]  # a logarithm has no place for nothing

    def constants(label: str, values: dict[int, float]) -> Line:
        return Line(label, tuple(map(float, values)), tuple(values.values()))

    seconds = (
        Line("this engine", rows, tuple(median(one.seconds) for one in measured)),
        constants("public example", {size: values[0] for size, values in EXAMPLE.items()}),
        constants("target", SECONDS),
        Line("floor", rows, tuple(one.floor.seconds for one in measured)),
    )
    memory = (
        Line("this engine", tuple(float(one.rows) for one in grown), tuple(one.growth / 1e9 for one in grown)),
        constants("public example", {size: values[1] for size, values in EXAMPLE.items()}),
        constants("target", GIGABYTES),
    )
    panels = (
        Panel("time", "rows", "seconds", seconds, log=True),
        Panel("memory", "rows", "growth, GB", memory, log=True),
    )
    return Chart("speed", f"Suggesting, {CHANNELS} channels, {THREADS} threads", panels, columns=2)

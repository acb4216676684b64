"""Time and memory of a training: in the backend, from the event to the new version, and of a million rows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.service import UNTRAINED
from bench.figures import Figure, Outcome, median_figure
from bench.generated import LABELS, VALUE_KEY, labeling_of, states
from bench.live import add_project, annotate, running_backend
from bench.processes import CORES, in_fresh_process, peak_memory
from demo.console import Step
from segmenter.fits import Progress
from segmenter.pipeline import Task, learn
from segmenter.training import TrainingSettings
from tests.backend.server import Server

CHANNELS = 8
# Seconds from the event to the version; seconds and gigabytes of the large training.
SERVED_SECONDS, LARGE_SECONDS, LARGE_GIGABYTES = 15.0, 600.0, 4.0
_FIRST = 10  # project
_WITHIN = 900.0  # seconds after which a training in the backend is given up


@dataclass(frozen=True)
class Plan:
    """What to measure: `recordings` of `rows` each; the served training `repeats` times, the large one once."""

    recordings: int = 5
    rows: int = 2_000
    repeats: int = 3
    large_recordings: int = 50
    large_rows: int = 20_000
    threads: int = CORES
    effort: float = 1.0


FULL = Plan()
QUICK = Plan(recordings=2, rows=300, repeats=1, large_recordings=2, large_rows=600, effort=0.03)


@dataclass(frozen=True)
class Large:
    """The large training: seconds, the peak of its process in bytes, and how many tasks were learned from."""

    seconds: float
    peak: int
    tasks: int


def run(plan: Plan) -> Outcome:
    """Both trainings."""
    served = _served(plan)
    large = _large(plan)
    rows = plan.large_recordings * plan.large_rows
    return Outcome(
        (
            median_figure(f"event to version, {plan.recordings * plan.rows:,} rows", served, "s", SERVED_SECONDS),
            Figure(f"learning from {rows:,} rows", large.seconds, "s", LARGE_SECONDS),
            Figure(f"learning from {rows:,} rows, peak memory", large.peak / 1e9, "GB", LARGE_GIGABYTES),
        ),
        notes=(
            f"{CHANNELS} channels. Served: {plan.recordings} annotated recordings of {plan.rows:,} rows; from the POST"
            " to /webhook until /setup names the version, by the trainer that the server keeps, at default settings.",
            f"Large: {plan.large_recordings} recordings of {plan.large_rows:,} rows in a fresh process with"
            f" {plan.threads} fits at once; the whole peak of that process, not its growth.",
        ),
    )


def _served(plan: Plan) -> list[float]:
    """Seconds of each training; the first one, which waits for the trainer to start, does not count."""
    step = Step("training, a backend")
    with running_backend(plan.effort) as server:
        _event_to_version(server, _FIRST, 1, 200, step)
        step.done("serves")
        seconds = []
        for repeat in range(plan.repeats):
            step = Step(
                f"training, {plan.recordings * plan.rows:,} rows in the backend, {repeat + 1} of {plan.repeats}"
            )
            seconds.append(_event_to_version(server, _FIRST + 1 + repeat, plan.recordings, plan.rows, step))
            step.done(f"{seconds[-1]:.1f} s from the event to the version")
    return seconds


def _event_to_version(server: Server, project: int, recordings: int, rows: int, step: Step) -> float:
    add_project(server, project, CHANNELS, [states(seed, rows, CHANNELS) for seed in range(recordings)])

    def published() -> bool:
        step.tell("waiting for the version")
        return server.setup(project) != UNTRAINED

    began = time.perf_counter()
    annotate(server, project)
    server.wait(published, f"a version of project {project}", _WITHIN)
    seconds = time.perf_counter() - began
    server.wait_for_state(project, "ready")
    return seconds


def _large(plan: Plan) -> Large:
    step = Step("training, recordings for the large one")
    with tempfile.TemporaryDirectory() as folder:
        tasks = []
        for number in range(plan.large_recordings):
            step.tell(f"{number} of {plan.large_recordings}")
            sample = states(number, plan.large_rows, CHANNELS)
            file = Path(folder) / f"{number}.csv"
            file.write_bytes(sample.csv)
            tasks.append(Task(number, {VALUE_KEY: str(file)}, ({"id": number, "result": list(sample.result)},)))
        step.done(f"{len(tasks)} made")
        return in_fresh_process(_learn, tasks, TrainingSettings(threads=plan.threads, effort=plan.effort))


def _learn(tasks: Sequence[Task], settings: TrainingSettings) -> Large:
    """Learn from recordings that are read from their files one by one, as the trainer reads them."""
    step = Step(f"training, {len(tasks)} recordings")

    def tell(progress: Progress) -> None:
        step.tell(f"{progress.percent:.0f} %, {progress.phase}")

    began = time.perf_counter()
    labelings = (labeling_of(CHANNELS, LABELS),)
    learned = learn(labelings, tasks, lambda address, task: Path(address).read_bytes(), settings, tell)
    found = Large(time.perf_counter() - began, peak_memory(), learned.tasks)
    step.done(f"{found.seconds:.1f} s, peak {found.peak / 1e9:.2f} GB, {found.tasks} recordings learned from")
    return found

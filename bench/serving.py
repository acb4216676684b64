"""Answering over HTTP: suggestions and health of the real server, idle and while it trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import quantiles

import httpx

from backend.service import UNTRAINED
from bench.figures import Chart, Figure, Line, Outcome, Panel, Table, median_figure
from bench.generated import states
from bench.live import WORKERS, add_project, annotate, running_backend
from demo.console import Step
from tests.backend.server import Server

CHANNELS, ROWS = 4, 2_000
CONNECTIONS = 8
# Milliseconds of /predict, its requests a second, how many times slower it may be during a training; then milliseconds
# of /health in 99 of 100 requests, at any time.
PREDICT_MS, PER_SECOND, TIMES_SLOWER, HEALTH_MS = 40.0, 30.0, 2.0, 50.0
IDLE, TRAINING = "idle", "while training"
_PERCENTS = (5, 25, 50, 75, 90, 95, 99)
_SERVED, _LEARNING = 1, 2  # projects


@dataclass(frozen=True)
class Plan:
    """What to measure.

    seconds: of load by all connections. learning_rows: of each of the five recordings that are trained on meanwhile.
    """

    predictions: int = 200
    healths: int = 1_000
    seconds: float = 10.0
    learning_rows: int = 50_000
    effort: float = 1.0


FULL = Plan()
QUICK = Plan(predictions=5, healths=5, seconds=0.3, learning_rows=800, effort=0.1)


@dataclass(frozen=True)
class Load:
    """What clients see: milliseconds of single requests one after the other, and requests a second under load."""

    predict: tuple[float, ...]
    health: tuple[float, ...]
    per_second: float


def run(plan: Plan) -> Outcome:
    """One server, first idle, then with a training."""
    step = Step("serving, a backend with a model")
    with running_backend(plan.effort) as server:
        samples = [states(seed, ROWS, CHANNELS) for seed in range(4)]
        add_project(server, _SERVED, CHANNELS, samples)
        task = server.studio.add_task(_SERVED, states(100, ROWS, CHANNELS).csv)
        annotate(server, _SERVED)
        server.wait(lambda: server.setup(_SERVED) != UNTRAINED, "a model", 600)
        server.wait_for_state(_SERVED, "ready")
        step.done("serves")
        idle = _measure(server, task, plan, IDLE)
        training, lasted = _measure_while_training(server, task, plan)
    return Outcome(
        _figures(idle, training),
        (_table({IDLE: idle, TRAINING: training}),),
        (_chart({IDLE: idle, TRAINING: training}),),
        (
            f"One task of {ROWS:,} rows and {CHANNELS} channels, {WORKERS} workers. Clients and the stand-in for Label"
            " Studio, from which each request downloads the recording, run on the same cores.",
            f"{CONNECTIONS} connections ask without pause for {plan.seconds:g} s; all else is one request at a time.",
            f"The training went on for all of the measurement: {'yes' if lasted else 'NO, it ended before'}.",
        ),
    )


def _measure_while_training(server: Server, task: int, plan: Plan) -> tuple[Load, bool]:
    """The load during a training of another project, and whether that outlasted it."""
    add_project(server, _LEARNING, CHANNELS, [states(seed, plan.learning_rows, CHANNELS) for seed in range(5)])
    annotate(server, _LEARNING)

    def fits() -> bool:
        return server.status(_LEARNING).get("percent", 0) > 0 or server.setup(_LEARNING) != UNTRAINED

    server.wait(fits, "the training to fit", 120)
    load = _measure(server, task, plan, TRAINING)
    return load, server.status(_LEARNING)["state"] == "training"


def _measure(server: Server, task: int, plan: Plan, when: str) -> Load:
    step = Step(f"serving, {when}")
    body, address = server.predict_body(_SERVED, task), str(server.http.base_url)

    def predict(client: httpx.Client) -> None:
        answer = client.post("/predict", json=body).raise_for_status()
        if not answer.json()["results"]:
            raise RuntimeError(f"/predict answered nothing: {answer.text[:200]}")

    def health(client: httpx.Client) -> None:
        client.get("/health").raise_for_status()

    step.tell("load")
    per_second = _requests_a_second(address, predict, plan.seconds)
    step.tell("/predict")
    predicted = _milliseconds(address, predict, plan.predictions)
    step.tell("/health")
    load = Load(predicted, _milliseconds(address, health, plan.healths), per_second)
    step.done(
        f"/predict {_percentile(load.predict, 50):.1f} ms, {load.per_second:.1f} a second,"
        f" /health {_percentile(load.health, 50):.1f} ms, p99 {_percentile(load.health, 99):.1f} ms"
    )
    return load


def _milliseconds(address: str, ask: Callable[[httpx.Client], None], count: int) -> tuple[float, ...]:
    """Of one request after the other, each on a connection of its own, as Label Studio makes them."""
    found = []
    for _ in range(count):
        with httpx.Client(base_url=address, timeout=60) as client:
            began = time.perf_counter()
            ask(client)
            found.append(1000 * (time.perf_counter() - began))
    return tuple(found)


def _requests_a_second(address: str, ask: Callable[[httpx.Client], None], seconds: float) -> float:
    """All connections ask as soon as they have been answered; each has asked once before the clock starts."""

    def keep_asking(client: httpx.Client, until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            ask(client)
            count += 1
        return count

    clients = [httpx.Client(base_url=address, timeout=60) for _ in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(ask, clients))
        began = time.perf_counter()
        counts = list(pool.map(lambda client: keep_asking(client, began + seconds), clients))
        took = time.perf_counter() - began
    for client in clients:
        client.close()
    return sum(counts) / took


def _percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _figures(idle: Load, training: Load) -> tuple[Figure, ...]:
    slower = _percentile(training.predict, 50) / _percentile(idle.predict, 50)
    figures = [
        median_figure(f"/predict, {ROWS:,} rows", idle.predict, "ms", PREDICT_MS),
        Figure(f"/predict, {CONNECTIONS} connections", idle.per_second, "/s", PER_SECOND, "higher"),
        Figure(f"/predict {TRAINING}, times its idle time", slower, "x", TIMES_SLOWER),
        Figure(f"/predict {TRAINING}, {CONNECTIONS} connections", training.per_second, "/s", better="higher"),
    ]
    for when, load in ((IDLE, idle), (TRAINING, training)):
        figures.append(Figure(f"/health, {when}, p50", _percentile(load.health, 50), "ms"))
        figures.append(Figure(f"/health, {when}, p99", _percentile(load.health, 99), "ms", HEALTH_MS))
    return tuple(figures)


def _curves(loads: dict[str, Load]) -> dict[str, tuple[float, ...]]:
    return {
        f"{path}, {when}": tuple(_percentile(values, percent) for percent in _PERCENTS)
        for path in ("/predict", "/health")
        for when, load in loads.items()
        for values in (load.predict if path == "/predict" else load.health,)
    }


def _table(loads: dict[str, Load]) -> Table:
    rows = [(name, *[f"{value:.1f}" for value in curve]) for name, curve in _curves(loads).items()]
    return Table("Milliseconds", ("request", *[f"p{percent}" for percent in _PERCENTS]), tuple(rows))


def _chart(loads: dict[str, Load]) -> Chart:
    curves = _curves(loads)
    panels = tuple(
        Panel(
            path,
            "percent of the requests",
            "answered within, ms",
            tuple(Line(when, tuple(map(float, _PERCENTS)), curves[f"{path}, {when}"]) for when in loads),
        )
        for path in ("/predict", "/health")
    )
    return Chart("serving", "Answers over HTTP", panels, columns=2)

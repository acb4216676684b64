"""What `GET /metrics` tells in Prometheus' text form: requests and suggestions of this host, trainings, models.

What happens in the web workers is counted here, in each of them, and added up when somebody asks (`metrics_files`).
Everything else stands in the training queue and in the model store already (`project_metrics`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from backend import metrics_files
from segmenter.pipeline import Prediction

# They would be a metric more for each counter, and several workers cannot tell them.
disable_created_metrics()  # type: ignore[no-untyped-call]

COUNTED_HERE = CollectorRegistry()  # of this process
# The first bounds are what a suggestion takes, the last is when Label Studio gives up.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 100)
REQUESTS = Histogram(
    "segmenter_request_seconds",
    "Seconds from a request to its answer, on this host; its count is the number of requests.",
    ["route", "code"],
    buckets=_SECONDS,
    registry=COUNTED_HERE,
)
IN_FLIGHT = Gauge(
    "segmenter_requests_in_flight",
    "Requests that are being answered on this host, this one included.",
    multiprocess_mode="livesum",
    registry=COUNTED_HERE,
)
TASKS = Counter(
    "segmenter_tasks_asked_total",
    "Tasks that suggestions were asked for on this host, by what came of it.",
    ["outcome"],
    registry=COUNTED_HERE,
)
ROWS = Counter(
    "segmenter_rows_predicted_total", "Rows of recordings that were given a label on this host.", registry=COUNTED_HERE
)


def count_suggestions(asked: int, predictions: Sequence[Prediction]) -> None:
    """So many tasks were asked for at once, and these are the answers; none where no model fits the label config."""
    read = sum(prediction.read for prediction in predictions)
    TASKS.labels("suggested").inc(read)
    TASKS.labels("unreadable").inc(len(predictions) - read)
    TASKS.labels("no_model").inc(asked - len(predictions))
    ROWS.inc(sum(prediction.rows for prediction in predictions))


def add_metrics(app: Flask, of_projects: Callable[[], Collector]) -> None:
    """Measure every request of the app, and answer /metrics. Comes before all other checks: they are measured too."""
    app.before_request(_begin)
    app.after_request(_answered)
    app.teardown_request(_end)
    # Both generations of the SDK have the route, and answer {}.
    app.view_functions["metrics"] = lambda: _metrics(of_projects())


def _begin() -> None:
    g.began = time.perf_counter()
    IN_FLIGHT.inc()


def _answered(response: Response) -> Response:
    # The route's rule, never the path: whoever sends requests cannot make series.
    route = request.url_rule.rule if request.url_rule else "unknown"
    REQUESTS.labels(route, response.status_code).observe(time.perf_counter() - g.began)
    return response


def _end(error: BaseException | None) -> None:
    if g.pop("began", None) is not None:
        IN_FLIGHT.dec()


def _metrics(of_projects: Collector) -> Response:
    registry = CollectorRegistry()
    registry.register(MultiProcessCollector(None) if metrics_files.is_shared() else COUNTED_HERE)  # type: ignore[no-untyped-call]
    registry.register(of_projects)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)

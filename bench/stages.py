"""Where the time of a suggestion goes: the engine's own functions, timed as the engine calls them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from segmenter import pipeline, prediction
from segmenter.network import SegmentNetwork

# (stage, where the engine looks the function up, the function's name); none of them calls another of them.
WATCHED: tuple[tuple[str, Any, str], ...] = (
    ("parse", pipeline, "read_recording"),
    ("features", prediction, "prepare"),
    ("features", prediction, "compute_features"),
    ("network", SegmentNetwork, "forward"),
    ("decode", prediction, "decide"),
    ("entries", pipeline, "join_under_instants"),
    ("entries", pipeline, "segments_to_result"),
)
STAGES = tuple(dict.fromkeys(stage for stage, _, _ in WATCHED))
# What is left of the whole: logits put together, turned into probabilities and averaged.
REST = "rest"


@contextmanager
def watch() -> Iterator[dict[str, float]]:
    """Seconds spent in each stage so far, counted up while the context lasts.

    Raises AttributeError where the engine no longer has a function of WATCHED: name its successor there.
    """
    spent = dict.fromkeys(STAGES, 0.0)
    with ExitStack() as replaced:
        for stage, place, name in WATCHED:
            replaced.enter_context(patch.object(place, name, _timed(getattr(place, name), stage, spent)))
        yield spent


def _timed(function: Callable[..., Any], stage: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[stage] += time.perf_counter() - began

    return timed

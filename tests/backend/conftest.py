from __future__ import annotations

from tests.backend.label_studio import StandIn
from tests.recordings import CONFIG, activity, regions


def annotated_project(studio: StandIn, number: int, annotated: int = 5, others: int = 3, config: str = CONFIG) -> int:
    """A project with recordings of activities, the first of them annotated; returns its number."""
    studio.add_project(number, config)
    for seed in range(annotated):
        csv, spans = activity(seed)
        studio.add_task(number, csv, regions(spans))
    for seed in range(100, 100 + others):
        studio.add_task(number, activity(seed)[0])
    return number

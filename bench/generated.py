"""Recordings that the benchmarks make up, with the annotation of each: states that take turns, and peaks in noise.

A seed gives the same recording on every machine. What the labels look like is the same in all recordings of as many
channels; levels, drift and noise are a recording's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segmenter.errors import RecordingError
from segmenter.labeling import Labeling, read_label_config
from segmenter.metrics import find_spans
from segmenter.pipeline import Fetch, Task

CONTROL, OBJECT, VALUE_KEY = "label", "ts", "csv_url"
LABELS = ("Fill", "Stir", "Heat", "Drain")
PEAK = "Peak"
# Rows of a labelled stretch and of the rest between two of them, shortest and longest.
STRETCH, REST = (60, 120), (30, 90)
# One row in a hundred is an instant: rows from one peak to the next, shortest and longest.
PEAK_GAP = (20, 180)
_LOOKS = 20_250_101  # seed of what the labels look like


@dataclass(frozen=True)
class Sample:
    """A recording as CSV bytes with the columns time, c0, c1, ..., and the entries of the annotation that is right.

    time counts the rows. rows: how many. instants: the rows that carry one, in order.
    """

    csv: bytes
    result: tuple[dict[str, Any], ...]
    rows: int
    instants: tuple[int, ...] = ()

    def task(self, number: int, annotated: bool = True) -> Task:
        """The recording as a task of this number, to be fetched with `fetch_from`."""
        annotations: tuple[dict[str, Any], ...] = ({"id": number, "result": list(self.result)},) if annotated else ()
        return Task(number, {VALUE_KEY: str(number)}, annotations)


def label_config(channels: int, labels: Sequence[str]) -> str:
    """The label config of such recordings."""
    shown = "".join(f'<Label value="{label}"/>' for label in labels)
    columns = "".join(f'<Channel column="c{channel}"/>' for channel in range(channels))
    return (
        f'<View><TimeSeriesLabels name="{CONTROL}" toName="{OBJECT}">{shown}</TimeSeriesLabels>'
        f'<TimeSeries name="{OBJECT}" valueType="url" value="${VALUE_KEY}" timeColumn="time">{columns}</TimeSeries>'
        "</View>"
    )


def labeling_of(channels: int, labels: Sequence[str]) -> Labeling:
    """The same, read."""
    (labeling,) = read_label_config(label_config(channels, labels))
    return labeling


def fetch_from(samples: Sequence[Sample]) -> Fetch:
    """Fetches the recording of a task by its place in `samples`; raises RecordingError for any other address."""

    def fetch(address: str, task: int | str | None) -> bytes:
        if not address.isdigit() or int(address) >= len(samples):
            raise RecordingError(f"there is no generated recording {address!r}")
        return samples[int(address)].csv

    return fetch


def states(seed: int, rows: int, channels: int, labels: Sequence[str] = LABELS) -> Sample:
    """Stretches of one of the `labels` each, and rest between them, which none of them labels.

    A label has a level and a wave of its own in each channel; noise is as large as the differences between the levels,
    and a recording's levels lie anywhere and drift.
    """
    random, looks = np.random.default_rng(seed), np.random.default_rng([_LOOKS, channels])
    level = looks.normal(0.0, 1.0, (1 + len(LABELS), channels))
    swing = looks.uniform(0.3, 1.2, (1 + len(LABELS), channels))
    speed = looks.uniform(0.1, 0.9, (1 + len(LABELS), channels))
    level[0], swing[0] = 0.0, 0.1
    codes = _turns(random, rows, [1 + LABELS.index(label) for label in labels])
    time = np.arange(rows)[:, None]
    values = level[codes]
    values += swing[codes] * np.sin(speed[codes] * time)
    values += random.normal(0.0, 0.8, (rows, channels))
    values += random.normal(0.0, 0.7, channels) + 0.4 * np.sin(time / random.uniform(300, 900, channels))
    values *= 10.0 ** (np.arange(channels) % 4)  # channels differ in unit
    drawn = [(span.first, span.last, LABELS[span.code - 1]) for span in find_spans(codes)]
    return Sample(_csv(values), tuple(_entry(*part, instant=False) for part in drawn), rows)


def peaks(seed: int, rows: int, channels: int) -> Sample:
    """Instants in noise: up in the first channel and a row later down in the second, by four to eight times the noise.

    Knocks that are no instants shake the first or the last channel alone, half as often. The others only drift.
    """
    random = np.random.default_rng(seed)
    values = random.normal(0.0, 1.0, (rows, channels))
    values += np.cumsum(random.normal(0.0, 0.03, (rows, channels)), axis=0) + random.normal(0.0, 3.0, channels)
    places = np.cumsum(random.integers(*PEAK_GAP, size=rows // PEAK_GAP[0] + 1))
    places = places[places < rows - 5]
    heights = random.uniform(4.0, 8.0, len(places))
    for offset, part in ((-1, 0.5), (0, 1.0), (1, 0.5)):
        values[places + offset, 0] += part * heights
        values[places + offset + 1, 1] -= part * heights
    knocks = random.integers(5, rows - 5, size=len(places) // 2)
    knocks = knocks[np.abs(knocks[:, None] - places).min(axis=1, initial=rows) > 5]
    values[knocks, np.where(random.random(len(knocks)) < 0.5, 0, channels - 1)] += 6.0
    drawn = tuple(_entry(row, row, PEAK, instant=True) for row in places.tolist())
    return Sample(_csv(values), drawn, rows, tuple(places.tolist()))


def _turns(random: np.random.Generator, rows: int, codes: Sequence[int]) -> np.ndarray:
    """Rest and stretches of the codes taking turns, int64 (rows,)."""
    count = rows // (STRETCH[0] + REST[0]) + 2
    lengths = np.column_stack([random.integers(*REST, count), random.integers(*STRETCH, count)])
    turns = np.column_stack([np.zeros(count, np.int64), random.choice(codes, count)])
    return np.repeat(turns.ravel(), lengths.ravel())[:rows]


def _entry(first: int, last: int, label: str, instant: bool) -> dict[str, Any]:
    return {
        "id": f"r{first}",
        "from_name": CONTROL,
        "to_name": OBJECT,
        "type": "timeserieslabels",
        "origin": "manual",
        "value": {"start": first, "end": last, "instant": instant, "timeserieslabels": [label]},
    }


def _csv(values: np.ndarray) -> bytes:
    table = pd.DataFrame(values, columns=[f"c{channel}" for channel in range(values.shape[1])])
    table.insert(0, "time", np.arange(len(values)))
    return bytes(table.to_csv(index=False, float_format="%.4f").encode())

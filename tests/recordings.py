"""Recordings and annotations that the tests make up: running, walking and rest on two sensors of different scale."""

from __future__ import annotations

from typing import Any

import numpy as np

CONFIG = """<View>
  <TimeSeriesLabels name="label" toName="ts">
    <Label value="Run"/>
    <Label value="Walk"/>
  </TimeSeriesLabels>
  <TimeSeries name="ts" valueType="url" value="$csv_url" timeColumn="time">
    <Channel column="sensorone"/>
    <Channel column="sensortwo"/>
  </TimeSeries>
</View>"""

Spans = list[tuple[str, int, int]]  # label, first and last row


def activity(seed: int, rows: int = 240) -> tuple[bytes, Spans]:
    """A recording as CSV (time, sensorone, sensortwo), and what it holds; sensortwo is a thousand times sensorone."""
    random = np.random.default_rng(seed)
    one, two, spans = 0.1 * random.normal(size=rows), 100 + 5 * random.normal(size=rows), []
    row = int(random.integers(5, 20))
    label = ("Run", "Walk")[seed % 2]
    while row + 45 < rows:
        length = int(random.integers(25, 40))
        part = slice(row, row + length)
        steps = np.sin(np.arange(length) * (2.2 if label == "Run" else 0.9))
        one[part] += (2.0 if label == "Run" else 1.0) * steps
        two[part] += 900 if label == "Run" else 400
        spans.append((label, row, row + length - 1))
        row += length + int(random.integers(10, 25))
        label = "Walk" if label == "Run" else "Run"
    lines = ["time,sensorone,sensortwo"] + [
        f"{i},{a:.4f},{b:.2f}" for i, (a, b) in enumerate(zip(one, two, strict=True))
    ]
    return "\n".join(lines).encode(), spans


def regions(spans: Spans, control: str = "label", series: str = "ts") -> list[dict[str, Any]]:
    """What an annotation of these spans holds, on a time axis that counts rows."""
    return [
        {
            "id": f"r{number}",
            "from_name": control,
            "to_name": series,
            "type": "timeserieslabels",
            "origin": "manual",
            "value": {"start": first, "end": last, "instant": False, "timeserieslabels": [label]},
        }
        for number, (label, first, last) in enumerate(spans)
    ]


def overlap(suggested: list[dict[str, Any]], spans: Spans) -> int:
    """How many spans a suggestion of the same label covers with an IoU of at least a half."""
    found = 0
    for label, first, last in spans:
        for entry in suggested:
            value = entry["value"]
            shared = min(last, value["end"]) - max(first, value["start"]) + 1
            union = max(last, value["end"]) - min(first, value["start"]) + 1
            if value["timeserieslabels"] == [label] and shared / union >= 0.5:
                found += 1
                break
    return found

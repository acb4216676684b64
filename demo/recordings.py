"""Recordings of a pump that does not exist: the same ones on every machine, with the truth about each of them.

An hour of a pump, sampled every three seconds: vibration in mm/s (around 1), pressure in Pa (around 400 000) and
temperature in degrees Celsius (around 40). It idles, starts up, pumps, cavitates at times, and coasts down. Idling and
coasting down carry no label. Levels, noise and drift differ from recording to recording, the strength of a state from
one time to the next, and knocks and gusts of pressure that mean nothing come at any time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

CONTROL, OBJECT, VALUE_KEY = "state", "pump", "csv"
LABELS = ("Start-up", "Pumping", "Cavitation")
LABEL_CONFIG = f"""<View>
  <TimeSeriesLabels name="{CONTROL}" toName="{OBJECT}">
    <Label value="Start-up" background="#e69f00"/>
    <Label value="Pumping" background="#0072b2"/>
    <Label value="Cavitation" background="#cc3311"/>
  </TimeSeriesLabels>
  <TimeSeries name="{OBJECT}" valueType="url" value="${VALUE_KEY}" sep=","
              timeColumn="time" timeFormat="%Y-%m-%d %H:%M:%S" timeDisplayFormat="%H:%M"
              overviewChannels="pressure" overviewWidth="100%">
    <Channel column="vibration" displayName="Vibration" units="mm/s" displayFormat=",.2f" height="130"
             strokeColor="#444444" showAxis="true"/>
    <Channel column="pressure" displayName="Pressure" units="Pa" displayFormat=",.0f" height="130"
             strokeColor="#444444" showAxis="true"/>
    <Channel column="temperature" displayName="Temperature" units="°C" displayFormat=",.1f" height="130"
             strokeColor="#444444" showAxis="true"/>
  </TimeSeries>
</View>
"""

_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_PERIOD = timedelta(seconds=3)
_FIRST_DAY = datetime(2024, 3, 4, 6, 0)
_ANNOTATOR_ERROR = 2  # rows by which a drawn end may miss the true one


@dataclass(frozen=True)
class _Phase:
    """What the pump does for a while: targets that the sensors approach, and how they scatter around them."""

    label: str | None
    rows: tuple[int, int]  # shortest and longest
    vibration: float  # mm/s, give or take a fifth
    vibration_noise: float  # relative
    pressure: float  # Pa
    pressure_noise: float  # Pa
    pressure_lag: float  # rows until about two thirds of the way to the target are done
    heat: float  # degrees above ambient that it would settle at


_IDLE = _Phase(None, (60, 140), 0.12, 0.25, 101_000, 350, 6, 0)
_START_UP = _Phase("Start-up", (25, 55), 1.8, 0.25, 420_000, 2_500, 18, 14)
_PUMPING = _Phase("Pumping", (90, 220), 1.0, 0.20, 430_000, 2_500, 6, 22)
_CAVITATION = _Phase("Cavitation", (20, 80), 2.0, 0.55, 400_000, 11_000, 5, 30)
_COAST_DOWN = _Phase(None, (20, 40), 0.5, 0.20, 101_000, 900, 12, 8)
_DISTURBANCES = (3, 8)  # fewest and most in a recording


@dataclass(frozen=True)
class TrueSegment:
    """What the pump really did: rows `first` to `last`, both included."""

    first: int
    last: int
    label: str


@dataclass(frozen=True, eq=False)
class SampleRecording:
    """One generated recording with its truth. values: float64 (rows, 3): vibration, pressure, temperature."""

    name: str
    times: tuple[str, ...]
    values: np.ndarray[Any, Any]
    truth: tuple[TrueSegment, ...]

    def csv(self) -> bytes:
        """The recording as the file that is uploaded."""
        lines = ["time,vibration,pressure,temperature"]
        lines += [f"{time},{v:.3f},{p:.0f},{t:.2f}" for time, (v, p, t) in zip(self.times, self.values, strict=True)]
        return ("\n".join(lines) + "\n").encode()

    def annotation(self) -> list[dict[str, Any]]:
        """What an annotator would have drawn, as result entries: the truth, its ends missed by a row or two."""
        chance = random.Random(f"annotator of {self.name}")
        result = []
        for number, segment in enumerate(self.truth):
            first, last = (
                min(max(row + chance.randint(-_ANNOTATOR_ERROR, _ANNOTATOR_ERROR), 0), len(self.times) - 1)
                for row in (segment.first, segment.last)
            )
            value = {"start": self.times[first], "end": self.times[last], "instant": False}
            result.append(
                {
                    "id": f"{self.name}-{number}",
                    "from_name": CONTROL,
                    "to_name": OBJECT,
                    "type": "timeserieslabels",
                    "origin": "manual",
                    "value": value | {"timeserieslabels": [segment.label]},
                }
            )
        return result


def sample_recordings(count: int) -> list[SampleRecording]:
    """The first `count` recordings, pump-01 onwards; a recording does not depend on how many are asked for."""
    return [_record(number) for number in range(1, count + 1)]


def _record(number: int) -> SampleRecording:
    chance = np.random.default_rng([20240304, number])
    phases: list[tuple[_Phase, int]] = []
    for _ in range(chance.integers(2, 4)):
        phases += [(phase, int(chance.integers(*phase.rows))) for phase in _cycle(chance)]
    phases.append((_IDLE, int(chance.integers(*_IDLE.rows))))
    truth, row = [], 0
    for phase, rows in phases:
        if phase.label:
            truth.append(TrueSegment(row, row + rows - 1, phase.label))
        row += rows
    begin = _FIRST_DAY + (number - 1) * timedelta(hours=7)
    times = tuple((begin + step * _PERIOD).strftime(_TIME_FORMAT) for step in range(row))
    return SampleRecording(f"pump-{number:02d}", times, _sensors(phases, chance), tuple(truth))


def _cycle(chance: np.random.Generator) -> list[_Phase]:
    middle = [_CAVITATION, _PUMPING] * int(chance.integers(0, 3))
    return [_IDLE, _START_UP, _PUMPING, *middle, _COAST_DOWN]


def _sensors(phases: list[tuple[_Phase, int]], chance: np.random.Generator) -> np.ndarray[Any, Any]:
    counts = [count for _, count in phases]
    rows = [phase for phase, count in phases for _ in range(count)]
    strength = np.repeat(chance.uniform(0.8, 1.2, size=len(phases)), counts)
    gain = chance.uniform(0.85, 1.15, size=2)  # this pump's vibration and pressure, this day
    ambient = chance.uniform(14, 28)
    drift = np.linspace(0, chance.uniform(-0.06, 0.06), len(rows))
    vibration = _approach(strength * [phase.vibration for phase in rows], [3.0] * len(rows))
    pressure = _approach(np.array([phase.pressure for phase in rows]), [phase.pressure_lag for phase in rows])
    heat = _approach(np.array([phase.heat for phase in rows]), [220.0] * len(rows))
    scatter = np.array([phase.vibration_noise for phase in rows])
    ripple = strength * [phase.pressure_noise for phase in rows]
    vibration = gain[0] * vibration * (1 + drift) * np.exp(scatter * chance.standard_normal(len(rows)))
    pressure = gain[1] * pressure * (1 + drift / 2) + ripple * chance.standard_normal(len(rows))
    temperature = ambient + heat + 40 * drift + 0.15 * chance.standard_normal(len(rows))
    for first in chance.integers(0, len(rows), size=chance.integers(*_DISTURBANCES)):
        knock = slice(first, first + chance.integers(2, 6))
        gust = slice(first, first + chance.integers(3, 12))
        vibration[knock] *= chance.uniform(1.5, 3)
        pressure[gust] *= chance.uniform(0.88, 1.08)
    return np.column_stack([vibration, pressure, temperature])


def _approach(targets: np.ndarray[Any, Any], lags: list[float]) -> np.ndarray[Any, Any]:
    """Follow the targets with a lag: no state begins at once."""
    level = float(targets[0])
    followed = []
    for target, lag in zip(targets, lags, strict=True):
        level += (target - level) / lag
        followed.append(level)
    return np.array(followed)

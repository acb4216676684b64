"""A held-out recording as a chart: annotated and suggested segments above its channels, on one time axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import MaxNLocator

from backend.charts import as_svg, canvas, state_name
from backend.charts_svg import GRID, INK, LABELS, MUTED, printable

WIDTH = 440  # pixels, as are all below
_MARGIN = 4
_STRIP, _STRIP_TITLE, _GAP = 15, 14, 6
_LANE, _LANE_TITLE = 36, 15
_AXIS, _AXIS_OF_DATES = 22, 36
_CHARACTER = 6.2  # of a label in a segment, about
_DAY_MS = 86_400_000.0
_DATES = (-62_135_596_800_000.0, 253_402_214_400_000.0)  # milliseconds of the years 1 to 9999

Segment = Sequence[Any]  # [start, end, code]


def draw_recording(recording: Mapping[str, Any], states: Sequence[Mapping[str, Any]], name: str) -> str:
    """One of the recordings that the engine's chart data hold."""
    scale = _DAY_MS if _is_dated(recording) else 1.0
    strips = 2 * (_STRIP + _STRIP_TITLE + _GAP)
    lanes = strips + len(recording["channels"]) * (_LANE + _LANE_TITLE)
    height = lanes + (_AXIS_OF_DATES if scale != 1.0 else _AXIS)
    with canvas(WIDTH, height) as figure:
        bottom = 1 - lanes / height
        axes = figure.add_axes((_MARGIN / WIDTH, bottom, 1 - 2 * _MARGIN / WIDTH, 1 - bottom))
        first, last = recording["times"][0] / scale, recording["times"][-1] / scale
        axes.set_xlim(first, last if last > first else first + 1)
        axes.set_ylim(lanes, 0)
        _differences(axes, recording, scale, strips, lanes)
        hints: dict[str, str] = {}
        for place, strip in enumerate(("annotated", "suggested")):
            top = place * (_STRIP + _STRIP_TITLE + _GAP)
            _title(axes, top + _STRIP_TITLE - 4, strip)
            track = [[first * scale, last * scale]] if strip == "annotated" else recording["judged"]
            _bars(axes, [(start / scale, end / scale) for start, end in track], top + _STRIP_TITLE, GRID, 0.35)
            hints |= _strip(axes, recording[strip], states, scale, top + _STRIP_TITLE, strip)
        for place, channel in enumerate(recording["channels"]):
            _lane(axes, channel, recording["times"], scale, strips + place * (_LANE + _LANE_TITLE))
        _time_axis(axes, dated=scale != 1.0)
        title = (
            f"Task {printable(recording['task'])}: annotated and suggested segments above"
            f" {len(recording['channels'])} channels, of {len(recording['annotated'])} annotated and"
            f" {len(recording['suggested'])} suggested segments"
        )
        return as_svg(figure, name, title, hints)


def _is_dated(recording: Mapping[str, Any]) -> bool:
    first, last = recording["times"][0], recording["times"][-1]
    return bool(recording["stamps"] and recording["time_column"] and _DATES[0] <= first <= last <= _DATES[1])


def _strip(
    axes: Any, segments: Sequence[Segment], states: Sequence[Mapping[str, Any]], scale: float, top: float, strip: str
) -> dict[str, str]:
    """The segments of one strip, a part of the picture for each label; returns the parts' names by their ids."""
    hints = {}
    first, last = axes.get_xlim()
    pixel = (last - first) / (WIDTH - 2 * _MARGIN)
    for code in sorted({segment[2] for segment in segments}):
        colour, hint = LABELS[(code - 1) % len(LABELS)], state_name(states, code)
        spans = [(start / scale, end / scale) for start, end, other in segments if other == code]
        identity = f"{strip}-{code}"
        if states[code]["instant"]:
            lines = [[(at, top), (at, top + _STRIP)] for at, _ in spans]
            axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.6, gid=identity), autolim=False)
        else:
            _bars(axes, [(start, max(end, start + pixel)) for start, end in spans], top, colour, 1.0, gid=identity)
        hints[identity] = hint
        for start, end in spans:
            if not states[code]["instant"] and len(hint) * _CHARACTER * pixel < end - start - 4 * pixel:
                middle = top + _STRIP / 2 + 0.5
                axes.text((start + end) / 2, middle, hint, ha="center", va="center", fontsize=10)
    return hints


def _bars(
    axes: Any,
    spans: Sequence[tuple[float, float]],
    top: float,
    colour: str,
    alpha: float,
    height: float = _STRIP,
    gid: str | None = None,
) -> None:
    bottom = top + height
    corners = [[(start, top), (end, top), (end, bottom), (start, bottom)] for start, end in spans]
    axes.add_collection(PolyCollection(corners, facecolors=colour, linewidths=0, alpha=alpha, gid=gid), autolim=False)


def _lane(axes: Any, channel: Mapping[str, Any], times: Sequence[float], scale: float, top: float) -> None:
    """One channel between its lowest and its highest value, which are written above it."""
    values = np.array([np.nan if value is None else value for value in channel["values"]], float)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    shift, height = top + _LANE_TITLE, _LANE - 4
    # Halved first: the difference of the largest floats is none.
    part = (values / 2 - low / 2) / (high / 2 - low / 2) if high > low else np.where(np.isnan(values), np.nan, 0.5)
    axes.plot(np.array(times) / scale, shift + height * (1 - part), color=INK, linewidth=0.8)
    _title(axes, top + _LANE_TITLE - 4, printable(channel["name"]))
    ends = dict.fromkeys(_number(end, high - low) for end in (low, high))
    told = " to ".join(ends) if len(known) else "never measured"
    axes.text(1.0, top + _LANE_TITLE - 4, told, color=MUTED, fontsize=9.5, ha="right", transform=_across(axes))


def _number(value: float, extent: float) -> str:
    """Four digits, or as many as tell the ends of the extent apart, written out where that is short."""
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.4g}"
    digits = max(_places(value, 4), _places(extent, 2))
    text = f"{round(value, digits):,.{max(digits, 0)}f}".replace(",", "\N{NO-BREAK SPACE}")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _places(value: float, digits: int) -> int:
    """Places after the point that give so many digits of a value; a thousandth of a billionth is as good as nothing."""
    return digits - 1 - math.floor(math.log10(abs(value))) if 1e-12 < abs(value) < math.inf else -digits


def _title(axes: Any, bottom: float, text: str) -> None:
    axes.text(0.0, bottom, text, color=MUTED, fontsize=10, transform=_across(axes))


def _across(axes: Any) -> Any:
    """Across in parts of the width, down in pixels."""
    return axes.get_yaxis_transform()


def _differences(axes: Any, recording: Mapping[str, Any], scale: float, top: float, bottom: float) -> None:
    """A shade over the channels wherever the suggestion is not what was annotated."""
    spans = differences(recording["annotated"], recording["suggested"], recording["judged"])
    _bars(axes, [(start / scale, end / scale) for start, end in spans], top, MUTED, 0.16, bottom - top)


def differences(
    annotated: Sequence[Segment], suggested: Sequence[Segment], judged: Sequence[Sequence[float]]
) -> list[tuple[float, float]]:
    """(start, end) of the stretches within the judged ones where two sequences of segments hold different labels."""
    bounds = {bound for segment in (*annotated, *suggested) for bound in segment[:2]}
    found: list[tuple[float, float]] = []
    for first, last in judged:
        inside = sorted({first, last, *(bound for bound in bounds if first < bound < last)})
        for start, end in pairwise(inside):
            if _code_at(annotated, start) != _code_at(suggested, start):
                if found and found[-1][1] == start:
                    start = found.pop()[0]
                found.append((start, end))
    return found


def _code_at(segments: Sequence[Segment], time: float) -> int:
    return next((code for start, end, code in segments if start <= time < end), 0)


def _time_axis(axes: Any, dated: bool) -> None:
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=3, pad=3)
    if dated:
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.get_offset_text().set_fontsize(10)
    axes.xaxis.get_offset_text().set_color(MUTED)

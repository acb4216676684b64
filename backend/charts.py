"""The charts of a training, drawn with matplotlib: how it went, what is mistaken for what, how far to trust a score.

Names of labels and channels are drawn as they are: no mathematics is read in them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from backend.charts_svg import ACCENT, GRID, INK, MUTED, printable, themed

logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its fonts

SIZE = (330, 250)  # of a chart, in pixels
MOST_NUMBERED = 10  # states of a matrix whose cells hold numbers
_STYLE = {
    "svg.hashsalt": "segmenter",  # names of parts in the file, else drawn by lot
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": False,
    "path.simplify_threshold": 0.3,
    "font.size": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """A figure of this size in pixels, drawn in the page's manner for as long as the context lasts."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has its own fonts
        yield Figure(figsize=(width / 72, height / 72), dpi=72)


def as_svg(figure: Figure, name: str, title: str, hints: Mapping[str, str] | None = None) -> str:
    """The figure for a page; see charts_svg.themed."""
    written = BytesIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return themed(written.getvalue(), name, title, hints or {})


def draw_training(data: Mapping[str, Any], chosen_steps: int, name: str) -> str:
    """The losses of all fits, step by step, and of held-out rows where stopping was considered."""
    with canvas(*SIZE) as figure:
        axes = _axes(figure)
        for curve in sorted(data["losses"], key=lambda curve: curve["kept"]):
            look = {"color": ACCENT, "linewidth": 1.2} if curve["kept"] else {"color": MUTED, "linewidth": 0.6}
            axes.plot(curve["steps"], curve["losses"], **look)
        held_out = data["held_out_losses"]
        if held_out:
            axes.plot(*zip(*held_out, strict=True), color=INK, linewidth=1.2, marker="o", markersize=4, linestyle="--")
        axes.axvline(chosen_steps, color=GRID, linewidth=1, zorder=0)
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        last = f", and on held-out rows from {held_out[0][1]:.2f} to {held_out[-1][1]:.2f}" if held_out else ""
        return as_svg(figure, name, f"Training curve: loss by step in {len(data['losses'])} fits{last}")


def draw_reliability(reliability: Sequence[Sequence[float]], name: str) -> str:
    """How often held-out rows are right, for each tenth of how sure the model is of them."""
    sure, right, rows = (np.array(column, float) for column in zip(*reliability, strict=True))
    with canvas(*SIZE) as figure:
        axes = _axes(figure)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
        axes.plot(sure, right, color=ACCENT, linewidth=1.2)
        axes.scatter(sure, right, s=12 + 110 * np.sqrt(rows / rows.max()), color=ACCENT, linewidths=0, alpha=0.55)
        axes.set_xlim(min(0.5, float(sure.min()) - 0.05), 1.03)
        axes.set_ylim(min(0.4, float(right.min()) - 0.05), 1.03)
        axes.set_xlabel("score of the row")
        axes.set_ylabel("part of the rows that is right")
        _percents(axes.xaxis)
        _percents(axes.yaxis)
        told = "; ".join(f"{one:.0%} sure: {other:.0%} right" for one, other, _ in reliability)
        return as_svg(figure, name, f"Reliability on held-out rows: {told}")


def draw_confusion(confusion: Mapping[str, Any], states: Sequence[Mapping[str, Any]], name: str) -> str:
    """Held-out rows by annotated state (down) and suggested state (across), as parts of the annotated ones."""
    labels = [state_name(states, code) for code in confusion["states"]]
    counts = np.array(confusion["rows"], float)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(labels)
    font = 10 if size <= 6 else 8
    with canvas(SIZE[0], SIZE[1] + 8 * max(size - 4, 0)) as figure:
        longest = min(max(map(len, labels)), 14)
        left, bottom = (30 + 5.6 * longest) / SIZE[0], (26 + 4.2 * longest) / figure.bbox.height
        axes = figure.add_axes((left, bottom, 0.98 - left, 0.98 - bottom))
        for (row, column), part in np.ndenumerate(parts):
            right = row == column
            colour = ACCENT if right else INK
            axes.add_patch(
                Rectangle(
                    (column + 0.04, row + 0.04), 0.92, 0.92, facecolor=colour, linewidth=0,
                    alpha=0.06 + (0.5 if right else 0.4) * part,
                )
            )  # fmt: skip
            if size <= MOST_NUMBERED and counts[row].any() and (right or part >= 0.005):
                axes.text(column + 0.5, row + 0.5, f"{part:.0%}", ha="center", va="center", fontsize=font)
        shown = [printable(label, 14) for label in labels]
        places = np.arange(size) + 0.5
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        axes.set_xticks(places, shown, rotation=35, ha="right", rotation_mode="anchor", fontsize=font)
        axes.set_yticks(places, shown, fontsize=font)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("suggested")
        axes.set_ylabel("annotated")
        told = "; ".join(f"{printable(label)} {parts[place, place]:.0%}" for place, label in enumerate(labels))
        return as_svg(figure, name, f"Confusion of held-out rows, the part suggested as annotated: {told}")


def state_name(states: Sequence[Mapping[str, Any]], code: int) -> str:
    """What a state is called: its labels, background, or the many rare ones that a matrix joins."""
    if code < 0:
        return "all others"
    state = states[code]
    return printable(" + ".join(state["labels"]) or "background") + (" (instant)" if state["instant"] else "")


def _axes(figure: Figure) -> Any:
    axes = figure.add_axes((0.16, 0.17, 0.81, 0.79))
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    return axes


def _percents(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(5))
    axis.set_major_formatter(lambda value, _: f"{value:.0%}")

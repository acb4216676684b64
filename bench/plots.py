"""Charts as SVG files: the same bytes for the same numbers, and readable on a light page as on a dark one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from bench.figures import Chart, Line, Panel

# All about equally far from white as from a dark page, and told apart by marker and dashes as well.
INK = "#797979"
COLOURS = ("#2b7fd0", "#cf5b12", "#2c8a57", "#b0579b")
_MARKERS, _DASHES = ("o", "s", "D", "^"), ("-", "--", ":", "-.")
_STYLE = {
    "svg.hashsalt": "bench",  # names of parts in the file, else drawn by lot
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.08,
}
_PANEL_SIZE = (3.4, 2.7)  # inches


def draw(chart: Chart, folder: Path) -> Path:
    """Write the chart as `folder`/name.svg, and say where."""
    columns = min(chart.columns, len(chart.panels))
    rows = -(-len(chart.panels) // columns)
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_PANEL_SIZE[0] * columns, _PANEL_SIZE[1] * rows + 0.9), layout="constrained")
        canvas.suptitle(chart.title, color=INK, fontsize=12)
        grid = canvas.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, chart.panels, strict=False):
            _draw_panel(axes, panel)
        for axes in grid[len(chart.panels) :]:
            axes.set_axis_off()
        shown: dict[str, Any] = {}
        for axes in grid:
            handles, labels = axes.get_legend_handles_labels()
            shown |= dict(zip(labels, handles, strict=True))
        canvas.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4)
        path = folder / f"{chart.name}.svg"
        canvas.savefig(path, transparent=True, metadata={"Date": None})
    return path


def _draw_panel(axes: Any, panel: Panel) -> None:
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.grid(True)
    for place, line in enumerate(panel.lines):
        _draw_line(axes, line, place)
    if panel.log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.range is not None:
        axes.set_ylim(*panel.range)


def _draw_line(axes: Any, line: Line, place: int) -> None:
    """The same place in every panel gives the same look."""
    colour = COLOURS[place % len(COLOURS)]
    if line.band:
        low, high = zip(*line.band, strict=True)
        axes.fill_between(line.x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(
        line.x,
        line.y,
        label=line.label,
        color=colour,
        marker=_MARKERS[place % len(_MARKERS)],
        linestyle=_DASHES[place % len(_DASHES)],
        markersize=5,
        linewidth=1.8,
    )

"""What is printed and written: a table of figures, and the results of all parts as JSON and Markdown.

results.json holds the latest outcome of each part, with the machine it was measured on; parts that are not run again
stay as they are. results.md says the same for people.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from bench.figures import Figure, Outcome, Table

JSON_FILE, MARKDOWN_FILE = "results.json", "results.md"
_HEADER = ("figure", "value", "from", "to", "target", "ratio", "", "baseline", "floor")


@dataclass(frozen=True)
class Record:
    """One part as results.json holds it.

    load: what other programs asked of the processor before the benchmarks began, in cores; above some tenths, no time
    that was measured means much. seconds: that the whole part took. charts: (file name without ending, title).
    """

    part: str
    title: str
    machine: str
    load: float
    date: str
    seconds: float
    quick: bool
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    charts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def record(part: str, title: str, outcome: Outcome, load: float, seconds: float, quick: bool) -> Record:
    """An outcome with its circumstances."""
    date = datetime.now(timezone.utc).date().isoformat()
    charts = tuple((chart.name, chart.title) for chart in outcome.charts)
    return Record(
        part,
        title,
        _machine(),
        round(load, 2),
        date,
        round(seconds, 1),
        quick,
        outcome.figures,
        outcome.tables,
        charts,
        outcome.notes,
    )


def figure_lines(figures: Sequence[Figure]) -> list[str]:
    """The figures as a table for the console."""
    rows = [_HEADER, *map(_cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def write(new: Record, folder: Path, order: Sequence[str]) -> None:
    """Put the record in the place of the part's earlier one; parts appear in the given order."""
    folder.mkdir(parents=True, exist_ok=True)
    records = {**_read(folder / JSON_FILE), new.part: new}
    ordered = [records[part] for part in order if part in records]
    plain = {"parts": [asdict(one) for one in ordered]}
    (folder / JSON_FILE).write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", "utf-8")
    (folder / MARKDOWN_FILE).write_text("\n".join(_markdown(ordered)) + "\n", "utf-8")


def _read(file: Path) -> dict[str, Record]:
    if not file.is_file():
        return {}
    return {part["part"]: _restored(part) for part in json.loads(file.read_text("utf-8"))["parts"]}


def _restored(part: dict[str, Any]) -> Record:
    figures = tuple(Figure(**{**figure, "repeats": tuple(figure["repeats"])}) for figure in part["figures"])
    tables = tuple(
        Table(table["title"], tuple(table["header"]), tuple(map(tuple, table["rows"]))) for table in part["tables"]
    )
    charts = tuple((name, title) for name, title in part["charts"])
    return Record(**{**part, "figures": figures, "tables": tables, "charts": charts, "notes": tuple(part["notes"])})


def _cells(figure: Figure) -> tuple[str, ...]:
    low, high = (min(figure.repeats), max(figure.repeats)) if len(figure.repeats) > 1 else (None, None)
    verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
    return (
        figure.name,
        _number(figure.value, figure.unit),
        _number(low, ""),
        _number(high, ""),
        _number(figure.target, figure.unit),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        verdict,
        _number(figure.baseline, figure.unit),
        _number(figure.floor, figure.unit),
    )


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    shown = f"{value:.3f}" if abs(value) < 1 and not unit else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{shown} {unit}".strip()


def _markdown(records: Sequence[Record]) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield "Written by `make bench`. From and to: the lowest and the highest of the repeats. Ratio: value by target."
    for one in records:
        yield f"\n## {one.title}\n"
        hasty = " With `--quick`: these figures say nothing." if one.quick else ""
        yield f"{one.date}, {one.machine}, load before {one.load:.2f}; took {one.seconds:,.0f} s.{hasty}"
        yield from one.notes
        yield ""
        yield from _markdown_table(_HEADER, [_cells(figure) for figure in one.figures])
        for table in one.tables:
            yield f"\n{table.title}:\n"
            yield from _markdown_table(table.header, table.rows)
        for name, title in one.charts:
            yield f"\n![{title}]({name}.svg)"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + " --- |" * len(header)
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _machine() -> str:
    """The processor, and what of the software decides on speed."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    python, threads = platform.python_version(), os.cpu_count()
    return f"{model}, {threads} cores, Python {python}, torch {torch.__version__}"

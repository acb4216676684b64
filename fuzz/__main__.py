"""`python -m fuzz PART`: try input that nobody meant for so many minutes; prints what docs/operations.md shows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
PARTS = {"csv": "recordings", "times": "times", "configs": "configs", "requests": "requests"}
_AT_THE_END = 60  # seconds that a worker has to end by itself


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--minutes", default=20.0, show_default=True, help="For each part.")
@click.option("--seed", default=1, show_default=True, help="Of the search; another one takes other ways.")
@click.option("--out", default=ROOT / "build/fuzz", show_default=True, type=click.Path(path_type=Path),
              help="Where inputs that are worth going on from, and those that broke something, are kept.")  # fmt: skip
def main(parts: tuple[str, ...], minutes: float, seed: int, out: Path) -> None:
    """Fuzz PARTS of this code, by default all; ends with 1 when something broke."""
    lines, broken = [], 0
    for part in parts or PARTS:
        folder = out / part
        began = time.time()
        seconds = _search(part, folder, 60 * minutes, seed)
        found = sorted(path for path in (folder / "found").iterdir() if path.stat().st_mtime >= began)
        broken += len(found)
        for path in found:
            click.echo(f"FOUND by {part}: {path}")
        lines.append(_line(part, folder, seconds, len([path for path in found if path.suffix != ".txt"])))
    print("| part | minutes | inputs | a second | what came of them | slowest | most memory one took | broke |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(lines))
    sys.exit(bool(broken))


def _search(part: str, folder: Path, seconds: float, seed: int) -> float:
    """Keep a worker running until the time is over; returns the seconds it took, preparations not counted."""
    for old in folder.glob("counts-*.json"):
        old.unlink()
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 1:
        worker = [sys.executable, "-m", "fuzz.worker", PARTS[part], str(folder), f"{left:.0f}", str(seed)]
        ended = subprocess.run(worker, cwd=ROOT, timeout=left + 10 * _AT_THE_END)
        seed += 1
        if ended.returncode == 1:  # it could not begin
            sys.exit(1)
    return sum(float(json.loads(path.read_text())["seconds"]) for path in folder.glob("counts-*.json"))


def _line(part: str, folder: Path, seconds: float, broken: int) -> str:
    told = [json.loads(path.read_text()) for path in folder.glob("counts-*.json")]
    counts = sum((Counter(one["counts"]) for one in told), Counter())
    total = sum(counts.values())
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.most_common())
    slowest, largest = max(one["slowest"] for one in told), max(one["largest"] for one in told)
    return (
        f"| {part} | {seconds / 60:.0f} | {total:,} | {total / seconds:.0f} | {outcomes} | {slowest:.2f} s |"
        f" {largest} MB | {broken} |"
    )


main(prog_name="python -m fuzz")

"""`python -m stress`: kill the backend again and again, then load it; prints what docs/operations.md shows."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import click

from stress.kills import run_kills
from stress.load import run_load


@click.command()
@click.option("--kills", default=50, show_default=True, help="How often something is killed; 0 leaves that run out.")
@click.option("--predictions", default=10_000, show_default=True, help="How many are asked for; 0 leaves that run out.")
@click.option("--seed", default=0, show_default=True, help="What is killed, and when.")
def main(kills: int, predictions: int, seed: int) -> None:
    """Stress a real backend on this machine; ends with 1 when something was lost, half written, failed or grew."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="stress-") as folder:
        if kills:
            faults += run_kills(Path(folder) / "kills", kills, random.Random(seed))
        if predictions:
            faults += run_load(Path(folder) / "load", predictions)
    for fault in faults:
        click.echo(f"FAULT: {fault}")
    sys.exit(bool(faults))


main(prog_name="python -m stress")

"""`make bench`, `python -m bench [PART ...]`: measure, print, and write results.json, results.md and charts.

Parts: quality, order and finishing (on real recordings, and generated ones), instants, speed and memory of suggesting,
training, serving. All of them take about an hour on two quiet cores; anything else that runs there spoils the figures.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import finishing, instants, order, quality, serving, speed, training
from bench.datasets import FOLDER, SETS, DataMissing
from bench.figures import Outcome
from bench.plots import draw
from bench.report import JSON_FILE, MARKDOWN_FILE, figure_lines, record, write

ROOT = Path(__file__).resolve().parents[1]
MUCH_LOAD = 0.5
TITLES = {
    "quality": "Quality on real recordings",
    "instants": "Instants",
    "order": "Which recording to annotate next",
    "finishing": "Finishing a recording",
    "speed": "Speed and memory of suggesting",
    "training": "Training",
    "serving": "Serving",
}


def main(given: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; 1 when one of them fails. A missed target is a result, not a failure."""
    arguments = _parser().parse_args(given)
    folder = arguments.out or ROOT / ("build/bench" if arguments.quick else "docs/benchmarks")
    runs = _runs(arguments)
    load = _load_before()
    failed, missed = [], 0
    for part in [part for part in TITLES if part in (arguments.parts or TITLES)]:
        print(f"\n{TITLES[part]}", flush=True)
        began = time.perf_counter()
        try:
            outcome = runs[part]()
        except DataMissing as missing:
            print(f"- left out: {missing}", flush=True)
            continue
        except Exception:  # the other parts are worth having, an hour of them
            traceback.print_exc()
            failed.append(part)
            continue
        seconds = time.perf_counter() - began
        write(record(part, TITLES[part], outcome, load, seconds, arguments.quick), folder, tuple(TITLES))
        for chart in outcome.charts:
            draw(chart, folder)
        print("\n".join(["", *figure_lines(outcome.figures)]), flush=True)
        missed += sum(figure.met is False for figure in outcome.figures)
    print(f"\nWritten to {folder}: {JSON_FILE}, {MARKDOWN_FILE} and charts. Targets missed: {missed}.")
    if arguments.quick:
        print("With --quick the figures say nothing: the sizes are too small.")
    if failed:
        print(f"Failed: {', '.join(failed)}.")
    return int(bool(failed))


def _load_before() -> float:
    """The processor's load, in cores; says so where it is too much to measure beside."""
    load = os.getloadavg()[0]
    if load > MUCH_LOAD:
        print(f"Something else runs here (load {load:.1f}): times will be too long.", flush=True)
    return load


def _runs(arguments: argparse.Namespace) -> dict[str, Callable[[], Outcome]]:
    """What each part does with these arguments."""
    quick, data = arguments.quick, arguments.data
    seeds = {} if arguments.seeds is None else {"seeds": arguments.seeds}
    sets = tuple(arguments.sets)
    of_quality = replace(quality.QUICK if quick else quality.FULL, folder=data, sets=sets, **seeds)
    of_instants = replace(instants.QUICK if quick else instants.FULL, **seeds)
    of_finishing = replace(finishing.QUICK if quick else finishing.FULL, folder=data, sets=sets, **seeds)
    of_order = order.QUICK if quick else replace(order.FULL, folder=data, sets=(*sets, order.GENERATED))
    return {
        "quality": lambda: quality.run(of_quality),
        "instants": lambda: instants.run(of_instants),
        "order": lambda: order.run(of_order),
        "finishing": lambda: finishing.run(of_finishing),
        "speed": lambda: speed.run(speed.QUICK if quick else speed.FULL),
        "training": lambda: training.run(training.QUICK if quick else training.FULL),
        "serving": lambda: serving.run(serving.QUICK if quick else serving.FULL),
    }


def _part(name: str) -> str:
    if name not in TITLES:
        raise argparse.ArgumentTypeError(f"there is no part {name!r}, only {', '.join(TITLES)}")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"of {', '.join(TITLES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="sizes that only show that it works, into build/bench")
    parser.add_argument("--seeds", type=int, help="of quality, instants, finishing (default: 5, 5, 3)")
    parser.add_argument(
        "--sets", nargs="+", default=SETS, choices=SETS, help="of quality, order, finishing (default: all)"
    )
    parser.add_argument("--data", type=Path, default=FOLDER, help="folder of the real data sets (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for results and charts (default: docs/benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

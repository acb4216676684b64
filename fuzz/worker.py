"""`python -m fuzz.worker PART FOLDER SECONDS SEED`: one process of the fuzzer; `python -m fuzz` starts and restarts it.

An input that breaks something is written to FOLDER/found, once for each place that breaks; the search goes on. Only
what stops the process itself (a hang in C, a crash, no memory) ends it: libFuzzer then leaves the input there.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import atheris

from fuzz.part import Broken, Part

ROOT = Path(__file__).resolve().parents[1]
MOST_SECONDS = 5.0  # of processor time for one input
MOST_MEMORY = 200  # MB that one input may take beyond what any before it took
_HANGS = 60  # seconds after which libFuzzer ends the process
_INPUTS = 50_000  # of one process: atheris itself keeps some 15 kB of each
_OURS = ("segmenter", "backend", "model")


def main(name: str, folder: Path, seconds: float, seed: int) -> None:
    """Try inputs until the time is over, or there have been many."""
    with atheris.instrument_imports(include=list(_OURS)):
        part: Part = importlib.import_module(f"fuzz.{name}").part()
    corpus, found = folder / "corpus", folder / "found"
    for path in (corpus, found):
        path.mkdir(parents=True, exist_ok=True)
    for content in part.seeds:
        (corpus / hashlib.sha1(content).hexdigest()).write_bytes(content)
    trial = _Trial(part, found, folder / f"counts-{seed}.json")

    def change(data: bytes, longest: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < 0.1:
            return bytes(atheris.Mutate(data, longest))
        return part.change(data, chance)[:longest]

    atheris.Setup(
        [
            "fuzz", str(corpus), f"-artifact_prefix={found}/", f"-max_total_time={seconds:.0f}", f"-runs={_INPUTS}",
            f"-timeout={_HANGS}", f"-seed={seed}", f"-max_len={part.longest}", "-rss_limit_mb=4096", "-verbosity=0",
            "-reload=0", "-mutate_depth=1", "-report_slow_units=600",
        ],
        trial.run,
        custom_mutator=change,
    )  # fmt: skip
    atheris.Fuzz()


class _Trial:
    """Tries inputs and counts what came of them."""

    def __init__(self, part: Part, found: Path, counts: Path) -> None:
        self._part, self._found, self._file = part, found, counts
        self._counts: Counter[str] = Counter()
        self._noted = self._began = time.monotonic()
        self._slowest = 0.0
        self._memory = 0
        self._largest = 0

    def run(self, data: bytes) -> None:
        """Try one input; whatever is wrong with it is noted, and the search goes on."""
        outcome, took = self._attempt(data)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if took > MOST_SECONDS:
            took = min(took, self._attempt(data)[1])  # a busy machine makes anything slow once
        if took > MOST_SECONDS:
            self._note("slow", data, f"{took:.1f} s of processor time, twice")
        if self._memory and memory - self._memory > MOST_MEMORY:
            self._note("memory", data, f"from {self._memory} to {memory} MB")
        if self._memory:
            self._largest = max(self._largest, memory - self._memory)
        self._counts[outcome] += 1
        self._memory, self._slowest = max(memory, self._memory), max(took, self._slowest)
        if time.monotonic() - self._noted > 1:
            self._noted = time.monotonic()
            facts = {"slowest": self._slowest, "memory": self._memory, "largest": self._largest}
            self._file.write_text(json.dumps({"counts": self._counts, "seconds": self._noted - self._began, **facts}))

    def _attempt(self, data: bytes) -> tuple[str, float]:
        """What came of an input, and the seconds of processor time it took."""
        began = time.process_time()
        try:
            outcome = self._part.attempt(data)
        except Exception as error:
            self._note(_place(error), data, traceback.format_exc())
            outcome = "broken"
        return outcome, time.process_time() - began

    def _note(self, place: str, data: bytes, what: str) -> None:
        path = self._found / hashlib.sha1(place.encode()).hexdigest()[:12]
        if not path.exists():
            path.write_bytes(data)
            path.with_suffix(".txt").write_text(f"{place}\n\n{what}", errors="backslashreplace")
            print(f"found: {place}", flush=True)


def _place(error: Exception) -> str:
    """Where something broke: the law, or the error and the last line of ours that it passed."""
    if isinstance(error, Broken):
        return str(error).partition(":")[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if Path(frame.filename).is_relative_to(ROOT) and "site-packages" not in frame.filename
    ]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno} {last.name}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))

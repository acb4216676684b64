"""What the fuzzer asks of an input: good ones pass, and a reader that is broken on purpose is found."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from fuzz import bodies, recordings, times
from fuzz.part import Broken
from segmenter.recording import Recording, read_recording


@pytest.mark.parametrize("part", [recordings, times])
def test_the_inputs_that_it_starts_from_can_be_read(part: ModuleType) -> None:
    good = [part.attempt(seed) for seed in part.part().seeds]
    assert good.count("read") > len(good) / 2
    assert "no input" not in good


@pytest.mark.parametrize(
    ("part", "seeds"), [(recordings, recordings.part().seeds), (bodies, [b"{}"])], ids=["recordings", "bodies"]
)
def test_a_change_of_an_input_is_an_input_and_the_same_for_the_same_chance(
    part: ModuleType, seeds: list[bytes]
) -> None:
    for number in range(50):
        seed = seeds[number % len(seeds)]
        changed = part.change(seed, random.Random(number))
        assert changed == part.change(seed, random.Random(number))
        if part is bodies:
            assert bodies.read_input(changed) is not None


def moved(recording: Recording) -> Recording:
    return replace(recording, values=recording.values + (np.arange(len(recording)) == 7)[:, None])


def shortened(recording: Recording) -> Recording:
    return replace(recording, times=recording.times[2:], values=recording.values[2:])


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (lambda found: replace(found, times=found.times[::-1]), "times are the editor's|times ascend"),
        (lambda found: replace(found, values=found.values * np.inf), "values are"),
        (moved, "values are the editor's"),
        (shortened, "times are the editor's"),
    ],
)
def test_a_reader_that_is_broken_is_found(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[Recording], Recording], law: str
) -> None:
    monkeypatch.setattr(recordings, "read_recording", lambda content, how: fault(read_recording(content, how)))
    with np.errstate(invalid="ignore"), pytest.raises(Broken, match=law):
        recordings.attempt(recordings.part().seeds[0])

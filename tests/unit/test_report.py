"""What a training tells of itself, and what its charts are drawn from: counted by hand, bounded, peaks kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from segmenter import chart_data as chart_data_module
from segmenter.chart_data import Curve, chart_data, confusion_matrix, mean_losses, thin, thin_losses, worst_recordings
from segmenter.recording import Recording
from segmenter.regions import BACKGROUND, State
from segmenter.report import label_table
from segmenter.targets import LearnedStates
from segmenter.timeaxis import TimeAxis
from segmenter.validation import Decoded

WALK, RUN, HIT = State(("Walk",)), State(("Run",)), State(("Run",), instant=True)


def codes(text: str) -> np.ndarray:
    """One letter a row: "." background, "w" and "r" the labels, "h" an instant, "?" unknown."""
    return np.array([".wrh".find(letter) for letter in text], np.int64)


def learned(*rows: str) -> LearnedStates:
    return LearnedStates((BACKGROUND, WALK, RUN, HIT), tuple(codes(text) for text in rows), 1)


def decoded(recording: int, annotated: str, suggested: str, first: int = 0) -> Decoded:
    return Decoded(recording, first, codes(annotated), codes(suggested))


def recording(values: np.ndarray, times: np.ndarray | None = None) -> Recording:
    names = tuple(f"channel {number}" for number in range(values.shape[1]))
    return Recording(np.arange(len(values), dtype=float) if times is None else times, values, names, TimeAxis())


def test_the_table_counts_regions_rows_and_what_was_found() -> None:
    table = label_table(learned("..wwww..rr", "wwww......"), [decoded(0, "..wwww..rr", "..www...ww")])
    background, walk, run, hit = table
    assert (background["regions"], background["rows"]) == (0, 10)
    assert (walk["labels"], walk["regions"], walk["rows"]) == (["Walk"], 2, 8)
    assert walk["held_out"] == {
        "rows": 4, "precision": 3 / 5, "recall": 3 / 4, "f1": 6 / 9, "regions": 1, "suggested": 2, "found": 1,
    }  # fmt: skip
    assert run["held_out"] == {
        "rows": 2, "precision": None, "recall": 0.0, "f1": 0.0, "regions": 1, "suggested": 0, "found": 0,
    }  # fmt: skip
    assert (hit["instant"], hit["held_out"]) == (True, None)


def test_rows_that_nothing_is_known_of_count_nowhere() -> None:
    table = label_table(learned("??ww"), [decoded(0, "??ww", "wwww")])
    assert (table[0]["rows"], table[1]["rows"]) == (0, 2)
    assert table[1]["held_out"]["precision"] == 1.0
    assert confusion_matrix([decoded(0, "??ww", "wwww")], (BACKGROUND, WALK, RUN)) == {"states": [1], "rows": [[2]]}


def test_the_matrix_is_annotated_by_suggested_without_what_never_occurs() -> None:
    matrix = confusion_matrix([decoded(0, "..ww", ".www")], (BACKGROUND, WALK, RUN))
    assert matrix == {"states": [0, 1], "rows": [[1, 1], [0, 2]]}
    assert confusion_matrix([], (BACKGROUND, WALK)) is None


def test_the_rarest_of_many_states_share_a_row_of_the_matrix() -> None:
    states = (BACKGROUND, *(State((f"label {number}",)) for number in range(40)))
    rows = np.repeat(np.arange(41), np.arange(41) + 1)
    matrix = confusion_matrix([Decoded(0, 0, rows, rows)], states)
    assert matrix is not None
    assert matrix["states"] == [*range(22, 41), -1]
    assert np.trace(matrix["rows"]) == np.sum(matrix["rows"]) == len(rows)


def test_the_worst_recording_comes_first() -> None:
    recordings = [(f"{number}", recording(np.zeros((6, 1)))) for number in range(6)]
    rows = ["..wwww"] * 6
    found = ["..wwww", "......", "..www.", "..wwww", "..ww..", "..wwwr"]
    told = worst_recordings(
        recordings,
        learned(*rows),
        [decoded(number, rows[number], suggested) for number, suggested in enumerate(found)],
    )
    assert [one["task"] for one in told] == ["1", "4", "2", "5"]
    assert told[0]["differing"] == pytest.approx(4 / 6)
    assert (told[0]["regions"], told[0]["found"]) == (1, 0)
    assert told[0]["annotated"] == [[2.0, 5.0, 1]]
    assert told[0]["suggested"] == []


def test_the_blocks_of_one_recording_are_drawn_as_one() -> None:
    row = "wwwwwwrrr..."
    (told,) = worst_recordings(
        [("7", recording(np.zeros((12, 1))))],
        learned(row),
        [decoded(0, "wwww", "wwww"), decoded(0, "wwrr", "rrrr", first=4)],
    )
    assert told["suggested"] == [[0.0, 4.0, 1], [4.0, 8.0, 2]]
    assert told["judged"] == [[0.0, 3.0], [4.0, 7.0]]


def test_an_instant_is_drawn_at_its_middle_row() -> None:
    (told,) = worst_recordings(
        [("1", recording(np.zeros((9, 1)), np.arange(9) * 10.0))],
        learned("...hhh..."),
        [decoded(0, "...hhh...", "....hhh..")],
    )
    assert (told["annotated"], told["suggested"]) == ([[40.0, 40.0, 3]], [[50.0, 50.0, 3]])


def test_a_lone_peak_and_a_lone_dip_in_a_million_rows_are_drawn() -> None:
    values = np.zeros((1_000_000, 2))
    values[777_777, 0], values[123_456, 1] = 50.0, -3.0
    times, thinned = thin(np.arange(1_000_000) * 0.5, values)
    assert len(times) == len(thinned) == chart_data_module.MOST_POINTS
    assert thinned.max(axis=0).tolist() == [50.0, 0.0]
    assert thinned.min(axis=0).tolist() == [0.0, -3.0]
    assert abs(times[thinned[:, 0].argmax()] - 777_777 / 2) < 2 * 500_000 / len(times)
    assert (np.diff(times) > 0).all()


def test_gaps_and_what_no_float_should_hold_stay_gaps() -> None:
    values = np.full((2_000, 1), np.nan)
    values[:1_000] = 1.7e308
    values[5] = -np.inf
    _, thinned = thin(np.arange(2_000.0), values)
    half = len(thinned) // 2
    assert np.isnan(thinned[half:]).all()
    assert (thinned[:half] == 1e100).all()


@pytest.mark.parametrize("level", [0.0, 101_325.0, -1e12])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e6])
def test_small_movement_on_a_high_level_is_kept(level: float, spread: float) -> None:
    values = level + spread * np.sin(np.arange(50.0))[:, None]
    (told,) = worst_recordings([("1", recording(values))], learned("w" * 50), [decoded(0, "w" * 50, "w" * 50)])
    kept = np.array(told["channels"][0]["values"])
    assert np.abs(kept - values[:, 0]).max() <= max(spread / 1_000, abs(level) * 1e-15)


def test_losses_are_thinned_to_means_and_a_short_fit_is_not() -> None:
    steps, losses = thin_losses([1.0, 2.0, 3.0])
    assert (steps, losses) == ([1, 2, 3], [1.0, 2.0, 3.0])
    steps, losses = thin_losses(np.linspace(1, 0, 1_200).tolist())
    assert len(steps) == len(losses) == chart_data_module.MOST_LOSSES
    assert steps[-1] == 1_200
    assert sorted(losses, reverse=True) == losses
    assert mean_losses([Curve("a", 0.0, [1.0, 3.0, 5.0, 7.0])], (2, 4, 6)) == [
        {"phase": "a", "step": 2, "loss": 2.0},
        {"phase": "a", "step": 4, "loss": 6.0},
    ]


def test_what_is_drawn_is_bounded_however_much_was_learned_from() -> None:
    rows, channels = 20_000, 64
    random = np.random.default_rng(0)
    text = "".join(random.choice(list(".wr"), rows))
    stretches = [replace(decoded(0, text, text[::-1]), recording=number) for number in range(9)]
    recordings = [(f"{number}", recording(random.normal(size=(rows, channels)))) for number in range(9)]
    curves = [Curve("fitting", 0.0, random.random(5_000).tolist())] * 8
    told = chart_data(curves, 0.0, [(60, 0.5)], learned(*[text] * 9), stretches, recordings)
    assert len(json.dumps(told, allow_nan=False)) < 500_000
    for one in told["recordings"]:
        assert len(one["channels"]) + one["channels_not_drawn"] == channels
        assert max(len(one["annotated"]), len(one["suggested"])) <= chart_data_module.MOST_SEGMENTS
        assert one["segments_not_drawn"] > 10_000

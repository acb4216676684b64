"""Suggestions bind by name, stay in range, and do not depend on how a recording is cut up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmenter import prediction
from segmenter.decoding import Decoding
from segmenter.durations import Duration
from segmenter.errors import ModelError
from segmenter.features import prepare
from segmenter.prediction import row_probabilities, suggest
from segmenter.recording import Recording
from segmenter.regions import BACKGROUND, State
from segmenter.timeaxis import TimeAxis
from tests.unit.fitted import LABELING, recording, untrained


@pytest.mark.parametrize("rows", [1, 2, 3, 255, 256, 257, 2_000])
@pytest.mark.parametrize("stride", [1, 8])
def test_any_number_of_rows_gets_segments_in_range(rows: int, stride: int) -> None:
    suggestion = suggest(untrained(stride=stride), recording(rows), LABELING)
    assert 0.0 <= suggestion.score <= 1.0
    assert all(0 <= segment.first <= segment.last < rows for segment in suggestion.segments)
    assert all(0.0 <= segment.score <= 1.0 for segment in suggestion.segments)
    firsts = [segment.first for segment in suggestion.segments]
    assert firsts == sorted(firsts)


def test_no_rows_get_no_segments() -> None:
    assert suggest(untrained(), recording(0), LABELING).segments == ()


def test_channels_are_found_by_name_whatever_their_place_and_case() -> None:
    sample = recording(300)
    extra = np.column_stack([sample.values[:, 1], np.full(300, np.nan), sample.values[:, 0]])
    shuffled = Recording(sample.times, extra, ("TWO", "Three", "one"), sample.axis)
    assert suggest(untrained(), shuffled, LABELING) == suggest(untrained(), sample, LABELING)


def test_a_missing_channel_is_named() -> None:
    with pytest.raises(ModelError, match="'Two'"):
        suggest(untrained(), recording(10, ("One",)), LABELING)


def test_durations_place_boundaries_where_times_are_in_the_unit_they_were_learned_in() -> None:
    sample = recording(300)
    learned = replace(untrained().decoding, durations=(Duration(1, "between", 4.0, 0.1),), duration_weight=30.0)
    segmenter = replace(untrained(), decoding=learned)
    moved, plain = (
        suggest(segmenter, sample, LABELING),
        suggest(replace(segmenter, decoding=Decoding(learned.switch_cost)), sample, LABELING),
    )
    assert [segment.state for segment in moved.segments] == [segment.state for segment in plain.segments]
    assert moved.segments != plain.segments
    stamped = replace(sample, axis=TimeAxis("Time", "%Y"))
    assert suggest(segmenter, stamped, LABELING) == plain


def test_a_label_that_left_the_labeling_is_never_suggested() -> None:
    sample = recording(600)
    before = {segment.state for segment in suggest(untrained(), sample, LABELING).segments}
    assert before == {State(("Walk",)), State(("Run",))}
    after = suggest(untrained(), sample, replace(LABELING, labels=("Run", "New")))
    assert {segment.state for segment in after.segments} <= {State(("Run",))}


def test_the_order_of_labels_does_not_matter() -> None:
    sample = recording(300)
    swapped = replace(LABELING, labels=("Run", "Walk"))
    assert suggest(untrained(), sample, swapped) == suggest(untrained(), sample, LABELING)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_blocks_do_not_show(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, sample = untrained(stride=stride), recording(3_000)
    prepared = prepare(sample.values, segmenter.scaling)
    whole = row_probabilities(segmenter.networks, segmenter.scaling, "both", prepared, 1.0)
    monkeypatch.setattr(prediction, "BLOCK_ROWS", 512)
    pieces = row_probabilities(segmenter.networks, segmenter.scaling, "both", prepared, 1.0)
    at_once = row_probabilities(segmenter.networks, segmenter.scaling, "both", prepared, 1.0, threads=3)
    assert np.array_equal(at_once, pieces)
    np.testing.assert_allclose(pieces, whole, atol=1e-4)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0, atol=1e-5)


def test_gaps_and_infinities_leave_scores_finite() -> None:
    sample = recording(400)
    values = sample.values.copy()
    values[10:60, 0] = np.nan
    values[100, 1] = np.inf
    values[200] = -1e308
    suggestion = suggest(untrained(), replace(sample, values=values), LABELING)
    assert np.isfinite([suggestion.score, *(segment.score for segment in suggestion.segments)]).all()


def test_suggesting_leaves_torch_as_it_was() -> None:
    segmenter, threads, randomness = untrained(), torch.get_num_threads(), torch.get_rng_state()
    first = suggest(segmenter, recording(300), LABELING)
    assert suggest(segmenter, recording(300), LABELING) == first
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), randomness)
    assert all(segment.state != BACKGROUND for segment in first.segments)

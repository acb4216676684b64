"""What many annotators drew becomes one list of states."""

from __future__ import annotations

import numpy as np
import pytest

from segmenter.labeling import Labeling
from segmenter.regions import BACKGROUND, State, Targets
from segmenter.targets import IGNORED, learn_states

LABELING = Labeling("label", "ts", ("Walk", "Run", "Step"), ("x",), "csv")
WALK, RUN, STEP = State(("Walk",)), State(("Run",)), State(("Step",), True)


def targets(codes: list[int], *states: State) -> Targets:
    return Targets((BACKGROUND, *states), np.array(codes, np.int16))


def test_states_stand_in_the_order_of_the_labels_whatever_was_drawn_first() -> None:
    learned = learn_states([targets([1, 0], RUN), targets([1, 2], WALK, RUN)], LABELING, False)
    assert learned.states == (BACKGROUND, WALK, RUN)
    assert [rows.tolist() for rows in learned.codes] == [[2, 0], [1, 2]]


def test_sets_of_labels_are_states_of_their_own() -> None:
    both = State(("Walk", "Run"))
    learned = learn_states([targets([1, 2, 3], both, WALK, RUN)], LABELING, False)
    assert learned.states == (BACKGROUND, WALK, RUN, both)
    assert learned.codes[0].tolist() == [3, 1, 2]


def test_a_label_that_left_the_labeling_is_background() -> None:
    learned = learn_states([targets([1, 2, 2], WALK, State(("Jump",)))], LABELING, False)
    assert learned.states == (BACKGROUND, WALK)
    assert learned.codes[0].tolist() == [1, 0, 0]


def test_a_label_drawn_both_ways_is_two_states_however_rare_one_is() -> None:
    click = State(("Walk",), True)
    rows = [1] * 9 + [0] * 5 + [2] + [0] * 5 + [1] * 9
    learned = learn_states([targets(rows, WALK, click)], LABELING, False)
    assert learned.states == (BACKGROUND, WALK, click)
    assert learned.codes[0].tolist() == [1] * 9 + [0] + [2] * 9 + [0] + [1] * 9


@pytest.mark.parametrize(("distance", "radius"), [(3, 1), (24, 2), (36, 3), (500, 4)])
def test_instants_are_widened_by_a_part_of_their_distance(distance: int, radius: int) -> None:
    codes = [0] * (3 * distance)
    codes[distance // 2] = codes[distance // 2 + distance] = codes[distance // 2 + 2 * distance] = 1
    learned = learn_states([targets(codes, STEP)], LABELING, False)
    assert learned.instant_radius == radius
    middle = distance // 2 + distance
    assert (learned.codes[0][middle - radius : middle + radius + 1] == 1).all()
    assert learned.codes[0].sum() == min(3 * (2 * radius + 1), len(codes))


def test_widening_takes_background_and_regions_but_no_other_instant() -> None:
    click = State(("Walk",), True)
    learned = learn_states([targets([0, 1, 1, 1, 2, 3, 0, 0], WALK, STEP, click)], LABELING, False)
    assert learned.states == (BACKGROUND, WALK, click, STEP)
    assert learned.instant_radius == 1
    assert learned.codes[0].tolist() == [0, 1, 1, 3, 3, 2, 2, 0]


def test_unlabelled_rows_can_be_left_out() -> None:
    learned = learn_states([targets([0, 1, 0], WALK)], LABELING, True)
    assert learned.codes[0].tolist() == [IGNORED, 1, IGNORED]
    assert learned.unseen == (0,)
    assert learn_states([targets([0, 1, 0], WALK)], LABELING, False).unseen == ()

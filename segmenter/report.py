"""What a training tells of itself, as plain data: what it learned from, what it chose, how good that was held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from segmenter.metrics import find_spans, match
from segmenter.targets import LearnedStates
from segmenter.validation import Choice, Decoded

# A region counts as found when a suggested segment of the same label overlaps it by this IoU.
FOUND_AT = 0.5


def training_report(
    recordings: Sequence[Mapping[str, Any]],
    learned: LearnedStates,
    choice: Choice,
    chosen: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    folds: int,
    seed: int,
) -> dict[str, Any]:
    """The report of one control.

    recordings: task and rows of each. chosen: what else was chosen than the choice says. history: mean losses.
    """
    scores = None
    if choice.scores is not None:
        scores = asdict(choice.scores) | {"edits_saved": choice.scores.edits_saved}
    return {
        "recordings": [dict(recording) for recording in recordings],
        "rows": {
            "/".join(state.labels) or "background": sum(int((rows == code).sum()) for rows in learned.codes)
            for code, state in enumerate(learned.states)
        },
        "labels": label_table(learned, choice.decoded),
        "folds": folds,
        "chosen": {
            **chosen,
            "switch_cost": choice.switch_cost,
            "temperature": choice.temperature,
            "duration_weight": choice.duration_weight,
            "instant_radius": learned.instant_radius,
        },
        "held_out": scores,
        "calibration_error": None if choice.calibration_error is None else list(choice.calibration_error),
        "reliability": [list(tenth) for tenth in choice.reliability],
        "history": [dict(entry) for entry in history],
        "seed": seed,
    }


def label_table(learned: LearnedStates, decoded: Sequence[Decoded]) -> list[dict[str, Any]]:
    """For each state, background first: annotated regions and rows, and how well held-out ones are suggested.

    Regions are runs of rows of one state; background has none. held_out is None for a state that occurs in no held-out
    row, neither annotated nor suggested; its ratios are None where they are of nothing.
    """
    spans = [span for rows in learned.codes for span in find_spans(np.maximum(rows, 0))]
    regions = np.bincount([span.code for span in spans], minlength=len(learned.states))
    rows = sum(np.bincount(codes[codes >= 0], minlength=len(learned.states)) for codes in learned.codes)
    confusion = confuse(decoded, len(learned.states))
    annotated, suggested, found = _count_regions(decoded, len(learned.states))
    table = []
    for code, state in enumerate(learned.states):
        right = int(confusion[code, code])
        truth, guess = int(confusion[code].sum()), int(confusion[:, code].sum())
        held_out = {
            "rows": truth,
            "precision": right / guess if guess else None,
            "recall": right / truth if truth else None,
            "f1": 2 * right / (truth + guess) if truth + guess else None,
            "regions": int(annotated[code]),
            "suggested": int(suggested[code]),
            "found": int(found[code]),
        }
        table.append(
            {
                "labels": list(state.labels),
                "instant": state.instant,
                "regions": int(regions[code]),
                "rows": int(np.asarray(rows)[code]),
                "held_out": held_out if truth + guess else None,
            }
        )
    return table


def confuse(decoded: Sequence[Decoded], states: int) -> np.ndarray:
    """Held-out rows by (annotated state, suggested state), int64 (states, states)."""
    counts = np.zeros(states * states, np.int64)
    for stretch in decoded:
        known = stretch.annotated >= 0
        pairs = stretch.annotated[known] * states + stretch.suggested[known]
        counts += np.bincount(pairs, minlength=states * states)
    return counts.reshape(states, states)


def _count_regions(decoded: Sequence[Decoded], states: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held-out regions of each state: annotated, suggested, found; int64 (states,) each."""
    annotated, suggested, found = (np.zeros(states, np.int64) for _ in range(3))
    for stretch in decoded:
        known = stretch.annotated >= 0
        truth, guess = find_spans(stretch.annotated[known]), find_spans(stretch.suggested[known])
        for counts, spans in (
            (annotated, truth),
            (suggested, guess),
            (found, [span for span, _ in match(truth, guess, FOUND_AT)]),
        ):
            np.add.at(counts, [span.code for span in spans], 1)
    return annotated, suggested, found

"""How good suggested segments are: rows, segments, boundaries, and the edits an annotator would still make.

A labelling is a code for each row, int (rows,): 0 is background, any other number a label (or set of labels). A
*segment* is a run of one code other than 0. A pair is (annotated, suggested), both of one recording; counts are summed
over all pairs before any ratio is taken, and a ratio of nothing to nothing is 1.

- **row accuracy**: part of the rows with the same code. **macro F1**: F1 of each code that occurs in either labelling,
  averaged, background included; **background F1** alone.
- **segmental F1 at an IoU**: suggested segments count as found when matched to an annotated one of the same label with
  intersection / union >= that IoU. Matching is one to one, the highest IoU first (Lea et al., Temporal Convolutional
  Networks, CVPR 2017).
- **edit score**: 100 % less the Levenshtein distance of the two sequences of labels, background left out, by the longer
  one's length, averaged over recordings (same source).
- **covering**: for each annotated run, background included, the best IoU with any suggested run, weighted by length
  (Arbelaez et al., PAMI 33, 2011; van den Burg and Williams, 2020).
- **over-segmentation**: suggested segments for each annotated one; 1 is right.
- **boundary error**: median distance in rows from an annotated start or end to that of the segment matched at IoU 0.1.
- **edits**: the fewest operations that turn the suggestions into the annotation: delete a segment, add one, relabel
  one, move one of its boundaries; each counts 1. A boundary is right, and need not be moved, within `tolerance` rows or
  a twentieth of the annotated segment's rows, whichever is more. Labelling from nothing costs one addition a segment;
  **edits saved** is 1 - edits / that.

Example, one letter a row, "." background, tolerance 0::

    annotated  . . A A A A . . B B      segments A 2-5, B 8-9
    suggested  . . A A A . . . A A      segments A 2-4, A 8-9

Row accuracy 7/10. F1: background 8/9, A 6/9, B 0, macro 0.519. The A's match with IoU 3/4, so segmental F1 at .50 is
2 * 1 / (2 + 2) = 0.5. The edit score of A,A against A,B is 0.5. Covering (2 * 1 + 4 * 3/4 + 2 * 2/3 + 2 * 1) / 10 =
0.833. Over-segmentation 1. Boundary errors 0 and 1, median 0.5. Edits: move one end, relabel one: 2, as many as from
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from segmenter.regions import Segment, State, Targets

TOLERANCE = 2
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Span:
    """A run of rows of one code, both ends included."""

    first: int
    last: int
    code: int

    @property
    def rows(self) -> int:
        """Its length."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Scores:
    """All measures of the module's docstring; ratios 0..1, boundary_error in rows (None when nothing matched)."""

    row_accuracy: float
    macro_f1: float
    background_f1: float
    f1_10: float
    f1_25: float
    f1_50: float
    edit_score: float
    covering: float
    over_segmentation: float
    boundary_error: float | None
    edits: int
    edits_from_nothing: int

    @property
    def edits_saved(self) -> float:
        """Part of the work of labelling from nothing that the suggestions spare; below 0 when they make more of it."""
        return 1.0 - self.edits / self.edits_from_nothing if self.edits_from_nothing else float(self.edits == 0)


def evaluate(pairs: Sequence[Pair], tolerance: int = TOLERANCE) -> Scores:
    """All scores of (annotated, suggested) pairs of row codes; raises ValueError when the two differ in length."""
    for annotated, suggested in pairs:
        if len(annotated) != len(suggested):
            raise ValueError(f"{len(annotated)} rows are annotated, {len(suggested)} suggested: expected as many")
    truths = [find_spans(annotated) for annotated, _ in pairs]
    guesses = [find_spans(suggested) for _, suggested in pairs]
    annotated_count, suggested_count = sum(map(len, truths)), sum(map(len, guesses))
    errors = [
        abs(difference)
        for truth, guess in zip(truths, guesses, strict=True)
        for one, other in match(truth, guess, 0.1)
        for difference in (one.first - other.first, one.last - other.last)
    ]
    rows = sum(len(annotated) for annotated, _ in pairs)
    f1 = _row_f1(pairs)
    return Scores(
        row_accuracy=_ratio(sum(int((one == other).sum()) for one, other in pairs), rows),
        macro_f1=float(np.mean(list(f1.values()))) if f1 else 1.0,
        background_f1=f1.get(0, 1.0),
        f1_10=segmental_f1(truths, guesses, 0.10),
        f1_25=segmental_f1(truths, guesses, 0.25),
        f1_50=segmental_f1(truths, guesses, 0.50),
        edit_score=float(np.mean([_edit_score(*both) for both in zip(truths, guesses, strict=True)] or [1.0])),
        covering=_ratio(sum(_covered_rows(*pair) for pair in pairs), rows),
        over_segmentation=suggested_count / annotated_count if annotated_count else 1.0 + suggested_count,
        boundary_error=float(np.median(errors)) if errors else None,
        edits=sum(count_edits(*both, tolerance) for both in zip(truths, guesses, strict=True)),
        edits_from_nothing=annotated_count,
    )


def pair_rows(labelled: Iterable[tuple[Targets, Sequence[Segment]]]) -> list[Pair]:
    """Annotated and suggested row codes of recordings; labels have the same code in all, whether `instant` or not."""
    codes: dict[tuple[str, ...], int] = {(): 0}

    def code(state: State) -> int:
        return codes.setdefault(tuple(sorted(state.labels)), len(codes))

    pairs = []
    for targets, segments in labelled:
        annotated = np.array([code(state) for state in targets.states], np.int64)[targets.codes]
        suggested = np.zeros(len(annotated), np.int64)
        for segment in segments:
            suggested[segment.first : segment.last + 1] = code(segment.state)
        pairs.append((annotated, suggested))
    return pairs


def find_spans(codes: np.ndarray, background: bool = False) -> tuple[Span, ...]:
    """Runs of one code in int (rows,) codes, in order; those of code 0 only on request."""
    edges = run_edges(codes).tolist()
    spans = (Span(first, after - 1, int(codes[first])) for first, after in pairwise(edges) if after > first)
    return tuple(span for span in spans if span.code or background)


def run_edges(codes: np.ndarray) -> np.ndarray:
    """The first row of each run of one code in int (rows,) codes, and the number of rows: int64 (runs + 1,)."""
    return np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]]).astype(np.int64)


def match(truth: Sequence[Span], guess: Sequence[Span], iou: float) -> list[tuple[Span, Span]]:
    """One-to-one pairs of the same code with at least this IoU, the highest first."""
    candidates = sorted(
        (
            (_iou(one, other), -one.first, -other.first, one, other)
            for one, other in _overlapping(truth, guess)
            if one.code == other.code
        ),
        key=lambda candidate: candidate[:3],
        reverse=True,
    )
    taken: set[tuple[str, int]] = set()
    pairs = []
    for overlap, _, _, one, other in candidates:
        if overlap >= iou and not taken & {("truth", one.first), ("guess", other.first)}:
            taken |= {("truth", one.first), ("guess", other.first)}
            pairs.append((one, other))
    return pairs


def segmental_f1(truths: Sequence[Sequence[Span]], guesses: Sequence[Sequence[Span]], iou: float) -> float:
    """F1 of segments found at this IoU, counted over all recordings."""
    found = sum(len(match(truth, guess, iou)) for truth, guess in zip(truths, guesses, strict=True))
    return _ratio(2 * found, sum(map(len, truths)) + sum(map(len, guesses)))


def event_f1(annotated: Sequence[int], suggested: Sequence[int], tolerance: int) -> float:
    """F1 of instants: rows paired one to one, in order, when at most `tolerance` rows apart."""
    found, remaining = 0, sorted(suggested)
    for row in sorted(annotated):
        near = next((guess for guess in remaining if abs(guess - row) <= tolerance), None)
        if near is not None:
            remaining.remove(near)
            found += 1
    return _ratio(2 * found, len(annotated) + len(suggested))


def count_edits(truth: Sequence[Span], guess: Sequence[Span], tolerance: int) -> int:
    """The fewest edits of the module's docstring: an alignment in order, by dynamic programming over both sequences."""
    previous = list(range(len(guess) + 1))
    for one in truth:
        current = [previous[0] + 1]
        for column, other in enumerate(guess, start=1):
            kept = previous[column - 1] + _mending(one, other, tolerance)
            current.append(min(kept, previous[column] + 1, current[column - 1] + 1))
        previous = current
    return previous[-1]


def _mending(truth: Span, guess: Span, tolerance: int) -> int:
    """Edits that turn one suggested segment into one annotated segment."""
    allowed = max(tolerance, truth.rows // 20)
    moves = int(abs(truth.first - guess.first) > allowed) + int(abs(truth.last - guess.last) > allowed)
    return moves + int(truth.code != guess.code)


def _row_f1(pairs: Sequence[Pair]) -> dict[int, float]:
    if not pairs:
        return {}
    annotated = np.concatenate([one for one, _ in pairs])
    suggested = np.concatenate([other for _, other in pairs])
    return {
        int(code): 2
        * float(((annotated == code) & (suggested == code)).sum())
        / float((annotated == code).sum() + (suggested == code).sum())
        for code in np.union1d(annotated, suggested)
    }


def _edit_score(truth: Sequence[Span], guess: Sequence[Span]) -> float:
    previous = list(range(len(guess) + 1))
    for row, one in enumerate(truth, start=1):
        current = [row]
        for column, other in enumerate(guess, start=1):
            substituted = previous[column - 1] + (one.code != other.code)
            current.append(min(substituted, previous[column] + 1, current[column - 1] + 1))
        previous = current
    longer = max(len(truth), len(guess))
    return 1.0 - previous[-1] / longer if longer else 1.0


def _covered_rows(annotated: np.ndarray, suggested: np.ndarray) -> float:
    best: dict[int, float] = {}
    for one, other in _overlapping(find_spans(annotated, True), find_spans(suggested, True)):
        best[one.first] = max(best.get(one.first, 0.0), _iou(one, other) * one.rows)
    return sum(best.values())


def _overlapping(truth: Sequence[Span], guess: Sequence[Span]) -> list[tuple[Span, Span]]:
    """All pairs that share a row; both sequences are in order and free of overlap, so one sweep finds them."""
    pairs, row, column = [], 0, 0
    while row < len(truth) and column < len(guess):
        one, other = truth[row], guess[column]
        if one.first <= other.last and other.first <= one.last:
            pairs.append((one, other))
        if one.last < other.last:
            row += 1
        else:
            column += 1
    return pairs


def _iou(one: Span, other: Span) -> float:
    shared = min(one.last, other.last) - max(one.first, other.first) + 1
    return shared / (one.rows + other.rows - shared)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0

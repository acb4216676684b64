"""A recording and a fitted segmenter -> suggested segments, in bounded memory and time linear in the rows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from segmenter.decoding import best_path, merge_rows
from segmenter.durations import move_boundaries
from segmenter.errors import ModelError
from segmenter.features import Prepared, Scaling, View, compute_features, prepare
from segmenter.finishing import Drawn, insist
from segmenter.labeling import Labeling
from segmenter.model import FittedSegmenter
from segmenter.network import SegmentNetwork
from segmenter.recording import Recording
from segmenter.regions import Segment

# Steps of the LSTM that a chunk answers for, and steps of context on either side that it only looks at: what a core's
# cache holds, and what a training window sees.
CHUNK_STEPS, CONTEXT_STEPS = 128, 32
# A short recording in chunks half as long: the steps of the LSTM come one after the other, its chunks side by side.
SHORT_STEPS = 2_000
# Rows whose features are in memory at once.
BLOCK_ROWS = 2**14


@dataclass(frozen=True)
class Suggestion:
    """Segments in order of time, background left out, and how sure the model is of the whole recording, 0..1."""

    segments: tuple[Segment, ...]
    score: float


def suggest(
    segmenter: FittedSegmenter, recording: Recording, labeling: Labeling, drawn: Drawn | None = None, threads: int = 1
) -> Suggestion:
    """Suggest segments for a recording of any length, around what is `drawn` in it already, on as many `threads`.

    Channels and labels are matched by name. A state with a label that is no longer in the labeling is not suggested:
    its probability goes to background, since its rows are none of the remaining labels'. Raises ModelError when a
    channel of the model is not in the recording.
    """
    values = bound_values(segmenter, recording)
    if not len(values):
        return Suggestion((), 0.0)
    prepared = prepare(values, segmenter.scaling)
    probabilities = row_probabilities(
        segmenter.networks, segmenter.scaling, segmenter.view, prepared, segmenter.temperature, threads
    )
    allowed = set(labeling.labels)
    withdrawn = [index for index, state in enumerate(segmenter.states) if not set(state.labels) <= allowed]
    probabilities[:, 0] += probabilities[:, withdrawn].sum(axis=1)
    probabilities[:, withdrawn] = 0.0
    if drawn is not None:
        insist(probabilities, segmenter.states, drawn)
    return decide(probabilities, recording, segmenter)


def decide(probabilities: np.ndarray, recording: Recording, segmenter: FittedSegmenter) -> Suggestion:
    """Row probabilities (rows, states) of a recording -> segments and score, by the segmenter's decoding."""
    decoding, states = segmenter.decoding, segmenter.states
    path = best_path(probabilities, decoding.switch_cost)
    # A label config may have got another time column since the training.
    durations = decoding.durations if recording.axis.unit == decoding.time_unit else ()
    path = move_boundaries(path, probabilities, recording.times, states, durations, decoding.duration_weight)
    segments = merge_rows(path, probabilities, states, decoding.instant_radius)
    sure = float(probabilities[np.arange(len(path)), path].mean(dtype=np.float64))
    return Suggestion(segments, min(max(sure, 0.0), 1.0))


def bound_values(segmenter: FittedSegmenter, recording: Recording) -> np.ndarray:
    """The recording's values in the order of the segmenter's channels, float64 (rows, channels), bound by name.

    Raises ModelError for a channel that the recording does not have.
    """
    columns = {name.casefold(): index for index, name in reversed(list(enumerate(recording.channels)))}
    absent = [name for name in segmenter.channels if name.casefold() not in columns]
    if absent:
        raise ModelError(
            f"The model was trained on the channel {absent[0]!r}, the recording has"
            f" {', '.join(map(repr, recording.channels))}: train again."
        )
    return recording.values[:, [columns[name.casefold()] for name in segmenter.channels]]


def row_probabilities(
    networks: Sequence[SegmentNetwork],
    scaling: Scaling,
    view: View,
    prepared: Prepared,
    temperature: float,
    threads: int = 1,
) -> np.ndarray:
    """Probability of each state in each row, float32 (rows, states), averaged over the networks."""
    logits = row_logits(networks, scaling, view, prepared, threads)
    result: np.ndarray = torch.softmax(logits.div_(temperature), dim=2).mean(dim=0).numpy()
    return result


def row_logits(
    networks: Sequence[SegmentNetwork], scaling: Scaling, view: View, prepared: Prepared, threads: int = 1
) -> torch.Tensor:
    """Logits (networks, rows, states), on the CPU; the networks are of one shape. threads: blocks of rows at once."""
    shape = networks[0].shape
    device = next(networks[0].parameters()).device
    steps = CHUNK_STEPS if len(prepared) > SHORT_STEPS * shape.stride else CHUNK_STEPS // 2
    chunk, context = steps * shape.stride, CONTEXT_STEPS * shape.stride
    block = max(BLOCK_ROWS // chunk, 1) * chunk
    result = torch.empty(len(networks), len(prepared), shape.states)

    def answer(first: int) -> None:
        chunks = -(-min(block, len(prepared) - first) // chunk)
        features = compute_features(prepared, scaling, first - context, first + chunks * chunk + context, view)
        windows = torch.from_numpy(features).unfold(0, chunk + 2 * context, chunk).transpose(1, 2).to(device)
        with torch.inference_mode():
            for member, network in enumerate(networks):
                answers = network(windows).cpu()[:, context:-context].reshape(-1, shape.states)
                last = min(first + len(answers), len(prepared))
                result[member, first:last] = answers[: last - first]

    blocks = range(0, len(prepared), block)
    if min(threads, len(blocks)) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(answer, blocks))
    else:
        list(map(answer, blocks))
    return result

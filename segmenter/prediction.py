"""A recording and a fitted segmenter -> suggested segments, in bounded memory and time linear in the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

# Steps of the LSTM that a chunk answers for, and steps of context on either side that it only looks at.
CHUNK_STEPS, CONTEXT_STEPS = 256, 32
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
    result = torch.empty(len(prepared), networks[0].shape.states)

    def take(first: int, last: int, logits: torch.Tensor) -> None:
        torch.mean(torch.softmax(logits.div_(temperature), dim=2), dim=0, out=result[first:last])

    _answer(networks, scaling, view, prepared, threads, take)
    found: np.ndarray = result.numpy()
    return found


def row_logits(network: SegmentNetwork, scaling: Scaling, view: View, prepared: Prepared) -> np.ndarray:
    """A network's logits, float32 (rows, states)."""
    result = torch.empty(len(prepared), network.shape.states)

    def take(first: int, last: int, logits: torch.Tensor) -> None:
        result[first:last] = logits[0]

    _answer([network], scaling, view, prepared, 1, take)
    found: np.ndarray = result.numpy()
    return found


def _answer(
    networks: Sequence[SegmentNetwork],
    scaling: Scaling,
    view: View,
    prepared: Prepared,
    threads: int,
    take: Callable[[int, int, torch.Tensor], None],
) -> None:
    """Give `take` the logits of the rows first..last-1, (networks, last - first, states), block by block.

    The networks are of one shape; as many blocks as `threads` are looked at side by side.
    """
    shape = networks[0].shape
    device = next(networks[0].parameters()).device
    steps = min(CHUNK_STEPS, max(-(-len(prepared) // shape.stride), 1))
    chunk, context = steps * shape.stride, CONTEXT_STEPS * shape.stride
    block = max(BLOCK_ROWS // chunk, 1) * chunk

    def answer(first: int) -> None:
        last = min(first + block, len(prepared))
        chunks = -(-(last - first) // chunk)
        features = compute_features(prepared, scaling, first - context, first + chunks * chunk + context, view)
        windows = torch.from_numpy(features).unfold(0, chunk + 2 * context, chunk).transpose(1, 2).to(device)
        with torch.inference_mode():
            answers = torch.stack([network(windows)[:, context:-context] for network in networks]).cpu()
            take(first, last, answers.reshape(len(networks), -1, shape.states)[:, : last - first])

    blocks = range(0, len(prepared), block)
    if min(threads, len(blocks)) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(answer, blocks))
    else:
        list(map(answer, blocks))

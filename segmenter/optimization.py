"""Fitting one network's weights to rows with known states: windows at random, and an average of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import nn

from segmenter.features import Scaling
from segmenter.network import NetworkShape, SegmentNetwork
from segmenter.targets import IGNORED


@dataclass(frozen=True)
class Recipe:
    """How weights are fitted; the values were chosen by held-out recordings, see docs/benchmarks.md.

    steps: of one fit to 10,000 rows or fewer. checkpoints: parts of these after which stopping is considered. batch:
    windows of a step, at most. view_dropout: in which part of the windows one of the two views is hidden.
    channel_dropouts: probabilities with which a channel is hidden in a window, of which held-out recordings choose one:
    hiding helps where channels say the same or nothing, and hurts where one says it all. noise: standard deviation of
    what is added to features. smoothing: weight of the loss on jumps between neighbouring rows. averaging: how much of
    the averaged weights one step keeps. widths: of rolling windows, as parts of the usual segment. members: networks
    fitted to all recordings where these are too few for a committee.
    """

    steps: int = 120
    checkpoints: tuple[float, ...] = (0.5, 0.75, 1.0)
    batch: int = 8
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    view_dropout: float = 0.6
    channel_dropouts: tuple[float, ...] = (0.0, 0.15)
    noise: float = 0.2
    smoothing: float = 0.15
    averaging: float = 0.97
    widths: tuple[float, ...] = (1 / 16, 1 / 4, 1.0)
    widest: int = 2001
    stem: int = 32
    hidden: int = 32
    members: int = 2


RECIPE = Recipe()
_SEEDING = Lock()


@dataclass(frozen=True, eq=False)
class Rows:
    """All training rows one after the other, each recording with a margin that repeats its outermost rows.

    features: float32 (rows, features). targets: int64 (rows,), IGNORED in margins and where nothing may be learned.
    starts: int64 (windows,), the rows at which a window may begin.
    """

    features: torch.Tensor
    targets: torch.Tensor
    starts: torch.Tensor
    window: int


@dataclass(frozen=True, eq=False)
class Layout:
    """Features of all recordings in a row, float32 (rows, features), with room around each for a window to overlap it.

    places: the first row and the number of rows of each recording. window: rows of a window.
    """

    features: torch.Tensor
    places: tuple[tuple[int, int], ...]
    window: int

    def with_targets(self, codes: Sequence[np.ndarray]) -> Rows:
        """Rows to learn from, by each recording's codes, int (rows,); recordings without a known row are left out."""
        targets = torch.full((len(self.features),), IGNORED)
        starts = []
        for (first, rows), code in zip(self.places, codes, strict=True):
            targets[first : first + rows] = torch.from_numpy(code)
            if (code != IGNORED).any():
                earliest = first - self.window // 4
                starts.append(torch.arange(earliest, max(earliest, first + rows - 3 * self.window // 4) + 1))
        return Rows(self.features, targets, torch.cat(starts), self.window)


def lay_out(features: Sequence[np.ndarray], window: int) -> Layout:
    """Put recordings' features (rows, features) one after the other."""
    blocks, places, position = [], [], 0
    for rows in features:
        before = window // 4
        after = max(window // 4, window - before - len(rows)) + 1
        blocks.append(np.pad(rows, ((before, after), (0, 0)), mode="edge"))
        places.append((position + before, len(rows)))
        position += len(blocks[-1])
    return Layout(torch.from_numpy(np.concatenate(blocks)), tuple(places), window)


def train_network(
    shape: NetworkShape,
    rows: Rows,
    scaling: Scaling,
    recipe: Recipe,
    checkpoints: Sequence[int],
    channel_dropout: float,
    seed: int,
    visit: Callable[[float, SegmentNetwork | None], None],
    device: str = "cpu",
) -> SegmentNetwork:
    """Fit a network for as many steps as the last checkpoint says; returns the average of its weights over time.

    `visit(loss, network)` is called after every step, with the averaged network at checkpoints, else None.
    Raises FloatingPointError when the loss is no longer finite.
    """
    generator = torch.Generator().manual_seed(seed)
    chooser = np.random.default_rng(seed)
    network = _new_network(shape, seed).to(device)
    average = deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for step in range(1, checkpoints[-1] + 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, step / 10)
        features, targets = _sample(rows, recipe, scaling, channel_dropout, chooser, generator)
        loss = _loss(network(features.to(device), generator), targets.to(device), recipe.smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}")
        optimizer.step()
        _blend(average, network, min(recipe.averaging, step / (step + 9)))
        visit(loss.item(), average if step in checkpoints else None)
    return average


def _new_network(shape: NetworkShape, seed: int) -> SegmentNetwork:
    """First weights come from torch's own randomness, which is one for all threads and the caller's."""
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SegmentNetwork(shape)


def _sample(
    rows: Rows,
    recipe: Recipe,
    scaling: Scaling,
    channel_dropout: float,
    chooser: np.random.Generator,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of windows (batch, window, features), parts of them hidden, and its targets (batch, window)."""
    # As many windows as all rows fill: each step sees about all of a small set.
    batch = int(np.clip(-(-len(rows.starts) // rows.window) + 1, 2, recipe.batch))
    # Spread evenly over all rows, so that chance only shifts the grid.
    spot = (np.arange(batch) + chooser.random(batch)) / batch * len(rows.starts)
    start = rows.starts[torch.from_numpy(spot.astype(np.int64))]
    index = start[:, None] + torch.arange(rows.window)
    features, targets = rows.features[index], rows.targets[index]
    view, channels = scaling.view_size, scaling.channels
    hidden = torch.rand(batch, generator=generator)
    features[hidden < recipe.view_dropout / 2, :, :view] = 0.0
    features[(hidden >= recipe.view_dropout / 2) & (hidden < recipe.view_dropout), :, view : 2 * view] = 0.0
    features += recipe.noise * torch.randn(features.shape, generator=generator)
    # Features are grouped by view and width, channels vary fastest.
    kept = (torch.rand(batch, 1, channels, generator=generator) >= channel_dropout).float()
    features *= kept.repeat(1, 1, scaling.size // channels)
    # A hidden channel is marked as one that said nothing, or the network would take the zeros for its ordinary level.
    features[:, :, -channels:] = torch.maximum(features[:, :, -channels:], 1.0 - kept)
    return features, targets


def _loss(logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross entropy, and the truncated squared jumps of log probabilities (Farha and Gall, MS-TCN, CVPR 2019)."""
    scores = torch.log_softmax(logits, dim=2)
    known = targets != IGNORED
    entropy = nn.functional.nll_loss(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    loss = entropy / known.sum().clamp(min=1)
    if smoothing:
        jumps = (scores[:, 1:] - scores[:, :-1].detach()).clamp(-4.0, 4.0)
        loss = loss + smoothing * jumps.square().mean()
    return loss


@torch.no_grad()
def _blend(average: SegmentNetwork, network: SegmentNetwork, keep: float) -> None:
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1.0 - keep)

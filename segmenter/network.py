"""The network: a short convolution, one bidirectional LSTM, and a line from both to the states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

# A logit that no evidence can make up for.
IMPOSSIBLE = -1e4
# Part of the values that are left out while fitting.
DROPOUT = 0.2


@dataclass(frozen=True)
class NetworkShape:
    """All that is needed to build a network that stored weights fit into.

    inputs: features of a row. states: outputs of a row. stride: rows that the LSTM takes in one step.
    """

    inputs: int
    states: int
    stride: int = 1
    stem: int = 32
    hidden: int = 32


class SegmentNetwork(nn.Module):
    """Features (batch, rows, inputs) -> logits (batch, rows, states); rows must be a multiple of the stride.

    The convolution halves or quarters the number of steps that the LSTM, the slow part, has to take one after the
    other; a path around it keeps the resolution of single rows.
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        self.local = nn.Linear(shape.inputs, shape.stem)
        self.stem = nn.Conv1d(shape.stem, shape.stem, 2 * shape.stride + 1, shape.stride, padding=shape.stride)
        self.lstm = nn.LSTM(shape.stem, shape.hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * shape.hidden, shape.states * shape.stride)
        self.local_head = nn.Linear(shape.stem, shape.states)

    def forward(self, features: torch.Tensor, dropped: torch.Generator | None = None) -> torch.Tensor:
        """Logits of every row, shaped as above; while fitting, `dropped` chooses the values to leave out."""
        batch, rows, _ = features.shape
        local = torch.relu(self.local(features))
        steps = torch.relu(self.stem(local.transpose(1, 2))[:, :, : rows // self.shape.stride]).transpose(1, 2)
        context, _ = self.lstm(_drop(steps, dropped))
        logits: torch.Tensor = self.head(_drop(context, dropped)).reshape(batch, rows, self.shape.states)
        local_logits: torch.Tensor = self.local_head(_drop(local, dropped))
        return logits + local_logits

    @torch.no_grad()
    def silence(self, states: Sequence[int]) -> None:
        """Make states impossible that were nowhere to be learned: their logits are mere chance."""
        self.local_head.bias[list(states)] = IMPOSSIBLE


def _drop(values: torch.Tensor, dropped: torch.Generator | None) -> torch.Tensor:
    """As torch's dropout, but by a generator of its own: torch's is one for all threads."""
    if dropped is None:
        return values
    kept = torch.rand(values.shape, generator=dropped) >= DROPOUT
    return values * kept.to(values.device) / (1 - DROPOUT)

"""The network answers for each row, at every stride."""

from __future__ import annotations

import pytest
import torch

from segmenter.network import NetworkShape, SegmentNetwork


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_every_row_gets_logits(stride: int) -> None:
    network = SegmentNetwork(NetworkShape(inputs=5, states=3, stride=stride))
    assert network(torch.randn(2, 8 * stride, 5)).shape == (2, 8 * stride, 3)


def test_a_row_is_seen_by_rows_far_away_on_either_side() -> None:
    torch.manual_seed(0)
    network = SegmentNetwork(NetworkShape(inputs=2, states=2, stride=2))
    features = torch.zeros(1, 40, 2)
    changed = features.clone()
    changed[0, 20] = 3.0
    difference = (network(features) - network(changed)).abs().sum(dim=2)[0]
    assert difference[2] > 0
    assert difference[38] > 0


def test_a_silenced_state_is_never_likely() -> None:
    network = SegmentNetwork(NetworkShape(inputs=2, states=3))
    network.silence((0,))
    probabilities = torch.softmax(network(10 * torch.randn(4, 16, 2)), dim=2)
    assert probabilities[..., 0].max() == 0
    assert torch.isfinite(probabilities).all()

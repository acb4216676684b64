"""Segmenters for tests that need one but not a training: weights at random, everything else as it should be."""

from __future__ import annotations

import numpy as np
import torch

from segmenter.decoding import Decoding
from segmenter.durations import Duration
from segmenter.features import learn_scaling
from segmenter.labeling import Labeling
from segmenter.model import FittedSegmenter
from segmenter.network import NetworkShape, SegmentNetwork
from segmenter.recording import Recording
from segmenter.regions import BACKGROUND, State
from segmenter.timeaxis import TimeAxis

LABELING = Labeling("label", "ts", ("Walk", "Run"), ("One", "Two"), "csv")


def recording(rows: int, channels: tuple[str, ...] = ("One", "Two"), seed: int = 0) -> Recording:
    values = np.random.default_rng(seed).standard_normal((rows, len(channels))) * [1.0, 1e6][: len(channels)]
    return Recording(np.arange(rows, dtype=float), values, channels, TimeAxis())


def untrained(seed: int = 0, stride: int = 2, members: int = 1, switch_cost: float = 0.5) -> FittedSegmenter:
    states = (BACKGROUND, State(("Walk",)), State(("Run",)))
    scaling = learn_scaling([recording(100, seed=7).values], (3, 9))
    torch.manual_seed(seed)
    networks = tuple(
        SegmentNetwork(NetworkShape(scaling.size, len(states), stride, stem=8, hidden=8)) for _ in range(members)
    )
    with torch.no_grad():
        for network in networks:
            network.head.weight *= 10  # or nothing but the likeliest state by chance is ever suggested
            network.local_head.weight *= 10
            network.local_head.bias += torch.tensor([2.0, 0.0, 0.0])
    return FittedSegmenter(
        "label",
        "ts",
        ("One", "Two"),
        states,
        scaling,
        "both",
        networks,
        Decoding(switch_cost, durations=(Duration(1, "between", 2.0, 0.5),), duration_weight=1.0, time_unit="rows"),
        1.0,
        {"rows": {"Walk": 3}, "recordings": [{"task": "1", "rows": 3}], "held_out": None},
    )

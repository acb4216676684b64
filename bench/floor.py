"""What no program could go below on this machine: reading the bytes, and the network's multiplications."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from statistics import median

import pandas as pd
import torch

from segmenter.network import NetworkShape
from segmenter.prediction import CHUNK_STEPS, CONTEXT_STEPS

_SIDE = 1024  # of the matrices that are multiplied to learn how fast the machine is


@dataclass(frozen=True)
class Floor:
    """Seconds for the two parts of a suggestion that cannot be left out."""

    parse: float
    multiply: float

    @property
    def seconds(self) -> float:
        """Both, one after the other."""
        return self.parse + self.multiply


def measure_floor(csv: bytes, rows: int, shape: NetworkShape, networks: int, repeats: int) -> Floor:
    """The bytes through the C parser of pandas alone, and the multiply-adds at the speed of a plain matrix product."""
    parse = [_seconds(csv) for _ in range(repeats)]
    return Floor(median(parse), multiply_adds(shape, networks, rows) / matrix_speed())


def multiply_adds(shape: NetworkShape, networks: int, rows: int) -> int:
    """Multiply-adds of the networks over a recording: every weight once a row, or once a step of `stride` rows.

    Chunks are looked at with context on either side, and the last one is filled up: both count.
    """
    in_row = shape.inputs * shape.stem + shape.stem * shape.states
    convolution = shape.stem * shape.stem * (2 * shape.stride + 1)
    lstm = 2 * 4 * shape.hidden * (shape.stem + shape.hidden)
    head = 2 * shape.hidden * shape.states * shape.stride
    in_step = convolution + lstm + head
    chunks = -(-rows // (CHUNK_STEPS * shape.stride))
    steps = chunks * (CHUNK_STEPS + 2 * CONTEXT_STEPS)
    return networks * steps * (in_row * shape.stride + in_step)


def matrix_speed() -> float:
    """Multiply-adds a second of a float32 matrix product on torch's present number of threads; the best of ten."""
    left, right = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    torch.mm(left, right)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - began)
    return _SIDE**3 / best


def _seconds(csv: bytes) -> float:
    began = time.perf_counter()
    pd.read_csv(io.BytesIO(csv), engine="c")
    return time.perf_counter() - began

"""The limit: the matrix products of a step and nothing else.

Forward a product a layer; backward one for the weight, and one for the input of every layer but the first.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from benchmarks.cases import Data
from benchmarks.peers.numpy_threads import use_threads


class Products:
    def __init__(self, data: Data):
        batch = data.case.batch
        rng = np.random.default_rng(0)
        self.calls = []
        for number, (weight, _) in enumerate(data.weights):
            units, fan_in = weight.shape
            x, ct = (rng.standard_normal((batch, size), dtype=np.float32) for size in (fan_in, units))
            out, weight_bar, x_bar = (np.empty_like(array) for array in (ct, weight, x))
            self.calls.append(partial(np.matmul, x, weight.T, out))
            self.calls.append(partial(np.matmul, ct.T, x, weight_bar))
            if number:
                self.calls.append(partial(np.matmul, ct, weight, x_bar))

    def use_threads(self, count: int) -> None:
        use_threads(count)

    def run(self, steps: int) -> int:
        for _ in range(steps):
            for call in self.calls:
                call()
        return steps

    def loss(self) -> float:
        return math.nan


def build(data: Data, variant: str) -> Products:
    return Products(data)

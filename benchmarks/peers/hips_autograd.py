"""HIPS autograd, with Adam in place."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd.scipy.special import logsumexp

from benchmarks.cases import Data
from benchmarks.peers.numpy_adam import Adam
from benchmarks.peers.numpy_threads import use_threads


def _loss(params, x, labels):
    last = len(params) // 2 - 1
    for layer in range(last):
        x = anp.maximum(anp.dot(x, params[2 * layer].T) + params[2 * layer + 1], np.float32(0))
    logits = anp.dot(x, params[-2].T) + params[-1]
    chosen = logits[np.arange(len(labels)), labels]
    return anp.mean(logsumexp(logits, axis=1) - chosen)


class Autograd:
    def __init__(self, data: Data):
        self.data = data
        self.params = [array.copy() for pair in data.weights for array in pair]
        self.adam, self.grad = Adam(self.params), grad(_loss)

    def use_threads(self, count: int) -> None:
        use_threads(count)

    def run(self, steps: int) -> int:
        for _ in range(steps):
            self.adam.update(self.grad(self.params, *next(self.data.batches)))
        return steps

    def loss(self) -> float:
        return float(_loss(self.params, self.data.inputs, self.data.labels))


def build(data: Data, variant: str) -> Autograd:
    return Autograd(data)

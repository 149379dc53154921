"""MyGrad, with Adam in place."""

from __future__ import annotations

import mygrad as mg
from mygrad.nnet.activations import relu
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.cases import Data
from benchmarks.peers.numpy_adam import Adam
from benchmarks.peers.numpy_threads import use_threads


class MyGrad:
    def __init__(self, data: Data):
        self.data = data
        self.params = [mg.tensor(array) for pair in data.weights for array in pair]
        self.adam = Adam([param.data for param in self.params])

    def _loss(self, x, labels):
        for layer in range(0, len(self.params), 2):
            x = mg.matmul(x, self.params[layer].T) + self.params[layer + 1]
            if layer + 2 < len(self.params):
                x = relu(x)
        return softmax_crossentropy(x, labels)

    def use_threads(self, count: int) -> None:
        use_threads(count)

    def run(self, steps: int) -> int:
        for _ in range(steps):
            self._loss(*next(self.data.batches)).backward()
            self.adam.update(param.grad for param in self.params)
        return steps

    def loss(self) -> float:
        with mg.no_autodiff:
            return float(self._loss(self.data.inputs, self.data.labels))


def build(data: Data, variant: str) -> MyGrad:
    return MyGrad(data)

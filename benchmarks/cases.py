"""What is trained: networks, batches and the numbers that go in. Every peer gets the same weights and batches."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
MNIST = "BP_MNIST"
"""Environment variable: the folder with the four files of MNIST."""


class AnyCase(Protocol):
    """What is trained: how many examples in which batches, and where they come from."""

    batch: int
    examples: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch, the last one possibly smaller."""

    def data(self) -> Batches:
        """The numbers that go in."""


class Batches:
    """A network, and ``inputs`` and ``labels`` in the order in which every peer sees them.

    ``layers`` are bp's, as under ``model.layers`` in a configuration; ``input_shape`` is that of an example.
    """

    case: AnyCase
    layers: Sequence[dict[str, Any]]
    input_shape: tuple[int, ...]
    inputs: NDArray[Any]
    labels: NDArray[np.int64]

    def start(self, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> list[NDArray[np.float32]]:
        """Starting values of parameters, given by name and shape in the order of the layers."""
        raise NotImplementedError

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The order in which epoch ``epoch`` (from 1) sees the examples."""
        return np.random.default_rng([0, epoch]).permutation(self.case.examples)

    @cached_property
    def epochs(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Inputs and labels of one epoch after the other, each gathered once: what is cheapest for the peers."""
        return self._epochs()

    def _epochs(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        epoch = 0
        while True:
            epoch += 1
            order = self.order(epoch)
            yield self.inputs[order], self.labels[order]

    @cached_property
    def batches(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """One batch after the other, for ever: views of the epoch's inputs and labels."""
        return self._batches()

    def _batches(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        size = self.case.batch
        for inputs, labels in self.epochs:
            for start in range(0, len(inputs), size):
                yield inputs[start : start + size], labels[start : start + size]


@dataclass(frozen=True)
class Case:
    """A dense relu network, softmax cross entropy, Adam at its usual settings, float32.

    ``sizes``: units from input to output. ``mnist``: the digits, where ``BP_MNIST`` says where they are.
    """

    sizes: tuple[int, ...]
    batch: int
    examples: int
    mnist: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch, the last one possibly smaller."""
        return math.ceil(self.examples / self.batch)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan_in, units) of each layer."""
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    def data(self) -> Data:
        """Examples and starting weights."""
        return Data(self)


DENSE = {
    "tiny": Case((4, 16, 16, 3), 32, 4096),
    "small": Case((64, 128, 64, 10), 64, 4096),
    "large": Case((784, 512, 256, 10), 128, 4096),
}
"""The dense networks whose steps are measured in all libraries."""


class Data(Batches):
    """Examples and starting weights of a case; drawn from one seed, so that every process has the same.

    Shapes: inputs (examples, features) float32; labels (examples,) int64; weights (units, fan_in) and (units,) a layer
    """

    def __init__(self, case: Case):
        self.case = case
        self._rng = np.random.default_rng(0)
        self.weights = [self._layer(*shape) for shape in case.shapes]
        self.layers = [
            *({"type": "dense", "units": units, "activation": "relu"} for units in case.sizes[1:-1]),
            {"type": "dense", "units": case.sizes[-1]},
        ]
        self.input_shape = case.sizes[:1]
        if case.mnist and MNIST in os.environ:
            self.inputs, self.labels = self._mnist()
        else:
            self.inputs, self.labels = labelled(self._rng, case.examples, self.input_shape, case.sizes[-1])

    def _layer(self, fan_in: int, units: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scale = np.float32(math.sqrt(2 / fan_in))
        return self._rng.standard_normal((units, fan_in), dtype=np.float32) * scale, np.zeros(units, np.float32)

    def start(self, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> list[NDArray[np.float32]]:
        """Weight and bias of one layer after the other."""
        return [array for pair in self.weights for array in pair]

    def _mnist(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        folder = Path(os.environ[MNIST])
        pixels = read_idx(folder / "train-images-idx3-ubyte.gz", header=16)
        labels = read_idx(folder / "train-labels-idx1-ubyte.gz", header=8)
        inputs = np.multiply(pixels.reshape(len(labels), -1), np.float32(1 / 255), dtype=np.float32)
        return inputs[: self.case.examples], labels[: self.case.examples].astype(np.int64)


def labelled(
    rng: np.random.Generator, examples: int, shape: tuple[int, ...], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Random examples, labelled by a random linear map; one label in ten is random.

    Something can be learned, so that losses tell whether two peers do the same work; not everything, so that
    gradients do not die out however long the measurement takes.
    """
    inputs = rng.standard_normal((examples, *shape), dtype=np.float32)
    teacher = rng.standard_normal((math.prod(shape), classes), dtype=np.float32)
    labels = np.argmax(inputs.reshape(examples, -1) @ teacher, axis=1)
    guessed = rng.random(examples) < 0.1
    labels[guessed] = rng.integers(0, classes, int(guessed.sum()))
    return inputs, labels


def read_idx(path: Path, header: int) -> NDArray[np.uint8]:
    """The bytes of a compressed IDX file after its header."""
    with gzip.open(path) as stream:
        return np.frombuffer(stream.read(), np.uint8, offset=header)

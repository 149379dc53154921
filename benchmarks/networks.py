"""Networks of other layers than dense ones: as bp's configuration says them, with the numbers that go in.

``peers/torch_networks.py`` has the same networks for PyTorch, parameter by parameter in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Batches, labelled

Layers = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Network:
    """``layers`` as under ``model.layers``. ``outputs``: classes, or tokens where ``input`` is (positions,) of them."""

    layers: Layers
    input: tuple[int, ...]
    outputs: int
    reads_tokens: bool = False


def _image(*layers: dict[str, Any], size: int = 28) -> Network:
    return Network((*layers, {"type": "dense", "units": 10}), (1, size, size), 10)


def _convolutions() -> Network:
    pool = {"type": "max_pool", "kernel": 2}
    first, second = ({"type": "conv2d", "channels": n, "kernel": 5, "activation": "relu"} for n in (16, 32))
    return _image(first, pool, second, pool, {"type": "flatten"})


def _lenet() -> Network:
    """LeCun et al. (1998), figure 2, with max pooling and relu; the image is padded to 32 x 32."""
    pool = {"type": "max_pool", "kernel": 2}
    first = {"type": "conv2d", "channels": 6, "kernel": 5, "padding": 2, "activation": "relu"}
    second = {"type": "conv2d", "channels": 16, "kernel": 5, "activation": "relu"}
    dense = ({"type": "dense", "units": units, "activation": "relu"} for units in (120, 84))
    return _image(first, pool, second, pool, {"type": "flatten"}, *dense)


def _gru(width: int = 128, steps: int = 32) -> Network:
    layers = {"type": "gru", "units": width, "output": "last"}, {"type": "dense", "units": 10}
    return Network(layers, (steps, width), 10)


def _transformer(width: int = 128, blocks: int = 4, context: int = 64, tokens: int = 65) -> Network:
    """Norms before attention and before the two dense layers, as nanoGPT has them."""
    layers: list[dict[str, Any]] = [
        {"type": "embedding", "tokens": tokens, "width": width},
        {"type": "positional_embedding", "name": "block_0"},
    ]
    for number in range(1, blocks + 1):
        before, middle = f"block_{number - 1}", f"middle_{number}"
        layers += [
            {"type": "layer_norm", "inputs": before},
            {"type": "attention", "heads": 4, "causal": True, "name": f"attention_{number}"},
            {"type": "add", "inputs": [before, f"attention_{number}"], "name": middle},
            {"type": "layer_norm"},
            {"type": "dense", "units": 4 * width, "activation": "gelu"},
            {"type": "dense", "units": width, "name": f"out_{number}"},
            {"type": "add", "inputs": [middle, f"out_{number}"], "name": f"block_{number}"},
        ]
    layers += [{"type": "layer_norm"}, {"type": "dense", "units": tokens}]
    return Network(tuple(layers), (context,), tokens, reads_tokens=True)


def _normalized(kind: str, width: int = 256) -> Network:
    hidden = ({"type": "dense", "units": width}, {"type": kind}, {"type": "activation", "function": "relu"})
    return Network((*hidden * 3, {"type": "dense", "units": 10}), (width,), 10)


NETWORKS: dict[str, Callable[[], Network]] = {
    "convolutions": _convolutions,
    "lenet": _lenet,
    "gru": _gru,
    "transformer": _transformer,
    "batch_norm": partial(_normalized, "batch_norm"),
    "layer_norm": partial(_normalized, "layer_norm"),
}


@dataclass(frozen=True)
class NetworkCase:
    """A network of ``NETWORKS``, cross entropy (of the next token), Adam at its usual settings, float32."""

    network: str
    batch: int
    examples: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""
        return math.ceil(self.examples / self.batch)

    def of_two(self) -> NetworkCase:
        """The same on two examples, the fewest that have a variance."""
        return replace(self, batch=2, examples=2)

    def data(self) -> NetworkData:
        """The numbers that go in."""
        return NetworkData(self)


class NetworkData(Batches):
    """Examples of a network; of tokens, windows whose labels are the tokens after them.

    Shapes: inputs (examples, *input) float32, labels (examples,) int64; or both (examples, positions) int64
    """

    def __init__(self, case: NetworkCase):
        network = NETWORKS[case.network]()
        self.case, self.layers, self.input_shape = case, network.layers, network.input
        rng = np.random.default_rng(0)
        if network.reads_tokens:
            self.inputs, self.labels = _tokens(rng, case.examples, network)
        else:
            self.inputs, self.labels = labelled(rng, case.examples, network.input, network.outputs)

    def start(self, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> list[NDArray[np.float32]]:
        """Starting values of parameters, given by name and shape in the order of the layers.

        Matrices are drawn in that order; of vectors, weights (of norms) are 1 and biases 0.
        """
        rng = np.random.default_rng(1)
        return [_parameter(name, shape, rng) for name, shape in shapes]


def _parameter(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.full(shape, name.endswith("weight"), np.float32)
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(1 / math.sqrt(math.prod(shape[1:])))


def _tokens(rng: np.random.Generator, examples: int, network: Network) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each token is followed by one that a random permutation says; one in ten by any."""
    positions, follower = network.input[0], rng.permutation(network.outputs)
    text = rng.integers(0, network.outputs, (examples, positions + 1))
    for position in range(positions):
        told = rng.random(examples) >= 0.1
        text[told, position + 1] = follower[text[told, position]]
    return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])

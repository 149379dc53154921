"""Networks of all kinds of layers: as bp's configuration says them, with the numbers that go in.

``peers/torch_networks.py`` translates these layers to PyTorch, parameter by parameter in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Batches, labelled

Layer = dict[str, Any]
CLASSES = 10


@dataclass(frozen=True)
class Network:
    """``layers`` as under ``model.layers``, ``input`` the shape of an example.

    ``outputs``: classes. ``tokens``: how many different ones an example holds; 0 if it holds numbers.
    ``predicts_next``: the token after each position, in place of a class for the example.
    """

    layers: tuple[Layer, ...]
    input: tuple[int, ...]
    outputs: int = CLASSES
    tokens: int = 0
    predicts_next: bool = False


def dense(units: int, activation: str | None = None) -> Layer:
    """A dense layer."""
    return {"type": "dense", "units": units, **({"activation": activation} if activation else {})}


def activation(function: str) -> Layer:
    """A layer that applies a function."""
    return {"type": "activation", "function": function}


def conv2d(channels: int, kernel: int | list[int], **more: Any) -> Layer:
    """Filters with relu, unless ``activation`` says otherwise."""
    return {"type": "conv2d", "channels": channels, "kernel": kernel, "activation": "relu", **more}


def conv1d(channels: int, kernel: int) -> Layer:
    """Filters with relu. The axis after the batch holds channels: of embedded tokens, the positions."""
    return {"type": "conv1d", "channels": channels, "kernel": kernel, "activation": "relu"}


def filters(channels: int, normalized: bool = True) -> tuple[Layer, ...]:
    """Filters of 3x3 that keep the size of an image, and relu."""
    norm = (BATCH_NORM,) if normalized else ()
    return {"type": "conv2d", "channels": channels, "kernel": 3, "padding": 1}, *norm, activation("relu")


def dropout(rate: float) -> Layer:
    """Dropout."""
    return {"type": "dropout", "rate": rate}


def embedding(tokens: int, width: int) -> Layer:
    """A vector for each token."""
    return {"type": "embedding", "tokens": tokens, "width": width}


def residual(*layers: Layer, repeat: int) -> Layer:
    """Blocks whose output is added to their input."""
    return {"type": "block", "repeat": repeat, "residual": True, "layers": list(layers)}


POOL: Layer = {"type": "max_pool", "kernel": 2}
LAYER_NORM: Layer = {"type": "layer_norm"}
BATCH_NORM: Layer = {"type": "batch_norm"}
FLATTEN: Layer = {"type": "flatten"}
LARGEST: Layer = {"type": "global_max_pool"}


def _classifier(*layers: Layer, input: tuple[int, ...], tokens: int = 0) -> Network:
    return Network((*layers, dense(CLASSES)), input, tokens=tokens)


def _convolutions() -> Network:
    return _classifier(conv2d(16, 5), POOL, conv2d(32, 5), POOL, FLATTEN, input=(1, 28, 28))


def _lenet() -> Network:
    """LeCun et al. (1998), figure 2, with max pooling and relu; the image is padded to 32 x 32."""
    images = conv2d(6, 5, padding=2), POOL, conv2d(16, 5), POOL, FLATTEN
    return _classifier(*images, dense(120, "relu"), dense(84, "relu"), input=(1, 28, 28))


def _gru(width: int = 128, steps: int = 32) -> Network:
    return _classifier({"type": "gru", "units": width, "output": "last"}, input=(steps, width))


def transformer(width: int, blocks: int, heads: int, context: int, tokens: int) -> Network:
    """Norms before attention and before the two dense layers, as nanoGPT has them."""
    attention = {"type": "attention", "heads": heads, "causal": True}
    layers = [embedding(tokens, width), {"type": "positional_embedding"}]
    for _ in range(blocks):
        layers += [
            residual(LAYER_NORM, attention, repeat=1),
            residual(LAYER_NORM, dense(4 * width, "gelu"), dense(width), repeat=1),
        ]
    return Network((*layers, LAYER_NORM, dense(tokens)), (context,), tokens, tokens, predicts_next=True)


def _normalized(norm: Layer, width: int = 256) -> Network:
    return _classifier(*(dense(width), norm, activation("relu")) * 3, input=(width,))


def _images() -> Network:
    layers = *filters(32), *filters(32), POOL, *filters(64), *filters(64), POOL, FLATTEN
    return _classifier(*layers, input=(3, 32, 32))


def _lstm(width: int = 64, steps: int = 100, features: int = 32) -> Network:
    return _classifier({"type": "lstm", "units": width, "layers": 2}, input=(steps, features))


def _text(width: int = 64, positions: int = 128, tokens: int = 5000) -> Network:
    return _classifier(embedding(tokens, width), conv1d(128, 5), LARGEST, input=(positions,), tokens=tokens)


def _wide() -> Network:
    return _classifier(*(dense(1024, "relu") for _ in range(3)), input=(512,))


def _residual(width: int = 32) -> Network:
    blocks = residual(LAYER_NORM, dense(width, "relu"), dense(width), repeat=10)
    return _classifier(dense(width), blocks, input=(64,))


def _gelu_silu(width: int = 256) -> Network:
    functions = ("gelu", "silu") * 2
    hidden = ((dense(width), LAYER_NORM, activation(function), dropout(0.1)) for function in functions)
    return _classifier(*chain.from_iterable(hidden), input=(width,))


NETWORKS: dict[str, Network] = {
    "convolutions": _convolutions(),
    "lenet": _lenet(),
    "gru": _gru(),
    "transformer": transformer(width=128, blocks=4, heads=4, context=64, tokens=65),
    "batch_norm": _normalized(BATCH_NORM),
    "layer_norm": _normalized(LAYER_NORM),
    "images": _images(),
    "lstm": _lstm(),
    "text": _text(),
    "wide": _wide(),
    "residual": _residual(),
    "gelu_silu": _gelu_silu(),
}


def described(layers: Iterable[Layer]) -> str:
    """Layers in words: ``dense 64 relu, dropout 0.1, dense 10``."""
    return ", ".join(_word(layer) for layer in layers)


def _word(layer: Layer) -> str:
    kind, *values = layer.values()
    if kind == "block":
        return f"{layer['repeat']} x ({described(layer['layers'])}) + input"
    if kind == "activation":
        return str(layer["function"])
    return " ".join([kind, *(str(value) for value in values if not isinstance(value, bool))])


@dataclass(frozen=True)
class NetworkCase:
    """A network, cross entropy (of the next token), Adam at its usual settings, float32."""

    network: Network
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
    """Examples of a network.

    Shapes: inputs (examples, *input) float32, or int64 tokens; labels (examples,) int64, or (examples, positions)
    """

    def __init__(self, case: NetworkCase):
        network = case.network
        self.case, self.layers, self.input_shape = case, network.layers, network.input
        rng = np.random.default_rng(0)
        if network.predicts_next:
            self.inputs, self.labels = _followed(rng, case.examples, network)
        elif network.tokens:
            self.inputs, self.labels = _labelled_tokens(rng, case.examples, network)
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


def _followed(rng: np.random.Generator, examples: int, network: Network) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each token is followed by one that a random permutation says; one in ten by any. Labels are those after."""
    positions, follower = network.input[0], rng.permutation(network.outputs)
    text = rng.integers(0, network.outputs, (examples, positions + 1))
    for position in range(positions):
        told = rng.random(examples) >= 0.1
        text[told, position + 1] = follower[text[told, position]]
    return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])


def _labelled_tokens(
    rng: np.random.Generator, examples: int, network: Network
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random tokens; the label is the class for which they count most, in a random table."""
    tokens = rng.integers(0, network.tokens, (examples, *network.input))
    scores = rng.standard_normal((network.tokens, network.outputs), dtype=np.float32)
    return tokens, np.argmax(scores[tokens].sum(axis=1), axis=1)

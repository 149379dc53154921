"""Model: layers wired into a graph, with the names and shapes of their parameters."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.autodiff import Spec, Value, input_, scope, toposort
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import Array
from backprop_cli.nn.layer import Layer, Param
from backprop_cli.nn.wiring import INPUT, Wire, vocabulary_of, wire

_BATCH = 2  # of the trace from which shapes are read; any would do
_TOKENS = np.dtype(np.int64)


class LayerShapeError(ShapeError):
    """Shapes do not fit a layer; ``layer_index`` is its place in ``model.layers``, from 0."""

    def __init__(self, layer_index: int, where: str, reason: str, **specs: object):
        super().__init__(where, reason, **specs)
        self.layer_index = layer_index


class LayerSizeError(LayerShapeError):
    """With this layer the network has more parameters than it may: ``parameters`` in all, up to this one."""

    def __init__(self, layer_index: int, where: str, parameters: int, most: int):
        super().__init__(layer_index, where, "too many parameters", up_to_here=parameters, most=most)
        self.parameters = parameters


@dataclass(frozen=True, eq=False)
class Node:
    """One layer in its place. Shapes are those of one example, without the batch."""

    index: int
    name: str
    layer: Layer
    inputs: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    params: dict[str, Param]

    def specs(self, batch: int, dtype: np.dtype[Any]) -> tuple[Spec, ...]:
        """Specs of the inputs of a batch; ``dtype`` is that of numbers."""
        kind = dtype if self.layer.vocabulary is None else _TOKENS
        return tuple(Spec((batch, *shape), kind) for shape in self.input_shapes)


@dataclass(frozen=True, eq=False)
class Model:
    """A network as a function ``outputs = model.apply(params, x, noise)``; it holds no numbers.

    Parameters and noise are named ``<layer>.<name>``: ``dense_1.weight``. The output is that of the last layer.
    """

    nodes: tuple[Node, ...]
    input_shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def build(
        cls,
        layers: Sequence[Layer],
        input_shape: tuple[int, ...],
        dtype: DTypeLike = np.float64,
        *,
        most_parameters: int = sys.maxsize,
    ) -> Model:
        """Wire the layers, and find every shape by tracing them once.

        Raises:
            WiringError: a name or an input that does not fit (a UsageError).
            LayerShapeError: shapes that do not fit a layer (a ShapeError). Both carry ``layer_index``.
            LayerSizeError: the layers have more than ``most_parameters`` numbers.

        """
        kind = np.dtype(dtype)
        shapes = {INPUT: tuple(input_shape)}
        nodes = []
        room = _Room(most_parameters)
        wires = wire(layers)
        _check_tokens(wires)
        for index, (name, layer, inputs) in enumerate(wires):
            node = _node(index, name, layer, inputs, tuple(shapes[source] for source in inputs), kind, room)
            shapes[name] = node.output_shape
            nodes.append(node)
        return cls(tuple(nodes), tuple(input_shape), kind)

    @property
    def vocabulary(self) -> int | None:
        """Where examples are tokens: they are integers in [0, vocabulary)."""
        return vocabulary_of((node.name, node.layer, node.inputs) for node in self.nodes)

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """Of examples: int64 where they are tokens, else the network's own."""
        return self.dtype if self.vocabulary is None else _TOKENS

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one example's output."""
        return self.nodes[-1].output_shape

    @cached_property
    def params(self) -> dict[str, Param]:
        """Parameters by full name, in the order of the layers."""
        return {f"{node.name}.{name}": param for node in self.nodes for name, param in node.params.items()}

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Starting values by full name, float64. Drawn in the order of ``params``: same rng, same bits."""
        return {
            name: param.initializer.sample(rng, param.shape, param.fan_in, param.fan_out)
            for name, param in self.params.items()
        }

    def noise(self, batch: int) -> dict[str, Spec]:
        """Arrays of uniform random numbers in [0, 1) that a training step wants, by full name."""
        return {
            f"{node.name}.{name}": spec
            for node in self.nodes
            for name, spec in node.layer.noise(*node.specs(batch, self.dtype)).items()
        }

    def apply(self, params: Mapping[str, Value], x: Value, noise: Mapping[str, Value] | None = None) -> Value:
        """The network's output for a batch, traced. With ``noise`` (even empty) it is that of training.

        Shapes: x (batch, *input_shape) -> (batch, *output_shape)
        """
        return self.layer_outputs(params, x, noise)[self.nodes[-1].name]

    def layer_outputs(
        self, params: Mapping[str, Value], x: Value, noise: Mapping[str, Value] | None = None
    ) -> dict[str, Value]:
        """What each layer makes of a batch, by its name, traced; as ``apply``."""
        values = {INPUT: x}
        for node in self.nodes:
            own = {name: params[f"{node.name}.{name}"] for name in node.params}
            if noise is not None:
                own |= _of_layer(node.name, noise)
            with scope(node.name):
                values[node.name] = node.layer.apply(own, *(values[source] for source in node.inputs))
        return {node.name: values[node.name] for node in self.nodes}

    def multiplications(self) -> dict[str, int]:
        """Multiplications of the matrix products for one example, by layer."""
        params = {name: input_(name, param.shape, self.dtype) for name, param in self.params.items()}
        out = self.apply(params, input_(INPUT, (1, *self.input_shape), self.input_dtype))
        counts = dict.fromkeys((node.name for node in self.nodes), 0)
        for value in toposort([out]):
            if value.op is not None and value.layer is not None:
                counts[value.layer] += value.op.multiplications(*(operand.spec for operand in value.inputs))
        return counts


def _of_layer(layer: str, values: Mapping[str, Value]) -> dict[str, Value]:
    prefix = f"{layer}."
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _check_tokens(wires: Sequence[Wire]) -> None:
    """Where a layer reads the example as tokens, all that read it do; and nothing but the example is tokens."""
    reading = [name for name, layer, inputs in wires if layer.vocabulary is not None and INPUT in inputs]
    for index, (name, layer, inputs) in enumerate(wires):
        if layer.vocabulary is not None and inputs != (INPUT,):
            reason = f"reads tokens, and only {INPUT!r} is that; set inputs: {INPUT}"
            raise LayerShapeError(index, f"layer {name}", reason)
        if layer.vocabulary is None and reading and INPUT in inputs:
            reason = f"reads numbers, and {INPUT!r} is tokens, because {reading[0]} reads it; read {reading[0]} instead"
            raise LayerShapeError(index, f"layer {name}", reason)


class _Room:
    """Counts parameters, of which there may be ``most``."""

    def __init__(self, most: int):
        self.most, self.count = most, 0

    def take(self, index: int, name: str, params: Mapping[str, Param]) -> None:
        self.count += sum(math.prod(param.shape) for param in params.values())
        if self.count > self.most:
            raise LayerSizeError(index, f"layer {name}", self.count, self.most)


def _node(
    index: int,
    name: str,
    layer: Layer,
    inputs: tuple[str, ...],
    shapes: tuple[tuple[int, ...], ...],
    dtype: np.dtype[Any],
    room: _Room,
) -> Node:
    kind = dtype if layer.vocabulary is None else _TOKENS
    x = [input_(source, (_BATCH, *shape), kind) for source, shape in zip(inputs, shapes, strict=True)]
    try:
        params = layer.params(*(value.spec for value in x))
        room.take(index, name, params)  # before the trace: the shapes of arrays end at 2**63
        for key, param in params.items():
            param.initializer.check(key, param.shape)
        out = layer.apply({key: input_(key, param.shape, dtype) for key, param in params.items()}, *x)
    except LayerSizeError:
        raise
    except ShapeError as error:
        # Told in the user's terms: the layers it reads and shapes of one example, as the configuration has them.
        reason = error.reason if error.where == layer.type else f"{error.where}: {error.reason}"
        given = {source: list(shape) for source, shape in zip(inputs, shapes, strict=True)}
        raise LayerShapeError(index, f"layer {name}", reason, **given) from error
    return Node(index, name, layer, inputs, shapes, out.shape[1:], params)

"""A network: the graph of its layers, with the names and shapes of their parameters."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.autodiff import Spec, Value, in_layer, input_, toposort
from backprop_cli.execution.costs import multiplications, products
from backprop_cli.nn.graph import TOKEN_DTYPE, Node, graph_of, vocabulary_of
from backprop_cli.nn.initializer import Array
from backprop_cli.nn.input_columns import Columns, inputs_of, is_group
from backprop_cli.nn.layer import Buffer, Chunks, Layer, Param
from backprop_cli.nn.layer_shapes import LayerShapeError, traced
from backprop_cli.nn.schedule import Scheduled
from backprop_cli.nn.scopes import INPUT
from backprop_cli.structs import Struct


class ForwardPass(NamedTuple):
    """A traced forward pass.

    ``layers``: the output of each layer, by the layer's name. ``updates``: in training, new values of buffers, by full
    name.
    """

    layers: dict[str, Value]
    updates: dict[str, Value]


class Model(Struct, eq=False):
    """A network as a function ``outputs = model.apply(params, x, noise)``; it holds no numbers.

    Parameters, buffers and noise are named ``<layer>.<name>``: ``dense_1.weight``. The network's output is the one of
    the last layer.
    """

    nodes: tuple[Node, ...]
    input_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    columns: Columns = ()

    @classmethod
    def build(
        cls,
        layers: Sequence[Layer],
        input_shape: tuple[int, ...],
        dtype: DTypeLike = np.float64,
        *,
        most_parameters: int = sys.maxsize,
        columns: Columns = (),
    ) -> Model:
        """Connect the layers, and find every shape by tracing each of them once.

        ``columns``: those of the data, for layers that read them by name.

        Raises:
            WiringError: a name or an input that does not fit (a UsageError).
            LayerShapeError: shapes that do not fit a layer (a ShapeError). Both carry the layer's ``path``.
            LayerSizeError: the layers have more than ``most_parameters`` numbers.

        """
        nodes, shape, kind = graph_of(layers), tuple(input_shape), np.dtype(dtype)
        _check_tokens(nodes)
        return cls(traced(nodes, shape, kind, most_parameters, columns), shape, kind, columns)

    @property
    def vocabulary(self) -> int | None:
        """Examples are tokens, integers in [0, vocabulary); None: they are numbers."""
        return vocabulary_of(self.nodes)

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """The dtype of examples: int64 for tokens, else the network's own."""
        return self.dtype if self.vocabulary is None else TOKEN_DTYPE

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one example's output; of an ensemble, of one member's."""
        return self.nodes[-1].output_shape[1 if self.members else 0 :]

    @property
    def members(self) -> int | None:
        """Members of its output, in an axis after the batch; None: it is no ensemble."""
        return self.nodes[-1].members

    @cached_property
    def params(self) -> dict[str, Param]:
        """Parameters that are trained, by full name, in the order of the layers."""
        return {
            f"{node.name}.{name}": param
            for node in self.nodes
            if not node.is_frozen
            for name, param in node.params.items()
        }

    @cached_property
    def buffers(self) -> dict[str, Param | Buffer]:
        """Arrays that are not trained, by full name: buffers of layers, and parameters of frozen layers."""
        found: dict[str, Param | Buffer] = {}
        for node in self.nodes:
            if node.is_frozen:
                found |= {f"{node.name}.{name}": param for name, param in node.params.items()}
            found |= {f"{node.name}.{name}": buffer for name, buffer in node.buffers.items()}
        return found

    @property
    def parameter_count(self) -> int:
        """Numbers in all parameters, trained or not."""
        return sum(math.prod(param.shape) for node in self.nodes for param in node.params.values())

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Starting values of parameters and buffers by full name, float64.

        Parameters are drawn in the order of the layers, whether they are trained or not: same rng, same bits.
        """
        found: dict[str, Array] = {}
        for node in self.nodes:
            for name, param in node.params.items():
                found[f"{node.name}.{name}"] = _drawn(rng, param, node.input_chunks[0] if param.by_column else ())
            for name, buffer in node.buffers.items():
                found[f"{node.name}.{name}"] = np.full(buffer.shape, buffer.start)
        return found

    def noise(self, batch: int) -> dict[str, Spec]:
        """Arrays of uniform random numbers in [0, 1) that a training step reads, by full name."""
        return {
            f"{node.name}.{name}": spec
            for node in self.nodes
            for name, spec in node.layer.noise(*node.specs(batch, self.dtype)).items()
        }

    @cached_property
    def scheduled(self) -> dict[str, Scheduled]:
        """Numbers of layers that follow a schedule, by full name. Training reads them with the noise, as scalars."""
        return {f"{node.name}.{name}": found for node in self.nodes for name, found in node.layer.scheduled().items()}

    def apply(self, params: Mapping[str, Value], x: Value, noise: Mapping[str, Value] | None = None) -> Value:
        """The traced output for a batch. With ``noise``, even empty, it is the output in training.

        ``params``: parameters and buffers by full name; training reads only the buffers of frozen layers.

        Shapes: x (batch, *input_shape) -> (batch, *output_shape), of an ensemble (batch, members, *output_shape)
        """
        return self.walk(params, x, noise).layers[self.nodes[-1].name]

    def walk(self, params: Mapping[str, Value], x: Value, noise: Mapping[str, Value] | None = None) -> ForwardPass:
        """As ``apply``, with the outputs of all layers, and the updates of those buffers that are given."""
        values: dict[str, Value] = {INPUT: x}
        updates: dict[str, Value] = {}
        for node in self.nodes:
            given = {name: params[full] for name, full in node.full_names().items()}
            held = {name: params[f"{node.name}.{name}"] for name in node.buffers if f"{node.name}.{name}" in params}
            drawn = {} if noise is None else node.own(noise)
            learns = noise is not None and not node.is_frozen
            seen = {name: value for name, value in held.items() if node.buffers[name].fixed or not learns}
            inputs = [self.source(values, source) for source in node.inputs]
            with in_layer(node.name):
                values[node.name] = node.apply({**given, **drawn, **seen}, *inputs)
                if learns and held:
                    new = node.layer.updates({**given, **held}, *node.read(*inputs))
                    updates |= {f"{node.name}.{name}": value for name, value in new.items()}
        return ForwardPass({node.name: values[node.name] for node in self.nodes}, updates)

    def source(self, values: Mapping[str, Value], name: str) -> Value:
        """An input of a layer by its name: another layer's output, the example, or columns of it."""
        return inputs_of(values[INPUT], self.columns, name) if is_group(name) else values[name]

    def multiplications(self) -> dict[str, int]:
        """Multiplications of the matrix products for one example, by layer."""
        counts = dict.fromkeys((node.name for node in self.nodes), 0)
        for layer, count, _ in self.products(1):
            counts[layer] += count
        return counts

    def products(self, batch: int) -> Iterator[tuple[str, int, int]]:
        """For each op that multiplies matrices: its layer, its multiplications for a batch, and for one product."""
        arrays = {**self.params, **self.buffers}
        params = {name: input_(name, array.shape, self.dtype) for name, array in arrays.items()}
        out = self.apply(params, input_(INPUT, (batch, *self.input_shape), self.input_dtype))
        for value in toposort([out]):
            if value.op is not None and value.layer is not None:
                operands = [operand.spec for operand in value.inputs]
                count = multiplications(value.op, *operands)
                if count:
                    yield value.layer, count, count // products(value.op, *operands)


def _drawn(rng: np.random.Generator, param: Param, chunks: Chunks) -> Array:
    """Starting values, equal within each of the chunks of the last axis; without chunks one by one."""
    shape = (*param.shape[:-1], len(chunks)) if chunks else param.shape
    drawn = param.initializer.sample(rng, shape, param.fan_in, param.fan_out)
    return np.repeat(drawn, chunks, axis=-1) if chunks else drawn


def _check_tokens(nodes: Sequence[Node]) -> None:
    """Raise LayerShapeError unless all readers of the example agree whether it is tokens, and only it is tokens."""
    reading = [each.name for each in nodes if each.layer.vocabulary is not None and INPUT in each.inputs]
    for each in nodes:
        if each.layer.vocabulary is not None and each.inputs != (INPUT,):
            reason = f"reads tokens, but only {INPUT!r} is tokens; put it first, or set inputs: {INPUT}"
            raise LayerShapeError(each.path, f"layer {each.name}", reason)
        if each.layer.vocabulary is None and reading and INPUT in each.inputs:
            reason = f"reads numbers, but {INPUT!r} is tokens, because {reading[0]} reads it; read {reading[0]} instead"
            raise LayerShapeError(each.path, f"layer {each.name}", reason)

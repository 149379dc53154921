"""One layer in its place: what it reads, what it makes, what it has; and why it cannot stand there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backprop_cli.autodiff import Spec, Value, input_
from backprop_cli.errors import ShapeError, did_you_mean
from backprop_cli.nn.layer import Buffer, Layer, Param, ParameterLayer
from backprop_cli.nn.scopes import INPUT, LayerPath
from backprop_cli.nn.wiring import Wire

Shape = tuple[int, ...]

TOKENS = np.dtype(np.int64)
"""Of examples that are tokens."""
_BATCH = 2  # of the trace from which shapes are read; any would do


class LayerShapeError(ShapeError):
    """Shapes do not fit a layer; ``path`` is where it is declared, or one of its keys."""

    def __init__(self, path: LayerPath, where: str, reason: str, **specs: object):
        super().__init__(where, reason, **specs)
        self.path = path


class LayerSizeError(LayerShapeError):
    """With this layer the network has more parameters than it may: ``parameters`` in all, up to this one."""

    def __init__(self, path: LayerPath, where: str, parameters: int, most: int):
        super().__init__(path, where, "too many parameters", up_to_here=parameters, most=most)
        self.parameters = parameters


@dataclass(frozen=True, eq=False)
class Node:
    """One layer in its place. Shapes are those of one example, without the batch.

    ``params`` are its own; ``shares`` has the full names of other layers' parameters that it reads instead, by the name
    that each has here. ``path`` is where the layer is declared.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    path: LayerPath
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    params: dict[str, Param]
    buffers: dict[str, Buffer]
    shares: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_frozen(self) -> bool:
        """Whether training leaves its parameters and buffers as they are."""
        return isinstance(self.layer, ParameterLayer) and not self.layer.trainable

    def full_names(self) -> dict[str, str]:
        """Full names of the parameters that it reads, by the name that each has here."""
        return {**{name: f"{self.name}.{name}" for name in self.params}, **self.shares}

    def own(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those of values by full name that are this layer's, by the name that each has here."""
        parted = ((*name.rpartition(".")[::2], value) for name, value in values.items())
        return {name: value for layer, name, value in parted if layer == self.name}

    def specs(self, batch: int, dtype: np.dtype[Any]) -> tuple[Spec, ...]:
        """Specs of the inputs of a batch; ``dtype`` is that of numbers."""
        return _specs(self.layer, batch, self.input_shapes, dtype)


def _specs(layer: Layer, batch: int, shapes: Sequence[Shape], dtype: np.dtype[Any]) -> tuple[Spec, ...]:
    kind = dtype if layer.vocabulary is None else TOKENS
    return tuple(Spec((batch, *shape), kind) for shape in shapes)


def check_output(layer: Layer, out: object, batch: int) -> None:
    """Raise ShapeError unless ``out``, what a layer's ``apply`` gave, is a value for each example of a batch."""
    if not isinstance(out, Value):
        raise ShapeError(layer.type, f"its apply gives {type(out).__name__}, expected a Value")
    if out.shape[:1] != (batch,):
        reason = f"its apply gives {list(out.shape)} for a batch of {batch}; the first axis must be the batch"
        raise ShapeError(layer.type, reason)


class Builder:
    """Makes nodes of wires, one after the other; each is traced once, to find its shapes."""

    def __init__(self, input_shape: Shape, dtype: np.dtype[Any], most_parameters: int):
        self._dtype, self._most = dtype, most_parameters
        self._count = 0
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._params: dict[str, Param] = {}
        self._paths: dict[str, LayerPath] = {}
        self._owners: dict[str, str] = {}  # of parameters that are shared, by the name of the layer that shares them

    def build(self, wire: Wire) -> Node:
        """The next node.

        Raises:
            LayerShapeError: shapes that do not fit the layer, or a parameter that it cannot share.
            LayerSizeError: there are more parameters than may be.

        """
        shapes = tuple(self._shapes[source] for source in wire.inputs)
        x = [
            input_(source, spec.shape, spec.dtype)
            for source, spec in zip(wire.inputs, _specs(wire.layer, _BATCH, shapes, self._dtype), strict=True)
        ]
        specs, layer = [value.spec for value in x], wire.layer
        try:
            params, buffers = layer.params(*specs), layer.buffers(*specs)
            layer.noise(*specs)  # for what it says of shapes that do not fit
            own = {name: param for name, param in params.items() if name not in wire.shares}
            self._take(wire, {**own, **buffers})  # before the trace: the shapes of arrays end at 2**63
            for key, param in own.items():
                param.initializer.check(key, param.shape)
            out = layer.apply({key: input_(key, param.shape, self._dtype) for key, param in params.items()}, *x)
            check_output(layer, out, _BATCH)
        except LayerSizeError:
            raise
        except ShapeError as error:
            raise _refusal(wire, shapes, error) from error
        shares = {name: self._owners.get(target, target) for name, target in wire.shares.items()}
        self._paths[wire.name] = wire.path
        # A layer that repeats and shares with its first repeat has penalties there.
        others = [full for full in shares.values() if self._paths[self._owner(full)] != wire.path]
        fault = self._share_fault(params, shares)
        if fault is None and len(others) == len(shares):
            fault = _penalty_fault(layer, own, others)
        if fault is not None:
            raise LayerShapeError((*wire.path, fault[0]), f"layer {wire.name}", f"{fault[0]}: {fault[1]}")
        self._shapes[wire.name] = out.shape[1:]
        self._params |= {f"{wire.name}.{name}": param for name, param in own.items()}
        self._owners |= {f"{wire.name}.{name}": owner for name, owner in shares.items()}
        return Node(wire.name, layer, wire.inputs, wire.path, shapes, out.shape[1:], own, buffers, shares)

    def _take(self, wire: Wire, arrays: Mapping[str, Param | Buffer]) -> None:
        self._count += sum(math.prod(array.shape) for array in arrays.values())
        if self._count > self._most:
            raise LayerSizeError(wire.path, f"layer {wire.name}", self._count, self._most)

    def _owner(self, full: str) -> str:
        """The layer above that a parameter is of, by its full name: the parameter's own may have dots."""
        while full not in self._paths:
            full = full.rpartition(".")[0]
        return full

    def _share_fault(self, params: Mapping[str, Param], shares: Mapping[str, str]) -> tuple[str, str] | None:
        """The key at fault, and why a parameter cannot be another layer's."""
        for name, target in shares.items():
            if name not in params:
                return "share", f"it has no parameter '{name}'" + (f"; it has {', '.join(params)}" if params else "")
            if target not in self._params:
                owner = self._owner(target)
                theirs = target.removeprefix(f"{owner}.")
                known = [full.removeprefix(f"{owner}.") for full in self._params if full.startswith(f"{owner}.")]
                hint = did_you_mean(theirs, known) or (f"; it has {', '.join(known)}" if known else "")
                return "share", f"{owner} has no parameter '{theirs}'{hint}"
            mine, shared = list(params[name].shape), list(self._params[target].shape)
            if mine != shared:
                return "share", f"its {name} is {mine}, and {target} is {shared}; only equal shapes can be shared"
        return None


def _penalty_fault(layer: Layer, params: Mapping[str, Param], shared: Sequence[str]) -> tuple[str, str] | None:
    """Why penalties are on nothing: ``params`` are its own, ``shared`` those of other layers."""
    rule = layer.regularization if isinstance(layer, ParameterLayer) else None
    if rule is None or any(param.regularized for param in params.values()):
        return None
    if shared:
        return "regularization", f"penalties are on weights of its own, and it has {', '.join(shared)}; set it there"
    return "regularization", "penalties are on weights, not on biases or norms; it has no such weights"


def _refusal(wire: Wire, shapes: Sequence[Shape], error: ShapeError) -> LayerShapeError:
    """Told in the user's terms: the layers it reads and shapes of one example, as the configuration has them."""
    if wire.is_residual:
        return _changed_shape(wire, shapes)
    reason = error.reason if error.where == wire.layer.type else f"{error.where}: {error.reason}"
    given = {source: list(shape) for source, shape in zip(wire.inputs, shapes, strict=True)}
    return LayerShapeError(wire.path, f"layer {wire.name}", reason, **given)


def _changed_shape(wire: Wire, shapes: Sequence[Shape]) -> LayerShapeError:
    """A residual block whose layers make another shape than it reads: how to project."""
    (last, feed), (made, read) = wire.inputs, shapes
    reason = f"a residual block adds what it reads to what its layers make, and {last} makes another shape"
    if made[:-1] == read[:-1] and len(read) < 3:
        branch, skip = (f"{{type: dense, units: {shape[-1]}}}" for shape in (read, made))
        reason += f"; end its layers with {branch}, or put {skip} before the block"
    elif made[1:] == read[1:]:
        branch, skip = (f"{{type: conv2d, channels: {shape[0]}, kernel: 1}}" for shape in (read, made))
        reason += f"; end its layers with {branch}, or put {skip} before the block"
    else:
        images = len(made) == len(read) == 3
        fix = "keep height and width (convolutions: padding: same, stride: 1)" if images else "make it of one shape"
        reason += f"; {fix}, or set residual: false"
    return LayerShapeError(wire.path, f"layer {wire.name}", reason, **{feed: list(read), last: list(made)})

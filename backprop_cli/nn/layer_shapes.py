"""Shapes of a network's layers, found by tracing each of them once, with errors in the user's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from backprop_cli.autodiff import Value, input_
from backprop_cli.errors import ShapeError, did_you_mean, listing
from backprop_cli.nn.graph import Node
from backprop_cli.nn.input_columns import CATEGORIES, GROUPS, ONE, Columns, chunks_of, columns_in, is_group
from backprop_cli.nn.layer import Buffer, Layer, Param, ParameterLayer
from backprop_cli.nn.scopes import LayerPath
from backprop_cli.nn.task import Shape

_BATCH = 2  # examples in the trace; any number would do


class LayerShapeError(ShapeError):
    """Shapes do not fit a layer; ``path`` is where it is declared, or one of its keys."""

    def __init__(self, path: LayerPath, where: str, reason: str, **specs: object):
        super().__init__(where, reason, **specs)
        self.path = path


class LayerSizeError(LayerShapeError):
    """With this layer the network exceeds the allowed parameters; ``parameters``: the sum up to this layer."""

    def __init__(self, path: LayerPath, where: str, parameters: int, most: int):
        super().__init__(path, where, "too many parameters", up_to_here=parameters, most=most)
        self.parameters = parameters


def check_output(layer: Layer, out: object, batch: int) -> None:
    """Raise ShapeError unless ``out``, the result of a layer's ``apply``, is a value for each example of a batch."""
    if not isinstance(out, Value):
        raise ShapeError(layer.type, f"its apply returns {type(out).__name__}, expected a Value")
    if out.shape[:1] != (batch,):
        reason = f"its apply returns {list(out.shape)} for a batch of {batch}; the first axis must be the batch"
        raise ShapeError(layer.type, reason)


def traced(
    nodes: Sequence[Node], input_shape: Shape, dtype: np.dtype[Any], most_parameters: int, columns: Columns = ()
) -> tuple[Node, ...]:
    """The nodes with their shapes, parameters and buffers. ``columns``: those of the data, if known.

    Raises:
        LayerShapeError: shapes that do not fit a layer, or a parameter that it cannot share.
        LayerSizeError: the layers have more than ``most_parameters`` numbers.

    """
    above: dict[str, Node] = {}
    count = 0
    known = columns if sum(column.width for column in columns) == input_shape[-1] else ()
    for node in nodes:
        shapes = tuple(
            above[name].output_shape
            if name in above
            else (*input_shape[:-1], *_width(node, name, input_shape, columns))
            for name in node.inputs
        )
        members = tuple(above[name].members if name in above else None for name in node.inputs)
        read = [() if name in above else columns_in(known, name) for name in node.inputs]
        chunks = [
            above[name].chunks if name in above else chunks_of(own) for name, own in zip(node.inputs, read, strict=True)
        ]
        layer = node.layer.of_columns(read[0])
        node = replace(node, layer=layer, input_shapes=shapes, input_members=members, input_chunks=tuple(chunks))
        _check_members(node)
        try:
            node, params = _with_arrays(node, dtype)
            arrays: dict[str, Param | Buffer] = {**node.params, **node.buffers}
            count += sum(math.prod(array.shape) for array in arrays.values())
            if count > most_parameters:  # checked before the trace: shapes of arrays end at 2**63
                raise LayerSizeError(node.path, f"layer {node.name}", count, most_parameters)
            node = replace(node, output_shape=_output_shape(node, params, dtype))
        except LayerSizeError:
            raise
        except ShapeError as error:
            raise _in_users_terms(node, error) from error
        above[node.name] = _with_owners(node, params, above)
    return tuple(above.values())


def _with_arrays(node: Node, dtype: np.dtype[Any]) -> tuple[Node, Mapping[str, Param]]:
    """The node with its own parameters and buffers, and all parameters that its layer reads."""
    specs = node.specs(_BATCH, dtype)
    params, buffers = node.layer.params(*specs), node.layer.buffers(*specs)
    node.layer.noise(*specs)  # raises for shapes that do not fit
    own = {name: param for name, param in params.items() if name not in node.shares}
    return replace(node, params=own, buffers=buffers), params


def _output_shape(node: Node, params: Mapping[str, Param], dtype: np.dtype[Any]) -> Shape:
    for key, param in node.params.items():
        param.initializer.check(key, param.shape)
    specs = node.specs(_BATCH, dtype)
    x = [input_(source, spec.shape, spec.dtype) for source, spec in zip(node.inputs, specs, strict=True)]
    arrays = {key: param.shape for key, param in params.items()}
    arrays |= {key: buffer.shape for key, buffer in node.buffers.items() if buffer.fixed}
    out = node.layer.apply({key: input_(key, shape, dtype) for key, shape in arrays.items()}, *x)
    check_output(node.layer, out, specs[0].shape[0])
    return out.shape[1:] if node.folds is None else (node.folds, *out.shape[1:])


def _width(node: Node, name: str, input_shape: Shape, columns: Columns) -> tuple[int]:
    """The number of inputs of the example, or of the columns that ``name`` stands for."""
    if not is_group(name):
        return input_shape[-1:]  # type: ignore[return-value]
    width = sum(column.width for column in columns_in(columns, name))
    if width and sum(column.width for column in columns) == input_shape[-1]:
        return (width,)
    where, place = f"layer {node.name}", (*node.path, "inputs")
    if width:
        reason = f"examples have the shape {list(input_shape)}, without an axis for columns; leave model.input out"
    elif not columns:
        reason = "only rows of a table have columns"
    elif name in GROUPS:
        reason = f"the data has no such column; all are {'numbers' if name == CATEGORIES else 'categories'}"
    else:
        names = [ONE + column.name for column in columns]
        reason = "the data has no such column" + (did_you_mean(name, names) or f"; known: {listing(names, 20)}")
    raise LayerShapeError(place, where, f"inputs: '{name}': {reason}")


def _check_members(node: Node) -> None:
    """Raise LayerShapeError unless all inputs with members, and the layer itself, have as many."""
    counts = {count for count in (*node.input_members, node.layer.ensemble) if count}
    if len(counts) > 1:
        read = ", ".join(str(count) for count in node.input_members if count)
        reason = f"reads {read} members" + (f", and has {node.layer.ensemble}" if node.layer.ensemble else "")
        raise LayerShapeError(node.path, f"layer {node.name}", f"{reason}; all must have the same number")


def _with_owners(node: Node, params: Mapping[str, Param], above: Mapping[str, Node]) -> Node:
    """The node whose ``shares`` name the layers that own the parameters, not those that share them again.

    Raises: LayerShapeError for a parameter that the layer cannot share, and for penalties without weights.
    """
    shares, owners = {}, []
    for name, target in node.shares.items():
        owner = above[_layer_of(target, above)]
        shares[name] = owner.shares.get(target.removeprefix(f"{owner.name}."), target)
        owners.append(above[_layer_of(shares[name], above)])
    node = replace(node, shares=shares)
    fault = _share_fault(node, params, owners)
    # A repeat that shares with the first repeat has its penalties there.
    if fault is None and all(owner.path != node.path for owner in owners):
        fault = _penalty_fault(node)
    if fault is not None:
        key, reason = fault
        raise LayerShapeError((*node.path, key), f"layer {node.name}", f"{key}: {reason}")
    return node


def _layer_of(full: str, above: Mapping[str, Node]) -> str:
    """The layer above that owns a parameter, by its full name: the parameter's own may have dots."""
    while full not in above:
        full = full.rpartition(".")[0]
    return full


def _share_fault(node: Node, params: Mapping[str, Param], owners: Sequence[Node]) -> tuple[str, str] | None:
    """The key at fault, and why a parameter cannot be another layer's."""
    for (name, target), owner in zip(node.shares.items(), owners, strict=True):
        if name not in params:
            return "share", f"it has no parameter '{name}'" + (f"; it has {', '.join(params)}" if params else "")
        theirs = target.removeprefix(f"{owner.name}.")
        if theirs not in owner.params:
            hint = did_you_mean(theirs, owner.params) or (f"; it has {', '.join(owner.params)}" if owner.params else "")
            return "share", f"{owner.name} has no parameter '{theirs}'{hint}"
        mine, shared = list(params[name].shape), list(owner.params[theirs].shape)
        if mine != shared:
            return "share", f"its {name} is {mine}, and {target} is {shared}; only equal shapes can be shared"
    return None


def _penalty_fault(node: Node) -> tuple[str, str] | None:
    """Why penalties apply to nothing."""
    rule = node.layer.regularization if isinstance(node.layer, ParameterLayer) else None
    if rule is None or any(param.regularized for param in node.params.values()):
        return None
    if node.shares:
        shared = ", ".join(node.shares.values())
        return "regularization", f"penalties apply to its own weights, but it shares {shared}; set it there"
    return "regularization", "penalties apply to weights, not to biases or norms; it has no such weights"


def _in_users_terms(node: Node, error: ShapeError) -> LayerShapeError:
    """The error with names of layers and shapes of one example, as the configuration has them."""
    if node.is_residual:
        return _changed_shape(node)
    reason = error.reason if error.where == node.layer.type else f"{error.where}: {error.reason}"
    given = {source: list(shape) for source, shape in zip(node.inputs, node.input_shapes, strict=True)}
    return LayerShapeError(node.path, f"layer {node.name}", reason, **given)


def _changed_shape(node: Node) -> LayerShapeError:
    """A residual block whose layers make another shape than it reads: how to project."""
    (last, feed), (made, read) = node.inputs, node.input_shapes
    reason = f"a residual block adds its input to the output of its layers, and {last} has another shape"
    if made[:-1] == read[:-1] and len(read) < 3:
        branch, skip = (f"{{type: dense, units: {shape[-1]}}}" for shape in (read, made))
        reason += f"; end its layers with {branch}, or put {skip} before the block"
    elif made[1:] == read[1:]:
        branch, skip = (f"{{type: conv2d, channels: {shape[0]}, kernel: 1}}" for shape in (read, made))
        reason += f"; end its layers with {branch}, or put {skip} before the block"
    else:
        images = len(made) == len(read) == 3
        fix = "keep height and width (convolutions: padding: same, stride: 1)" if images else "keep the shape"
        reason += f"; {fix}, or set residual: false"
    return LayerShapeError(node.path, f"layer {node.name}", reason, **{feed: list(read), last: list(made)})

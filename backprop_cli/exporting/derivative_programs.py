"""The programs of an exported network: predictions in the target's unit, and their derivatives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backprop_cli.accumulation.jacobian_graph import JacobianGraph
from backprop_cli.accumulation.jacobians import accumulation
from backprop_cli.accumulation.vectorize import vectorized
from backprop_cli.autodiff import (
    Array,
    Program,
    Value,
    constant,
    in_layer,
    input_,
    jvp,
    reshape,
    toposort,
    transpose,
    vjp,
)
from backprop_cli.autodiff.evaluate import compute
from backprop_cli.autodiff.ops.arithmetic import Multiply, Square
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.errors import UsageError
from backprop_cli.execution.costs import multiplications
from backprop_cli.execution.passes import simplify
from backprop_cli.inspection.units import unit_of
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.training.step_program import INPUTS, PREDICTIONS, TARGETS, WEIGHTS, Recipe, forward

JACOBIAN = "jacobian"

_MOST_NUMBERS = 1 << 20
"""Most numbers in an intermediate array of the best elimination order."""


def target_scale(saved: TrainedNetwork) -> tuple[Array, Array] | None:
    """Deviation and mean of each output of an example, float64 (outputs,); None if outputs are in the target's unit."""
    recipe, target = saved.recipe, saved.transform.target
    if not recipe.loss.task.has_unit or (not target.mean.any() and (target.deviation == 1).all()):
        return None
    size, levels = recipe.model.output_shape[-1], max(1, len(recipe.loss.levels))
    scales = (np.repeat(each, levels) for each in (target.deviation, target.mean))
    deviation, mean = (np.tile(each, size // len(each)) for each in scales)
    return deviation, mean


def _predicted(recipe: Recipe, scale: tuple[Array, Array] | None) -> tuple[dict[str, Value], Value, Value]:
    """Inputs of one example, its input, and its predictions in the target's unit."""
    traced = forward(recipe, 1, training=False)
    inputs = {name: value for name, value in traced.inputs.items() if name not in (TARGETS, WEIGHTS)}
    out = traced.predictions
    if scale is not None:
        deviation, mean = (_shared(each, out.dtype) for each in scale)
        out = out * deviation + mean
    return inputs, traced.inputs[INPUTS], out


def _shared(numbers: Array, dtype: np.dtype[np.generic]) -> Value:
    """A constant, of one number if all are equal."""
    return constant(numbers[0] if (numbers == numbers[0]).all() else numbers, dtype)


def prediction_program(saved: TrainedNetwork, recipe: Recipe) -> Program:
    """One example -> its predictions in the target's unit, or probabilities."""
    inputs, _, out = _predicted(recipe, target_scale(saved))
    return simplify(Program(inputs, {PREDICTIONS: out}))


def jacobian_program(saved: TrainedNetwork, recipe: Recipe) -> Program:
    """One example -> the derivatives of its predictions by its inputs, both in the data's units, in the cheapest order.

    Shapes: jacobian (outputs, inputs), all axes of an example in one

    Raises: UsageError for a network that reads tokens.
    """
    if recipe.model.vocabulary is not None:
        raise UsageError("--with jacobian: the network reads tokens, which have no derivative; leave it out")
    inputs, x, out = _predicted(recipe, target_scale(saved))
    slope = unit_of(saved, INPUTS, "data").over(x.size)
    found: list[Program] = []
    for way in _ways(out, x):
        jacobian = reshape(way, (out.size, x.size))
        if slope is not None:
            jacobian = jacobian * _shared(slope, jacobian.dtype)
        found.append(simplify(Program(inputs, {JACOBIAN: _without_identities(jacobian)})))
    return min(found, key=multiplication_count)


def multiplication_count(program: Program) -> int:
    """Multiplications of a run, those of matrix products and those of single elements."""
    return sum(map(_multiplications, program.nodes))


def _multiplications(node: Value) -> int:
    if isinstance(node.op, Multiply | Square):
        return node.size
    return 0 if node.op is None else multiplications(node.op, *(x.spec for x in node.inputs))


def _ways(out: Value, x: Value) -> Iterator[Value]:
    """The Jacobian by the best elimination order found, in forward and in reverse mode."""
    graph = JacobianGraph([out], [x])
    if not graph.live.intersection(graph.inputs.values()):
        yield constant(np.zeros((out.size, x.size)), out.dtype)
        return
    if graph.is_countable:
        ((entry,),) = accumulation([out], [x]).jacobians()
        if all(node.size <= max(_MOST_NUMBERS, entry.size) for node in toposort([entry])):
            yield entry
    direction = input_("tangent", x.shape, out.dtype)
    (image,) = jvp([out], [x], [direction])
    (columns,) = vectorized([image], {direction: _units(x)})
    yield transpose(reshape(columns, (x.size, out.size)), (1, 0))
    direction = input_("cotangent", out.shape, out.dtype)
    (pulled,) = vjp([out], [x], [direction])
    yield vectorized([pulled], {direction: _units(out)})[0]


def _units(value: Value) -> Value:
    """Every unit tangent of a value."""
    return constant(np.eye(value.size).reshape(value.size, *value.shape), value.dtype)


def _without_identities(out: Value) -> Value:
    """The same value without products with the identity matrix, with which both modes begin."""
    new: dict[Value, Value] = {}
    for node in toposort([out]):
        operands = [new[operand] for operand in node.inputs]
        if node.op is None:
            new[node] = node
        elif node.op.is_view and operands[0].array is not None:
            new[node] = constant(compute(node.op, [operands[0].array]))
        elif isinstance(node.op, Matmul) and (other := _factor(*operands)) is not None:
            new[node] = other
        else:
            with in_layer(node.layer):
                new[node] = node.op(*operands)
    return new[out]


def _factor(a: Value, b: Value) -> Value | None:
    """The matrix that is multiplied by an identity; None for any other product."""
    if a.ndim == b.ndim == 2:
        for one, other in ((a, b), (b, a)):
            if one.array is not None and np.array_equal(one.array, np.eye(len(one.array))):
                return other
    return None

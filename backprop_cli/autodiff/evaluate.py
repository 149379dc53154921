"""The eager evaluator: every value computed into memory of its own. ``execution.Plan`` gives the same bits, faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.spec import Array, spec_of
from backprop_cli.autodiff.value import Value, toposort
from backprop_cli.errors import ShapeError, UsageError


def compute(op: Op, operands: Sequence[Array]) -> Array:
    """One op on arrays: a view if it can be one, else a new array."""
    view = op.view(operands[0]) if op.is_view else None
    if view is not None:
        return view
    spec = op.shape(*map(spec_of, operands))
    out = np.empty(spec.shape, spec.dtype)
    try:
        op.eval(*operands, out=out)
    except TypeError as wrong:
        if spec.is_inexact:
            raise
        raise ShapeError(op, f"has no result in {spec.dtype}: write x.astype(float)", out=spec) from wrong
    return out


def evaluate(outputs: Sequence[Value], feed: Mapping[Value, Array]) -> list[Array]:
    """The arrays of ``outputs`` for these inputs. Results may be views of each other or of the feed.

    Any value can be fed; values that only a fed value needs are not computed.

    Raises:
        UsageError: an input that the outputs need is not fed.
        ShapeError: an array of another shape or dtype than its input.

    """
    if isinstance(outputs, Program):
        raise UsageError("evaluate takes values: evaluate([out], {x: array}); execution.Plan runs a Program")
    if not isinstance(feed, Mapping) or not all(isinstance(value, Value) for value in feed):
        raise UsageError("arrays are fed by value, not by name: evaluate([out], {x: array})")
    arrays: dict[Value, Array] = {}
    for value, given in feed.items():
        array = np.asarray(given)
        if spec_of(array) != value.spec:
            raise ShapeError(value, f"expected {value.spec}, got {spec_of(array)}")
        arrays[value] = array
    for node in toposort(outputs, known=arrays):
        if node.array is not None:
            arrays[node] = node.array
        elif node.op is None:
            raise UsageError(f"input {node.name!r} is not fed")
        else:
            arrays[node] = compute(node.op, [arrays[operand] for operand in node.inputs])
    return [arrays[output] for output in outputs]

"""Program -> program: drop dead nodes, merge equal nodes, fold constants, apply each op's own simplification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop_cli.autodiff.evaluate import compute
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.value import Value, constant, scope, toposort

_FOLD_LIMIT = 64
"""Largest constant, in elements, that folding may make. A view is folded for scalars only: it costs nothing as it is."""


def simplify(program: Program) -> Program:
    """An equal program without dead, repeated or constant work. Inputs stay the same values."""
    rebuilt = simplified([*program.outputs.values(), *program.updates.values()])
    outputs = dict(zip(program.outputs, rebuilt[: len(program.outputs)], strict=True))
    updates = dict(zip(program.updates, rebuilt[len(program.outputs) :], strict=True))
    return Program(program.inputs, outputs, updates)


def simplified(outputs: Sequence[Value]) -> list[Value]:
    """Rebuild what ``outputs`` need, operands first; what nothing needs is never visited."""
    known: dict[Any, Value] = {}
    new: dict[Value, Value] = {}
    for node in toposort(outputs):
        with scope(node.layer):
            operands = [new[operand] for operand in node.inputs]
            new[node] = _merged(node, known) if node.op is None else _rebuilt(node.op, operands, known)
    return [new[output] for output in outputs]


def _rebuilt(op: Op, operands: Sequence[Value], known: dict[Any, Value]) -> Value:
    """The op on known operands: folded, replaced by its op's own rule, or merged with an equal node."""
    node = op(*operands)
    arrays = [operand.array for operand in operands if operand.array is not None]
    if len(arrays) == len(operands) and node.size <= (1 if op.is_view else _FOLD_LIMIT):
        return _merged(constant(np.array(compute(op, arrays))), known)
    better = op.simplify(*operands)
    return _merged(node, known) if better is None else _absorbed(better, known)


def _absorbed(value: Value, known: dict[Any, Value]) -> Value:
    """A value that a rule made from known operands: its new nodes are rebuilt, known ones stay."""
    if value.op is None or _key(value) in known:
        return _merged(value, known)
    return _rebuilt(value.op, [_absorbed(operand, known) for operand in value.inputs], known)


def _key(node: Value) -> Any:
    # Nodes in `known` keep their operands alive, so an id is never used again while it is looked up.
    if node.op is not None:
        return (node.op, *(id(operand) for operand in node.inputs))
    if node.array is not None and node.size <= _FOLD_LIMIT:
        return (node.spec, node.array.tobytes())
    return id(node)


def _merged(node: Value, known: dict[Any, Value]) -> Value:
    return known.setdefault(_key(node), node)

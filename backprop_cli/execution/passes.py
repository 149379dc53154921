"""Program -> program: drop dead nodes, merge equal nodes, fold constants, apply the identities of ops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from itertools import chain
from operator import add
from typing import Any

import numpy as np

from backprop_cli.autodiff.evaluate import compute
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.copies import Copy
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.shape import Transpose
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.value import Value, constant, in_layer, toposort
from backprop_cli.execution.costs import multiplications
from backprop_cli.execution.identities import cheaper
from backprop_cli.execution.shared_products import Joined, find_sums, merged

_FOLD_LIMIT = 64
"""Largest constant, in elements, that folding may make. Views cost nothing: only scalar views are folded."""


def simplify(program: Program) -> Program:
    """An equal program without dead, repeated or constant work. Inputs stay the same values."""
    rebuilt = simplified([*program.outputs.values(), *program.updates.values()])
    outputs = dict(zip(program.outputs, rebuilt[: len(program.outputs)], strict=True))
    updates = dict(zip(program.updates, rebuilt[len(program.outputs) :], strict=True))
    return Program(program.inputs, outputs, updates)


def simplified(outputs: Sequence[Value]) -> list[Value]:
    """Equal values for ``outputs``, rebuilt with all they depend on, operands first; dead nodes are never visited."""
    order = toposort(outputs)
    rebuilder = _Rebuilder()
    new: dict[Value, Value] = {}
    users = Counter(chain(outputs, *(node.inputs for node in order)))
    sums = find_sums(order, users)
    with np.errstate(all="ignore"):
        for node in order:
            with in_layer(node.layer):
                new[node] = rebuilder.rebuilt(node, [new[operand] for operand in node.inputs])
                if node in sums:
                    new[node] = rebuilder.total(new[node], [new[term] for term in sums[node]])
            if users[node] > 1:
                rebuilder.shared.add(new[node])
    return [new[output] for output in outputs]


def numbers_first(program: Program) -> Program:
    """The same program with scalars that depend only on scalars computed first.

    Otherwise they stand between ops on arrays that one loop can do together.
    """
    new: dict[Value, Value] = {}
    early: set[Value] = set()
    for node in program.nodes:
        if node.ndim == 0 and all(operand in early for operand in node.inputs):
            early.add(node)
    for node in sorted(program.nodes, key=lambda node: (node not in early, node.index)):
        new[node] = node if node.op is None else node.on([new[operand] for operand in node.inputs])
    outputs = {name: new[value] for name, value in program.outputs.items()}
    return Program(program.inputs, outputs, {name: new[value] for name, value in program.updates.items()})


def read_before_update(program: Program) -> Program:
    """Copy outputs and updates that show a state which is itself updated: they are due as it was before the run."""
    updates = {name: new for name, new in program.updates.items() if new is not program.inputs[name]}
    states = {program.inputs[name] for name in updates}
    shown = {value for value in (*program.outputs.values(), *updates.values()) if shown_by(value) in states}
    safe = {value: Copy()(value) for value in sorted(shown, key=lambda value: value.index)}
    outputs = {name: safe.get(value, value) for name, value in program.outputs.items()}
    return Program(program.inputs, outputs, {name: safe.get(new, new) for name, new in updates.items()})


def transposed_once(program: Program) -> Program:
    """The same program with a copy of every transposed matrix that several products read from the right.

    Each of them would otherwise bring its rows in order: 64 x 256 numbers take 4 us of a product's 23.
    """
    readers = Counter(node.inputs[1] for node in program.nodes if isinstance(node.op, Matmul))
    copies: dict[Value, Value] = {}
    new: dict[Value, Value] = {}
    for node in program.nodes:
        operands = [new[x] for x in node.inputs]
        if isinstance(node.op, Matmul) and isinstance(operands[1].op, Transpose) and readers[node.inputs[1]] > 1:
            operands[1] = copies.setdefault(operands[1], Copy()(operands[1]))
        with in_layer(node.layer):
            new[node] = node if node.op is None else node.op(*operands)
    outputs = {name: new[value] for name, value in program.outputs.items()}
    return Program(program.inputs, outputs, {name: new[value] for name, value in program.updates.items()})


def shown_by(value: Value) -> Value:
    """The value whose memory ``value`` shows, or may show, if it is a view."""
    while value.op is not None and value.op.is_view:
        value = value.inputs[0]
    return value


class _Rebuilder:
    """Rebuilds each node: folded, replaced by an identity of its op, or merged with an equal node."""

    def __init__(self) -> None:
        self.known: dict[Any, Value] = {}
        self.shared: set[Value] = set()  # values with more than one reader
        self.joined = Joined()

    def rebuilt(self, node: Value, operands: Sequence[Value]) -> Value:
        """The node on known operands."""
        return self._merged(node) if node.op is None else self._applied(node.op, operands)

    def total(self, node: Value, terms: Sequence[Value]) -> Value:
        """``node``, the sum of ``terms``, or the same sum with fewer ops."""
        fewer = merged(term for term in terms if term not in self.shared)
        rest = [term for term in terms if term in self.shared]
        if len(fewer) + len(rest) == len(terms):
            return node
        return self._absorbed(reduce(add, [*fewer, *rest]))

    def _applied(self, op: Op, operands: Sequence[Value]) -> Value:
        node = op(*operands)
        arrays = [operand.array for operand in operands if operand.array is not None]
        if len(arrays) == len(operands) and node.size <= (1 if op.is_view else _FOLD_LIMIT):
            return self._merged(constant(np.array(compute(op, arrays))))
        better = cheaper(op, *operands)
        if better is None:
            better = self.joined.part(node)
        return self._merged(node) if better is None or self._repeats_work(better, operands) else self._absorbed(better)

    def _repeats_work(self, better: Value, operands: Sequence[Value]) -> bool:
        """Whether it is a new product that replaces one with other readers: then both would be computed."""
        if any(better is operand for operand in operands) or not _is_product(better):
            return False
        return any(operand in self.shared and _is_product(operand) for operand in operands)

    def _absorbed(self, value: Value) -> Value:
        """A value that an identity built from known operands: its new nodes are rebuilt, known ones stay."""
        if value.op is None or _key(value) in self.known:
            return self._merged(value)
        return self._applied(value.op, [self._absorbed(operand) for operand in value.inputs])

    def _merged(self, node: Value) -> Value:
        known = self.known.setdefault(_key(node), node)
        if known is node:
            self.joined.enter(node)
        return known


def _is_product(value: Value) -> bool:
    return value.op is not None and multiplications(value.op, *(x.spec for x in value.inputs)) > 0


def _key(node: Value) -> Any:
    # Nodes in `known` keep their operands alive, so an id is never used again while it is looked up.
    if node.op is not None:
        return (node.op, *(id(operand) for operand in node.inputs))
    if node.array is not None and node.size <= _FOLD_LIMIT:
        return (node.spec, node.array.tobytes())
    return id(node)

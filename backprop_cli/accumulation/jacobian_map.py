"""Jacobians as maps of many directions at once, multiplied out to matrices only if that pays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.accumulation.local_jacobian import LocalJacobian
from backprop_cli.accumulation.vectorize import vectorized
from backprop_cli.autodiff.families import broadcast, reshaped
from backprop_cli.autodiff.value import Value, constant, input_

_MOST_STEPS = 16
"""Most ops that a map applies one after the other; sums of paths with common pieces would grow exponentially."""


class JacobianMap:
    """The Jacobian of ``result`` by ``operand``, applied to many vectors along a new first axis.

    ``is_thin``: all its factors have at most one entry in each row or column, so applying it is as cheap as multiplying
    it out. ``is_diagonal``: by its structure. ``steps``: number of ops that applying it runs.
    """

    is_thin = is_diagonal = False
    steps = 1

    def __init__(self, result: Value, operand: Value):
        self.result, self.operand = result, operand

    def push(self, tangents: Value) -> Value:
        """``J t`` of each tangent. Shapes: (n, *operand.shape) -> (n, *result.shape)."""
        raise NotImplementedError

    def pull(self, cotangents: Value) -> Value:
        """``J^T ct`` of each cotangent. Shapes: (n, *result.shape) -> (n, *operand.shape)."""
        raise NotImplementedError

    def matrix(self) -> Value:
        """The matrix (result.size, operand.size), made by columns or by rows, whichever are fewer."""
        rows, columns = self.result.size, self.operand.size
        if columns < rows:
            return reshaped(self.push(_unit_vectors(self.operand)), (columns, rows)).T
        return reshaped(self.pull(_unit_vectors(self.result)), (rows, columns))


def _unit_vectors(x: Value) -> Value:
    return constant(np.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape))


class Identity(JacobianMap):
    """``J = I``."""

    is_thin = is_diagonal = True
    steps = 0

    def push(self, tangents: Value) -> Value:
        return tangents

    def pull(self, cotangents: Value) -> Value:
        return cotangents


class LocalMap(JacobianMap):
    """One op by one operand, applied by the op's forward and reverse rules."""

    def __init__(self, result: Value, operand: Value, structures: Sequence[LocalJacobian]):
        super().__init__(result, operand)
        self.is_thin = len(structures) == 1 and structures[0].is_thin
        self.is_diagonal = all(structure.is_diagonal for structure in structures)

    def push(self, tangents: Value) -> Value:
        node = self.result
        assert node.op is not None
        one = input_("tangent", self.operand.shape, self.operand.dtype)
        out = node.op.jvp(node.inputs, [one if x is self.operand else None for x in node.inputs], node)
        assert out is not None
        return vectorized([out], {one: tangents})[0]

    def pull(self, cotangents: Value) -> Value:
        node = self.result
        assert node.op is not None
        one = input_("cotangent", node.shape, node.dtype)
        found = node.op.vjp(node.inputs, node, one)
        parts = [part for part, x in zip(found, node.inputs, strict=True) if x is self.operand and part is not None]
        return vectorized([_total(parts)], {one: cotangents})[0]


class Diagonal(JacobianMap):
    """A diagonal matrix; ``entries`` have the result's shape."""

    is_thin = is_diagonal = True

    def __init__(self, result: Value, operand: Value, entries: Value):
        super().__init__(result, operand)
        self.entries = entries

    def push(self, tangents: Value) -> Value:
        return reshaped(tangents, (tangents.shape[0], *self.result.shape)) * self.entries

    def pull(self, cotangents: Value) -> Value:
        return reshaped(cotangents * self.entries, (cotangents.shape[0], *self.operand.shape))


class Path(JacobianMap):
    """``outer @ inner``, not multiplied out."""

    def __init__(self, outer: JacobianMap, inner: JacobianMap):
        super().__init__(outer.result, inner.operand)
        self.outer, self.inner = outer, inner
        self.is_thin = outer.is_thin and inner.is_thin
        self.is_diagonal = outer.is_diagonal and inner.is_diagonal
        self.steps = outer.steps + inner.steps

    def push(self, tangents: Value) -> Value:
        return self.outer.push(self.inner.push(tangents))

    def pull(self, cotangents: Value) -> Value:
        return self.inner.pull(self.outer.pull(cotangents))


class Parallel(JacobianMap):
    """The sum of maps."""

    def __init__(self, maps: Sequence[JacobianMap]):
        super().__init__(maps[0].result, maps[0].operand)
        self.maps = maps
        self.is_diagonal = all(each.is_diagonal for each in maps)
        self.steps = sum(each.steps for each in maps)

    def push(self, tangents: Value) -> Value:
        return _total([each.push(tangents) for each in self.maps])

    def pull(self, cotangents: Value) -> Value:
        return _total([each.pull(cotangents) for each in self.maps])


def _total(values: Sequence[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


class Multiplied(JacobianMap):
    """A Jacobian as a matrix (result.size, operand.size)."""

    def __init__(self, result: Value, operand: Value, array: Value):
        super().__init__(result, operand)
        self.array = array

    def push(self, tangents: Value) -> Value:
        many = tangents.shape[0]
        flat = reshaped(tangents, (many, self.operand.size)) @ self.array.T
        return reshaped(flat, (many, *self.result.shape))

    def pull(self, cotangents: Value) -> Value:
        many = cotangents.shape[0]
        flat = reshaped(cotangents, (many, self.result.size)) @ self.array
        return reshaped(flat, (many, *self.operand.shape))

    def matrix(self) -> Value:
        return self.array


def composed(outer: JacobianMap, inner: JacobianMap) -> JacobianMap:
    """``outer @ inner``, multiplied out if either is a matrix already, or if neither is thin."""
    if isinstance(inner, Multiplied):
        columns = reshaped(inner.array.T, (inner.operand.size, *inner.result.shape))
        pushed = reshaped(outer.push(columns), (inner.operand.size, outer.result.size))
        return Multiplied(outer.result, inner.operand, pushed.T)
    if isinstance(outer, Multiplied):
        rows = reshaped(outer.array, (outer.result.size, *outer.operand.shape))
        pulled = reshaped(inner.pull(rows), (outer.result.size, inner.operand.size))
        return Multiplied(outer.result, inner.operand, pulled)
    return _shortened(Path(outer, inner), multiply=not (outer.is_thin or inner.is_thin))


def added(one: JacobianMap, other: JacobianMap) -> JacobianMap:
    """The sum; a matrix if either is."""
    multiply = isinstance(one, Multiplied) or isinstance(other, Multiplied)
    return _shortened(Parallel([one, other]), multiply)


def _shortened(many: JacobianMap, multiply: bool) -> JacobianMap:
    """Collapse a diagonal map to its entries; one of more than ``_MOST_STEPS``, or on request, to a matrix."""
    result, operand = many.result, many.operand
    if many.is_diagonal and not multiply:
        ones = broadcast(constant(1, operand.dtype), (1, *operand.shape))
        return Diagonal(result, operand, reshaped(many.push(ones), result.shape))
    return Multiplied(result, operand, many.matrix()) if multiply or many.steps > _MOST_STEPS else many

"""Rows of a matrix chosen by integers, and the transpose: sums of rows by integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.op import Op, Sample, register
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError

_FEW = 1 << 14
"""Entries of a one-hot matrix up to which a product with it is faster than sorting: 13 us against 29 for 64 rows of 65
kinds, 137 against 96 for 768."""


def _require_integers(op: Op, rows: Spec) -> None:
    if rows.is_inexact:
        raise ShapeError(op, "rows must be integers", rows=rows)


def _require_range(op: Op, rows: Array, count: int) -> None:
    """Only where ops run one by one: a plan takes integers in [0, count) for granted."""
    outside = rows[(rows < 0) | (rows >= count)]
    if outside.size:
        raise ShapeError(op, f"row {outside.flat[0]} is outside of [0, {count})")


@register
class TakeRows(Op):
    """``out[..., j] = x[rows[...], j]``; rows are integers in [0, rows of x), which a plan does not check."""

    samples: ClassVar = (
        Sample(((5, 3), (4,)), labels=(1,), classes=5),
        Sample(((3, 2), (2, 4)), labels=(1,), classes=3),
    )

    def shape(self, *x: Spec) -> Spec:
        table, rows = x
        _require_integers(self, rows)
        if table.ndim != 2 or (table.shape[0] == 0 and rows.size > 0):
            raise ShapeError(self, "needs a matrix with rows", x=table, rows=rows)
        return table.with_shape((*rows.shape, table.shape[1]))

    def eval(self, table: Array, rows: Array, *, out: Array) -> None:
        _require_range(self, rows, len(table))
        table.take(rows, 0, out, "clip")  # without a check of the range NumPy writes straight into `out`

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        return None if tangents[0] is None else self(tangents[0], primals[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        table, rows = primals
        return SumRows(table.shape[0])(cotangent, rows), None


@register
class SumRows(Op):
    """``out[k, j] = sum of x[..., j] over the places where rows[...] = k``, for k in [0, count).

    Rows are integers in that range, which a plan does not check.
    Terms are added in the order of the rows, so that the same operands give the same bits.
    """

    count: int
    samples: ClassVar = (
        Sample(((4, 3), (4,)), {"count": 5}, labels=(1,), classes=5),
        Sample(((2, 4, 2), (2, 4)), {"count": 3}, labels=(1,), classes=3),
        Sample(((40, 2), (40,)), {"count": 500}, labels=(1,), classes=500),
    )

    def shape(self, *x: Spec) -> Spec:
        values, rows = x
        _require_integers(self, rows)
        if values.ndim == 0 or values.shape[:-1] != rows.shape or (self.count == 0 and rows.size > 0):
            raise ShapeError(self, "needs a row of numbers for each integer", x=values, rows=rows)
        return values.with_shape((self.count, values.shape[-1]))

    def sorts(self, rows: int) -> bool:
        """Whether sorting is faster: the one-hot matrix of this many integers is large."""
        return rows * self.count > _FEW

    def rooms(self, rows: int, width: int) -> tuple[tuple[int, int], ...]:
        """Shapes of the memory: for the rows in order and their sums, or for the one-hot matrix."""
        return ((rows, width), (min(rows, self.count), width)) if self.sorts(rows) else ((rows, self.count),)

    def eval(self, values: Array, rows: Array, *, out: Array) -> None:
        _require_range(self, rows, self.count)
        memory = [np.empty(shape, values.dtype) for shape in self.rooms(rows.size, out.shape[1])]
        self.sum_rows(rows.size)(values, rows, out, *memory)

    def sum_rows(self, rows: int) -> Callable[..., None]:
        """The faster of two ways; it is called with the operands, ``out`` and the memory."""
        return _sum_in_order if self.sorts(rows) else _sum_one_hot

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        return None if tangents[0] is None else self(tangents[0], primals[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        return TakeRows()(cotangent, primals[1]), None


def _sum_one_hot(values: Array, rows: Array, out: Array, one_hot: Array) -> None:
    """``out = one_hot^T values``."""
    np.equal(rows.reshape(-1)[:, None], np.arange(len(out)), out=one_hot, casting="unsafe")
    np.matmul(one_hot.T, values.reshape(rows.size, out.shape[1]), out=out)


def _sum_in_order(values: Array, rows: Array, out: Array, ordered: Array, sums: Array) -> None:
    """Sort the values by their integers, and sum each run of equal integers."""
    flat = rows.reshape(-1)
    order = flat.argsort(kind="stable")
    np.take(values.reshape(rows.size, out.shape[1]), order, 0, ordered, "clip")
    kinds = flat[order]
    starts = np.flatnonzero(np.diff(kinds, prepend=-1))
    np.add.reduceat(ordered, starts, 0, out=sums[: len(starts)])
    out.fill(0)
    out[kinds[starts]] = sums[: len(starts)]

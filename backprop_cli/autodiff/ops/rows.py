"""Rows of a matrix chosen by integers, and the transpose of that: sums of rows by integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.autodiff.families import broadcast, reshaped
from backprop_cli.autodiff.op import Op, Sample, register
from backprop_cli.autodiff.ops.shape import Transpose
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value, constant
from backprop_cli.errors import ShapeError

_FEW = 1 << 14
"""Entries of a one-hot matrix up to which a product with it is faster than sorting: 13 us against 29 for 64 rows of 65
kinds, 137 against 96 for 768."""


def _require_integers(op: Op, rows: Spec) -> None:
    if rows.is_inexact:
        raise ShapeError(op, "rows must be integers", rows=rows)


def _offset(rows: Value, size: int, count: int) -> Value:
    """Rows of ``size`` matrices of ``count`` rows as rows of all of them, one below the other."""
    starts = np.arange(size).reshape(size, *(1,) * (rows.ndim - 1)) * count
    return rows + constant(starts, rows.dtype)


@register
class TakeRows(Op):
    """``out[..., j] = x[rows[...], j]``; rows are integers in [0, rows of x), which is not checked here."""

    samples: ClassVar = (
        Sample(((5, 3), (4,)), labels=(1,), classes=5),
        Sample(((3, 2), (2, 4)), labels=(1,), classes=3),
    )

    def shape(self, *x: Spec) -> Spec:
        """(..., columns)."""
        table, rows = x
        _require_integers(self, rows)
        if table.ndim != 2 or (table.shape[0] == 0 and rows.size > 0):
            raise ShapeError(self, "needs a matrix with rows", x=table, rows=rows)
        return table.with_shape((*rows.shape, table.shape[1]))

    def eval(self, *x: Array, out: Array) -> None:
        """NumPy's ``take``."""
        self.bind(*x, out=out)()

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """Without a check of the range ("clip") NumPy writes straight into ``out``."""
        return partial(x[0].take, x[1], 0, out, "clip")

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The same rows of the tangent."""
        return None if tangents[0] is None else self(tangents[0], primals[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """Each row's cotangents are summed."""
        table, rows = primals
        return SumRows(table.shape[0])(cotangent, rows), None

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """An element depends on one of its column; on which, the rows decide."""
        table = primals[0]
        columns = np.arange(table.size).reshape(table.shape).T
        reads = np.broadcast_to(columns, (*out.shape[:-1], *columns.shape))
        return Local(reads.reshape(out.size, table.shape[0]), False, table.size), None

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """Many tables: their rows one below the other where each has rows of its own, else side by side."""
        table, rows = x
        if not mapped[0]:
            return self(table, rows)
        *_, count, width = table.shape
        if mapped[1]:
            return self(reshaped(table, (size * count, width)), _offset(rows, size, count))
        beside = reshaped(Transpose((1, 0, 2))(table), (count, size * width))
        return _apart(self(beside, rows), size, width)

    def flops(self, *x: Spec) -> int:
        """None."""
        return 0


def _apart(beside: Value, size: int, width: int) -> Value:
    """(..., size * width) as (size, ..., width)."""
    *lead, _ = beside.shape
    parts = reshaped(beside, (*lead, size, width))
    return Transpose((len(lead), *range(len(lead)), len(lead) + 1))(parts)


@register
@dataclass(frozen=True)
class SumRows(Op):
    """``out[k, j] = sum of x[..., j] over the places where rows[...] = k``, for k in [0, count).

    Terms are added in the order of the rows, so that the same operands give the same bits.
    """

    count: int
    samples: ClassVar = (
        Sample(((4, 3), (4,)), {"count": 5}, labels=(1,), classes=5),
        Sample(((2, 4, 2), (2, 4)), {"count": 3}, labels=(1,), classes=3),
        Sample(((40, 2), (40,)), {"count": 500}, labels=(1,), classes=500),
    )

    def shape(self, *x: Spec) -> Spec:
        """(count, columns)."""
        values, rows = x
        _require_integers(self, rows)
        if values.ndim == 0 or values.shape[:-1] != rows.shape or (self.count == 0 and rows.size > 0):
            raise ShapeError(self, "needs a row of numbers for each integer", x=values, rows=rows)
        return values.with_shape((self.count, values.shape[-1]))

    def _sorts(self, rows: Spec) -> bool:
        return rows.size * self.count > _FEW

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """The rows in order and their sums, or the one-hot matrix."""
        values, rows = x
        if not self._sorts(rows):
            return (values.with_shape((rows.size, self.count)),)
        width = values.shape[-1]
        return values.with_shape((rows.size, width)), values.with_shape((min(rows.size, self.count), width))

    def eval(self, values: Array, rows: Array, *, out: Array, scratch: tuple[Array, ...] = ()) -> None:
        """A product with the one-hot matrix where that is small, else sorted and reduced piece by piece."""
        width = out.shape[1]
        flat, values = rows.reshape(-1), values.reshape(rows.size, width)
        if len(scratch) == 1:
            np.equal(flat[:, None], np.arange(self.count), out=scratch[0], casting="unsafe")
            np.matmul(scratch[0].T, values, out=out)
            return
        ordered, sums = scratch
        order = flat.argsort(kind="stable")
        np.take(values, order, 0, ordered, "clip")
        kinds = flat[order]
        starts = np.flatnonzero(np.diff(kinds, prepend=-1))
        np.add.reduceat(ordered, starts, 0, out=sums[: len(starts)])
        out.fill(0)
        out[kinds[starts]] = sums[: len(starts)]

    def eval_complex(self, *x: Array, out: Array) -> None:
        """One addition after the other."""
        out.fill(0)
        np.add.at(out, x[1].reshape(-1), x[0].reshape(x[1].size, out.shape[1]))

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """Sums of the tangent."""
        return None if tangents[0] is None else self(tangents[0], primals[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """The rows it went to."""
        return TakeRows()(cotangent, primals[1]), None

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """A sum is of elements of its column; of which, the rows decide."""
        values = primals[0]
        columns = np.arange(values.size).reshape(primals[1].size, values.shape[-1]).T
        reads = np.broadcast_to(columns, (self.count, *columns.shape))
        return Local(reads.reshape(out.size, columns.shape[1]), False, values.size), None

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """Sums of all one below the other where the rows differ, else side by side."""
        values, rows = x
        width = values.shape[-1]
        if mapped[1]:
            values = values if mapped[0] else broadcast(values, (size, *values.shape))
            total = SumRows(size * self.count)(values, _offset(rows, size, self.count))
            return reshaped(total, (size, self.count, width))
        beside = Transpose((*range(1, values.ndim - 1), 0, values.ndim - 1))(values)
        beside = reshaped(beside, (*rows.shape, size * width))
        return _apart(self(beside, rows), size, width)

    def flops(self, *x: Spec) -> int:
        """One addition an element."""
        return math.prod(x[0].shape)

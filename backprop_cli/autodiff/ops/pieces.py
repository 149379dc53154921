"""Pieces of an axis: cut out, surrounded by zeros, joined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.op import common_dtype, register, sample
from backprop_cli.autodiff.ops.shape import Movement
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError


@register
class Slice(Movement):
    """``out = x[..., start:stop, ...]`` along one axis."""

    axis: int
    start: int
    stop: int
    is_view: ClassVar = True
    samples: ClassVar = (
        sample((3, 5), axis=1, start=1, stop=4),
        sample((4,), axis=0, start=0, stop=4),
        sample((2, 4, 3), axis=1, start=1, stop=3),
    )

    def _index(self) -> tuple[slice, ...]:
        return (*(slice(None),) * self.axis, slice(self.start, self.stop))

    def shape(self, *x: Spec) -> Spec:
        if not 0 <= self.axis < x[0].ndim or not 0 <= self.start <= self.stop <= x[0].shape[self.axis]:
            raise ShapeError(self, "outside the array", x=x[0])
        shape = list(x[0].shape)
        shape[self.axis] = self.stop - self.start
        return x[0].with_shape(tuple(shape))

    def view(self, x: Array) -> Array | None:
        return x[self._index()]

    def eval(self, x: Array, *, out: Array) -> None:
        np.copyto(out, x[self._index()])

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        size = x[0].shape[self.axis]
        return (Pad(self.axis, self.start, size - self.stop)(cotangent),)


@register
class Pad(Movement):
    """``out`` is x with ``before`` and ``after`` zeros along one axis."""

    axis: int
    before: int
    after: int
    samples: ClassVar = (
        sample((3, 2), axis=1, before=1, after=2),
        sample((3,), axis=0, before=0, after=1),
        sample((2, 1, 3, 2), axis=2, before=1, after=0),
    )

    def shape(self, *x: Spec) -> Spec:
        if not 0 <= self.axis < x[0].ndim:
            raise ShapeError(self, "outside the array", x=x[0])
        shape = list(x[0].shape)
        shape[self.axis] += self.before + self.after
        return x[0].with_shape(tuple(shape))

    def eval(self, x: Array, *, out: Array) -> None:
        out.fill(0)
        stop = out.shape[self.axis] - self.after
        np.copyto(out[(*(slice(None),) * self.axis, slice(self.before, stop))], x)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (Slice(self.axis, self.before, self.before + x[0].shape[self.axis])(cotangent),)


@register
class Concat(Movement):
    """``out`` joins its operands along one axis."""

    axis: int
    samples: ClassVar = (
        sample((2, 3), (2, 1), axis=1),
        sample((2,), (3,), (1,), axis=0),
        sample((2, 1, 3), (2, 2, 3), (2, 1, 3), axis=1),
    )

    def shape(self, *x: Spec) -> Spec:
        rest = {(*s.shape[: self.axis], *s.shape[self.axis + 1 :]) for s in x}
        if len(rest) != 1 or len({s.ndim for s in x}) != 1 or not 0 <= self.axis < x[0].ndim:
            given = {f"operand {i}": s for i, s in enumerate(x)}
            raise ShapeError(self, f"shapes differ outside axis {self.axis}", **given)
        shape = list(x[0].shape)
        shape[self.axis] = sum(s.shape[self.axis] for s in x)
        return Spec(tuple(shape), common_dtype(self, *x))

    def slots(self, out: Array, *x: Value) -> list[Array]:
        """The view of ``out`` that each operand fills."""
        return [out[(*(slice(None),) * self.axis, slice(start, stop))] for start, stop in pairwise(self._ends(x))]

    def _ends(self, x: Sequence[Value]) -> list[int]:
        """Where operands begin and end along the axis: one more than there are operands."""
        return list(accumulate((value.shape[self.axis] for value in x), initial=0))

    def eval(self, *x: Array, out: Array) -> None:
        np.concatenate(x, axis=self.axis, out=out)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return tuple(Slice(self.axis, a, b)(cotangent) for a, b in pairwise(self._ends(x)))

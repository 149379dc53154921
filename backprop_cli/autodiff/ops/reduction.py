"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Linear, broadcast
from backprop_cli.autodiff.op import Op, register, sample
from backprop_cli.autodiff.ops.comparison import Equal
from backprop_cli.autodiff.ops.row_sums import sums_of_ends
from backprop_cli.autodiff.ops.shape import Reshape
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError


def reduced(op: Sum | Amax, x: Spec) -> Spec:
    """``x`` without the axes of ``op``, or with axes of size 1 in their place."""
    axes = op.axes
    if len(set(axes)) != len(axes) or any(not 0 <= axis < x.ndim for axis in axes):
        raise ShapeError(op, f"axes must be distinct and in [0, {x.ndim})", x=x)
    if op.keepdims:
        return x.with_shape(tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)))
    return x.with_shape(tuple(n for axis, n in enumerate(x.shape) if axis not in axes))


def _expanded(reduced: Value, axes: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    """A reduced value repeated along the reduced axes."""
    if reduced.ndim == 0:
        return broadcast(reduced, shape)
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return broadcast(reduced if reduced.shape == kept else Reshape(kept)(reduced), shape)


@register
class Sum(Linear):
    """``out = sum of x over axes``."""

    axes: tuple[int, ...]
    keepdims: bool = False
    samples: ClassVar = (
        sample((3, 4), axes=(0,)),
        sample((3, 4), axes=(1,), keepdims=True),
        sample((2, 3, 4), axes=(0, 2)),
        sample((2, 3, 2, 2), axes=(0, 2, 3)),
        sample((3, 4), axes=(0, 1)),
        sample((2, 3, 2), axes=(1,), keepdims=True),
    )

    def shape(self, *x: Spec) -> Spec:
        return reduced(self, x[0])

    def ends(self, ndim: int) -> tuple[int, int] | None:
        """How many of the first and how many of the last axes are summed; None if one between them is."""
        kept = [axis for axis in range(ndim) if axis not in self.axes]
        if not kept:
            return ndim, 0
        return (kept[0], ndim - 1 - kept[-1]) if kept == list(range(kept[0], kept[-1] + 1)) else None

    def eval(self, x: Array, *, out: Array) -> None:
        ends = self.ends(x.ndim)
        if ends is None or not (x.dtype.kind == "f" and x.flags.c_contiguous and x.size):
            np.add.reduce(x, self.axes, out=out, keepdims=self.keepdims)
            return
        np.copyto(out, sums_of_ends(x, *ends).reshape(out.shape))

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (_expanded(cotangent, self.axes, x[0].shape),)


@register
class Amax(Op):
    """``out = largest element of x over axes``; equals share the derivative evenly."""

    axes: tuple[int, ...]
    keepdims: bool = False
    is_smooth: ClassVar = False
    samples: ClassVar = (
        sample((3, 4), axes=(1,)),
        sample((3, 4), axes=(0,), keepdims=True),
        sample((2, 3, 4), axes=(0, 2)),
    )

    def shape(self, *x: Spec) -> Spec:
        spec = reduced(self, x[0])
        if any(x[0].shape[axis] == 0 for axis in self.axes):
            raise ShapeError(self, "no largest element of none", x=x[0])
        return spec

    def eval(self, x: Array, *, out: Array) -> None:
        np.maximum.reduce(x, self.axes, out=out, keepdims=self.keepdims)

    def _share(self, x: Value, out: Value) -> Value:
        """1 at the largest element; 1/n at each of n equal ones."""
        largest = Equal()(x, _expanded(out, self.axes, x.shape))
        return largest / Sum(self.axes, keepdims=True)(largest)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        (x,), (x_dot,) = primals, tangents
        return None if x_dot is None else Sum(self.axes, self.keepdims)(self._share(x, out) * x_dot)

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        (x,) = primals
        return (self._share(x, out) * _expanded(cotangent, self.axes, x.shape),)

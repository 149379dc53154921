"""Moving elements without computing: the same elements as an array of another shape."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Linear, inverse, unbroadcast
from backprop_cli.autodiff.op import register, sample
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError


class Movement(Linear):
    """Moves or repeats elements and computes nothing."""


@register
class Reshape(Movement):
    """``out`` holds the elements of x, in row-major order, in another shape."""

    to: tuple[int, ...]
    is_view: ClassVar = True
    samples: ClassVar = (sample((3, 4), to=(2, 6)), sample((6,), to=(3, 2, 1)), sample((), to=(1,)))

    def shape(self, *x: Spec) -> Spec:
        if math.prod(self.to) != x[0].size:
            raise ShapeError(self, f"{x[0].size} elements do not fit shape {list(self.to)}", x=x[0])
        return x[0].with_shape(self.to)

    def view(self, x: Array) -> Array | None:
        try:
            return np.reshape(x, self.to, copy=False)
        except ValueError:
            return None

    def eval(self, x: Array, *, out: Array) -> None:
        np.copyto(out.reshape(x.shape), x)  # `out` is contiguous, so its reshape is a view

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (Reshape(x[0].shape)(cotangent),)


@register
class Transpose(Movement):
    """``out[i_perm[0], i_perm[1], ...] = x[i_0, i_1, ...]``: axes in the order ``perm``."""

    perm: tuple[int, ...]
    is_view: ClassVar = True
    samples: ClassVar = (
        sample((3, 4), perm=(1, 0)),
        sample((2, 3, 4), perm=(2, 0, 1)),
        sample((2, 3, 4, 2), perm=(3, 1, 0, 2)),
        sample((2, 1, 3, 2), perm=(0, 2, 1, 3)),
    )

    def shape(self, *x: Spec) -> Spec:
        if sorted(self.perm) != list(range(x[0].ndim)):
            raise ShapeError(self, f"not an order of {x[0].ndim} axes", x=x[0])
        return x[0].with_shape(tuple(x[0].shape[axis] for axis in self.perm))

    def view(self, x: Array) -> Array | None:
        return x.transpose(self.perm)

    def eval(self, x: Array, *, out: Array) -> None:
        np.copyto(out, x.transpose(self.perm))

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (Transpose(inverse(self.perm))(cotangent),)


@register
class BroadcastTo(Movement):
    """``out`` repeats x along new leading axes and along axes of size 1."""

    to: tuple[int, ...]
    is_view: ClassVar = True
    samples: ClassVar = (
        sample((3, 1), to=(2, 3, 4)),
        sample((), to=(2,)),
        sample((3,), to=(3,)),
        sample((2, 1, 3, 1), to=(2, 2, 3, 2)),
    )

    def shape(self, *x: Spec) -> Spec:
        try:
            fits = np.broadcast_shapes(x[0].shape, self.to) == self.to
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(self, f"does not broadcast to {list(self.to)}", x=x[0])
        return x[0].with_shape(self.to)

    def view(self, x: Array) -> Array | None:
        return np.broadcast_to(x, self.to)

    def eval(self, x: Array, *, out: Array) -> None:
        np.copyto(out, x)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (unbroadcast(cotangent, x[0].shape),)

"""Moving elements without computing: the same elements as an array of another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.autodiff.families import Linear, aligned, inverse, unbroadcast
from backprop_cli.autodiff.op import in_brackets, register, sample
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution.element_expression import Loop


class Movement(Linear):
    """Moves or repeats elements and computes nothing."""

    def source(self, x: Array, out: Array) -> Array | None:
        """What is copied to ``out`` element by element, in its shape; None where that is not all there is to do."""
        return self.view(x)

    def loop(self, *x: Array, out: Array) -> Loop | None:
        """A copy."""
        moved = self.source(x[0], out)
        return None if moved is None else Loop("{0}", (moved,), out)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """At most one element each: where it comes from is seen by moving indices."""
        return tuple(self._moved(k, primals, out) if x.spec.is_inexact else None for k, x in enumerate(primals))

    def _moved(self, k: int, primals: Sequence[Value], out: Value) -> Local:
        numbers = [np.zeros(x.shape) for x in primals]
        numbers[k] = np.arange(1.0, primals[k].size + 1).reshape(primals[k].shape)  # 0 is an element that is filled in
        moved = np.empty(out.shape)
        self.eval(*numbers, out=moved)
        return Local(moved.reshape(out.size, 1).astype(np.int64) - 1, True, primals[k].size)

    def flops(self, *x: Spec) -> int:
        """None."""
        return 0


@register
@dataclass(frozen=True)
class Reshape(Movement):
    """``out`` holds the elements of x, in row-major order, in another shape."""

    to: tuple[int, ...]
    is_view: ClassVar = True
    samples: ClassVar = (sample((3, 4), to=(2, 6)), sample((6,), to=(3, 2, 1)), sample((), to=(1,)))

    def shape(self, *x: Spec) -> Spec:
        """The target shape; sizes must agree."""
        if math.prod(self.to) != x[0].size:
            raise ShapeError(self, f"{x[0].size} elements do not fit shape {list(self.to)}", x=x[0])
        return x[0].with_shape(self.to)

    def source(self, x: Array, out: Array) -> Array | None:
        """Nothing: where x is no view in the new shape, its elements do not lie in line."""
        return None

    def view(self, x: Array) -> Array | None:
        """A view where strides allow it."""
        try:
            return np.reshape(x, self.to, copy=False)
        except ValueError:
            return None

    def eval(self, x: Array, *, out: Array) -> None:
        """Copy through a view of ``out``, which is contiguous."""
        np.copyto(out.reshape(x.shape), x)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Reshape back."""
        return (Reshape(x[0].shape)(cotangent),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The first axis stays."""
        return Reshape((size, *self.to))(x[0])

    def simplify(self, *x: Value) -> Value | None:
        """Nothing to do, one reshape instead of two, or the broadcast of a scalar to the new shape.

        Where the last axis was moved to the front and stays there, the others are reshaped and it is moved afterwards:
        a copy of long runs, and a matrix that BLAS takes transposed.
        """
        if x[0].shape == self.to:
            return x[0]
        inner = x[0].op
        if isinstance(inner, Reshape):
            return Reshape(self.to)(x[0].inputs[0])
        if isinstance(inner, BroadcastTo) and x[0].inputs[0].ndim == 0:
            return BroadcastTo(self.to)(x[0].inputs[0])
        if isinstance(inner, Transpose) and inner.perm[0] == len(inner.perm) - 1 > 0 and self.to[:1] == x[0].shape[:1]:
            rest = Transpose((*inner.perm[1:], inner.perm[0]))(x[0].inputs[0])
            axes = len(self.to) - 1
            return Transpose((axes, *range(axes)))(Reshape((*self.to[1:], self.to[0]))(rest))
        return None


@register
@dataclass(frozen=True)
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
        """Sizes in the order ``perm``."""
        if sorted(self.perm) != list(range(x[0].ndim)):
            raise ShapeError(self, f"not an order of {x[0].ndim} axes", x=x[0])
        return x[0].with_shape(tuple(x[0].shape[axis] for axis in self.perm))

    def view(self, x: Array) -> Array | None:
        """Always a view."""
        return x.transpose(self.perm)

    def eval(self, x: Array, *, out: Array) -> None:
        """Copy the view."""
        np.copyto(out, x.transpose(self.perm))

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """The inverse order."""
        return (Transpose(inverse(self.perm))(cotangent),)

    def written(self, *operands: str) -> str:
        """``x.T`` where all axes are reversed."""
        reverses = self.perm == tuple(reversed(range(len(self.perm))))
        return f"{in_brackets(operands[0])}.T" if reverses else super().written(*operands)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The first axis stays."""
        return Transpose((0, *(axis + 1 for axis in self.perm)))(x[0])

    def simplify(self, *x: Value) -> Value | None:
        """Two transposes are one; none where the order does not change; a product's is made by the product.

        Also through a reshape: its first axis is moved to the end before the others are parted.
        """
        if self.perm == tuple(range(len(self.perm))):
            return x[0]
        inner = x[0].op
        if isinstance(inner, Transpose):
            return Transpose(tuple(inner.perm[axis] for axis in self.perm))(x[0].inputs[0])
        if inner is not None and self.perm == (*range(x[0].ndim - 2), x[0].ndim - 1, x[0].ndim - 2):
            return inner.transposed(*x[0].inputs)
        return self._of_parted(x[0]) if isinstance(inner, Reshape) and self.perm[-1] == 0 else None

    def _of_parted(self, x: Value) -> Value | None:
        (matrix,) = x.inputs
        if matrix.ndim != 2 or matrix.shape[0] != x.shape[0] or matrix.op is None:
            return None
        turned = matrix.op.transposed(*matrix.inputs)
        parted = None if turned is None else Reshape((*x.shape[1:], x.shape[0]))(Transpose((1, 0))(matrix))
        return None if parted is None else Transpose((*(axis - 1 for axis in self.perm[:-1]), x.ndim - 1))(parted)


@register
@dataclass(frozen=True)
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
        """The target shape."""
        try:
            fits = np.broadcast_shapes(x[0].shape, self.to) == self.to
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(self, f"does not broadcast to {list(self.to)}", x=x[0])
        return x[0].with_shape(self.to)

    def view(self, x: Array) -> Array | None:
        """A view with strides of 0."""
        return np.broadcast_to(x, self.to)

    def eval(self, x: Array, *, out: Array) -> None:
        """Copy, repeating."""
        np.copyto(out, x)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Sum over what was repeated."""
        return (unbroadcast(cotangent, x[0].shape),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The first axis stays in front of the new ones."""
        return BroadcastTo((size, *self.to))(aligned(x[0], len(self.to) + 1))

    def simplify(self, *x: Value) -> Value | None:
        """Nothing to do, or one broadcast instead of two."""
        if x[0].shape == self.to:
            return x[0]
        return BroadcastTo(self.to)(x[0].inputs[0]) if isinstance(x[0].op, BroadcastTo) else None

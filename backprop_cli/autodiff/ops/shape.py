"""Moving elements without computing: views, concatenation, precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from backprop_cli.autodiff.families import Linear, aligned, broadcast, inverse, unbroadcast
from backprop_cli.autodiff.loop import Loop
from backprop_cli.autodiff.op import Op, Sample, common_dtype, in_brackets, register, sample
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.structure import Local
from backprop_cli.autodiff.value import Value, constant
from backprop_cli.errors import ShapeError


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
    samples: ClassVar = (sample((3, 4), perm=(1, 0)), sample((2, 3, 4), perm=(2, 0, 1)))

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
    samples: ClassVar = (sample((3, 1), to=(2, 3, 4)), sample((), to=(2,)), sample((3,), to=(3,)))

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


@register
@dataclass(frozen=True)
class Slice(Movement):
    """``out = x[..., start:stop, ...]`` along one axis."""

    axis: int
    start: int
    stop: int
    is_view: ClassVar = True
    samples: ClassVar = (sample((3, 5), axis=1, start=1, stop=4), sample((4,), axis=0, start=0, stop=4))

    def _index(self) -> tuple[slice, ...]:
        return (*(slice(None),) * self.axis, slice(self.start, self.stop))

    def shape(self, *x: Spec) -> Spec:
        """The axis becomes stop - start long."""
        if not 0 <= self.axis < x[0].ndim or not 0 <= self.start <= self.stop <= x[0].shape[self.axis]:
            raise ShapeError(self, "outside the array", x=x[0])
        shape = list(x[0].shape)
        shape[self.axis] = self.stop - self.start
        return x[0].with_shape(tuple(shape))

    def view(self, x: Array) -> Array | None:
        """Always a view."""
        return x[self._index()]

    def eval(self, x: Array, *, out: Array) -> None:
        """Copy the view."""
        np.copyto(out, x[self._index()])

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Zeros around."""
        size = x[0].shape[self.axis]
        return (Pad(self.axis, self.start, size - self.stop)(cotangent),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The axis is one further."""
        return Slice(self.axis + 1, self.start, self.stop)(x[0])

    def simplify(self, *x: Value) -> Value | None:
        """The whole axis is x itself; a part of a transpose is the transpose of a part."""
        if (self.start, self.stop) == (0, x[0].shape[self.axis]):
            return x[0]
        inner = x[0].op
        if not isinstance(inner, Transpose):
            return None
        return inner(Slice(inner.perm[self.axis], self.start, self.stop)(x[0].inputs[0]))


@register
@dataclass(frozen=True)
class Pad(Movement):
    """``out`` is x with ``before`` and ``after`` zeros along one axis."""

    axis: int
    before: int
    after: int
    samples: ClassVar = (sample((3, 2), axis=1, before=1, after=2), sample((3,), axis=0, before=0, after=1))

    def shape(self, *x: Spec) -> Spec:
        """The axis grows by before + after."""
        if not 0 <= self.axis < x[0].ndim:
            raise ShapeError(self, "outside the array", x=x[0])
        shape = list(x[0].shape)
        shape[self.axis] += self.before + self.after
        return x[0].with_shape(tuple(shape))

    def eval(self, x: Array, *, out: Array) -> None:
        """Zeros, then x in their middle."""
        out.fill(0)
        stop = out.shape[self.axis] - self.after
        np.copyto(out[(*(slice(None),) * self.axis, slice(self.before, stop))], x)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Cut the zeros off."""
        return (Slice(self.axis, self.before, self.before + x[0].shape[self.axis])(cotangent),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The axis is one further."""
        return Pad(self.axis + 1, self.before, self.after)(x[0])

    def simplify(self, *x: Value) -> Value | None:
        """Nothing to do; zeros around a transpose are the transpose of zeros around."""
        if not self.before and not self.after:
            return x[0]
        inner = x[0].op
        if not isinstance(inner, Transpose):
            return None
        return inner(Pad(inner.perm[self.axis], self.before, self.after)(x[0].inputs[0]))

    def summand(self, *x: Value) -> Hashable:
        """The axis."""
        return self.axis

    def summed(self, *terms: Value) -> Value | None:
        """A concatenation, with zeros in the gaps, where no two terms overlap."""
        pieces: list[Value] = []
        end = 0
        for start, piece, stop in sorted((self._place(term) for term in terms), key=lambda place: place[0]):
            if start < end:
                return None
            pieces += [_zeros(piece, self.axis, start - end), piece]
            end = stop
        pieces.append(_zeros(pieces[-1], self.axis, terms[0].shape[self.axis] - end))
        return Concat(self.axis)(*(piece for piece in pieces if piece.shape[self.axis]))

    @staticmethod
    def _place(term: Value) -> tuple[int, Value, int]:
        """Where a padded piece begins, the piece, where it ends."""
        assert isinstance(term.op, Pad)
        (piece,) = term.inputs
        return term.op.before, piece, term.op.before + piece.shape[term.op.axis]


def _zeros(x: Value, axis: int, size: int) -> Value:
    """Zeros like x, ``size`` along an axis."""
    return broadcast(constant(0, x.dtype), (*x.shape[:axis], size, *x.shape[axis + 1 :]))


@register
@dataclass(frozen=True)
class Concat(Movement):
    """``out`` joins its operands along one axis."""

    axis: int
    samples: ClassVar = (sample((2, 3), (2, 1), axis=1), sample((2,), (3,), (1,), axis=0))

    def shape(self, *x: Spec) -> Spec:
        """All other axes must agree."""
        rest = {(*s.shape[: self.axis], *s.shape[self.axis + 1 :]) for s in x}
        if len(rest) != 1 or len({s.ndim for s in x}) != 1 or not 0 <= self.axis < x[0].ndim:
            given = {f"operand {i}": s for i, s in enumerate(x)}
            raise ShapeError(self, f"shapes differ outside axis {self.axis}", **given)
        shape = list(x[0].shape)
        shape[self.axis] = sum(s.shape[self.axis] for s in x)
        return Spec(tuple(shape), common_dtype(self, *x))

    def slot(self, out: Array, number: int, *x: Spec) -> Array:
        """The view of ``out`` that operand ``number`` fills."""
        start = sum(s.shape[self.axis] for s in x[:number])
        return out[(*(slice(None),) * self.axis, slice(start, start + x[number].shape[self.axis]))]

    def eval(self, *x: Array, out: Array) -> None:
        """One copy an operand."""
        np.concatenate(x, axis=self.axis, out=out)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Slices."""
        starts = [0]
        for value in x:
            starts.append(starts[-1] + value.shape[self.axis])
        return tuple(Slice(self.axis, a, b)(cotangent) for a, b in pairwise(starts))

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The axis is one further; what all have in common is repeated."""
        return Concat(self.axis + 1)(
            *(v if is_mapped else broadcast(v, (size, *v.shape)) for v, is_mapped in zip(x, mapped, strict=True))
        )

    def simplify(self, *x: Value) -> Value | None:
        """One operand is the result; transposes of one order are joined before they are transposed."""
        if len(x) == 1:
            return x[0]
        inner = x[0].op
        if not isinstance(inner, Transpose) or any(v.op != inner for v in x):
            return None
        return inner(Concat(inner.perm[self.axis])(*(v.inputs[0] for v in x)))


@register
@dataclass(frozen=True)
class Cast(Movement):
    """``out = x`` in another floating-point dtype; the cotangent is cast back."""

    dtype: str
    samples: ClassVar = (sample((3, 4), dtype="float64"),)

    def source(self, x: Array, out: Array) -> Array:
        """All of x; storing it converts it."""
        return x

    def shape(self, *x: Spec) -> Spec:
        """The same shape."""
        return Spec(x[0].shape, np.dtype(self.dtype))

    def eval(self, x: Array, *, out: Array) -> None:
        """Copy with conversion."""
        np.copyto(out, x, casting="unsafe")

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The tangent, cast too."""
        return super().jvp(primals, tangents, out) if primals[0].spec.is_inexact else None

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Cast back."""
        return (Cast(x[0].dtype.name)(cotangent),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The same."""
        return self(x[0])

    def simplify(self, *x: Value) -> Value | None:
        """Nothing to do."""
        return x[0] if x[0].dtype == np.dtype(self.dtype) else None


@register
class StopGradient(Op):
    """``out = x``, a constant for every derivative."""

    is_view: ClassVar = True
    blocks_gradient: ClassVar = True
    samples: ClassVar = (sample((3, 4)),)

    def shape(self, *x: Spec) -> Spec:
        """That of x."""
        return x[0]

    def view(self, x: Array) -> Array | None:
        """X itself."""
        return x

    def eval(self, x: Array, *, out: Array) -> None:
        """Copy."""
        np.copyto(out, x)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """None."""
        return (None,)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """None."""
        return None

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """None."""
        return (None,)

    def flops(self, *x: Spec) -> int:
        """None."""
        return 0

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The same."""
        return self(x[0])


@register
class Copy(Movement):
    """``out = x`` in memory of its own."""

    samples: ClassVar[tuple[Sample, ...]] = (sample((3, 4)),)

    def shape(self, *x: Spec) -> Spec:
        """That of x."""
        return x[0]

    def source(self, x: Array, out: Array) -> Array:
        """All of x."""
        return x

    def eval(self, x: Array, *, out: Array) -> None:
        """Copy."""
        np.copyto(out, x)

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], Any]:
        """NumPy's copy itself."""
        return partial(np.copyto, out, x[0])

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Itself."""
        return (cotangent,)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The same."""
        return self(x[0])


@register
@dataclass(frozen=True)
class Barrier(Copy):
    """``out = x``, a view: what is computed from it is kept apart from what is computed from x, and not merged."""

    number: int = 0
    is_view: ClassVar = True
    samples: ClassVar = (sample((3, 4)), sample((2,), number=1))

    def view(self, x: Array) -> Array | None:
        """X itself."""
        return x

"""Parts of an axis: cut out, surrounded by zeros, joined."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import batched, broadcast
from backprop_cli.autodiff.op import common_dtype, register, sample
from backprop_cli.autodiff.ops.shape import Movement, Transpose
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value, constant
from backprop_cli.errors import ShapeError


@register
@dataclass(frozen=True)
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
    samples: ClassVar = (
        sample((3, 2), axis=1, before=1, after=2),
        sample((3,), axis=0, before=0, after=1),
        sample((2, 1, 3, 2), axis=2, before=1, after=0),
    )

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
    samples: ClassVar = (
        sample((2, 3), (2, 1), axis=1),
        sample((2,), (3,), (1,), axis=0),
        sample((2, 1, 3), (2, 2, 3), (2, 1, 3), axis=1),
    )

    def shape(self, *x: Spec) -> Spec:
        """All other axes must agree."""
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
        """One copy an operand."""
        np.concatenate(x, axis=self.axis, out=out)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Slices."""
        return tuple(Slice(self.axis, a, b)(cotangent) for a, b in pairwise(self._ends(x)))

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The axis is one further; what all have in common is repeated."""
        return Concat(self.axis + 1)(*batched(size, x, mapped))

    def simplify(self, *x: Value) -> Value | None:
        """One operand is the result; transposes of one order are joined before they are transposed."""
        if len(x) == 1:
            return x[0]
        inner = x[0].op
        if not isinstance(inner, Transpose) or any(v.op != inner for v in x):
            return None
        return inner(Concat(inner.perm[self.axis])(*(v.inputs[0] for v in x)))

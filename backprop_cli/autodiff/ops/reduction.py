"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.autodiff.families import Linear, broadcast, reshaped
from backprop_cli.autodiff.op import OPS, Op, register, sample
from backprop_cli.autodiff.ops.comparison import Equal
from backprop_cli.autodiff.ops.parts import Concat
from backprop_cli.autodiff.ops.shape import Reshape, Transpose
from backprop_cli.autodiff.spec import Array, Spec, spec_of
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution.element_expression import Loop
from backprop_cli.execution.kernels.calls import copied, flat, in_turn

_NARROW = 32
"""Columns up to which the maxima of rows are found faster in the transpose."""
_LONG, _LONG_COLUMN = 1024, 2**16
"""Most rows that one product sums; for one column, which BLAS sums in about thirty parts itself."""
_BLOCK = 256
"""Rows of a block."""


def _reduced(op: Any, x: Spec) -> Spec:
    axes = op.axes
    if len(set(axes)) != len(axes) or any(not 0 <= axis < x.ndim for axis in axes):
        raise ShapeError(op, f"axes must be distinct and in [0, {x.ndim})", x=x)
    if op.keepdims:
        return x.with_shape(tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)))
    return x.with_shape(tuple(n for axis, n in enumerate(x.shape) if axis not in axes))


def _repeated(op: Any, x: Array, out: Array) -> Array:
    """``out`` in the shape of x, with strides of 0 along the reduced axes."""
    kept = tuple(1 if axis in op.axes else n for axis, n in enumerate(x.shape))
    return np.broadcast_to(out.reshape(kept), x.shape)


def _expanded(reduced: Value, axes: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    """A reduced value repeated along the reduced axes."""
    if reduced.ndim == 0:
        return broadcast(reduced, shape)
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return broadcast(reduced if reduced.shape == kept else Reshape(kept)(reduced), shape)


def _sources(axes: tuple[int, ...], x: Value) -> Array:
    """(results, elements reduced to each): the flat indices of the elements."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    indices = np.arange(x.size).reshape(x.shape).transpose(*kept, *axes)
    return indices.reshape(math.prod(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in axes))


def _rows_of_blocks(count: int, columns: int) -> list[int]:
    """Numbers of rows left of ``count`` after summing blocks, repeated until few are left."""
    found = []
    while count > (_LONG if columns > 1 else _LONG_COLUMN):
        count = -(-count // _BLOCK)
        found.append(count)
    return found


def _row_sums(x: Array, out: Array, rooms: Sequence[Array]) -> Iterator[Callable[[], object]]:
    """Calls that sum (rows, columns) over the rows.

    One after the other, the rounding errors of 200,000 rows cost two digits. Blocks' sums have the error of pairwise
    sums, and as their rows are longer they take a fifth of the time for 5 columns. Row k of a block is row k * blocks
    of x and those that follow it.
    """
    for room in rooms:
        blocks = len(x) // _BLOCK
        whole = blocks * _BLOCK
        ones = np.ones(_BLOCK, x.dtype)
        yield partial(ones.dot, x[:whole].reshape(_BLOCK, -1), room[:blocks].reshape(-1))
        if len(room) > blocks:
            yield partial(ones[: len(x) - whole].dot, x[whole:], room[-1])
        x = room
    yield partial(np.ones(len(x), x.dtype).dot, x, out)


@register
@dataclass(frozen=True)
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
        """Without the axes, or with them of size 1."""
        return _reduced(self, x[0])

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """Sums over the last axes, where the axes are some of the first and some of the last ones; sums of blocks."""
        if not x[0].is_inexact:
            return ()
        last = self._last_of_both(x[0].ndim)
        part = x[0].with_shape(x[0].shape[: x[0].ndim - last])
        count = math.prod(part.shape[axis] for axis in self.axes if axis < part.ndim)
        columns = part.size // max(count, 1)
        rows = _rows_of_blocks(count, columns) if last or self._are_first() else []
        return (*[part] * bool(last), *(x[0].with_shape((row, columns)) for row in rows))

    def _are_first(self) -> bool:
        return sorted(self.axes) == list(range(len(self.axes)))

    def _last_of_both(self, ndim: int) -> int:
        """How many of the last axes are summed over, where some of the first and of the last are, and none between."""
        kept = [axis for axis in range(ndim) if axis not in self.axes]
        is_between = bool(kept) and kept[0] > 0 and kept == list(range(kept[0], kept[-1] + 1))
        return ndim - 1 - kept[-1] if is_between else 0

    def eval(self, x: Array, *, out: Array, scratch: tuple[Array, ...] = ()) -> None:
        """Run what ``bind`` chooses."""
        self.bind(x, out=out, scratch=scratch)()

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """A product with ones by BLAS where the axes are the first or the last ones of a contiguous array; where they
        are some of both, as in sums over the places of all images, one after the other.

        It takes 0.4 us where ``np.add.reduce`` takes 1 to 3 us on a small batch, and a third to a fifth of the time on
        128 x 512 numbers; of 128 x 32 x 14 x 14 numbers by the second axis an eighth. Elsewhere NumPy's reduction.
        """
        array, axes = x[0], tuple(sorted(self.axes))
        if not (array.dtype.kind == "f" and array.flags.c_contiguous and out.flags.c_contiguous and array.size):
            return partial(np.add.reduce, array, self.axes, None, out, self.keepdims)
        if self._last_of_both(array.ndim):
            part, *rooms = scratch
            last = tuple(range(part.ndim, array.ndim))
            first = Sum(last).bind(array, out=part)
            second = Sum(tuple(axis for axis in axes if axis < part.ndim)).bind(part, out=out, scratch=tuple(rooms))
            return in_turn([*flat(first), *flat(second)])
        count = math.prod(array.shape[axis] for axis in axes)
        if self._are_first():
            return in_turn(list(_row_sums(array.reshape(count, -1), out.reshape(-1), scratch)))
        if axes == tuple(range(array.ndim - len(axes), array.ndim)):
            return partial(array.reshape(-1, count).dot, np.ones(count, array.dtype), out.reshape(-1))
        return partial(np.add.reduce, array, self.axes, None, out, self.keepdims)

    def loop(self, *x: Array, out: Array) -> Loop | None:
        """One addition after the other; of long sums over the first axes only NumPy's have blocks."""
        if self.scratch(spec_of(x[0])) and self._are_first():
            return None
        return Loop("{out} + {0}", x, _repeated(self, x[0], out), start="{zero}")

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Repeat along the axes."""
        return (_expanded(cotangent, self.axes, x[0].shape),)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """What is reduced to each."""
        return (Local(_sources(self.axes, primals[0]), True, primals[0].size),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The axes are one further."""
        return Sum(tuple(axis + 1 for axis in self.axes), self.keepdims)(x[0])

    def summand(self, *x: Value) -> Hashable | None:
        """Sums over rows: that over the rows of all is one longer sum."""
        return (self, x[0].shape[1:]) if 0 in self.axes else None

    def summed(self, *terms: Value) -> Value:
        """The sum of the concatenation."""
        return self(Concat(0)(*(term.inputs[0] for term in terms)))

    def flops(self, *x: Spec) -> int:
        """One addition an element."""
        return x[0].size

    def simplify(self, *x: Value) -> Value | None:
        """A sum over axes of size 1 is a reshape; so is keeping axes; the sum of a sum is one sum.

        The sum of all products is one product of a row with a column, by BLAS; a sum of a difference is parted where
        one part is a sum itself, so that the two become one.
        """
        inner, to = x[0].op, _reduced(self, x[0].spec).shape
        if all(x[0].shape[axis] == 1 for axis in self.axes):
            return Reshape(to)(x[0])
        if self.keepdims:
            return Reshape(to)(Sum(self.axes)(x[0]))
        if isinstance(inner, Sum) and not inner.keepdims:
            left = [axis for axis in range(x[0].inputs[0].ndim) if axis not in inner.axes]
            return Sum((*inner.axes, *(left[axis] for axis in self.axes)))(x[0].inputs[0])
        if isinstance(inner, Transpose):
            return self._of_transposed(inner.perm, x[0].inputs[0])
        return self._of_pairs(x[0]) if to == () else None

    def _of_transposed(self, perm: tuple[int, ...], x: Value) -> Value:
        """Over the same axes where they lie in memory; what is left is transposed."""
        kept = [axis for k, axis in enumerate(perm) if k not in self.axes]
        total = Sum(tuple(sorted(perm[axis] for axis in self.axes)))(x)
        return Transpose(tuple(sorted(kept).index(axis) for axis in kept))(total)

    def _of_pairs(self, x: Value) -> Value | None:
        if any(operand.shape != x.shape for operand in x.inputs):
            return None
        if isinstance(x.op, OPS["multiply"]) and x.spec.is_inexact:
            row, column = (reshaped(x.inputs[0], (1, x.size)), reshaped(x.inputs[1], (x.size, 1)))
            return reshaped(OPS["matmul"]()(row, column), ())
        if isinstance(x.op, OPS["subtract"]) and any(isinstance(operand.op, Sum) for operand in x.inputs):
            return self(x.inputs[0]) - self(x.inputs[1])
        return None


@register
@dataclass(frozen=True)
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
        """Without the axes, or with them of size 1."""
        spec = _reduced(self, x[0])
        if any(x[0].shape[axis] == 0 for axis in self.axes):
            raise ShapeError(self, "no largest element of none", x=x[0])
        return spec

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """The transpose of a narrow matrix whose rows are reduced."""
        return (x[0].with_shape(x[0].shape[::-1]),) if self._is_narrow(x[0]) else ()

    def _is_narrow(self, x: Spec) -> bool:
        return x.ndim == 2 and self.axes == (1,) and x.shape[1] <= _NARROW

    def eval(self, x: Array, *, out: Array, scratch: tuple[Array, ...] = ()) -> None:
        """Run what ``bind`` chooses."""
        self.bind(x, out=out, scratch=scratch)()

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """NumPy's maximum; NaN wins. A few numbers a row are turned first: 1.4 us against 6 for 64 x 10."""
        if not scratch:
            return partial(np.maximum.reduce, x[0], self.axes, None, out, self.keepdims)
        (turned,) = scratch
        reduce = partial(np.maximum.reduce, turned, 0, None, out.reshape(-1))
        return in_turn([copied(x[0].T, out=turned), reduce])

    def eval_complex(self, *x: Array, out: Array) -> None:
        """The mean of the elements whose real part is the largest."""
        top = np.max(x[0].real, axis=self.axes, keepdims=True)
        chosen = x[0].real == top
        total = np.sum(np.where(chosen, x[0], 0.0), axis=self.axes, keepdims=True)
        mean = np.where(np.isnan(top), np.nan, total / np.maximum(chosen.sum(self.axes, keepdims=True), 1))
        np.copyto(out, mean.reshape(out.shape))

    def loop(self, *x: Array, out: Array) -> Loop:
        """One comparison after the other; NaN stays."""
        keep = "{out} if {out} >= {0} or {out} != {out} else {0}"
        return Loop(keep, x, _repeated(self, x[0], out), start="-inf")

    def _share(self, x: Value, out: Value) -> Value:
        """1 at the largest element; 1/n at each of n equal ones."""
        largest = Equal()(x, _expanded(out, self.axes, x.shape))
        return largest / Sum(self.axes, keepdims=True)(largest)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The tangent of the largest."""
        (x,), (x_dot,) = primals, tangents
        return None if x_dot is None else Sum(self.axes, self.keepdims)(self._share(x, out) * x_dot)

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """To the largest."""
        (x,) = primals
        return (self._share(x, out) * _expanded(cotangent, self.axes, x.shape),)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """What is reduced to each."""
        return (Local(_sources(self.axes, primals[0]), False, primals[0].size),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The axes are one further."""
        return Amax(tuple(axis + 1 for axis in self.axes), self.keepdims)(x[0])

    def flops(self, *x: Spec) -> int:
        """One comparison an element."""
        return x[0].size

"""Softmax as one op, of which only the result is kept for the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.autodiff.op import Op, register, sample
from backprop_cli.autodiff.ops.reduction import Sum
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution.kernels.calls import Call, Calls, copied, in_turn, into

_BLOCK = 65536
"""Elements computed at a time, which stay in the cache: 256 kB of float32."""
_NARROW = 32
"""Columns up to which the maxima of rows are found faster in the transpose: 3.5 us against 24 for 512 x 10."""
_TALL = 512
"""Positions from which causal rows are computed in pieces that end where their last row does; NumPy goes through a
piece row by row, which for shorter rows takes longer than the whole matrix, half of it for nothing."""


@register
@dataclass(frozen=True)
class Softmax(Op):
    """``out[..., j] = e^x[..., j] / sum_k e^x[..., k]`` over the last axis.

    ``causal``: row i of a matrix is over its first i + 1 entries, and 0 behind them.
    """

    # With its gradient 8.5 us against 12.2 for the same in ops on 64 x 10, 5.9 ms against 7.2 on 8 x 4 x 256 x 256.

    causal: bool = False
    in_place: ClassVar[bool] = True
    samples: ClassVar = (
        sample((4, 3)),
        sample((5,)),
        sample((2, 1)),
        sample((2, 40)),
        sample((2, 4, 4), causal=True),
        sample((1, 1), causal=True),
    )

    def shape(self, *x: Spec) -> Spec:
        """That of x."""
        if x[0].ndim == 0 or x[0].shape[-1] == 0:
            raise ShapeError(self, "needs a last axis with entries", x=x[0])
        if self.causal and (x[0].ndim < 2 or x[0].shape[-1] != x[0].shape[-2]):
            raise ShapeError(self, "needs a row for each column", x=x[0])
        return x[0]

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """A number a row, and the transpose of a narrow x."""
        width = x[0].shape[-1]
        rows = x[0].size // width
        column = x[0].with_shape((rows, 1))
        return (column, x[0].with_shape((width, rows))) if width <= _NARROW else (column,)

    def eval(self, x: Array, *, out: Array, scratch: tuple[Array, ...] = ()) -> None:
        """Run what ``bind`` prepares."""
        self.bind(x, out=out, scratch=scratch)()

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """NumPy's calls, on pieces that stay in the cache."""
        calls: Calls = []
        given, width = x[0], out.shape[-1]
        if not given.flags.c_contiguous:
            calls.append(partial(np.copyto, out, given))
            given = out
        if not self.causal:
            calls += _by_rows(given.reshape(-1, width), out.reshape(-1, width), scratch)
        elif width < _TALL:
            calls += _by_squares(given.reshape(-1, width, width), out.reshape(-1, width, width), scratch)
        else:
            for square, result in zip(given.reshape(-1, width, width), out.reshape(-1, width, width), strict=True):
                calls += _by_stairs(square, result, scratch)
        return in_turn(calls)

    def eval_complex(self, *x: Array, out: Array) -> None:
        """The largest real part is taken off."""
        given = np.where(np.tri(x[0].shape[-1], dtype=np.bool_), x[0], -np.inf) if self.causal else x[0]
        np.exp(given - given.real.max(axis=-1, keepdims=True), out=out)
        np.divide(out, out.sum(axis=-1, keepdims=True), out=out)

    def _slope(self, out: Value, tangent: Value) -> Value:
        """``out * (t - <out, t>)``: the Jacobian is symmetric."""
        return out * (tangent - Sum((out.ndim - 1,), keepdims=True)(out * tangent))

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """``out * (x_dot - <out, x_dot>)``."""
        return None if tangents[0] is None else self._slope(out, tangents[0])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """The same of the cotangent."""
        return (self._slope(out, cotangent),)

    def zeros(self, *x: Value) -> Array | None:
        """Behind the diagonal, where it is causal."""
        return np.broadcast_to(~np.tri(x[0].shape[-1], dtype=np.bool_), x[0].shape) if self.causal else None

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """Each on its row; in one of a single entry, which is 1, on nothing."""
        width = out.shape[-1]
        ends = np.arange(width) + 1 if self.causal else np.full(out.shape[-2] if out.ndim > 1 else 1, width)
        inside = np.arange(width) < np.where(ends > 1, ends, 0)[:, None]
        rows = np.arange(out.size).reshape(*out.shape[:-1], 1, width)
        reads = np.where(inside[:, None, :] & inside[:, :, None], rows, -1)
        every = np.broadcast_to(reads, (*(out.shape[:-1] or (1,)), width, width))
        return (Local(every.reshape(out.size, width), False, out.size),)

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The same."""
        return self(x[0])

    def flops(self, *x: Spec) -> int:
        """Maximum, difference, exponential, sum, quotient."""
        return 5 * x[0].size


@cache
def _barred(size: int, dtype: np.dtype[Any]) -> Array:
    """(size, size): 0 up to the diagonal, and behind it -inf, whose exponential is 0."""
    mask: Array = np.where(np.tri(size, dtype=np.bool_), 0.0, -np.inf).astype(dtype)
    mask.flags.writeable = False
    return mask


def _by_rows(x: Array, out: Array, scratch: tuple[Array, ...]) -> Iterator[Call]:
    step = max(1, _BLOCK // x.shape[1])
    for start in range(0, len(x), step):
        yield from _normalize(x[start : start + step], out[start : start + step], scratch)


def _by_squares(x: Array, out: Array, scratch: tuple[Array, ...]) -> Iterator[Call]:
    size = x.shape[1]
    mask, step = _barred(size, x.dtype), max(1, _BLOCK // size**2)
    for start in range(0, len(x), step):
        piece = out[start : start + step]
        yield into(np.add, x[start : start + step], mask, out=piece)
        yield from _normalize(piece.reshape(-1, size), piece.reshape(-1, size), scratch)


def _by_stairs(x: Array, out: Array, scratch: tuple[Array, ...]) -> Iterator[Call]:
    mask, step = _barred(len(x), x.dtype), _TALL // 4
    for start in range(0, len(x), step):
        stop = min(start + step, len(x))
        piece = out[start:stop, :stop]
        yield into(np.add, x[start:stop, :stop], mask[start:stop, :stop], out=piece)
        yield from _normalize(piece, piece, scratch)
        yield partial(out[start:stop, stop:].fill, 0.0)


def _normalize(x: Array, out: Array, scratch: tuple[Array, ...]) -> Iterator[Call]:
    """Softmax of rows. The largest entry is taken off, which cancels: nothing overflows."""
    rows, width = x.shape
    column = scratch[0][:rows]
    if len(scratch) > 1:
        turned = scratch[1].reshape(-1)[: x.size].reshape(width, rows)
        yield copied(x.T, out=turned)
        yield partial(np.maximum.reduce, turned, 0, None, column[:, 0])
    else:
        yield partial(np.maximum.reduce, x, 1, None, column, True)
    yield into(np.subtract, x, column, out=out)
    yield into(np.exp, out, out=out)
    yield into(np.matmul, out, np.ones((width, 1), x.dtype), out=column)  # BLAS adds a row three times as fast
    yield into(np.divide, out, column, out=out)

"""Sums and maxima of windows that slide along one axis, and their transposes. Two axes are two ops.

For the maximum of two axes columns go before rows: then the first largest element of each is the first in row-major
order of both, which is PyTorch's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from backprop_cli.autodiff.families import Constant, Linear
from backprop_cli.autodiff.op import Op, Sample, register, sample
from backprop_cli.autodiff.ops.sweep import Sweep
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError

_POOLED = (
    sample((3, 4, 2), axis=1, kernel=2, stride=2),
    sample((7, 2), axis=0, kernel=3, stride=2, before=1, after=1),
    sample((2, 5), axis=1, kernel=2, stride=3),
    sample((2, 5), axis=1, kernel=4, stride=1),
)


class Windowed(Op):
    """An op on windows of ``kernel`` elements: window ``q`` begins at ``q * stride - before`` of ``axis``."""

    axis: int
    kernel: int
    stride: int
    before: int = 0
    after: int = 0

    def sweep(self, size: int) -> Sweep:
        """The windows of an axis of this size."""
        return Sweep(size, self.kernel, self.stride, 1, self.before, self.after)

    def of(self, kind: type[Windowed], **more: Any) -> Windowed:
        """Another op on the same windows."""
        return kind(self.axis, self.kernel, self.stride, self.before, self.after, **more)

    def shape(self, *x: Spec) -> Spec:
        return self.pooled(x[0])

    def pooled(self, x: Spec) -> Spec:
        """One element a window."""
        if not 0 <= self.axis < x.ndim:
            raise ShapeError(self, f"axis {self.axis} of {x.ndim}", x=x)
        windows = self.sweep(x.shape[self.axis]).windows
        if windows < 1:
            raise ShapeError(self, "the window is larger than the padded array", x=x)
        return x.with_shape((*x.shape[: self.axis], windows, *x.shape[self.axis + 1 :]))

    def spread(self, x: Spec, size: int) -> Spec:
        """``size`` elements along the axis in place of its windows."""
        full = x.with_shape((*x.shape[: self.axis], size, *x.shape[self.axis + 1 :]))
        if self.pooled(full) != x:
            raise ShapeError(self, f"an axis of {size} has another number of windows", x=x)
        return full

    def pieces(self, x: Array, out: Array) -> list[tuple[int, Array, Array]]:
        """For each offset in a window: the offset, the elements of ``x`` at it, and their windows in ``out``."""
        lead = (slice(None),) * self.axis
        sweep = self.sweep(x.shape[self.axis])
        return [(offset, x[(*lead, read)], out[(*lead, windows)]) for offset, windows, read in sweep.pieces()]


@register
class WindowSum(Windowed, Linear):
    """``out[q] = sum of x[q * stride - before + o] for o in [0, kernel)``, along an axis; 0 on padding."""

    samples: ClassVar = _POOLED

    def eval(self, x: Array, *, out: Array) -> None:
        out.fill(0)
        for _, read, windows in self.pieces(x, out):
            np.add(windows, read, out=windows)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (self.of(WindowSpread, size=x[0].shape[self.axis])(cotangent),)


@register
class WindowSpread(Windowed, Linear):
    """``out[q * stride - before + o] += x[q] for o in [0, kernel)``: the transpose of ``window_sum``."""

    size: int = 0
    samples: ClassVar = (
        sample((3, 2, 2), axis=1, kernel=2, stride=2, size=4),
        sample((4, 2), axis=0, kernel=3, stride=2, before=1, after=1, size=7),
        sample((2, 2), axis=1, kernel=2, stride=3, size=5),
        sample((1,), axis=0, kernel=3, stride=2, before=1, after=1, size=1),
    )

    def shape(self, *x: Spec) -> Spec:
        return self.spread(x[0], self.size)

    def eval(self, x: Array, *, out: Array) -> None:
        out.fill(0)
        for _, target, windows in self.pieces(out, x):
            np.add(target, windows, out=target)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (self.of(WindowSum)(cotangent),)


@register
class MaxPool(Windowed):
    """``out[q] = largest of x[q * stride - before + o] for o in [0, kernel)``, along an axis; NaN wins.

    Padding is never the largest. The derivative goes to the first largest element, as in PyTorch.
    """

    is_smooth: ClassVar = False
    samples: ClassVar = _POOLED

    def eval(self, x: Array, *, out: Array) -> None:
        out.fill(-np.inf)
        for _, read, windows in self.pieces(x, out):
            np.maximum(read, windows, out=windows)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        (x,), (x_dot,) = primals, tangents
        return None if x_dot is None else self.of(WindowTake)(self.of(MaxPoolOffset)(x), x_dot)

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        (x,) = primals
        put = self.of(WindowPut, size=x.shape[self.axis])
        return (put(self.of(MaxPoolOffset)(x), cotangent),)


@register
class MaxPoolOffset(Windowed, Constant):
    """``out[q] = offset in its window of the first largest element``, as a number of x's dtype; see ``max_pool``."""

    is_smooth: ClassVar = False
    is_step: ClassVar = True
    samples: ClassVar = _POOLED

    def eval(self, x: Array, *, out: Array) -> None:
        largest = np.full(out.shape, -np.inf)
        out.fill(0)
        # The first offset that is no padding is the result of windows whose elements are all -inf.
        for first, windows in self.padded(out):
            windows.fill(first)
        for (offset, read, found), (_, _, top) in zip(self.pieces(x, out), self.pieces(x, largest), strict=True):
            np.copyto(found, offset, where=read > top)
            np.maximum(read, top, out=top)

    def padded(self, out: Array) -> list[tuple[int, Array]]:
        """The windows that begin with padding, each with the first offset after the padding."""
        lead = (slice(None),) * self.axis
        count = min(-(-self.before // self.stride), out.shape[self.axis])
        return [(self.before - q * self.stride, out[(*lead, slice(q, q + 1))]) for q in range(count)]


@register
class WindowTake(Windowed):
    """``out[q] = x[q * stride - before + offset[q]]``, 0 on padding; offsets are whole numbers in [0, kernel)."""

    is_smooth: ClassVar = False
    samples: ClassVar = (
        Sample(((3, 2, 2), (3, 4, 2)), {"axis": 1, "kernel": 2, "stride": 2}, labels=(0,), classes=2),
        Sample(((4, 2), (7, 2)), {"axis": 0, "kernel": 3, "stride": 2, "before": 1, "after": 1}, labels=(0,)),
    )

    def shape(self, *x: Spec) -> Spec:
        out = self.pooled(x[1])
        if x[0].shape != out.shape:
            raise ShapeError(self, "needs an offset a window", offset=x[0], x=x[1])
        return out

    def eval(self, offsets: Array, x: Array, *, out: Array) -> None:
        # out = sum_k x[k] * (offset == k)
        out.fill(0)
        for (offset, read, taken), (_, _, wanted) in zip(self.pieces(x, out), self.pieces(x, offsets), strict=True):
            np.add(taken, (wanted == offset) * read, out=taken)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        return None if tangents[1] is None else self(primals[0], tangents[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        put = self.of(WindowPut, size=primals[1].shape[self.axis])
        return None, put(primals[0], cotangent)


@register
class WindowPut(Windowed):
    """``out[q * stride - before + offset[q]] += x[q]`` over ``size`` zeros: the transpose of ``window_take``."""

    size: int = 0
    is_smooth: ClassVar = False
    samples: ClassVar = (
        Sample(((3, 2, 2), (3, 2, 2)), {"axis": 1, "kernel": 2, "stride": 2, "size": 5}, labels=(0,), classes=2),
        Sample(((4, 2), (4, 2)), {"axis": 0, "kernel": 3, "stride": 2, "before": 1, "size": 8}, labels=(0,)),
        Sample(((2, 3), (2, 3)), {"axis": 1, "kernel": 3, "stride": 3, "size": 9}, labels=(0,)),
        Sample(((1,), (1,)), {"axis": 0, "kernel": 3, "stride": 2, "before": 1, "after": 1, "size": 1}, labels=(0,)),
    )

    def shape(self, *x: Spec) -> Spec:
        if x[0].shape != x[1].shape:
            raise ShapeError(self, "needs an offset a window", offset=x[0], x=x[1])
        return self.spread(x[1], self.size)

    def eval(self, offsets: Array, x: Array, *, out: Array) -> None:
        # out[k] += x * (offset == k)
        out.fill(0)
        for (offset, target, given), (_, _, wanted) in zip(self.pieces(out, x), self.pieces(out, offsets), strict=True):
            np.add(target, (wanted == offset) * given, out=target)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        return None if tangents[1] is None else self(primals[0], tangents[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        return None, self.of(WindowTake)(primals[0], cotangent)

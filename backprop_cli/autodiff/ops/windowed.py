"""What ops on windows along one axis have in common. Two axes are two ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local, inverted
from backprop_cli.autodiff.families import batched
from backprop_cli.autodiff.op import Op, sample
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution.kernels.calls import Call, Calls, in_turn, into
from backprop_cli.execution.kernels.sweep import Sweep

POOLED = (
    sample((3, 4, 2), axis=1, kernel=2, stride=2),
    sample((7, 2), axis=0, kernel=3, stride=2, before=1, after=1),
    sample((2, 5), axis=1, kernel=2, stride=3),
    sample((2, 5), axis=1, kernel=4, stride=1),
)
"""Samples of an op that makes an element of each window."""


@dataclass(frozen=True)
class Windowed(Op):
    """What ops on windows have in common: window ``q`` begins at ``q * stride - before`` of ``axis``."""

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
        """An element a window."""
        return self.pooled(x[0])

    def pooled(self, x: Spec) -> Spec:
        """An element a window."""
        if not 0 <= self.axis < x.ndim:
            raise ShapeError(self, f"axis {self.axis} of {x.ndim}", x=x)
        windows = self.sweep(x.shape[self.axis]).windows
        if windows < 1:
            raise ShapeError(self, "the window is larger than the padded array", x=x)
        return x.with_shape((*x.shape[: self.axis], windows, *x.shape[self.axis + 1 :]))

    def spread(self, x: Spec, size: int) -> Spec:
        """An axis of ``size`` elements in place of its windows."""
        full = x.with_shape((*x.shape[: self.axis], size, *x.shape[self.axis + 1 :]))
        if self.pooled(full) != x:
            raise ShapeError(self, f"an axis of {size} does not have so many windows", x=x)
        return full

    def pieces(self, x: Array, out: Array) -> list[tuple[int, Array, Array]]:
        """For every offset in a window: the offset, the elements of ``x`` there, the windows in ``out`` they are of."""
        lead = (slice(None),) * self.axis
        sweep = self.sweep(x.shape[self.axis])
        return [(offset, x[(*lead, read)], out[(*lead, windows)]) for offset, windows, read in sweep.pieces()]

    def cleared(self, out: Array) -> Calls:
        """Zeros, unless every element of ``out`` is in one window exactly."""
        size = out.shape[self.axis]
        covers = self.stride == self.kernel and self.before == 0 and self.sweep(size).windows * self.kernel == size
        return [] if covers else [partial(out.fill, 0)]

    def put(self, piece: Array, target: Array) -> Call:
        """Add it where an element can be in two windows, else copy it."""
        overlap = self.stride < self.kernel
        return into(np.add, target, piece, out=target) if overlap else partial(np.copyto, target, piece)

    def halves(self, size: int) -> bool:
        """Whether every window has two elements, and no element is in two windows."""
        last = self.sweep(size).windows * self.stride - self.stride + 1
        return self.kernel == 2 <= self.stride and self.before == 0 and last < size

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """The calls with all their views made."""
        return in_turn(self.calls(x, out, scratch))

    def eval(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> None:
        """Run what ``bind`` makes."""
        self.bind(*x, out=out, scratch=scratch)()

    def calls(self, x: Sequence[Array], out: Array, scratch: Sequence[Array]) -> Calls:
        """The evaluation."""
        raise NotImplementedError

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The axis is one further."""
        return replace(self, axis=self.axis + 1)(*batched(size, x, mapped))

    def flops(self, *x: Spec) -> int:
        """One an element of a window."""
        return self.kernel * min(self.shape(*x).size, x[-1].size)

    def reads(self, x: Value, out: Value) -> tuple[Array, Array]:
        """Pairs of an element of x and a window of ``out`` that it is in: flat indices."""
        elements, windows = (np.arange(v.size).reshape(v.shape) for v in (x, out))
        pairs = [(read.ravel(), window.ravel()) for _, read, window in self.pieces(elements, windows)]
        return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])

    def local_pooled(self, x: Value, out: Value, is_unit: bool) -> Local:
        """A window depends on its elements."""
        read, window = self.reads(x, out)
        return Local(inverted(window, read, out.size), is_unit, x.size)

    def local_spread(self, x: Value, out: Value, is_unit: bool) -> Local:
        """An element depends on its windows."""
        read, window = self.reads(out, x)
        return Local(inverted(read, window, out.size), is_unit, x.size)


def reduced(ufunc: np.ufunc, start: float, pieces: Sequence[tuple[int, Array, Array]], out: Array) -> Calls:
    """``out = ufunc of the elements of each window``; ``start`` changes nothing."""
    whole = [read for _, read, windows in pieces if windows.shape == out.shape]  # offsets that no window has outside
    if len(whole) == len(pieces) > 1:
        return [into(ufunc, *whole[:2], out=out), *(into(ufunc, read, out, out=out) for read in whole[2:])]
    return [partial(out.fill, start), *(into(ufunc, read, windows, out=windows) for _, read, windows in pieces)]

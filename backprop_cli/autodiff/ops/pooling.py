"""The largest of each window along one axis: for two axes the maximum of rows, then of those.

With columns before rows, the first largest element of each is the first in row-major order of both, PyTorch's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.autodiff.families import Constant
from backprop_cli.autodiff.op import Sample, register
from backprop_cli.autodiff.ops.windowed import POOLED, Windowed, reduced
from backprop_cli.autodiff.spec import Array, Spec, spec_of
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution.kernels.calls import Calls, into


def _evaluated(op: Windowed, *x: Array, out: Array) -> Array:
    op.eval(*x, out=out, scratch=tuple(np.empty(s.shape, s.dtype) for s in op.scratch(*map(spec_of, x))))
    return out


@register
@dataclass(frozen=True)
class MaxPool(Windowed):
    """``out[q] = largest of x[q * stride - before + o] for o in [0, kernel)``, along an axis; NaN wins.

    Padding is never the largest. The derivative is that of the first largest, as in PyTorch.
    """

    is_smooth: ClassVar = False
    samples: ClassVar = POOLED

    def calls(self, x: Sequence[Array], out: Array, scratch: Sequence[Array]) -> Calls:
        """A maximum of slices an offset."""
        return reduced(np.maximum, -np.inf, self.pieces(x[0], out), out)

    def eval_complex(self, *x: Array, out: Array) -> None:
        """The element whose real part is the largest."""
        offset = _evaluated(self.of(MaxPoolOffset), x[0].real, out=np.empty(out.shape))
        _evaluated(self.of(WindowTake), offset, x[0], out=out)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The tangent of the largest."""
        (x,), (x_dot,) = primals, tangents
        return None if x_dot is None else self.of(WindowTake)(self.of(MaxPoolOffset)(x), x_dot)

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """To the largest."""
        (x,) = primals
        put = self.of(WindowPut, size=x.shape[self.axis])
        return (put(self.of(MaxPoolOffset)(x), cotangent),)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """Its elements."""
        return (self.local_pooled(primals[0], out, False),)


@register
@dataclass(frozen=True)
class MaxPoolOffset(Windowed, Constant):
    """``out[q] = offset in its window of the first largest element``, as a number of x's dtype; see ``max_pool``."""

    is_smooth: ClassVar = False
    is_step: ClassVar = True
    samples: ClassVar = POOLED

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """The largest so far; whether, and then which, element is larger."""
        return () if self.halves(x[0].shape[self.axis]) else (self.pooled(x[0]),) * 2

    def calls(self, x: Sequence[Array], out: Array, scratch: Sequence[Array]) -> Calls:
        """Of two, whether the second is larger; of more, the last that is larger than all before it."""
        pieces = self.pieces(x[0], out)
        if self.halves(x[0].shape[self.axis]):
            return [into(np.greater, pieces[1][1], pieces[0][1], out=out)]
        largest, larger = scratch
        calls: Calls = [partial(largest.fill, -np.inf), partial(out.fill, 0), *self._first_elements(out)]
        for (offset, read, found), (_, _, top), (_, _, new) in zip(
            pieces, self.pieces(x[0], largest), self.pieces(x[0], larger), strict=True
        ):
            calls.append(into(np.greater, read, top, out=new))
            calls.append(into(np.multiply, new, offset, out=new))
            calls.append(into(np.maximum, new, found, out=found))  # offsets grow
            calls.append(into(np.maximum, read, top, out=top))
        return calls

    def _first_elements(self, out: Array) -> Calls:
        """The first offset that is not padding, for windows whose elements are all minus infinity."""
        lead = (slice(None),) * self.axis
        padded = range(min(-(-self.before // self.stride), out.shape[self.axis]))
        return [
            partial(out[(*lead, slice(window, window + 1))].fill, self.before - window * self.stride)
            for window in padded
        ]


@register
@dataclass(frozen=True)
class WindowTake(Windowed):
    """``out[q] = x[q * stride - before + offset[q]]``, 0 on padding; offsets are whole numbers in [0, kernel)."""

    is_smooth: ClassVar = False
    samples: ClassVar = (
        Sample(((3, 2, 2), (3, 4, 2)), {"axis": 1, "kernel": 2, "stride": 2}, labels=(0,), classes=2),
        Sample(((4, 2), (7, 2)), {"axis": 0, "kernel": 3, "stride": 2, "before": 1, "after": 1}, labels=(0,)),
    )

    def shape(self, *x: Spec) -> Spec:
        """That of the offsets."""
        out = self.pooled(x[1])
        if x[0].shape != out.shape:
            raise ShapeError(self, "needs an offset a window", offset=x[0], x=x[1])
        return out

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """What is taken at one offset."""
        return (x[1].with_shape(x[0].shape),)

    def calls(self, x: Sequence[Array], out: Array, scratch: Sequence[Array]) -> Calls:
        """The sum over offsets of what is there times whether it is the one."""
        offsets, array = x
        calls: Calls = [partial(out.fill, 0)]
        for (offset, read, taken), (_, _, wanted), (_, _, part) in zip(
            self.pieces(array, out), self.pieces(array, offsets), self.pieces(array, scratch[0]), strict=True
        ):
            calls.append(into(np.equal, wanted, offset, out=part))
            calls.append(into(np.multiply, part, read, out=part))
            calls.append(into(np.add, taken, part, out=taken))
        return calls

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The same of the tangent."""
        return None if tangents[1] is None else self(primals[0], tangents[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """Put where it was taken."""
        put = self.of(WindowPut, size=primals[1].shape[self.axis])
        return None, put(primals[0], cotangent)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """One of its elements."""
        return None, self.local_pooled(primals[1], out, False)


@register
@dataclass(frozen=True)
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
        """The axis has ``size`` elements."""
        if x[0].shape != x[1].shape:
            raise ShapeError(self, "needs an offset a window", offset=x[0], x=x[1])
        return self.spread(x[1], self.size)

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """What is put at one offset."""
        return () if self._parts(*x) else (x[1],)

    def _parts(self, offset: Spec, x: Spec) -> bool:
        """Whether the second of two takes its offset's multiple of x, and the first what is left."""
        return self.halves(self.size) and offset.dtype == x.dtype

    def calls(self, x: Sequence[Array], out: Array, scratch: Sequence[Array]) -> Calls:
        """At each offset what is put times whether it is the one; of two, the first takes what the second leaves."""
        offsets, array = x
        pieces = self.pieces(out, array)
        calls = self.cleared(out)
        if self._parts(spec_of(offsets), spec_of(array)):
            (_, first, _), (_, second, _) = pieces
            calls.append(into(np.multiply, array, offsets, out=second))
            return [*calls, into(np.subtract, array, second, out=first)]
        for (offset, target, given), (_, _, wanted), (_, _, part) in zip(
            pieces, self.pieces(out, offsets), self.pieces(out, scratch[0]), strict=True
        ):
            calls.append(into(np.equal, wanted, offset, out=part))
            calls.append(into(np.multiply, part, given, out=part))
            calls.append(self.put(part, target))
        return calls

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The same of the tangent."""
        return None if tangents[1] is None else self(primals[0], tangents[1])

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """Take from where it was put."""
        return None, self.of(WindowTake)(primals[0], cotangent)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """Its windows."""
        return None, self.local_spread(primals[1], out, False)

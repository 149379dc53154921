"""The sum of each window along one axis, and its transpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.autodiff.families import Linear
from backprop_cli.autodiff.op import register, sample
from backprop_cli.autodiff.ops.windowed import POOLED, Windowed, reduced
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.kernels.calls import Calls


@register
@dataclass(frozen=True)
class WindowSum(Windowed, Linear):
    """``out[q] = sum of x[q * stride - before + o] for o in [0, kernel)``, along an axis; 0 on padding."""

    samples: ClassVar = POOLED

    def calls(self, x: Sequence[Array], out: Array, scratch: Sequence[Array]) -> Calls:
        """A sum of slices an offset."""
        return reduced(np.add, 0, self.pieces(x[0], out), out)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """To every element of the window."""
        return (self.of(WindowSpread, size=x[0].shape[self.axis])(cotangent),)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """Its elements."""
        return (self.local_pooled(primals[0], out, True),)


@register
@dataclass(frozen=True)
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
        """The axis has ``size`` elements."""
        return self.spread(x[0], self.size)

    def calls(self, x: Sequence[Array], out: Array, scratch: Sequence[Array]) -> Calls:
        """A copy, or where windows overlap a sum, an offset."""
        return [*self.cleared(out), *(self.put(given, target) for _, target, given in self.pieces(out, x[0]))]

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """Sums."""
        return (self.of(WindowSum)(cotangent),)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """Its windows."""
        return (self.local_spread(primals[0], out, True),)

"""Copies of all elements: in another precision, in other memory, hidden from derivatives or from simplification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Constant
from backprop_cli.autodiff.op import Sample, register, sample
from backprop_cli.autodiff.ops.shape import Movement
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value


@register
class Cast(Movement):
    """``out = x`` in another floating-point dtype; the cotangent is cast back. To integers it has no derivative."""

    dtype: str
    samples: ClassVar = (sample((3, 4), dtype="float64"),)

    def shape(self, *x: Spec) -> Spec:
        return Spec(x[0].shape, np.dtype(self.dtype))

    def eval(self, x: Array, *, out: Array) -> None:
        np.copyto(out, x, casting="unsafe")

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        is_smooth = primals[0].spec.is_inexact and out.spec.is_inexact
        return super().jvp(primals, tangents, out) if is_smooth else None

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (Cast(x[0].dtype.name)(cotangent),)


@register
class StopGradient(Constant):
    """``out = x``, a constant for every derivative."""

    is_view: ClassVar = True
    blocks_gradient: ClassVar = True
    samples: ClassVar = (sample((3, 4)),)

    def shape(self, *x: Spec) -> Spec:
        return x[0]

    def view(self, x: Array) -> Array | None:
        return x

    def eval(self, x: Array, *, out: Array) -> None:
        np.copyto(out, x)


@register
class Copy(Movement):
    """``out = x`` in memory of its own."""

    samples: ClassVar[tuple[Sample, ...]] = (sample((3, 4)),)

    def shape(self, *x: Spec) -> Spec:
        return x[0]

    def eval(self, x: Array, *, out: Array) -> None:
        np.copyto(out, x)

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        return (cotangent,)


@register
class Barrier(Copy):
    """``out = x``, a view: values computed from it are not merged with equal values computed from x."""

    number: int = 0
    is_view: ClassVar = True
    samples: ClassVar = (sample((3, 4)), sample((2,), number=1))

    def view(self, x: Array) -> Array | None:
        return x

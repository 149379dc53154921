"""Exponentials, logarithms and sigmoids."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Elementwise, Partial
from backprop_cli.autodiff.op import Sample, register, sample
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value

_UNARY: tuple[Sample, ...] = (sample((3, 4)), sample(()))
_POSITIVE: tuple[Sample, ...] = (sample((3, 4), domain=(0.3, 3.0)), sample((), domain=(0.3, 3.0)))


@register
class Exp(Elementwise):
    """``out = e^x``."""

    ufunc: ClassVar = np.exp
    expression: ClassVar = "exp({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (out,)


@register
class Expm1(Elementwise):
    """``out = e^x - 1``, accurate near 0."""

    ufunc: ClassVar = np.expm1
    expression: ClassVar = "expm1({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (Exp()(x),)  # below -17, `out + 1` would have no correct digit in float32


@register
class Log(Elementwise):
    """``out = ln x``."""

    ufunc: ClassVar = np.log
    expression: ClassVar = "log({0})"
    samples: ClassVar = _POSITIVE

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (1.0 / x,)


@register
class Log1p(Elementwise):
    """``out = ln(1 + x)``, accurate near 0."""

    ufunc: ClassVar = np.log1p
    expression: ClassVar = "log1p({0})"
    samples: ClassVar = _POSITIVE

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (1.0 / (1.0 + x),)


@register
class Sin(Elementwise):
    """``out = sin x``, x in radians."""

    ufunc: ClassVar = np.sin
    expression: ClassVar = "sin({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (Cos()(x),)


@register
class Cos(Elementwise):
    """``out = cos x``, x in radians."""

    ufunc: ClassVar = np.cos
    expression: ClassVar = "cos({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (-Sin()(x),)


@register
class Tanh(Elementwise):
    """``out = tanh x``."""

    ufunc: ClassVar = np.tanh
    expression: ClassVar = "tanh({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (1.0 - out * out,)  # x need not be kept; rounded to 0 in float32 where |x| > 9


@register
class Sigmoid(Elementwise):
    """``out = 1 / (1 + e^-x)``; where e^-x overflows the result is the limit 0."""

    expression: ClassVar = "{one} / ({one} + exp(-{0}))"
    samples: ClassVar = _UNARY

    def eval(self, x: Array, *, out: Array) -> None:
        # Nothing cancels: a relative error of a few ulps down to the smallest normal number.
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, 1.0, out=out)
        np.reciprocal(out, out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (out * (1.0 - out),)  # rounded to 0 in float32 where x > 17


@register
class Softplus(Elementwise):
    """``out = ln(1 + e^x)`` (nats), computed as max(x, 0) + ln(1 + e^-|x|), which cannot overflow."""

    expression: ClassVar = "max({0}, {zero}) + log1p(exp(-abs({0})))"
    samples: ClassVar = _UNARY

    def eval(self, x: Array, *, out: Array) -> None:
        np.abs(x, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        np.log1p(out, out=out)
        np.add(out, np.maximum(x, 0.0), out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (Sigmoid()(x),)

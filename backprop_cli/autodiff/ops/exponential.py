"""Exponentials, logarithms, sigmoids and the error function."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Elementwise, Partial
from backprop_cli.autodiff.op import Sample, register, sample
from backprop_cli.autodiff.spec import Array, Spec
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
        """Out."""
        return (out,)


@register
class Expm1(Elementwise):
    """``out = e^x - 1``, accurate near 0."""

    ufunc: ClassVar = np.expm1
    expression: ClassVar = "expm1({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """Out + 1."""
        return (out + 1.0,)


@register
class Log(Elementwise):
    """``out = ln x``."""

    ufunc: ClassVar = np.log
    expression: ClassVar = "log({0})"
    samples: ClassVar = _POSITIVE

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """1 / x."""
        return (1.0 / x,)


@register
class Log1p(Elementwise):
    """``out = ln(1 + x)``, accurate near 0."""

    ufunc: ClassVar = np.log1p
    expression: ClassVar = "log1p({0})"
    samples: ClassVar = _POSITIVE

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """1 / (1 + x)."""
        return (1.0 / (1.0 + x),)


@register
class Sin(Elementwise):
    """``out = sin x``, x in radians."""

    ufunc: ClassVar = np.sin
    expression: ClassVar = "sin({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """Cos x."""
        return (Cos()(x),)


@register
class Cos(Elementwise):
    """``out = cos x``, x in radians."""

    ufunc: ClassVar = np.cos
    expression: ClassVar = "cos({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """-sin x."""
        return (-Sin()(x),)


@register
class Tanh(Elementwise):
    """``out = tanh x``."""

    ufunc: ClassVar = np.tanh
    expression: ClassVar = "tanh({0})"
    samples: ClassVar = _UNARY

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """1 - out^2: x need not be kept."""
        return (1.0 - out * out,)


def _to_the_left(x: Array) -> Array:
    """``-|x|``, continued: x or -x, whichever has the smaller real part."""
    return np.where(x.real > 0, -x, x)


@register
class Sigmoid(Elementwise):
    """``out = 1 / (1 + e^-x)``; where e^-x overflows the result is the limit 0."""

    expression: ClassVar = "{one} / ({one} + exp(-{0}))"
    samples: ClassVar = _UNARY

    def eval(self, x: Array, *, out: Array) -> None:
        """Relative error of a few ulps down to the smallest normal number: nothing cancels."""
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, 1.0, out=out)
        np.reciprocal(out, out=out)

    def eval_complex(self, *x: Array, out: Array) -> None:
        """``e^(-x)`` is taken to the side on which it is at most 1: a complex infinity has no reciprocal."""
        small = np.exp(_to_the_left(x[0]))
        np.divide(np.where(x[0].real > 0, 1.0, small), 1.0 + small, out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """Out (1 - out)."""
        return (out * (1.0 - out),)


@register
class Softplus(Elementwise):
    """``out = ln(1 + e^x)`` (nats), computed as max(x, 0) + ln(1 + e^-|x|), which cannot overflow."""

    expression: ClassVar = "max({0}, {zero}) + log1p(exp(-abs({0})))"
    samples: ClassVar = _UNARY

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """max(x, 0)."""
        return x

    def eval(self, x: Array, *, out: Array, scratch: tuple[Array, ...] = ()) -> None:
        """Stable for every x."""
        (positive,) = scratch
        np.maximum(x, 0.0, out=positive)
        np.abs(x, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        np.log1p(out, out=out)
        np.add(out, positive, out=out)

    def eval_complex(self, *x: Array, out: Array) -> None:
        """The same sum, which is ln(1 + e^x) for either sign of Re x."""
        np.add(np.where(x[0].real > 0, x[0], 0.0), np.log1p(np.exp(_to_the_left(x[0]))), out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """sigmoid(x)."""
        return (Sigmoid()(x),)


# Least-squares Chebyshev fits in 50 digits, as polynomials of u in [-1, 1], lowest power first.
# erf(x) = x P(2 x^2 - 1) for |x| < 1; erfc(z) = t exp(Q(u) - z^2) with t = 2 / (2 + z) for 1 <= z <= 6.
# Largest relative error against the C library over [-7, 7]: 4e-16.
_P = (
    0.9654687386698673, -0.1405360890227171, 0.019852496688983708, -0.0022854855611441132, 0.00021751715604160108,
    -1.7537169441124826e-05, 1.223382738352401e-06, -7.51156928660089e-08, 4.11580059766496e-09,
    -2.035228404899467e-10, 9.167606746069445e-12, -3.8078827395263415e-13, 1.454817075960679e-14,
)  # fmt: skip
_Q = (
    -0.7274922853522044, 0.27658358936128924, 0.01017469538028343, -0.0031116996665688213, -0.0004014712047364292,
    9.560005454983446e-05, 1.6041270924171123e-05, -4.527108285345979e-06, -6.020103742160947e-07,
    2.563301888516708e-07, 1.456269162365439e-08, -1.4466204189141497e-08, 4.6416226655700205e-10,
    6.342388713677671e-10, -7.503746467846321e-11,
)  # fmt: skip
_T_LOW, _T_HIGH = 2.0 / 8.0, 2.0 / 3.0  # t at z = 6 and z = 1


def _horner(coefficients: tuple[float, ...], u: Array, out: Array) -> None:
    out.fill(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        np.multiply(out, u, out=out)
        np.add(out, coefficient, out=out)


@register
class Erf(Elementwise):
    """``out = 2 / sqrt(pi) * integral_0^x e^(-s^2) ds``."""

    in_place: ClassVar = False
    samples: ClassVar = _UNARY

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """Three arrays and a mask."""
        return (*x, *x, *x, Spec(x[0].shape, np.dtype(np.bool_)))

    def eval(self, x: Array, *, out: Array, scratch: tuple[Array, ...] = ()) -> None:
        """Two polynomials, chosen by |x| < 1."""
        z, u, tail, small = scratch
        np.abs(x, out=z)
        np.minimum(z, 6.0, out=z)  # erf(6) is 1 to the last bit; NaN passes
        # tail = 1 - t exp(Q(u) - z^2)
        np.add(z, 2.0, out=tail)
        np.divide(2.0, tail, out=tail)
        np.subtract(tail, 0.5 * (_T_LOW + _T_HIGH), out=u)
        np.multiply(u, 2.0 / (_T_HIGH - _T_LOW), out=u)
        _horner(_Q, u, out)
        np.multiply(z, z, out=u)
        np.subtract(out, u, out=out)
        np.exp(out, out=out)
        np.multiply(tail, out, out=tail)
        np.subtract(1.0, tail, out=tail)
        np.copysign(tail, x, out=tail)
        # out = x P(2 x^2 - 1)
        np.less(z, 1.0, out=small)
        np.minimum(u, 1.0, out=u)
        np.multiply(u, 2.0, out=u)
        np.subtract(u, 1.0, out=u)
        _horner(_P, u, out)
        np.multiply(out, x, out=out)
        np.logical_not(small, out=small)
        np.copyto(out, tail, where=small)

    def eval_complex(self, *x: Array, out: Array) -> None:
        """A series for |Re x| < 2, the polynomial of ``eval`` beyond.

        ``erf(z) = 2 / sqrt(pi) e^(-z^2) sum_n 2^n z^(2n+1) / (1 * 3 * ... * (2n+1))`` (Abramowitz & Stegun, 7.1.6), of
        terms of one sign. Polynomials that are fitted to values to 4e-16 have slopes to 5e-14 where they meet.
        """
        sign = np.where(x[0].real < 0, -1.0, 1.0)
        z = sign * x[0]
        z = np.where(z.real > 6.0, 6.0, z)
        near = np.where(z.real < 2.0, z, 0.0)
        total, term, n = near.copy(), near, 0
        while np.any(np.abs(term) > 1e-18 * np.abs(total)):
            n += 1
            term = term * near * near * (2.0 / (2 * n + 1))
            total += term
        t = 2.0 / (2.0 + z)
        _horner(_Q, (t - 0.5 * (_T_LOW + _T_HIGH)) * (2.0 / (_T_HIGH - _T_LOW)), out)
        tail = 1.0 - t * np.exp(out - z * z)
        series = 2.0 / math.sqrt(math.pi) * total * np.exp(-near * near)
        np.multiply(sign, np.where(z.real < 2.0, series, tail), out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """2 / sqrt(pi) e^(-x^2)."""
        return ((2.0 / math.sqrt(math.pi)) * Exp()(-(x * x)),)

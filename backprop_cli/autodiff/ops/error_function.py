"""The error function, which NumPy lacks."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Elementwise, Partial
from backprop_cli.autodiff.op import register, sample
from backprop_cli.autodiff.ops.exponentials import Exp
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value

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
# Chebyshev interpolation in 50 digits, as polynomials of x^2 and of t, to the precision of float32:
# erf(x) = x P(x^2) for |x| < 1; tail(z) = erfc(z) = t exp(Q(t) - z^2) for 1 <= z <= 6.
# Largest relative error over [-7, 7], rounding included: 2.4e-7.
_P_SINGLE = (1.128379127, -0.3761234978, 0.1128036441, -0.0267163851, 0.004923277665, -0.000565410586)
_Q_SINGLE = (-1.268203849, 1.035263529, 0.1863176975, 0.602633915, -0.8242801292, 0.2683813993)
_T_LOW, _T_HIGH = 2.0 / 8.0, 2.0 / 3.0  # t at z = 6 and z = 1


def _horner(coefficients: tuple[float, ...], u: Array, out: Array) -> None:
    np.multiply(u, coefficients[-1], out=out)
    np.add(out, coefficients[-2], out=out)
    for coefficient in reversed(coefficients[:-2]):
        np.multiply(out, u, out=out)
        np.add(out, coefficient, out=out)


def erf_of_single(x: Array, out: Array, z: Array, t: Array, s: Array) -> None:
    """``erf(x) = s (P(s^2) + tail(1) - tail(max(|x|, 1)))`` with s = x clipped to [-1, 1].

    The polynomials are shorter than those for float64. Both are evaluated and added: choosing takes as long. The arrays
    after ``out`` are scratch memory.
    """
    np.clip(x, -6.0, 6.0, out=s)
    np.abs(s, out=z)
    np.clip(z, 1.0, 6.0, out=z)
    np.divide(s, z, out=s)
    np.add(z, 2.0, out=t)
    np.divide(2.0, t, out=t)
    _horner(_Q_SINGLE, t, out)
    np.multiply(z, z, out=z)
    np.subtract(out, z, out=out)
    np.exp(out, out=out)
    np.multiply(t, out, out=t)
    np.subtract(_TAIL, t, out=t)
    np.multiply(s, s, out=z)
    _horner(_P_SINGLE, z, out)
    np.add(out, t, out=out)
    np.multiply(out, s, out=out)


def _single_at_one() -> np.float32:
    found = np.empty((), np.float32)
    _horner(_P_SINGLE, np.ones((), np.float32), found)
    return np.float32(found)


_TAIL = np.float32(1.0) - _single_at_one()
"""tail(1), rounded so that erf of a large number is 1 to the last bit."""


def erf_of_double(x: Array, out: Array, z: Array, u: Array, tail: Array, small: Array) -> None:
    """Two polynomials, chosen by ``|x| < 1``. The arrays after ``out`` are scratch memory."""
    np.abs(x, out=z)
    np.minimum(z, 6.0, out=z)  # erf(6) is 1 to the last bit; NaN passes
    # tail = 1 - t exp(Q(u) - z^2)
    np.add(z, 2.0, out=tail)
    np.divide(2.0, tail, out=tail)
    polynomial_of_tail(tail, out, u)
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


def polynomial_of_tail(t: Array, out: Array, u: Array) -> None:
    """``Q(u)`` for ``t = 2 / (2 + z)``; u is overwritten by t scaled to [-1, 1]."""
    np.subtract(t, 0.5 * (_T_LOW + _T_HIGH), out=u)
    np.multiply(u, 2.0 / (_T_HIGH - _T_LOW), out=u)
    _horner(_Q, u, out)


@register
class Erf(Elementwise):
    """``out = 2 / sqrt(pi) * integral_0^x e^(-s^2) ds``."""

    expression: ClassVar = "erf({0})"
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval(self, x: Array, *, out: Array) -> None:
        first, second, third = (np.empty(x.shape, x.dtype) for _ in range(3))
        if out.dtype == np.float32:
            erf_of_single(x, out, first, second, third)
        else:
            erf_of_double(x, out, first, second, third, np.empty(x.shape, np.bool_))

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return ((2.0 / math.sqrt(math.pi)) * Exp()(-(x * x)),)

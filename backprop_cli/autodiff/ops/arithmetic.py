"""Sums, products, powers, extrema."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Elementwise, Partial
from backprop_cli.autodiff.op import Sample, register, sample
from backprop_cli.autodiff.ops.comparison import Equal, Greater
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value

_BINARY: tuple[Sample, ...] = (
    sample((3, 4), (3, 4)),
    sample((3, 4), (4,)),
    sample((2, 1, 3), (4, 1)),
    sample((), (3,)),
    sample((3, 1), (1, 2)),
)


@register
class Add(Elementwise):
    """``out = x + y``."""

    ufunc: ClassVar = np.add
    expression: ClassVar = "{0} + {1}"
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        return 1.0, 1.0


@register
class Subtract(Elementwise):
    """``out = x - y``."""

    ufunc: ClassVar = np.subtract
    expression: ClassVar = "{0} - {1}"
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        return 1.0, -1.0


@register
class Multiply(Elementwise):
    """``out = x * y``, elementwise."""

    ufunc: ClassVar = np.multiply
    expression: ClassVar = "{0} * {1}"
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        return y, x


@register
class Divide(Elementwise):
    """``out = x / y``."""

    ufunc: ClassVar = np.divide
    expression: ClassVar = "{0} / {1}"
    samples: ClassVar = tuple(Sample(s.shapes, domain=(0.5, 2.0)) for s in _BINARY)

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        return 1.0 / y, -(out / y)


@register
class Negative(Elementwise):
    """``out = -x``."""

    ufunc: ClassVar = np.negative
    expression: ClassVar = "-{0}"
    samples: ClassVar = (sample((3, 4)), sample(()))

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (-1.0,)


@register
class Square(Elementwise):
    """``out = x^2``."""

    ufunc: ClassVar = np.square
    expression: ClassVar = "{0} * {0}"
    samples: ClassVar = (sample((3, 4)), sample(()))

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (2.0 * x,)


@register
class Sqrt(Elementwise):
    """``out = sqrt(x)``; its derivative at 0 is infinite."""

    ufunc: ClassVar = np.sqrt
    expression: ClassVar = "sqrt({0})"
    samples: ClassVar = (sample((3, 4), domain=(0.5, 4.0)),)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (0.5 / out,)


@register
class Power(Elementwise):
    """``out = x^exponent`` for a constant exponent."""

    exponent: float
    samples: ClassVar = (
        sample((3, 4), domain=(0.5, 2.0), exponent=2.5),
        sample((3,), domain=(0.5, 2.0), exponent=-1.0),
        sample((3,), exponent=3.0),
    )

    def eval(self, x: Array, *, out: Array) -> None:
        np.power(x, self.exponent, out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        if self.exponent == 0.0:
            return (None,)
        return (self.exponent * Power(self.exponent - 1.0)(x),)


@register
class Absolute(Elementwise):
    """``out = |x|``; its derivative at 0 is 0."""

    ufunc: ClassVar = np.abs
    expression: ClassVar = "abs({0})"
    is_smooth: ClassVar = False
    samples: ClassVar = (sample((3, 4)), sample(()))

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (Sign()(x),)


@register
class Sign(Elementwise):
    """``out = sign(x)``: -1, 0 or 1; its derivative is 0 everywhere."""

    ufunc: ClassVar = np.sign
    expression: ClassVar = "{one} if {0} > {zero} else (-{one} if {0} < {zero} else {0})"
    is_smooth: ClassVar = False
    is_step: ClassVar = True
    samples: ClassVar = (sample((3, 4)),)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (None,)


def _share(x: Value, y: Value) -> Value:
    """``d max(x, y) / dx``: 1, 0, or 1/2 where they are equal."""
    return Greater()(x, y) + 0.5 * Equal()(x, y)


@register
class Maximum(Elementwise):
    """``out = max(x, y)``, elementwise; where they are equal each has half the derivative."""

    ufunc: ClassVar = np.maximum
    expression: ClassVar = "{1} if {0} < {1} else ({0} if {0} >= {1} else {0} + {1})"
    is_smooth: ClassVar = False
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        return _share(x, y), _share(y, x)


@register
class Minimum(Elementwise):
    """``out = min(x, y)``, elementwise; where they are equal each has half the derivative."""

    ufunc: ClassVar = np.minimum
    expression: ClassVar = "{1} if {0} > {1} else ({0} if {0} <= {1} else {0} + {1})"
    is_smooth: ClassVar = False
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        return _share(y, x), _share(x, y)


@register
class Relu(Elementwise):
    """``out = max(x, 0)``; its derivative at 0 is 0."""

    expression: ClassVar = "{zero} if {0} < {zero} else {0}"
    is_smooth: ClassVar = False
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval(self, x: Array, *, out: Array) -> None:
        np.maximum(x, 0.0, out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        return (Greater()(out, 0.0),)  # written with the result, so that x need not be kept

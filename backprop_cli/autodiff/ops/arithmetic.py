"""Sums, products, powers, extrema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Elementwise, Partial, broadcast, reshaped
from backprop_cli.autodiff.op import OPS, Sample, register, sample
from backprop_cli.autodiff.ops.comparison import Equal, Greater
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.kernels.calls import into

_BINARY: tuple[Sample, ...] = (
    sample((3, 4), (3, 4)),
    sample((3, 4), (4,)),
    sample((2, 1, 3), (4, 1)),
    sample((), (3,)),
    sample((3, 1), (1, 2)),
)


def _is_number(x: Value, number: float) -> bool:
    return x.array is not None and x.size == 1 and bool(x.array.item() == number)


def _neutral(x: Value, y: Value, number: float) -> Value | None:
    """``x`` in the shape of the result where ``y`` is the operation's neutral number."""
    if not _is_number(y, number) or x.dtype != y.dtype:
        return None
    return broadcast(x, np.broadcast_shapes(x.shape, y.shape))


@register
class Add(Elementwise):
    """``out = x + y``."""

    ufunc: ClassVar = np.add
    expression: ClassVar = "{0} + {1}"
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        """1, 1."""
        return 1.0, 1.0

    def simplify(self, *x: Value) -> Value | None:
        """``x + 0 = x``; ``x + (-y) = x - y``; ``x + y * (-c) = x - y * c`` for a constant c > 0."""
        a, b = x
        for found in (_neutral(a, b, 0.0), _neutral(b, a, 0.0), _difference(a, b), _difference(b, a)):
            if found is not None:
                return found
        return super().simplify(*x)


def _difference(x: Value, y: Value) -> Value | None:
    if isinstance(y.op, Negative):
        return x - y.inputs[0]
    factor = _constant_factor(y)
    if factor is None or factor.array is None or not factor.array.item() < 0:
        return None
    return x - y * -1.0


@register
class Subtract(Elementwise):
    """``out = x - y``."""

    ufunc: ClassVar = np.subtract
    expression: ClassVar = "{0} - {1}"
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        """1, -1."""
        return 1.0, -1.0

    def simplify(self, *x: Value) -> Value | None:
        """``x * c - y * c = (x - y) * c`` for a constant c."""
        a, b = (_constant_factor(value) for value in x)
        if a is not None and a is b:
            return (_other(x[0], a) - _other(x[1], a)) * a
        return super().simplify(*x)


def _constant_factor(x: Value) -> Value | None:
    """``c`` of ``y * c``, where it is a constant number."""
    if not isinstance(x.op, Multiply):
        return None
    return next((factor for factor in x.inputs if factor.is_constant and factor.ndim == 0), None)


def _other(product: Value, factor: Value) -> Value:
    return product.inputs[0] if product.inputs[1] is factor else product.inputs[1]


@register
class Multiply(Elementwise):
    """``out = x * y``, elementwise."""

    ufunc: ClassVar = np.multiply
    expression: ClassVar = "{0} * {1}"
    samples: ClassVar = _BINARY

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        """y, x."""
        return y, x

    def simplify(self, *x: Value) -> Value | None:
        """``x * 1 = x``; numbers of a product are gathered, and a reciprocal becomes a division."""
        a, b = x
        for found in (_neutral(a, b, 1.0), _neutral(b, a, 1.0), _gathered(a, b), _gathered(b, a)):
            if found is not None:
                return found
        return super().simplify(*x)


def _gathered(x: Value, y: Value) -> Value | None:
    """``(x * a) * b = x * (a b)`` for a number a and fewer numbers b than x has; ``x * (c / y) = (x / y) * c`` for a
    constant number c.
    """
    if isinstance(x.op, Multiply) and x.ndim > 0 and (y.ndim == 0 or y.size < x.size):
        for inner, factor in (x.inputs, x.inputs[::-1]):
            if factor.ndim == 0:
                return inner * (factor * y)
    bare = y.inputs[0] if isinstance(y.op, OPS["reshape"]) else y
    if isinstance(bare.op, Divide) and bare.inputs[0].is_constant and bare.inputs[0].ndim == 0:
        number, divisor = bare.inputs
        if divisor.spec == bare.spec:
            if x.is_constant and x.ndim == 0:  # two numbers: x / y * c would come back here as c * (x / y)
                return (x * number) / reshaped(divisor, y.shape)
            quotient = x / reshaped(divisor, y.shape)
            return quotient if _is_number(number, 1.0) else quotient * number
    return None


@register
class Divide(Elementwise):
    """``out = x / y``."""

    ufunc: ClassVar = np.divide
    expression: ClassVar = "{0} / {1}"
    samples: ClassVar = tuple(Sample(s.shapes, domain=(0.5, 2.0)) for s in _BINARY)

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        """1/y, -out/y."""
        return 1.0 / y, -(out / y)


@register
class Negative(Elementwise):
    """``out = -x``."""

    ufunc: ClassVar = np.negative
    expression: ClassVar = "-{0}"
    samples: ClassVar = (sample((3, 4)), sample(()))

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """-1."""
        return (-1.0,)

    def simplify(self, *x: Value) -> Value | None:
        """``-(-x) = x``; ``-(x * a) = x * (-a)`` for a constant."""
        inner = x[0].op
        if isinstance(inner, Negative):
            return x[0].inputs[0]
        if isinstance(inner, Multiply) and _constant_factor(x[0]) is not None:
            return x[0] * -1.0
        return super().simplify(*x)


@register
class Square(Elementwise):
    """``out = x^2``."""

    ufunc: ClassVar = np.square
    expression: ClassVar = "{0} * {0}"
    samples: ClassVar = (sample((3, 4)), sample(()))

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """2 x."""
        return (2.0 * x,)


@register
class Sqrt(Elementwise):
    """``out = sqrt(x)``; its derivative at 0 is infinite."""

    ufunc: ClassVar = np.sqrt
    expression: ClassVar = "sqrt({0})"
    samples: ClassVar = (sample((3, 4), domain=(0.5, 4.0)),)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """1 / (2 out)."""
        return (0.5 / out,)


@register
@dataclass(frozen=True)
class Power(Elementwise):
    """``out = x^exponent`` for a constant exponent."""

    exponent: float
    samples: ClassVar = (
        sample((3, 4), domain=(0.5, 2.0), exponent=2.5),
        sample((3,), domain=(0.5, 2.0), exponent=-1.0),
        sample((3,), exponent=3.0),
    )

    def eval(self, x: Array, *, out: Array) -> None:
        """NumPy's power."""
        np.power(x, self.exponent, out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """Exponent x^(exponent - 1)."""
        if self.exponent == 0.0:
            return (None,)
        return (self.exponent * Power(self.exponent - 1.0)(x),)

    def simplify(self, *x: Value) -> Value | None:
        """The cheaper op for exponents 1 and 2."""
        if self.exponent == 1.0:
            return x[0]
        return Square()(x[0]) if self.exponent == 2.0 else None


@register
class Absolute(Elementwise):
    """``out = |x|``; its derivative at 0 is 0."""

    ufunc: ClassVar = np.abs
    expression: ClassVar = "abs({0})"
    is_smooth: ClassVar = False
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval_complex(self, *x: Array, out: Array) -> None:
        """``x sign(Re x)``."""
        np.multiply(x[0], np.sign(x[0].real), out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """sign(x)."""
        return (Sign()(x),)


@register
class Sign(Elementwise):
    """``out = sign(x)``: -1, 0 or 1; its derivative is 0 everywhere."""

    ufunc: ClassVar = np.sign
    in_place: ClassVar = False  # over its own operand NumPy takes 12 times as long
    expression: ClassVar = "{one} if {0} > {zero} else (-{one} if {0} < {zero} else {0})"
    is_smooth: ClassVar = False
    is_step: ClassVar = True
    samples: ClassVar = (sample((3, 4)),)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """None."""
        return (None,)


def _chosen(x: Array, y: Array, out: Array) -> None:
    """X where ``Re x > Re y``, y where it is less, their mean where they are equal; NaN stays NaN."""
    np.add(x, y, out=out)
    np.multiply(out, 0.5, out=out, where=x.real == y.real)
    np.copyto(out, x, where=x.real > y.real)
    np.copyto(out, y, where=x.real < y.real)


def _share(x: Value, y: Value) -> Value:
    """The part of the derivative of max(x, y) that belongs to x: 1, 0, or 1/2 where they are equal."""
    return Greater()(x, y) + 0.5 * Equal()(x, y)


@register
class Maximum(Elementwise):
    """``out = max(x, y)``, elementwise; where they are equal each has half the derivative."""

    ufunc: ClassVar = np.maximum
    expression: ClassVar = "{0} if {0} >= {1} or {0} != {0} else {1}"
    is_smooth: ClassVar = False
    samples: ClassVar = _BINARY

    def eval_complex(self, *x: Array, out: Array) -> None:
        """The operand of the larger real part."""
        _chosen(x[0], x[1], out)

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        """1 for the larger."""
        return _share(x, y), _share(y, x)


@register
class Minimum(Elementwise):
    """``out = min(x, y)``, elementwise; where they are equal each has half the derivative."""

    ufunc: ClassVar = np.minimum
    expression: ClassVar = "{0} if {0} <= {1} or {0} != {0} else {1}"
    is_smooth: ClassVar = False
    samples: ClassVar = _BINARY

    def eval_complex(self, *x: Array, out: Array) -> None:
        """The operand of the smaller real part."""
        _chosen(-x[0], -x[1], out)
        np.negative(out, out=out)

    def partials(self, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        """1 for the smaller."""
        return _share(y, x), _share(x, y)


@register
class Relu(Elementwise):
    """``out = max(x, 0)``; its derivative at 0 is 0."""

    expression: ClassVar = "{zero} if {0} < {zero} else {0}"
    is_smooth: ClassVar = False
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval(self, x: Array, *, out: Array) -> None:
        """NumPy's maximum; NaN stays NaN."""
        np.maximum(x, 0.0, out=out)

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """The maximum with an array of zeros: against a single 0 NumPy's loop takes five times as long.

        The zeros are never written, so that the system backs them with one page.
        """
        return into(np.maximum, x[0], np.zeros(x[0].shape, x[0].dtype), out=out)

    def eval_complex(self, *x: Array, out: Array) -> None:
        """``x [Re x > 0]``; NaN stays NaN."""
        np.copyto(out, x[0])
        np.copyto(out, 0.0, where=x[0].real <= 0.0)

    def partials(self, x: Value, *, out: Value) -> tuple[Partial, ...]:
        """1 where out > 0: written with the result, so that x need not be kept."""
        return (Greater()(out, 0.0),)

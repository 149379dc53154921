"""Families of ops: where mathematics has one derivative rule, one rule makes both modes.

===========  ================================  ========================================================
family       its ops state                     forward ``out_dot``, reverse ``x_bar``
===========  ================================  ========================================================
Elementwise  ``partials``: d out / d x_k       ``sum_k partial_k * x_dot_k``; ``ct * partial_k``
Linear       ``transpose``: A^T                ``A x_dot``, the op itself; ``A^T ct``
Bilinear     ``transpose_left``, ``..._right`` ``x_dot * y + x * y_dot``; both transposes
Constant     nothing                           0
===========  ================================  ========================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from backprop_cli.autodiff.op import OPS, Op, common_dtype
from backprop_cli.autodiff.spec import Spec
from backprop_cli.autodiff.value import Value, constant
from backprop_cli.errors import ShapeError

Partial = Value | float | None
"""A partial derivative: a value, a plain number, or None if the result does not depend on the operand."""


class Elementwise(Op):
    """``out[i] = f(x[i], y[i], ...)`` with NumPy's broadcasting.

    An op states its partial derivatives, elementwise, and either a ``ufunc`` or an ``eval``. Its ``expression`` is the
    same function as text, which no derivative reads; it stands here so that both are written and checked together.
    """

    ufunc: ClassVar[np.ufunc | None] = None
    expression: ClassVar[str] = ""
    """The function of one element, for compiled steps and for formulas: ``"{0} + {1}"``, ``"exp({0})"``.

    Python with the functions of ``math``; ``{0}``, ``{1}``, ... stand for the operands, ``{zero}`` and ``{one}`` for
    numbers of the result's precision. Empty: NumPy computes the op.
    """

    def partials(self, *x: Any, **result: Any) -> tuple[Partial, ...]:
        """``partials(x, y, out=out)``: ``d out / d x_k`` for every operand."""
        raise NotImplementedError

    def shape(self, *x: Spec) -> Spec:
        shapes = {s.shape for s in x} - {()}  # single numbers go with any array; NumPy takes 2 us to find a shape
        try:
            shape = np.broadcast_shapes(*shapes) if len(shapes) > 1 else next(iter(shapes), ())
        except ValueError:
            given = {f"operand {i}": s for i, s in enumerate(x)}
            raise ShapeError(self, "shapes do not broadcast", **given) from None
        return Spec(shape, common_dtype(self, *x))

    def eval(self, *x: Any, **result: Any) -> None:
        assert self.ufunc is not None
        self.ufunc(*x, **result)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        total: Value | None = None
        for partial, tangent in zip(self.partials(*primals, out=out), tangents, strict=True):
            if partial is not None and tangent is not None:
                term = scaled(tangent, partial)
                total = term if total is None else total + term
        return None if total is None else broadcast(total, out.shape)

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        partials = self.partials(*primals, out=out)
        return tuple(_pulled(cotangent, partial, x.shape) for x, partial in zip(primals, partials, strict=True))


def _pulled(cotangent: Value, partial: Partial, shape: tuple[int, ...]) -> Value | None:
    """``cotangent * partial``, summed over the repetitions of an operand that was broadcast."""
    if partial is None:
        return None
    if isinstance(partial, float):  # a factor of the sum, which has fewer elements than its terms
        return scaled(unbroadcast(cotangent, shape), partial)
    return unbroadcast(scaled(cotangent, partial), shape)


class Linear(Op):
    """``out = A (x, y, ...)``: linear in all its operands together, so its forward rule is the op itself."""

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """``A^T ct`` for every operand; only the specs of ``x`` are read."""
        raise NotImplementedError

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        if all(t is None for t in tangents):
            return None
        return self(*(zeros_like(x) if t is None else t for x, t in zip(primals, tangents, strict=True)))

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        return self.transpose(cotangent, *primals)


class Bilinear(Op):
    """``out = x * y`` for any product ``*`` that is linear in each of its operands: matrix products, convolutions."""

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The cotangent of x."""
        raise NotImplementedError

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The cotangent of y."""
        raise NotImplementedError

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        (x, y), (x_dot, y_dot) = primals, tangents
        left = None if x_dot is None else self(x_dot, y)
        right = None if y_dot is None else self(x, y_dot)
        return left + right if left is not None and right is not None else left if right is None else right

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        x, y = primals
        return self.transpose_left(cotangent, x, y), self.transpose_right(cotangent, x, y)


class Constant(Op):
    """The derivative is 0: by definition, or everywhere but at jumps."""

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        return None

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        return (None,) * len(primals)


# Functions that rules are written with. Three of them make ops by name, since the modules of ops import this one.


def scaled(value: Value, factor: Value | float) -> Value:
    """``value * factor``; a Python factor of 1.0 or -1.0 costs no product."""
    if isinstance(factor, float):
        if factor == 1.0:
            return value
        if factor == -1.0:
            return -value
    return value * factor


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The order of axes that undoes ``order``."""
    return tuple(order.index(axis) for axis in range(len(order)))


def broadcast(x: Value, shape: tuple[int, ...]) -> Value:
    """``x`` repeated to a larger shape by NumPy's rules."""
    return x if x.shape == shape else OPS["broadcast_to"](shape)(x)


def reshaped(x: Value, shape: tuple[int, ...]) -> Value:
    """The elements of ``x`` in another shape."""
    return x if x.shape == shape else OPS["reshape"](shape)(x)


def unbroadcast(cotangent: Value, shape: tuple[int, ...]) -> Value:
    """The transpose of ``broadcast``: the sum over the axes along which an array of ``shape`` was repeated."""
    if cotangent.shape == shape:
        return cotangent
    lead = cotangent.ndim - len(shape)
    kept = [lead + i for i, (n, m) in enumerate(zip(shape, cotangent.shape[lead:], strict=True)) if n == 1 and m != 1]
    axes = (*range(lead), *kept)
    total = OPS["sum"](axes)(cotangent) if axes else cotangent
    return reshaped(total, shape)


def zeros_like(x: Value) -> Value:
    """Zeros of x's spec, as a broadcast constant."""
    return broadcast(constant(0, x.dtype), x.shape)


def ones_like(x: Value) -> Value:
    """Ones of x's spec, as a broadcast constant."""
    return broadcast(constant(1, x.dtype), x.shape)

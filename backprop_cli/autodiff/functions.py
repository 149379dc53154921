"""Functions made of ops, so their derivatives need no rules of their own."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.autodiff.ops.arithmetic import (
    Absolute,
    Add,
    Divide,
    Maximum,
    Minimum,
    Multiply,
    Negative,
    Power,
    Relu,
    Sign,
    Sqrt,
    Square,
    Subtract,
)
from backprop_cli.autodiff.ops.comparison import Equal, Greater, GreaterEqual, Less, OneHot, Where
from backprop_cli.autodiff.ops.copies import Cast, Copy, StopGradient
from backprop_cli.autodiff.ops.error_function import Erf
from backprop_cli.autodiff.ops.exponentials import Cos, Exp, Expm1, Log, Log1p, Sigmoid, Sin, Softplus, Tanh
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.pieces import Concat, Slice
from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.rows import TakeRows
from backprop_cli.autodiff.ops.shape import BroadcastTo, Reshape, Transpose
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.autodiff.value import Operand, Value, as_value, constant
from backprop_cli.errors import ShapeError, UsageError

# An op without fields is a function.
add, subtract, multiply, divide, negative = Add(), Subtract(), Multiply(), Divide(), Negative()
square, sqrt, absolute, sign, maximum, minimum, relu = (
    Square(), Sqrt(), Absolute(), Sign(), Maximum(), Minimum(), Relu(),
)  # fmt: skip
exp, expm1, log, log1p, sin, cos, tanh = Exp(), Expm1(), Log(), Log1p(), Sin(), Cos(), Tanh()
sigmoid, softplus, erf = Sigmoid(), Softplus(), Erf()
greater, greater_equal, less, equal, where = Greater(), GreaterEqual(), Less(), Equal(), Where()
matmul, take_rows, stop_gradient, copy = Matmul(), TakeRows(), StopGradient(), Copy()

Axes = int | Sequence[int] | None


def _values(*operands: Operand) -> list[Value]:
    """Arrays and numbers as constants; numbers take the dtype of the values."""
    dtypes = [x.dtype for x in operands if isinstance(x, Value)]
    dtype = next((dtype for dtype in dtypes if dtype.kind in "fc"), dtypes[0] if dtypes else np.dtype(np.float64))
    return [as_value(x, dtype) for x in operands]


def _axes(x: Value, axes: Axes) -> tuple[int, ...]:
    """Axes as a tuple of numbers from 0; None stands for all."""
    if axes is None:
        return tuple(range(x.ndim))
    given = tuple(axes) if isinstance(axes, Sequence) else (axes,)
    return tuple(_axis(x, axis) for axis in given)


def _axis(x: Value, axis: int) -> int:
    """A number from 0."""
    if not isinstance(axis, int | np.integer):
        raise UsageError(f"an axis is an integer; got {axis!r}")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError("axis", f"{axis} is outside of {x.ndim} axes", x=x.spec)
    return int(axis % x.ndim)


def _sizes(shape: int | Sequence[int]) -> tuple[int, ...]:
    """A shape as a tuple of Python integers."""
    try:
        return tuple(map(operator.index, shape if isinstance(shape, Sequence) else (shape,)))
    except TypeError:
        raise UsageError(f"a shape has integers; got {shape!r}") from None


def power(x: Value | float, exponent: Value | float) -> Value:
    """``x^exponent``, where one of the two is a number; ``e^(exponent ln x)`` for a positive number x."""
    if isinstance(x, Value):
        if isinstance(exponent, Value) or np.ndim(exponent) > 0:
            raise UsageError(
                "x ** y needs a number for y; for x > 0 write exp(y * log(x)); "
                "a float argument is traced: pass an integer, or close over the number"
            )
        return Power(float(exponent))(x)
    if np.ndim(x) > 0 or not x > 0 or not isinstance(exponent, Value):
        raise UsageError("x ** y of a traced y needs a positive number for x; for an array write exp(y * np.log(x))")
    return exp(exponent * math.log(x))


def not_equal(x: Operand, y: Operand) -> Value:
    """``out = [x != y]``."""
    same = equal(x, y)
    return equal(same, same.dtype.type(0))


def sum(x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    """Sum over ``axes`` (None: all); of small integers and booleans in 64 bits, as NumPy does."""
    if x.dtype.kind in "iub" and x.dtype.itemsize < 8:
        x = cast(x, np.uint64 if x.dtype.kind == "u" else np.int64)
    return Sum(_axes(x, axes), keepdims)(x)


def mean(x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    """Sum over ``axes`` divided by the number of elements summed; of integers in float64."""
    total = sum(x if x.dtype.kind in "fc" else cast(x, np.float64), axes, keepdims)
    count = math.prod(x.shape[axis] for axis in _axes(x, axes))
    return total * (1.0 / count)


def variance(x: Value, axes: Axes = None, keepdims: bool = False, ddof: int = 0) -> Value:
    """Mean squared distance from the mean: the sum of squares divided by n - ``ddof``."""
    found = mean(square(x - mean(x, axes, keepdims=True)), axes, keepdims)
    count = math.prod(x.shape[axis] for axis in _axes(x, axes))
    if ddof == 0:
        return found
    if ddof >= count:
        raise ShapeError("variance", f"{count} elements are too few for ddof={ddof}", x=x.spec)
    return found * (count / (count - ddof))


def norm(x: Value) -> Value:
    """Euclidean norm of all elements, as a row times a column: BLAS passes over memory once."""
    return sqrt(reshape(reshape(x, (1, x.size)) @ reshape(x, (x.size, 1)), ()))


def amax(x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    """Largest element over ``axes``; equal elements share the derivative."""
    return Amax(_axes(x, axes), keepdims)(x)


def amin(x: Value, axes: Axes = None, keepdims: bool = False) -> Value:
    """Smallest element over ``axes``; equal elements share the derivative."""
    if x.dtype.kind == "b":
        return cast(amin(cast(x, np.uint8), axes, keepdims), x.dtype)
    if x.dtype.kind in "iu":  # -x might not be an integer of this type; top - x is
        top = constant(np.iinfo(x.dtype).max if x.dtype.kind == "u" else -1, x.dtype)
        return top - amax(top - x, axes, keepdims)
    return -amax(-x, axes, keepdims)


def product(x: Operand, y: Operand) -> Value:
    """``x @ y``: ``matmul`` with a vector as a row on the left or a column on the right; the added axis is dropped."""
    x, y = _values(x, y)
    rows = reshape(x, (1, x.size)) if x.ndim == 1 else x
    columns = reshape(y, (y.size, 1)) if y.ndim == 1 else y
    out = matmul(rows, columns)
    if rows is x and columns is y:
        return out
    return reshape(out, (*out.shape[:-2], *x.shape[-2:-1], *y.shape[-1:][: y.ndim - 1]))


def dot(x: Operand, y: Operand) -> Value:
    """Product of vectors and matrices; with a scalar, the product by it."""
    x, y = _values(x, y)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    if x.ndim > 2 or y.ndim > 2:
        raise ShapeError("dot", "takes vectors and matrices; write x @ y for stacks of matrices", x=x.spec, y=y.spec)
    return product(x, y)


def _shifted(x: Value, axis: int) -> Value:
    """``x - max(x)``. The maximum cancels in the callers' results, so derivatives take it as a constant."""
    return x - stop_gradient(amax(x, axis, keepdims=True))


def logsumexp(x: Value, axis: Axes = -1, keepdims: bool = False) -> Value:
    """``ln sum_k e^x_k`` over ``axis`` (nats; None: all), without overflow; the limit for infinite x."""
    top = stop_gradient(amax(x, axis, keepdims=True))
    # Infinity minus infinity is NaN, so an infinite maximum is not subtracted.
    top = where(less(absolute(top), math.inf), top, 0.0)
    out = log(sum(exp(x - top), axis, keepdims=True)) + top
    return out if keepdims else reshape(out, [n for k, n in enumerate(x.shape) if k not in _axes(x, axis)])


def logaddexp(x: Operand, y: Operand) -> Value:
    """``ln(e^x + e^y)`` (nats), without overflow; the limit for infinite operands."""
    first = greater_equal(x, y)
    high, low = where(first, x, y), where(first, y, x)
    # Infinity minus infinity is NaN.
    are_infinite = equal(high, low) * equal(absolute(high), math.inf)
    return high + softplus(where(are_infinite, 0.0, low) - where(are_infinite, 0.0, high))


def log_softmax(x: Value, axis: int = -1) -> Value:
    """``x - logsumexp(x)`` along an axis: log-probabilities (nats)."""
    shifted = _shifted(x, axis)
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


def softmax(x: Value, axis: int = -1) -> Value:
    """``e^x_j / sum_k e^x_k`` along an axis: probabilities."""
    weights = exp(_shifted(x, axis))
    return weights / sum(weights, axis, keepdims=True)


def fused_softmax(x: Value, causal: bool = False) -> Value:
    """``softmax`` over the last axis as one op: a third of the calls, but a cross entropy can share nothing with it.

    ``causal``: row i covers its first i + 1 entries; the others are 0.
    """
    return Softmax(causal)(x)


def clip(x: Value, low: Operand | None = None, high: Operand | None = None) -> Value:
    """``min(max(x, low), high)``, None for no bound; the derivative is 1 inside, 0 outside, 1/2 on the bounds."""
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def reshape(x: Value, shape: int | Sequence[int]) -> Value:
    """The same elements in another shape; one size may be -1."""
    sizes = _sizes(shape)
    known = math.prod(n for n in sizes if n != -1)
    return Reshape(tuple(x.size // max(known, 1) if n == -1 else n for n in sizes))(x)


def transpose(x: Value, perm: Sequence[int] | None = None) -> Value:
    """Axes in the order ``perm``; None reverses them."""
    return Transpose(tuple(reversed(range(x.ndim))) if perm is None else _axes(x, perm))(x)


def broadcast_to(x: Value, shape: Sequence[int]) -> Value:
    """Repeat x to a larger shape by NumPy's rules."""
    return BroadcastTo(_sizes(shape))(x)


def outer(x: Operand, y: Operand) -> Value:
    """``out[i, j] = x[i] * y[j]``; other arrays are flattened."""
    x, y = _values(x, y)
    return reshape(x, (-1, 1)) * reshape(y, (1, -1))


def expand_dims(x: Value, axis: int) -> Value:
    """``x`` with a new axis of size 1, which is number ``axis`` of the result."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise ShapeError("axis", f"{axis} is outside of the result's {x.ndim + 1} axes", x=x.spec)
    at = axis % (x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def _parts(values: Sequence[Operand]) -> list[Value]:
    if not len(values):
        raise UsageError("at least one value is needed to join")
    return _values(*values)


def concat(values: Sequence[Operand], axis: int = 0) -> Value:
    """Join values along an axis."""
    parts = _parts(values)
    return Concat(_axis(parts[0], axis))(*parts)


def stack(values: Sequence[Operand], axis: int = 0) -> Value:
    """Join values of one shape along a new axis."""
    return concat([expand_dims(x, axis) for x in _parts(values)], axis)


def slice_(x: Value, axis: int, start: int, stop: int) -> Value:
    """``x[start:stop]`` along an axis."""
    return Slice(_axis(x, axis), start, stop)(x)


def cast(x: Value, dtype: DTypeLike) -> Value:
    """``x`` in another dtype."""
    return Cast(np.dtype(dtype).name)(x)


def one_hot(labels: Value, classes: int, dtype: DTypeLike = np.float64) -> Value:
    """``out[..., k] = [labels[...] = k]``."""
    return OneHot(classes, np.dtype(dtype).name)(labels)

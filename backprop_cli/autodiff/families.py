"""Families of ops: where mathematics has one derivative rule, there is one rule for both modes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.autodiff.op import OPS, Op, common_dtype, in_brackets, zeros_of
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value, constant
from backprop_cli.errors import ShapeError
from backprop_cli.execution.element_expression import Loop
from backprop_cli.execution.kernels.calls import in_turn, into

Partial = Value | float | None
"""A partial derivative: a value, a plain number, or None where the result does not depend on the operand."""


class Elementwise(Op):
    """``out[i] = f(x[i], y[i], ...)`` with NumPy's broadcasting; states its partial derivatives.

    Forward: ``out_dot = sum_k partial_k * x_dot_k``. Reverse: ``x_bar_k = unbroadcast(ct * partial_k)``.
    """

    ufunc: ClassVar[np.ufunc | None] = None
    expression: ClassVar[str] = ""
    """The function of one element, as in ``Loop.expression``; without it the op is NumPy's."""
    in_place: ClassVar[bool] = True

    def partials(self, *x: Any, **result: Any) -> tuple[Partial, ...]:
        """``partials(x, y, out=out)``: ``d out / d x_k`` for every operand, elementwise."""
        raise NotImplementedError

    def shape(self, *x: Spec) -> Spec:
        """NumPy's broadcasting of the operands' shapes."""
        try:
            shape = np.broadcast_shapes(*(s.shape for s in x))
        except ValueError:
            given = {f"operand {i}": s for i, s in enumerate(x)}
            raise ShapeError(self, "shapes do not broadcast", **given) from None
        return Spec(shape, common_dtype(self, *x))

    def eval(self, *x: Any, **memory: Any) -> None:
        """Call the ufunc."""
        assert self.ufunc is not None
        self.ufunc(*x, out=memory["out"])

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """The bare ufunc with its arrays: nothing stands between the plan and NumPy.

        Arrays that broadcast are repeated before, where the result is small: 0.2 to 0.5 us, and NumPy goes through
        arrays of one shape in 0.2 where its iterator for others takes 0.9.
        """
        if not self._is_bare():
            return super().bind(*x, out=out, scratch=scratch)
        assert self.ufunc is not None
        operands, calls = list(x), []
        repeated = (k for k, array in enumerate(x) if _is_repeated(array, out))
        for k, room in zip(repeated, scratch, strict=False):
            if x[k].flags.c_contiguous:  # else NumPy would take from a copy
                operands[k] = room
                calls.append(partial(x[k].take, _places(x[k].shape, out.shape), None, room, "clip"))
        last = into(self.ufunc, *operands, out=out)
        return in_turn([*calls, last]) if calls else last

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """A small result's operands that broadcast, in its shape."""
        if not self._is_bare() or len({spec.shape for spec in x}) == 1:
            return ()
        shape = np.broadcast_shapes(*(spec.shape for spec in x))
        return tuple(spec.with_shape(shape) for spec in x if _is_repeated(spec, spec.with_shape(shape)))

    def _is_bare(self) -> bool:
        return self.ufunc is not None and type(self).eval is Elementwise.eval

    def loop(self, *x: Array, out: Array) -> Loop | None:
        """The expression over the shape of the result."""
        if not self.expression:
            return None
        return Loop(self.expression, tuple(np.broadcast_to(array, out.shape) for array in x), out)

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """Sum of partials times tangents."""
        total: Value | None = None
        for part, tangent in zip(self.partials(*primals, out=out), tangents, strict=True):
            if part is not None and tangent is not None:
                term = scaled(tangent, part)
                total = term if total is None else total + term
        return None if total is None else broadcast(total, out.shape)

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """Cotangent times partials, summed over broadcast axes; by a number is multiplied what is left of the sum."""
        return tuple(
            None
            if part is None
            else scaled(unbroadcast(cotangent, x.shape), part)
            if isinstance(part, float)
            else unbroadcast(scaled(cotangent, part), x.shape)
            for x, part in zip(primals, self.partials(*primals, out=out), strict=True)
        )

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """One element each; an entry of 1 or -1 where the partial is that number."""
        parts = self.partials(*primals, out=out)
        return tuple(_one_each(x, part, out) for x, part in zip(primals, parts, strict=True))

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """Broadcasting, with axes of size 1 where the operand has fewer than the others."""
        axes = max(v.ndim - is_mapped for v, is_mapped in zip(x, mapped, strict=True))
        return self(*(aligned(v, axes + 1) if is_mapped else v for v, is_mapped in zip(x, mapped, strict=True)))

    def written(self, *operands: str) -> str:
        """With the sign of its ``expression`` between the operands, where it has one."""
        sign = self.expression.removeprefix("{0} ").removesuffix(" {1}")
        if f"{{0}} {sign} {{1}}" != self.expression:
            return super().written(*operands)
        left, right = operands
        return f"{left if sign == '+' else in_brackets(left)} {sign} {in_brackets(right)}"

    def simplify(self, *x: Value) -> Value | None:
        """Work on what was broadcast, not on its repetitions; broadcast the result if nothing else does.

        Work in the order in which transposed operands lie in memory, and transpose the result.
        """
        bare = tuple(v.inputs[0] if isinstance(v.op, OPS["broadcast_to"]) else v for v in x)
        if bare != x:
            return broadcast(self(*bare), np.broadcast_shapes(*(v.shape for v in x)))
        shape = np.broadcast_shapes(*(v.shape for v in x))
        order = _order_in_memory([v for v in x if v.shape == shape])
        if order is None:
            return None
        there, back = OPS["transpose"](order), OPS["transpose"](inverse(order))
        result: Value = there(self(*(v if v.ndim == 0 else back(_led(v, len(shape))) for v in x)))
        return result


class Linear(Op):
    """Linear in all its operands together, so its forward rule is itself."""

    def transpose(self, cotangent: Value, *x: Value) -> tuple[Value, ...]:
        """``A^T ct`` for every operand; ``x`` is there for its spec only."""
        raise NotImplementedError

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The op on the tangents."""
        if all(t is None for t in tangents):
            return None
        return self(*(zeros_like(x) if t is None else t for x, t in zip(primals, tangents, strict=True)))

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """The transpose."""
        return self.transpose(cotangent, *primals)


class Bilinear(Op):
    """Linear in each of two operands: ``d(x * y) = dx * y + x * dy``."""

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        """Cotangent of x."""
        raise NotImplementedError

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        """Cotangent of y."""
        raise NotImplementedError

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """The product rule."""
        (x, y), (x_dot, y_dot) = primals, tangents
        left = None if x_dot is None else self(x_dot, y)
        right = None if y_dot is None else self(x, y_dot)
        return left + right if left is not None and right is not None else left if right is None else right

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """Both transposes."""
        x, y = primals
        return self.transpose_left(cotangent, x, y), self.transpose_right(cotangent, x, y)


class Constant(Op):
    """Constant for every derivative: by definition, or but for its jumps."""

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """None."""
        return None

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """None."""
        return (None,) * len(primals)

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """None."""
        return (None,) * len(primals)


_SMALL = 768
"""Elements of a result up to which its operands are repeated before."""


def _is_repeated(x: Spec | Array, out: Spec | Array) -> bool:
    return 1 < x.size < out.size <= _SMALL


@cache
def _places(shape: tuple[int, ...], to: tuple[int, ...]) -> Array:
    """Where in an array of a shape each element is found that it has in another."""
    return np.ascontiguousarray(np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), to))


def _one_each(x: Value, part: Partial, out: Value) -> Local | None:
    if part is None or not x.spec.is_inexact:
        return None
    reads = np.broadcast_to(np.arange(x.size).reshape(x.shape), out.shape).reshape(out.size, 1)
    zeros = zeros_of(part) if isinstance(part, Value) else None
    if zeros is not None:
        reads = np.where(np.broadcast_to(zeros, out.shape).reshape(out.size, 1), -1, reads)
    is_unit = isinstance(part, float) and abs(part) == 1.0
    return Local(reads, is_unit, x.size, -1 if is_unit and part == -1.0 else 1)


def batched(size: int, x: Sequence[Value], mapped: Sequence[bool]) -> list[Value]:
    """The operands of ``vectorize``, of which those that are not ``mapped`` are repeated along the new first axis."""
    return [v if is_mapped else broadcast(v, (size, *v.shape)) for v, is_mapped in zip(x, mapped, strict=True)]


def aligned(x: Value, ndim: int) -> Value:
    """``x`` with axes of size 1 behind its first one, so that it has ``ndim``."""
    return reshaped(x, (x.shape[0], *(1,) * (ndim - x.ndim), *x.shape[1:]))


def _order_in_memory(x: Sequence[Value]) -> tuple[int, ...] | None:
    """The order in which transposed operands lie in memory, where there is one; None is that of their axes.

    Where others are not transposed, either they or those are read across memory. What has its batch last keeps it
    there: it is an image, and who reads it next wants it so. (Back to front it is not so: each would undo the other.)
    """
    orders = {v.op.perm if isinstance(v.op, OPS["transpose"]) else None for v in x}
    if None in orders and all(perm is None or perm[0] == len(perm) - 1 > perm[-1] > 0 for perm in orders):
        orders.remove(None)
    return orders.pop() if len(orders) == 1 else None


def _led(x: Value, ndim: int) -> Value:
    """``x`` with axes of size 1 before its first one, so that it has ``ndim``."""
    return reshaped(x, (*(1,) * (ndim - x.ndim), *x.shape))


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The order of axes that undoes ``order``."""
    return tuple(order.index(axis) for axis in range(len(order)))


def scaled(value: Value, factor: Value | float) -> Value:
    """``value * factor`` without multiplying by 1."""
    if isinstance(factor, float):
        if factor == 1.0:
            return value
        if factor == -1.0:
            return -value
    return value * factor


def broadcast(x: Value, shape: tuple[int, ...]) -> Value:
    """``x`` in a larger shape by NumPy's rules; ``x`` itself where it has it."""
    return x if x.shape == shape else OPS["broadcast_to"](shape)(x)


def reshaped(x: Value, shape: tuple[int, ...]) -> Value:
    """``x`` in another shape of the same size; ``x`` itself where it has it."""
    return x if x.shape == shape else OPS["reshape"](shape)(x)


def unbroadcast(cotangent: Value, shape: tuple[int, ...]) -> Value:
    """Transpose of broadcasting: sum over the axes along which a ``shape`` was repeated."""
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

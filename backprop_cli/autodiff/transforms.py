"""Derivatives as walks over a program that build more program. No op is named here.

The results are values like any other: they can be simplified, planned, evaluated and differentiated again.

``wrt`` may be any values of the program, not only its inputs, and the same one twice: the derivative is with respect
to a perturbation added to each. So that of ``x`` also counts what ``x`` does through another of ``wrt``.
"""

from __future__ import annotations

from collections.abc import Sequence

from backprop_cli.autodiff.composite import concat, reshape, slice_
from backprop_cli.autodiff.composite import sum as sum_
from backprop_cli.autodiff.families import broadcast, ones_like, zeros_like
from backprop_cli.autodiff.value import Value, constant, scope, toposort
from backprop_cli.errors import ShapeError


def _dependent(order: Sequence[Value], sources: Sequence[Value]) -> set[Value]:
    """The values of ``order`` through which ``sources`` act on the rest."""
    found = set(sources)
    for value in order:
        if value not in found and value.spec.is_inexact and any(operand in found for operand in value.inputs):
            found.add(value)
    return found


def _check_inexact(wrt: Sequence[Value]) -> None:
    for value in wrt:
        if not value.spec.is_inexact:
            raise ShapeError(value, "integers have no derivative", wrt=value.spec)


def vjp(outputs: Sequence[Value], wrt: Sequence[Value], cotangents: Sequence[Value]) -> list[Value]:
    """Reverse mode: ``sum_i J_i^T ct_i`` for each of ``wrt``, in the shape of each.

    One walk from the outputs back; cotangents are added in one fixed order. Cost: at most a small multiple of the
    program's own (Griewank & Walther 2008, ch. 3).

    Raises:
        ShapeError: a cotangent of another spec than its output, or one of ``wrt`` is an integer.

    """
    _check_inexact(wrt)
    order = toposort(outputs)
    active = _dependent(order, wrt)
    bars: dict[Value, Value] = {}

    def accumulate(value: Value, cotangent: Value) -> None:
        if cotangent.spec != value.spec:
            raise ShapeError(value, "cotangent of another spec", value=value.spec, cotangent=cotangent.spec)
        bars[value] = bars[value] + cotangent if value in bars else cotangent

    for output, cotangent in zip(outputs, cotangents, strict=True):
        if output in active:
            accumulate(output, cotangent)
    for node in reversed(order):
        if node.op is None or node not in bars or not any(operand in active for operand in node.inputs):
            continue
        with scope(node.layer):
            for operand, part in zip(node.inputs, node.op.vjp(node.inputs, node, bars[node]), strict=True):
                if part is not None and operand in active:
                    accumulate(operand, part)
    return [bars[w] if w in bars else zeros_like(w) for w in wrt]


def grad(out: Value, wrt: Sequence[Value]) -> list[Value]:
    """Cotangents of scalar ``out`` with respect to each of ``wrt``.

    Raises:
        ShapeError: ``out`` is not a scalar.

    """
    if out.ndim != 0:
        raise ShapeError(out, "the gradient is that of a scalar; use vjp or jacobian", out=out.spec)
    return vjp([out], wrt, [ones_like(out)])


def jvp(outputs: Sequence[Value], wrt: Sequence[Value], tangents: Sequence[Value]) -> list[Value]:
    """Forward mode: ``sum_k J_k t_k`` for each of ``outputs``, in the shape of each.

    Raises:
        ShapeError: a tangent of another spec than its value, or one of ``wrt`` is an integer.

    """
    _check_inexact(wrt)
    dots: dict[Value, Value] = {}

    def accumulate(value: Value, tangent: Value) -> None:
        if tangent.spec != value.spec:
            raise ShapeError(value, "tangent of another spec", value=value.spec, tangent=tangent.spec)
        dots[value] = dots[value] + tangent if value in dots else tangent

    for value, tangent in zip(wrt, tangents, strict=True):
        accumulate(value, tangent)
    for node in toposort(outputs):
        if node.op is None or not any(operand in dots for operand in node.inputs):
            continue
        with scope(node.layer):
            dot = node.op.jvp(node.inputs, [dots.get(operand) for operand in node.inputs], node)
            if dot is not None:
                accumulate(node, dot)
    return [dots[out] if out in dots else zeros_like(out) for out in outputs]


def hvp(out: Value, wrt: Sequence[Value], vectors: Sequence[Value]) -> list[Value]:
    """Hessian-vector products ``H v`` of scalar ``out``, forward over reverse: ``d/de grad(x + e v)`` at e = 0.

    Pearlmutter (1994), "Fast exact multiplication by the Hessian".
    """
    return jvp(grad(out, wrt), wrt, vectors)


def jacobian(out: Value, wrt: Sequence[Value]) -> list[Value]:
    """Generalized Jacobians of shape (*out.shape, *w.shape), one reverse pass an element of ``out``."""
    if out.size == 0:
        return [broadcast(constant(0, w.dtype), (*out.shape, *w.shape)) for w in wrt]
    flat = reshape(out, (out.size,))
    rows = [grad(sum_(slice_(flat, 0, i, i + 1)), wrt) for i in range(out.size)]
    return [
        reshape(concat([reshape(row[k], (1, w.size)) for row in rows], 0), (*out.shape, *w.shape))
        for k, w in enumerate(wrt)
    ]

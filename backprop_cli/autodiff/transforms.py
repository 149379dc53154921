"""Derivatives as walks over a program that build more program. No op is named here.

The results are values like any other: they can be simplified, planned, evaluated and differentiated again.

``wrt`` may be any values of the program, not only its inputs, and the same one twice: the derivative is with respect
to a perturbation added to each. So that of ``x`` also counts what ``x`` does through another of ``wrt``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from backprop_cli.autodiff.families import broadcast, ones_like, zeros_like
from backprop_cli.autodiff.functions import reshape
from backprop_cli.autodiff.value import Value, constant, input_, scope, toposort
from backprop_cli.errors import ShapeError, UsageError


def dependent(order: Sequence[Value], sources: Sequence[Value]) -> set[Value]:
    """The values of ``order`` through which ``sources`` act on the rest."""
    found = set(sources)
    for value in order:
        if value not in found and value.spec.is_inexact and any(operand in found for operand in value.inputs):
            found.add(value)
    return found


def check_inexact(wrt: Sequence[Value]) -> None:
    """Raise ShapeError for an integer among ``wrt``, UsageError for one value in place of a sequence."""
    if isinstance(wrt, Value):
        raise UsageError("derivatives are with respect to a list of values: write [x]")
    for value in wrt:
        if not value.spec.is_inexact:
            raise ShapeError(value, "integers have no derivative", wrt=value.spec)


def vjp(
    outputs: Sequence[Value],
    wrt: Sequence[Value],
    cotangents: Sequence[Value],
    *,
    read: Callable[[Value], Value] | None = None,
) -> list[Value]:
    """Reverse mode: ``sum_i J_i^T ct_i`` for each of ``wrt``, in the shape of each.

    One walk from the outputs back; cotangents are added in one fixed order. Cost: at most a small multiple of the
    program's own (Griewank & Walther 2008, ch. 3). ``read`` says what the reverse rules read in place of a value of
    the program: an equal one (see ``checkpointing``).

    Raises:
        ShapeError: a cotangent of another spec than its output, or one of ``wrt`` is an integer.

    """
    check_inexact(wrt)
    order = toposort(outputs)
    active = dependent(order, wrt)
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
            primals, result = (node.inputs, node) if read is None else ([read(x) for x in node.inputs], read(node))
            for operand, part in zip(node.inputs, node.op.vjp(primals, result, bars[node]), strict=True):
                if part is not None and operand in active:
                    accumulate(operand, part)
    return [bars[w] if w in bars else zeros_like(w) for w in wrt]


def gradients(out: Value, wrt: Sequence[Value]) -> list[Value]:
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
    check_inexact(wrt)
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


def vectorized(outputs: Sequence[Value], given: Mapping[Value, Value]) -> list[Value]:
    """``outputs`` for many arrays in place of one: each value of ``given`` is replaced by one with a new first axis.

    The axis is the same for all, and the outputs have it, too. So a batch of tangents or cotangents goes through a
    derivative as one program, as matrix products where the derivative has products of vectors.

    Raises:
        ShapeError: what stands for a value is not of its spec behind the first axis, or first axes differ.

    """
    sizes = {many.shape[:1] for many in given.values()}
    for one, many in given.items():
        if many.spec != one.spec.with_shape((*many.shape[:1], *one.shape)) or len(sizes) != 1:
            raise ShapeError(one, "needs values of its spec with one first axis for all", one=one.spec, many=many.spec)
    (size,) = sizes.pop()
    mapped = dict(given)
    for node in toposort(outputs, known=given):
        if node.op is not None and any(operand in mapped for operand in node.inputs):
            with scope(node.layer):
                operands = [mapped.get(operand, operand) for operand in node.inputs]
                mapped[node] = node.op.vectorize(size, operands, [operand in mapped for operand in node.inputs])
    return [mapped[out] if out in mapped else broadcast(out, (size, *out.shape)) for out in outputs]


def hessian_products(out: Value, wrt: Sequence[Value], vectors: Sequence[Value]) -> list[Value]:
    """Hessian-vector products ``H v`` of scalar ``out``, forward over reverse: ``d/de grad(x + e v)`` at e = 0.

    Pearlmutter (1994), "Fast exact multiplication by the Hessian".
    """
    return jvp(gradients(out, wrt), wrt, vectors)


def jacobian(out: Value, wrt: Sequence[Value]) -> list[Value]:
    """Generalized Jacobians of shape (*out.shape, *w.shape): reverse mode with all unit cotangents at once."""
    one = input_("cotangent", out.shape, out.dtype)
    every = constant(np.eye(out.size, dtype=out.dtype).reshape(out.size, *out.shape))
    rows = vectorized(vjp([out], wrt, [one]), {one: every})
    return [reshape(row, (*out.shape, *w.shape)) for row, w in zip(rows, wrt, strict=True)]

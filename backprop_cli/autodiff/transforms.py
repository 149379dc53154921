"""Derivatives as walks over a program that build more program. No op is named here.

Reverse mode (``vjp``, ``gradients``) walks from the outputs to the inputs, forward mode (``jvp``) the other way; each
applies the rules of the ops on its way. The results are values like any other: they can be simplified, planned,
evaluated and differentiated again, as ``hessian_products`` does.

``wrt`` may be any values of the program, not only its inputs, and the same one twice: the derivative is with respect
to a perturbation added to each. The derivative by ``x`` thus also counts the effect of ``x`` through others of ``wrt``.
With ``y = 2 x`` and ``out = sum(x * y)`` the derivatives by ``[x, y]`` are ``4 x`` and ``x``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backprop_cli.autodiff.families import ones_like, zeros_like
from backprop_cli.autodiff.value import Value, in_layer, toposort
from backprop_cli.errors import ShapeError, UsageError


def dependent(order: Sequence[Value], sources: Sequence[Value]) -> set[Value]:
    """``sources`` and the values of ``order`` that depend on them differentiably."""
    found = set(sources)
    for value in order:
        if value not in found and value.spec.is_inexact and any(operand in found for operand in value.inputs):
            found.add(value)
    return found


def _check_pairs(values: Sequence[Value], given: Sequence[Value], kind: str) -> None:
    """Raise UsageError unless each of ``values`` has a tangent or cotangent (``kind``)."""
    if any(not isinstance(value, Value) for value in (*values, *given)):
        raise UsageError(
            f"values and {kind}s are lists of values: write [ad.constant(array)]; of a function take ad.grad"
        )
    if len(values) != len(given):
        raise UsageError(f"each value has one {kind}: got {len(values)} values and {len(given)} {kind}s")


def check_inexact(wrt: Sequence[Value]) -> None:
    """Raise ShapeError for an integer among ``wrt``, UsageError for one value in place of a sequence."""
    if isinstance(wrt, Value):
        raise UsageError("derivatives are with respect to a list of values: write [x]")
    for value in wrt:
        if not value.spec.is_inexact:
            raise ShapeError(value, "integers have no derivative", wrt=value.spec)


def _add_to(sums: dict[Value, Value], value: Value, term: Value, kind: str) -> None:
    """Add a tangent or cotangent of ``value`` (``kind`` names it) to those it already has."""
    if term.spec != value.spec:
        raise ShapeError(value, f"{kind} of another spec", value=value.spec, **{kind: term.spec})
    sums[value] = sums[value] + term if value in sums else term


def itself(value: Value) -> Value:
    """``value``."""
    return value


def vjp(
    outputs: Sequence[Value],
    wrt: Sequence[Value],
    cotangents: Sequence[Value],
    *,
    read: Callable[[Value], Value] = itself,
) -> list[Value]:
    """Reverse mode: ``sum_i J_i^T ct_i`` for each of ``wrt``, in the shape of each.

    One backward walk, which adds cotangents in a fixed order. It costs at most a small multiple of the program itself
    (Griewank & Walther 2008, ch. 3). Reverse rules read ``read(x)`` in place of a value x of the
    program; only ``execution.recomputation`` passes it, to compute values again that were not kept.

    Raises:
        ShapeError: a cotangent of another spec than its output, or one of ``wrt`` is an integer.

    """
    _check_pairs(outputs, cotangents, "cotangent")
    check_inexact(wrt)
    order = toposort(outputs)
    active = dependent(order, wrt)
    bar: dict[Value, Value] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if output in active:
            _add_to(bar, output, cotangent, "cotangent")
    for node in reversed(order):
        if node.op is None or node not in bar or not any(operand in active for operand in node.inputs):
            continue
        with in_layer(node.layer):
            parts = node.op.vjp([read(x) for x in node.inputs], read(node), bar[node])
            for operand, part in zip(node.inputs, parts, strict=True):
                if part is not None and operand in active:
                    _add_to(bar, operand, part, "cotangent")
    return [bar[w] if w in bar else zeros_like(w) for w in wrt]


def gradients(out: Value, wrt: Sequence[Value]) -> list[Value]:
    """The gradient of scalar ``out`` with respect to each of ``wrt``: reverse mode from a cotangent of 1.

    Raises:
        ShapeError: ``out`` is not a scalar.

    """
    if out.ndim != 0:
        raise ShapeError(out, "only a scalar has a gradient; use vjp, or jacobian of a function", out=out.spec)
    return vjp([out], wrt, [ones_like(out)])


def jvp(outputs: Sequence[Value], wrt: Sequence[Value], tangents: Sequence[Value]) -> list[Value]:
    """Forward mode: ``sum_k J_k t_k`` for each of ``outputs``, in the shape of each.

    Raises:
        ShapeError: a tangent of another spec than its value, or one of ``wrt`` is an integer.

    """
    _check_pairs(wrt, tangents, "tangent")
    check_inexact(wrt)
    dot: dict[Value, Value] = {}
    for value, tangent in zip(wrt, tangents, strict=True):
        _add_to(dot, value, tangent, "tangent")
    for node in toposort(outputs):
        if node.op is None or not any(operand in dot for operand in node.inputs):
            continue
        with in_layer(node.layer):
            pushed = node.op.jvp(node.inputs, [dot.get(operand) for operand in node.inputs], node)
            if pushed is not None:
                _add_to(dot, node, pushed, "tangent")
    return [dot[out] if out in dot else zeros_like(out) for out in outputs]


def hessian_products(out: Value, wrt: Sequence[Value], vectors: Sequence[Value]) -> list[Value]:
    """Hessian-vector products ``H v`` of scalar ``out``, forward over reverse: ``d/de grad(x + e v)`` at e = 0.

    Pearlmutter (1994), "Fast exact multiplication by the Hessian".
    """
    return jvp(gradients(out, wrt), wrt, vectors)

"""Derivatives by finite differences and by the adjoint identity, and a check of one scalar: oracles of the tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from backprop_cli.autodiff import Array, Value, evaluate, input_, jvp, vjp
from backprop_cli.checks.gradients import check_objective
from backprop_cli.checks.method import Options, Order
from backprop_cli.checks.methods.central import CENTRAL_STEP
from backprop_cli.checks.objective import Objective, tensors_of
from backprop_cli.checks.result import Check


def central_difference(function: Callable[[float], float], at: float, step: float = CENTRAL_STEP) -> float:
    """``(f(x + h) - f(x - h)) / 2h`` with the step that is really taken, h = step * max(1, |x|).

    Error about ``eps |f| / h + h^2 |f'''| / 6``: 2e-11 for a smooth function of size 1.
    """
    h = step * max(1.0, abs(at))
    high, low = at + h, at - h
    return (function(high) - function(low)) / (high - low)


def numeric_gradient(
    function: Callable[[Array], float], x: Array, indexes: Sequence[int] | None = None, step: float = CENTRAL_STEP
) -> Array:
    """Central differences along the entries ``indexes`` (flat; None: all) of x, which is restored."""
    flat = x.reshape(-1)
    if not np.shares_memory(flat, x):
        raise ValueError("numeric_gradient needs a contiguous array")
    chosen = range(flat.size) if indexes is None else indexes
    slopes = np.empty(len(chosen), x.dtype)
    for k, index in enumerate(chosen):
        kept = flat[index]

        def along(entry: float, index: int = index) -> float:
            flat[index] = entry
            return function(x)

        slopes[k] = central_difference(along, float(kept), step)
        flat[index] = kept
    return slopes


def adjoint_gap(
    outputs: Sequence[Value], wrt: Sequence[Value], feed: Mapping[Value, Array], rng: np.random.Generator
) -> float:
    """``|<w, J v> - <J^T w, v>| / max(|w| |J v|, |J^T w| |v|)`` for random v and w: rounding, if both modes agree.

    Blind to a mistake that forward and reverse rules share.
    """
    tangents = [input_("v", x.shape, x.dtype) for x in wrt]
    cotangents = [input_("w", out.shape, out.dtype) for out in outputs]
    fed = {value: rng.standard_normal(value.shape).astype(value.dtype) for value in (*tangents, *cotangents)}
    forward = jvp(outputs, wrt, tangents)
    reverse = vjp(outputs, wrt, cotangents)
    arrays = evaluate([*forward, *reverse], {**feed, **fed})
    dots, bars = arrays[: len(forward)], arrays[len(forward) :]
    v, w = [fed[x] for x in tangents], [fed[out] for out in cotangents]
    size = max(_norm(w) * _norm(dots), _norm(bars) * _norm(v))
    return abs(_inner(w, dots) - _inner(bars, v)) / size if size else 0.0


def _inner(x: Sequence[Array], y: Sequence[Array]) -> float:
    return float(sum(np.vdot(a, b) for a, b in zip(x, y, strict=True)))


def _norm(x: Sequence[Array]) -> float:
    return math.sqrt(_inner(x, x))


def check_scalar(
    scalar: Value,
    inputs: Mapping[str, Value],
    arrays: Mapping[str, Array],
    *,
    name: str,
    kind: str,
    method: str = "auto",
    order: Order = 1,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> list[Check]:
    """Check a traced float64 scalar by every entry of its floating-point inputs; one check an input."""
    objective = Objective(inputs, scalar, tensors_of(inputs, name, kind), arrays)
    return check_objective(objective, method, order, Options("all", tolerance, seed))

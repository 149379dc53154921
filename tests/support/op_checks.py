"""What is asked of every op: checks that take an op and arrays and raise AssertionError, so wrong ops can be tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numeric_derivatives import adjoint_gap, numeric_gradient

from backprop_cli import autodiff as ad
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.accumulation.vectorize import vectorized
from backprop_cli.autodiff.ops.comparison import Where
from backprop_cli.execution import kernels
from backprop_cli.execution.plan import Plan

DIFFERENCE_TOLERANCE = 1e-7
"""Of a central difference, relative to the largest derivative or 1: its error is about 1e-10."""

ADJOINT_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Case:
    """An op made from one of its samples."""

    name: str
    op: ad.Op
    sample: ad.Sample

    def __str__(self) -> str:
        shapes = ",".join(str(list(shape)).replace(" ", "") for shape in self.sample.shapes)
        return f"{self.op}-{shapes}".replace(" ", "")

    def arrays(self, seed: int = 0, dtype: Any = np.float64) -> list[np.ndarray]:
        """Operands drawn as the sample says."""
        rng = np.random.default_rng(seed)
        low, high = self.sample.domain
        return [
            np.asarray(rng.integers(0, self.sample.classes, shape))
            if k in self.sample.labels
            else np.asarray(rng.uniform(low, high, shape), dtype)
            for k, shape in enumerate(self.sample.shapes)
        ]


def cases() -> list[Case]:
    """Every sample of every registered op."""
    return [Case(name, cls(**s.fields), s) for name, cls in ad.OPS.items() for s in cls.samples]


def traced(op: ad.Op, arrays: Sequence[np.ndarray]) -> tuple[list[ad.Value], ad.Value, dict[ad.Value, np.ndarray]]:
    """Inputs, the op on them, and the feed."""
    inputs = [ad.input_(f"x{k}", array.shape, array.dtype) for k, array in enumerate(arrays)]
    return inputs, op(*inputs), dict(zip(inputs, arrays, strict=True))


def jacobian(out: ad.Value, wrt: Sequence[ad.Value]) -> list[ad.Value]:
    """Jacobians of shape (*out.shape, *w.shape): reverse mode with all unit cotangents at once."""
    one = ad.input_("cotangent", out.shape, out.dtype)
    every = ad.constant(np.eye(out.size, dtype=out.dtype).reshape(out.size, *out.shape))
    rows = vectorized(ad.vjp([out], wrt, [one]), {one: every})
    return [ad.reshape(row, (*out.shape, *w.shape)) for row, w in zip(rows, wrt, strict=True)]


def inexact(values: Sequence[ad.Value]) -> list[ad.Value]:
    return [value for value in values if value.spec.is_inexact]


def weighted(out: ad.Value, seed: int = 1) -> ad.Value:
    """``sum_i w_i out_i`` with fixed random weights: a scalar that sees every element of ``out``."""
    weights = np.random.default_rng(seed).standard_normal(out.shape)
    return ad.sum(out * ad.constant(weights, out.dtype))


def run_fresh(op: ad.Op, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """``eval`` into memory full of NaN (and scratch too), from operands that cannot be written."""
    for array in arrays:
        array.flags.writeable = False
    specs = [ad.spec_of(array) for array in arrays]
    out = _poisoned(op.shape(*specs))
    scratch = tuple(_poisoned(spec) for spec in kernels.scratch(op, *specs))
    kernels.bind(op, *arrays, out=out, scratch=scratch)()
    for array in arrays:
        array.flags.writeable = True
    return out


def _poisoned(spec: ad.Spec) -> np.ndarray:
    return np.full(spec.shape, np.nan if spec.is_inexact else 1, spec.dtype)


def check_difference(op: ad.Op, arrays: Sequence[np.ndarray], differences: Sequence[np.ndarray] | None = None) -> None:
    """Forward and reverse rules against central differences (computed unless they are given), in every operand."""
    inputs, out, feed = traced(op, arrays)
    scalar, wrt = weighted(out), inexact(inputs)
    _check_gradient(scalar, wrt, feed, str(op), differences or _differences(scalar, wrt, feed))


def differences(op: ad.Op, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Those of ``check_difference``; no derivative rule has a part in them."""
    inputs, out, feed = traced(op, arrays)
    return _differences(weighted(out), inexact(inputs), feed)


def check_second_order(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """The rules' own rules: derivatives of a weighted sum of the gradient against central differences, and symmetry."""
    inputs, out, feed = traced(op, arrays)
    wrt = inexact(inputs)
    scalar = weighted(out)
    first = [weighted(part, seed) for seed, part in enumerate(ad.gradients(scalar, wrt), start=2)]
    for part in first:
        _check_gradient(part, wrt, feed, f"the gradient of {op}", _differences(part, wrt, feed))
    check_symmetric(scalar, wrt, feed)


def check_symmetric(scalar: ad.Value, wrt: Sequence[ad.Value], feed: dict[ad.Value, np.ndarray]) -> None:
    """``<u, H v> = <H u, v>``."""
    rng = np.random.default_rng(5)
    u, v = ([rng.standard_normal(x.shape) for x in wrt] for _ in range(2))
    h_u, h_v = (ad.evaluate(ad.hessian_products(scalar, wrt, [ad.constant(a) for a in w]), feed) for w in (u, v))
    left, right = _inner(u, h_v), _inner(h_u, v)
    size = 1.0 + np.sqrt(_inner(h_u, h_u) * _inner(v, v))
    assert abs(left - right) <= 1e-12 * size, f"<u, H v> = {left}, <H u, v> = {right}"


def _inner(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> float:
    return float(sum(np.vdot(a, b) for a, b in zip(x, y, strict=True)))


def _differences(scalar: ad.Value, wrt: Sequence[ad.Value], feed: dict[ad.Value, np.ndarray]) -> list[np.ndarray]:
    found = []
    for x in wrt:

        def function(array: np.ndarray, x: ad.Value = x) -> float:
            return float(ad.evaluate([scalar], {**feed, x: array})[0])

        found.append(numeric_gradient(function, feed[x].copy()).reshape(x.shape))
    return found


def _check_gradient(
    scalar: ad.Value,
    wrt: Sequence[ad.Value],
    feed: dict[ad.Value, np.ndarray],
    what: str,
    differences: Sequence[np.ndarray],
) -> None:
    reverse = ad.evaluate(ad.gradients(scalar, wrt), feed)
    for k, (x, numeric) in enumerate(zip(wrt, differences, strict=True)):
        basis = [ad.constant(e.reshape(x.shape)) for e in np.eye(x.size)]
        forward = ad.evaluate([ad.jvp([scalar], [x], [e])[0] for e in basis], feed)
        assert_close(reverse[k], numeric, DIFFERENCE_TOLERANCE, f"reverse rule of {what}, operand {k}")
        assert_close(
            np.reshape(forward, x.shape), numeric, DIFFERENCE_TOLERANCE, f"forward rule of {what}, operand {k}"
        )


def check_adjoint(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """``<w, J v> = <J^T w, v>``."""
    inputs, out, feed = traced(op, arrays)
    wrt = inexact(inputs)
    if wrt:
        gap = adjoint_gap([out], wrt, feed, np.random.default_rng(3))
        assert gap <= ADJOINT_TOLERANCE, f"forward and reverse rules of {op} differ by {gap:.2g}"


def check_exact_structure(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """Of a smooth op no entry is stated that is always 0; that those not stated are 0 is promised (see below)."""
    inputs, out, feed = traced(op, arrays)
    chooses = isinstance(op, Where) or not all(operand.spec.is_inexact for operand in inputs)
    for x, local in zip(inputs, local_jacobians(op, inputs, out), strict=True):
        if local is not None and op.is_smooth and not chooses:
            matrix = ad.evaluate(jacobian(out, [x]), feed)[0].reshape(out.size, x.size)
            rows, places = np.nonzero(local.reads >= 0)
            assert (matrix[rows, local.reads[rows, places]] != 0.0).all(), f"{op}: an entry of its structure is 0"


def check_plan(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """A plan of the op and of its derivatives gives the evaluator's bits."""
    inputs, out, feed = traced(op, arrays)
    wrt = inexact(inputs)
    tangents = [ad.constant(np.random.default_rng(4).standard_normal(x.shape), x.dtype) for x in wrt]
    results = [out, *ad.gradients(weighted(out), wrt), *ad.jvp([out], wrt, tangents)]
    program = ad.Program({x.name or "": x for x in inputs}, {str(k): value for k, value in enumerate(results)})
    plan = Plan(program)
    for x in inputs:
        plan.inputs[x.name or ""][...] = feed[x]
    plan.run()
    for got, wanted in zip(plan.outputs.values(), ad.evaluate(results, feed), strict=True):
        np.testing.assert_array_equal(got, wanted)


def assert_close(got: np.ndarray, wanted: np.ndarray, tolerance: float, what: str = "") -> None:
    """Largest difference, relative to the largest wanted number or 1."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, wanted {wanted.shape}"
    gap = np.max(np.abs(got - wanted), initial=0.0) / np.max(np.abs(wanted), initial=1.0)
    assert gap <= tolerance, f"{what}: off by {gap:.3g}\n{got}\n{wanted}"

"""What is asked of every op: checks that take an op and arrays and raise AssertionError, so wrong ops can be tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.evaluate import compute
from backprop_cli.autodiff.numeric import adjoint_gap, numeric_gradient
from backprop_cli.autodiff.ops.comparison import Where

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
    op.bind(*arrays, out=out, scratch=tuple(_poisoned(spec) for spec in op.scratch(*specs)))()
    for array in arrays:
        array.flags.writeable = True
    return out


def _poisoned(spec: ad.Spec) -> np.ndarray:
    return np.full(spec.shape, np.nan if spec.is_inexact else 1, spec.dtype)


def check_writes_all(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """No NaN of the memory it was given is left, and no operand is changed."""
    before = [array.copy() for array in arrays]
    out = run_fresh(op, arrays)
    assert not np.isnan(out).any(), f"{op} left {np.isnan(out).sum()} elements of out unwritten"
    for array, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, kept)


def check_view(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """A view op's view is what its eval writes, and shares memory."""
    view = op.view(arrays[0])
    assert view is not None, f"{op} has no view of a contiguous array"
    assert np.shares_memory(view, arrays[0]), f"{op}: its view is a copy"
    np.testing.assert_array_equal(view, run_fresh(op, arrays))
    assert ad.spec_of(view) == op.shape(*(ad.spec_of(array) for array in arrays))


def check_in_place(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """``out`` in the memory of any operand of the result's spec gives the same bits."""
    specs = [ad.spec_of(array) for array in arrays]
    wanted = run_fresh(op, arrays)
    for k, spec in enumerate(specs):
        if spec != ad.spec_of(wanted):
            continue
        operands = [array.copy() for array in arrays]
        op.bind(*operands, out=operands[k], scratch=tuple(_poisoned(s) for s in op.scratch(*specs)))()
        np.testing.assert_array_equal(operands[k], wanted, err_msg=f"{op} over operand {k}")


def check_dtype(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """float32 stays float32, in values and both derivatives; an op that has a dtype of its own gives that one."""
    inputs, out, _ = traced(op, arrays)
    assert out.dtype == np.dtype(getattr(op, "dtype", np.float32)), f"{op} gives {out.dtype} for float32"
    assert compute(op, arrays).dtype == out.dtype
    wrt = inexact(inputs)
    tangents = [ad.input_("t", x.shape, x.dtype) for x in wrt]
    for node in ad.toposort([*ad.grad(weighted(out), wrt), *ad.jvp([out], wrt, tangents)]):
        assert node.dtype in (np.float32, out.dtype) or not node.spec.is_inexact, f"{node} in a derivative of {op}"


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
    first = [weighted(part, seed) for seed, part in enumerate(ad.grad(scalar, wrt), start=2)]
    for part in first:
        _check_gradient(part, wrt, feed, f"the gradient of {op}", _differences(part, wrt, feed))
    check_symmetric(scalar, wrt, feed)


def check_symmetric(scalar: ad.Value, wrt: Sequence[ad.Value], feed: dict[ad.Value, np.ndarray]) -> None:
    """``<u, H v> = <H u, v>``."""
    rng = np.random.default_rng(5)
    u, v = ([rng.standard_normal(x.shape) for x in wrt] for _ in range(2))
    h_u, h_v = (ad.evaluate(ad.hvp(scalar, wrt, [ad.constant(a) for a in w]), feed) for w in (u, v))
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
    reverse = ad.evaluate(ad.grad(scalar, wrt), feed)
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


def check_local(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """The stated structure holds every entry of the Jacobian, and no other for one that is not constant."""
    inputs, out, feed = traced(op, arrays)
    locals_ = op.local(inputs, out)
    assert len(locals_) == len(inputs), f"{op}: an entry an operand"
    for x, local in zip(inputs, locals_, strict=True):
        if not x.spec.is_inexact:
            assert local is None, f"{op}: integers have no derivative"
            continue
        matrix = ad.evaluate(ad.jacobian(out, [x]), feed)[0].reshape(out.size, x.size)
        stated = np.zeros(matrix.shape, bool)
        if local is not None:
            assert (len(local.reads), local.columns) == matrix.shape, f"{op}: structure of another shape"
            rows, _ = np.indices(local.reads.shape)
            stated[rows[local.reads >= 0], local.reads[local.reads >= 0]] = True
            assert local.nonzeros == stated.sum(), f"{op}: an entry is stated twice"
            assert not local.is_unit or (np.abs(matrix[stated]) == 1.0).all(), f"{op}: an entry is not 1 or -1"
        assert not (matrix != 0.0)[~stated].any(), f"{op}: an entry that is not in its structure"
        chooses = isinstance(op, Where) or not all(operand.spec.is_inexact for operand in inputs)
        if op.is_smooth and not chooses:
            assert (matrix != 0.0)[stated].all(), f"{op}: an entry of its structure is 0"


def check_vectorize(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """On many arrays at once the op is what it is on each, whichever operands are many."""
    many = 3
    inputs, out, _ = traced(op, arrays)
    for mapped in product((False, True), repeat=len(inputs)):
        if not any(mapped):
            continue
        stacks = [
            np.stack([np.roll(array, k) for k in range(many)]) if is_mapped else array
            for array, is_mapped in zip(arrays, mapped, strict=True)
        ]
        given = {
            x: ad.input_("many", stack.shape, stack.dtype)
            for x, stack, is_mapped in zip(inputs, stacks, mapped, strict=True)
            if is_mapped
        }
        fed = {given.get(x, x): stack for x, stack in zip(inputs, stacks, strict=True)}
        (together,) = ad.evaluate(ad.vectorized([out], given), fed)
        for k in range(many):
            one = {x: s[k] if m else s for x, s, m in zip(inputs, stacks, mapped, strict=True)}
            assert_close(together[k], ad.evaluate([out], one)[0], 1e-14, f"{op} on many, mapped {mapped}")


def check_plan(op: ad.Op, arrays: Sequence[np.ndarray]) -> None:
    """A plan of the op and of its derivatives gives the evaluator's bits."""
    inputs, out, feed = traced(op, arrays)
    wrt = inexact(inputs)
    tangents = [ad.constant(np.random.default_rng(4).standard_normal(x.shape), x.dtype) for x in wrt]
    results = [out, *ad.grad(weighted(out), wrt), *ad.jvp([out], wrt, tangents)]
    program = ad.Program({x.name or "": x for x in inputs}, {str(k): value for k, value in enumerate(results)})
    plan = ad.Plan(program)
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

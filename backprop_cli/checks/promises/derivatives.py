"""Promises about derivatives, except the rules themselves, which the gradient check covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.accumulation.local_jacobian import LocalJacobian
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff import Array, Op, Value, constant, evaluate, gradients, input_, multiply, toposort
from backprop_cli.autodiff import sum as sum_
from backprop_cli.checks.complex_step import STEP as TINY_STEP
from backprop_cli.checks.complex_step import continued
from backprop_cli.checks.promises.case import BrokenPromiseError, Case, agree, run

_STEP = 2.0**-17
_DIFFERENCE = 1e-6
"""Tolerance of a derivative by differences, relative to the largest derivative or 1."""
_EXACT = 1e-10
_LARGEST = 4096
"""Most entries of a Jacobian that is computed entry by entry."""
_PARTS, _HALVINGS = 32, 40
_JUMP = 1e-3
"""Least jump of a derivative at a kink, relative to its range."""


def _has_rules(case: Case) -> bool:
    return bool(case.floats) and case.result.is_inexact


def _jvp(case: Case, inputs: Sequence[Value], tangents: Sequence[Array | None]) -> Array:
    """The forward rule's result."""
    out = case.op(*inputs)
    found = case.op.jvp(inputs, [None if t is None else constant(t) for t in tangents], out)
    return np.zeros(out.shape) if found is None else evaluate([found], case.feed(inputs))[0]


def _difference(case: Case, tangents: Sequence[Array]) -> tuple[Array, Array]:
    """The derivative along ``tangents`` by differences, and its possible error."""

    def at(t: float) -> Array:
        moved = [x + t * v if x.dtype.kind == "f" else x for x, v in zip(case.arrays, tangents, strict=True)]
        return run(case.op, moved)

    coarse, fine = ((at(h) - at(-h)) / (2.0 * h) for h in (_STEP, 0.5 * _STEP))
    return (4.0 * fine - coarse) / 3.0, np.abs(fine - coarse)


def _tangents(case: Case, rng: np.random.Generator) -> list[Array]:
    return [np.asarray(rng.standard_normal(x.shape)) for x in case.arrays]


def check_rule_dtypes(case: Case, rng: np.random.Generator) -> None:
    """Rules compute in float32 for operands of float32."""
    if not _has_rules(case):
        return
    single = case.in_single()
    inputs = single.inputs()
    wrt = [inputs[k] for k in single.floats]
    out = single.op(*inputs)
    tangents = [input_("t", x.shape, x.dtype) if x.spec.is_inexact else None for x in inputs]
    forward = single.op.jvp(inputs, tangents, out)
    weighted = sum_(multiply(constant(np.ones(out.shape), out.dtype), out))
    for method, results in (("vjp", gradients(weighted, wrt)), ("jvp", [] if forward is None else [forward])):
        for node in toposort(results):
            if node.spec.is_inexact and node.dtype not in (np.float32, out.dtype):
                raise BrokenPromiseError(method, f"computes {node} of operands of float32")


def check_missing_tangents(case: Case, rng: np.random.Generator) -> None:
    """A tangent of None is zero: the derivatives along single operands add up to the one along all."""
    if not _has_rules(case):
        return
    inputs, tangents = case.inputs(), _tangents(case, rng)
    known = [t if k in case.floats else None for k, t in enumerate(tangents)]
    alone = [_jvp(case, inputs, [t if j == k else None for j, t in enumerate(tangents)]) for k in case.floats]
    together = _jvp(case, inputs, known)
    agree("jvp", sum(alone), together, "along one operand after the other adds up to", "along all", _EXACT)


def check_constant(case: Case, rng: np.random.Generator) -> None:
    """``is_step`` and ``blocks_gradient``: the rules give 0. A step is constant between its jumps."""
    op = case.op
    if not (_has_rules(case) and (op.is_step or op.blocks_gradient)):
        return
    flag = "is_step" if op.is_step else "blocks_gradient"
    inputs = case.inputs()
    out = op(*inputs)
    parts = [part for part in op.vjp(inputs, out, constant(np.ones(out.shape), out.dtype)) if part is not None]
    given = [t if k in case.floats else None for k, t in enumerate(_tangents(case, rng))]
    for derivative in [*evaluate(parts, case.feed(inputs)), _jvp(case, inputs, given)]:
        agree(flag, derivative, np.zeros(derivative.shape), "is stated, and a rule gives", "expected")
    if op.is_step:
        slope, _ = _difference(case, _tangents(case, rng))
        agree(flag, slope, np.zeros(slope.shape), "is stated, and eval changes by", "expected")


def check_smooth(case: Case, rng: np.random.Generator) -> None:
    """Unless ``is_smooth`` is False the derivative jumps nowhere in the domain."""
    op = case.op
    if not (_has_rules(case) and case.is_own and op.is_smooth) or op.blocks_gradient or not case.result.size:
        return
    inputs = case.inputs()
    low, high = case.sample.domain
    ways = [rng.uniform(low, high, x.shape) - x if x.dtype.kind == "f" else 0 * x for x in case.arrays]
    weights = rng.standard_normal(case.result.shape)
    tangents = [way if k in case.floats else None for k, way in enumerate(ways)]
    found = op.jvp(inputs, [None if t is None else constant(t) for t in tangents], op(*inputs))
    if found is None:
        return

    def slope(t: float) -> float:
        at = [x + t * way if x.dtype.kind == "f" else x for x, way in zip(case.arrays, ways, strict=True)]
        return float(np.sum(weights * evaluate([found], dict(zip(inputs, at, strict=True)))[0]))

    places = list(np.linspace(0.0, 1.0, _PARTS + 1))
    slopes = [slope(t) for t in places]
    steps = np.abs(np.diff(slopes))
    k = int(np.argmax(steps))
    left, right, at_left, at_right = places[k], places[k + 1], slopes[k], slopes[k + 1]
    for _ in range(_HALVINGS):
        middle = 0.5 * (left + right)
        at_middle = slope(middle)
        if abs(at_middle - at_left) >= abs(at_right - at_middle):
            right, at_right = middle, at_middle
        else:
            left, at_left = middle, at_middle
    if abs(at_right - at_left) > _JUMP * max(1.0, float(np.max(np.abs(slopes)))):
        raise BrokenPromiseError(
            "is_smooth", f"is not False, and the derivative jumps from {at_left:.10g} to {at_right:.10g}"
        )


def check_complex(case: Case, rng: np.random.Generator) -> None:
    """``eval_complex`` continues ``eval``: the real part is the same, the imaginary part the derivative."""
    op = case.op
    if not _has_rules(case) or op.is_step:
        return
    tangents = _tangents(case, rng)
    out = _continued(case, tangents)
    agree("eval_complex", out.real, run(op, case.arrays), "its real part is", "eval gives", _EXACT)
    slope, error = _difference(case, tangents)
    size = max(1.0, float(np.max(np.abs(slope), initial=0.0)))
    got = np.where(np.abs(out.imag / TINY_STEP - slope) <= 4.0 * error, slope, out.imag / TINY_STEP)
    agree("eval_complex", got / size, slope / size, _IMAGINARY, _SLOPE, _DIFFERENCE)


_IMAGINARY = "its imaginary part, the derivative in units of the largest, is"
_SLOPE = "differences of eval give"


def _continued(case: Case, tangents: Sequence[Array]) -> Array:
    moved = [x + (1j * TINY_STEP) * t if x.dtype.kind == "f" else x for x, t in zip(case.arrays, tangents, strict=True)]
    with np.errstate(all="ignore"):
        return continued(case.op, moved, case.result.shape)


def check_complex_at_kinks(case: Case, rng: np.random.Generator) -> None:
    """At a kink, at 0 or at equal operands, ``eval_complex`` follows the derivative of the rules."""
    low, high = case.sample.domain
    if not (_has_rules(case) and case.is_own) or case.op.is_smooth or case.op.is_step or not low < 0.0 < high:
        return
    at = Case(case.op, tuple(np.zeros_like(x) if x.dtype.kind == "f" else x for x in case.arrays), case.sample)
    tangents = _tangents(case, rng)
    with np.errstate(all="ignore"):
        wanted = _jvp(at, at.inputs(), [t if k in at.floats else None for k, t in enumerate(tangents)])
    if np.isfinite(wanted).all():
        got = _continued(at, tangents).imag / TINY_STEP
        agree("eval_complex", got, wanted, "at 0 its imaginary part is", "the rules' derivative there", _EXACT)


_LOCAL = "local_jacobians"


def check_local(case: Case, rng: np.random.Generator) -> None:
    """``local_jacobians`` states every entry of the Jacobian that can differ from 0, and which are 1 or -1."""
    if local_jacobians.dispatch(type(case.op)) is local_jacobians.dispatch(Op) or not case.result.is_inexact:
        return
    inputs = case.inputs()
    stated = local_jacobians(case.op, inputs, case.op(*inputs))
    if len(stated) != len(inputs):
        raise BrokenPromiseError(_LOCAL, f"gives {len(stated)} structures for {len(inputs)} operands")
    for k, local in enumerate(stated):
        if k not in case.floats:
            if local is not None:
                raise BrokenPromiseError(_LOCAL, f"gives a structure for operand {k}, of integers; expected None")
        elif 0 < case.result.size * case.arrays[k].size <= _LARGEST:
            matrix = _jacobian(case, k)
            _compare(k, local, np.zeros_like(matrix) if case.op.blocks_gradient else matrix)


def _jacobian(case: Case, k: int) -> Array:
    """(results, elements of operand k), by differences."""
    columns = []
    for element in range(case.arrays[k].size):
        tangents = [np.zeros(x.shape) for x in case.arrays]
        tangents[k].reshape(-1)[element] = 1.0
        columns.append(_difference(case, tangents)[0].reshape(-1))
    return np.array(columns).T.reshape(case.result.size, case.arrays[k].size)


def _compare(k: int, local: LocalJacobian | None, matrix: Array) -> None:
    held = np.zeros(matrix.shape, bool)
    if local is not None:
        if (len(local.reads), local.columns) != matrix.shape:
            shape = [len(local.reads), local.columns]
            raise BrokenPromiseError(_LOCAL, f"by operand {k} has shape {shape}, the Jacobian {list(matrix.shape)}")
        rows, places = np.nonzero(local.reads >= 0)
        held[rows, local.reads[rows, places]] = True
        if local.nonzeros != held.sum():
            raise BrokenPromiseError(_LOCAL, f"by operand {k} states an entry twice")
        if local.is_unit:
            ones = np.where(held, float(local.sign), matrix)
            agree(_LOCAL, matrix, ones, f"by operand {k} is stated to be 1 or -1: it is", "not", _DIFFERENCE)
    size = max(1.0, float(np.max(np.abs(matrix), initial=0.0)))
    outside = np.where(held, 0.0, matrix)
    none = np.zeros(matrix.shape)
    agree(_LOCAL, outside, none, f"leaves out an entry by operand {k}: it is", "stated", _DIFFERENCE * size)

"""The checks of ops are themselves checked: by rules wrong by 0.1 % or by sign."""

from functools import cache

import numpy as np
import op_checks
import pytest
from op_checks import Case

from backprop_cli import autodiff as ad

FACTORS = {"off by 0.1 percent": 1.001, "missing": 0.0}


def mutated(op: ad.Op, operand: int, factor: float, forward: bool, reverse: bool) -> ad.Op:
    """The op with the derivative in one operand multiplied by ``factor``, in one mode or in both."""
    cls = type(op)

    def jvp(self, primals, tangents, out):
        if forward and tangents[operand] is not None:
            tangents = [*tangents[:operand], tangents[operand] * factor, *tangents[operand + 1 :]]
        return cls.jvp(op, primals, tangents, out)

    def vjp(self, primals, out, cotangent):
        parts = list(cls.vjp(op, primals, out, cotangent))
        if reverse and parts[operand] is not None:
            parts[operand] = parts[operand] * factor
        return tuple(parts)

    return type(cls.__name__, (cls,), {"jvp": jvp, "vjp": vjp})(**vars(op))


def differentiable_operands(case: Case) -> set[int]:
    """Operands in which the derivative is not 0 by rule."""
    inputs, out, _ = op_checks.traced(case.op, case.arrays())
    return {k for k, part in enumerate(case.op.vjp(inputs, out, out)) if part is not None}


def acting_operands(case: Case) -> set[int]:
    """Operands in which the derivative is not 0 at the sample's point: only there can a wrong one be seen."""
    inputs, out, feed = op_checks.traced(case.op, case.arrays())
    rated = sorted(differentiable_operands(case))
    bars = ad.evaluate(ad.gradients(op_checks.weighted(out), [inputs[k] for k in rated]), feed) if rated else []
    return {k for k, bar in zip(rated, bars, strict=True) if np.any(bar != 0)}


@pytest.mark.parametrize("name", [name for name, cls in ad.OPS.items() if not cls.blocks_gradient])
def test_every_operand_acts_in_some_sample(name):
    mine = [case for case in op_checks.cases() if case.name == name]
    assert set().union(*map(acting_operands, mine)) == set().union(*map(differentiable_operands, mine))


CONDITIONS = {
    "stride 1": ("convolving", lambda op, *x: set(op.stride) == {1}),
    "stride 2": ("convolving", lambda op, *x: 2 in op.stride),
    "stride 3": ("convolving", lambda op, *x: set(op.stride) == {3}),
    "strides that differ": ("convolving", lambda op, *x: len(set(op.stride)) > 1),
    "one axis": ("convolving", lambda op, *x: len(op.stride) == 1),
    "dilation": ("convolving", lambda op, *x: max(op.dilation) > 1),
    "padding": ("convolving", lambda op, *x: np.any(op.padding)),
    "padding that differs": ("convolving", lambda op, *x: any(before != after for before, after in op.padding)),
    "no groups": ("convolving", lambda op, *x: op.groups == 1),
    "two groups": ("convolving", lambda op, *x: op.groups == 2),
    "more groups": ("convolving", lambda op, *x: op.groups > 2),
    "groups and strides": ("convolving", lambda op, *x: op.groups > 2 and min(op.stride) > 1),
    "two axes": ("transpose", lambda op, x: x.ndim == 2),
    "three axes": ("transpose", lambda op, x: x.ndim == 3),
    "four axes": ("transpose", lambda op, x: x.ndim == 4),
    "an order that is not its inverse": ("transpose", lambda op, x: np.argsort(op.perm).tolist() != list(op.perm)),
    "the first axis stays": ("transpose", lambda op, x: op.perm[0] == 0),
    "axis 0": ("concat slice pad sum amax windowed", lambda op, *x: 0 in _axes(op)),
    "axis 1": ("concat slice pad sum amax windowed", lambda op, *x: 1 in _axes(op)),
    "an axis between others": ("concat slice pad sum", lambda op, x, *_: any(0 < k < x.ndim - 1 for k in _axes(op))),
    "kept axes": ("sum amax", lambda op, x: op.keepdims),
    "several axes": ("sum amax", lambda op, x: len(op.axes) > 1),
    "all axes": ("sum", lambda op, x: len(op.axes) == x.ndim),
    "leading axes that broadcast": ("matmul", lambda op, x, y: x.ndim > 2 and x.shape[:-2] != y.shape[:-2]),
    "axes in front": ("broadcast_to", lambda op, x: 0 < x.ndim < len(op.to)),
    "axes of size 1": ("broadcast_to", lambda op, x: x.ndim == len(op.to) and x.shape != op.to),
    "only the past": ("softmax", lambda op, x: op.causal),
}
"""Where a rule could be wrong by itself, and the ops that have such a place: their own samples must go there."""
FAMILIES = {
    "convolving": ("convolution", "convolution_transpose", "convolution_weight"),
    "windowed": ("window_sum", "window_spread"),
}


def _axes(op: ad.Op) -> tuple[int, ...]:
    return op.axes if hasattr(op, "axes") else (op.axis,)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_rule_that_is_wrong_in_one_place_only_is_noticed(condition):
    """A wrong rule shows wherever it acts (below); here a sample that acts is found for every place."""
    words, holds = CONDITIONS[condition]
    for name in [name for word in words.split() for name in FAMILIES.get(word, (word,))]:
        found = [case for case in op_checks.cases() if case.name == name and holds(case.op, *case.arrays())]
        operands = set().union(*map(acting_operands, found))
        assert operands == set().union(*(differentiable_operands(c) for c in op_checks.cases() if c.name == name)), name


def _first_acting() -> dict[tuple[str, int], Case]:
    """For each op and operand the first sample at whose point the derivative is not 0."""
    found: dict[tuple[str, int], Case] = {}
    for case in op_checks.cases():
        for operand in acting_operands(case):
            found.setdefault((case.name, operand), case)
    return found


ACTING = _first_acting()


@cache
def _differences(case: Case) -> list[np.ndarray]:
    """They are the same for every wrong rule of a case."""
    return op_checks.differences(case.op, case.arrays())


@pytest.mark.parametrize("what", FACTORS)
@pytest.mark.parametrize(("name", "operand"), ACTING)
def test_wrong_rule_is_noticed(name: str, operand: int, what: str):
    case = ACTING[name, operand]
    for forward, reverse in ((True, False), (False, True), (True, True)):
        wrong = mutated(case.op, operand, FACTORS[what], forward, reverse)
        with pytest.raises(AssertionError, match=r"(forward|reverse) rule"):
            op_checks.check_difference(wrong, case.arrays(), _differences(case))
        if forward != reverse:
            with pytest.raises(AssertionError, match="forward and reverse rules"):
                op_checks.check_adjoint(wrong, case.arrays())


def is_curved(case: Case) -> bool:
    """Whether its second derivative is not 0."""
    inputs, out, feed = op_checks.traced(case.op, case.arrays())
    wrt = op_checks.inexact(inputs)
    scalar = op_checks.weighted(out)
    products = ad.hessian_products(scalar, wrt, [ad.constant(np.ones(x.shape)) for x in wrt]) if wrt else []
    return any(np.any(product != 0) for product in ad.evaluate(products, feed))


CURVED = {case.name: case for case in reversed(op_checks.cases()) if is_curved(case)}


@pytest.mark.parametrize("case", CURVED.values(), ids=str)
def test_rule_that_is_right_once_only_is_noticed(case: Case):
    cls = type(case.op)

    def vjp(self, primals, out, cotangent):
        parts = cls.vjp(case.op, [ad.stop_gradient(x) for x in primals], ad.stop_gradient(out), cotangent)
        return tuple(None if part is None else part for part in parts)

    wrong = type(cls.__name__, (cls,), {"vjp": vjp})(**vars(case.op))
    op_checks.check_difference(wrong, case.arrays())
    with pytest.raises(AssertionError, match="rule of the gradient"):
        op_checks.check_second_order(wrong, case.arrays())

"""Every registered op, by its samples."""

import numpy as np
import op_checks
import pytest
from op_checks import Case

from backprop_cli import autodiff as ad
from backprop_cli.checks.promises import case as promises
from backprop_cli.checks.promises.kept import RULES, VALUES, check_values

CASES = op_checks.cases()
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_op_has_samples():
    """Without one, nothing would check it."""
    assert not [name for name, cls in ad.OPS.items() if not cls.samples]


@every_case
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # at the ends of domains
def test_it_keeps_its_promises(case: Case):
    mine = promises.Case(case.op, tuple(case.arrays()), case.sample)
    for promise in (*VALUES, *(promise for _, promise in RULES)):
        promise(mine, np.random.default_rng(0))


@pytest.mark.parametrize("name", ad.OPS)
def test_promises_of_values_at_the_edges_of_shapes(name):
    check_values(ad.OPS[name], np.random.default_rng(0))


@pytest.mark.parametrize("case", [c for c in CASES if not c.op.blocks_gradient], ids=str)
def test_rules_against_differences(case: Case):
    op_checks.check_difference(case.op, case.arrays())


@pytest.mark.parametrize("case", [c for c in CASES if not c.op.blocks_gradient], ids=str)
def test_second_order(case: Case):
    op_checks.check_second_order(case.op, case.arrays())


@pytest.mark.parametrize("case", [c for c in CASES if c.op.blocks_gradient], ids=str)
def test_blocked_gradient_is_zero(case: Case):
    inputs, out, feed = op_checks.traced(case.op, case.arrays())
    ones = [ad.constant(np.ones(x.shape)) for x in inputs]
    for derivative in ad.evaluate([*ad.gradients(ad.sum(out), inputs), *ad.jvp([out], inputs, ones)], feed):
        np.testing.assert_array_equal(derivative, np.zeros(derivative.shape))


@every_case
def test_forward_and_reverse_agree_and_the_structure_of_the_local_jacobian_is_exact(case: Case):
    op_checks.check_adjoint(case.op, case.arrays())
    op_checks.check_exact_structure(case.op, case.arrays())


@every_case
def test_plan_is_evaluate(case: Case):
    """In float32, in which a number of another precision would show; random programs are planned in float64."""
    op_checks.check_plan(case.op, case.arrays(dtype=np.float32))

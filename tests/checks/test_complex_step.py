"""The complex step: exact on every op, and through whole programs."""

import math

import numpy as np
import op_checks
import pytest
from op_checks import Case

from backprop_cli import autodiff as ad
from backprop_cli.checks.complex_step import STEP, ComplexStep, continued
from backprop_cli.errors import UsageError

CASES = [case for case in op_checks.cases() if not case.op.blocks_gradient]


def along(traced, at, tangent=1.0):
    """d traced(x) / dx along the tangent, by the complex step and by forward mode."""
    x = ad.input_("x", np.shape(at))
    out, feed = traced(x), {x: np.asarray(at, float)}
    tangent = np.broadcast_to(np.asarray(tangent, float), x.shape)
    (forward,) = ad.evaluate(ad.jvp([out], [x], [ad.constant(tangent)]), feed)
    return ComplexStep([out], feed).along({x: tangent})[0], forward


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_op_agrees_with_its_rule_to_the_last_digits(case: Case):
    for seed in range(3):
        inputs, out, feed = op_checks.traced(case.op, case.arrays(seed))
        rng = np.random.default_rng(seed)
        for x in op_checks.inexact(inputs):
            tangent = rng.standard_normal(x.shape)
            (wanted,) = ad.evaluate(ad.jvp([out], [x], [ad.constant(tangent)]), feed)
            (found,) = ComplexStep([out], feed).along({x: tangent})
            op_checks.assert_close(found, wanted, 1e-14, str(case))


def test_squire_and_trapp():
    """Their function's derivative, in 20 digits computed with more."""
    with_root = along(lambda x: ad.exp(x) / ad.sqrt(ad.sin(x) ** 3 + ad.cos(x) ** 3), 1.5)
    without = along(lambda x: ad.exp(x) / (ad.sin(x) ** 3 + ad.cos(x) ** 3), 1.5)
    for found in with_root:
        assert found == pytest.approx(4.0534278938986206577, rel=4e-16)
    for found in without:
        assert found == pytest.approx(3.6220337007163260426, rel=1e-15)


@pytest.mark.parametrize("x", [-700.0, -30.0, -1e-8, 0.0, 1e-8, 30.0, 700.0, 1e6])
def test_sigmoids_do_not_overflow(x):
    for op, slope in ((ad.sigmoid, _bell(x)), (ad.softplus, 1.0 / (1.0 + math.exp(-x)) if x > -700 else math.exp(x))):
        assert along(op, x)[0] == pytest.approx(slope, rel=1e-14, abs=1e-300)


def _bell(x):
    small = math.exp(-abs(x))
    return small / (1.0 + small) ** 2


@pytest.mark.parametrize(
    "x", [-6.5, -5.9, -3.0, -1.0001, -0.9999, -1e-9, 0.0, 0.5, 0.99999, 1.00001, 1.99, 2.0, 5.9, 6.5]
)
def test_error_function(x):
    slope = 2.0 / math.sqrt(math.pi) * math.exp(-x * x)
    assert along(ad.erf, x)[0] == pytest.approx(slope, rel=1e-14, abs=3e-15)


KINKS = {
    "relu": (ad.relu, [-1.0, 0.0, 2.0], [0.0, 0.0, 1.0]),
    "absolute": (ad.absolute, [-1.0, 0.0, 2.0], [-1.0, 0.0, 1.0]),
    "maximum": (lambda x: ad.maximum(x, 1.0), [0.0, 1.0, 2.0], [0.0, 0.5, 1.0]),
    "minimum": (lambda x: ad.minimum(x, 1.0), [0.0, 1.0, 2.0], [1.0, 0.5, 0.0]),
    "maximum with itself": (lambda x: ad.maximum(x, -x), [-3.0, 0.0, 2.0], [-1.0, 0.0, 1.0]),
    "clip": (lambda x: ad.clip(x, -1.0, 1.0), [-2.0, -1.0, 0.0, 1.0], [0.0, 0.5, 1.0, 0.5]),
    "largest": (ad.amax, [1.0, 3.0, 3.0, 2.0], 1.0),
    "a choice by a comparison": (lambda x: ad.where(ad.greater(x, 0.0), x * x, -x), [-1.0, 0.0, 3.0], [-1, -1, 6]),
    "steps": (lambda x: ad.sign(x) + ad.greater(x, 0.5), [-1.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinked_ops_branch_on_real_parts_and_keep_their_word_at_the_kink(name):
    traced, at, slopes = KINKS[name]
    found, forward = along(traced, at)
    np.testing.assert_allclose(found, slopes, rtol=1e-15)
    np.testing.assert_allclose(forward, slopes, rtol=1e-15)


def test_where_chooses_by_the_real_part_of_its_condition():
    found, _ = along(lambda x: ad.where(x, x * x, 3.0 * x), [0.0, 2.0])
    np.testing.assert_allclose(found, [3.0, 4.0])


@pytest.mark.parametrize(
    "op", [ad.relu, ad.sigmoid, ad.softplus, ad.erf, ad.absolute, ad.OPS["amax"]((0,))], ids=lambda op: str(op)
)
def test_nan_stays_nan(op):
    with np.errstate(invalid="ignore"):
        assert np.isnan(
            continued(op, [np.array([1.0, math.nan]) + 1j * STEP], op.shape(ad.Spec((2,), np.dtype(float))).shape)
        ).any()


@pytest.mark.parametrize("op", [ad.maximum, ad.minimum], ids=lambda op: str(op))
def test_nan_on_either_side(op):
    for pair in ([math.nan, 1.0], [1.0, math.nan]):
        assert np.isnan(continued(op, [np.array(x) + 1j * STEP for x in pair], ()))


def test_only_what_moves_is_complex():
    """Values that do not depend on the tangents stay as they are; integers too."""
    labels, x = ad.input_("labels", (2,), np.int64), ad.input_("x", (2, 3))
    out = ad.sum(ad.one_hot(labels, 3) * x, 1)
    still = ad.sum(x)
    step = ComplexStep([out, still, labels], {labels: np.array([0, 2]), x: np.arange(6.0).reshape(2, 3)})
    first, second, third = step.along({x: np.ones((2, 3))})
    np.testing.assert_array_equal(first, [1.0, 1.0])
    assert second == 6.0
    np.testing.assert_array_equal(third, [0.0, 0.0])
    for nothing in step.along({}):
        assert not nothing.any()


def test_values_inside_the_program_can_be_moved():
    x = ad.input_("x", (3,))
    y = ad.exp(x)
    out = ad.sum(y * y)
    (found,) = ComplexStep([out], {x: np.zeros(3)}).along({y: np.ones(3)})
    assert found == pytest.approx(6.0)
    both = ComplexStep([out], {x: np.zeros(3)}).along({x: np.ones(3), y: np.ones(3)})[0]
    assert both == pytest.approx(12.0)  # as in forward mode: what reaches y through x counts, too


def test_an_input_that_is_not_fed():
    x = ad.input_("x", (3,))
    with pytest.raises(UsageError, match=r"^input 'x' is not fed$"):
        ComplexStep([ad.sum(x)], {})

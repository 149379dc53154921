"""Sums over many rows: the error of pairwise summation, the same bits for few, nothing allocated."""

import tracemalloc

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.plan import Plan

EPSILON = float(np.finfo(np.float32).eps)


COMPILED = pytest.param(True, marks=pytest.mark.skipif(not has_compiler(), reason="there is no C compiler"))


def planned(x, axes, compiled=False):
    value = ad.input_("x", x.shape, x.dtype)
    return Plan(ad.Program({"x": value}, {"sum": ad.sum(value, axes)}), {"x": x}, compiled=compiled)


@pytest.mark.parametrize("compiled", [False, COMPILED])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((200_000, 5), 0),
        ((1_026, 3), 0),
        ((1_025, 3), 0),
        ((300_001, 2), 0),
        ((500, 400, 3), (0, 1)),
        ((2_000, 4, 50), (0, 2)),
        ((70_000, 1), 0),
        ((70_001,), 0),
    ],
    ids=str,
)
def test_the_error_is_that_of_pairwise_sums(shape, axes, compiled, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    x = np.random.default_rng(0).random(shape, np.float32)
    plan = planned(x, axes, compiled)
    plan.run()
    exact = x.sum(axis=axes, dtype=np.float64)
    assert np.max(np.abs(plan.outputs["sum"] / exact - 1)) < 3 * EPSILON


def test_long_sums_of_float64_and_of_integers():
    x = np.random.default_rng(0).integers(-9, 9, (5_000, 3))
    for dtype in (np.float64, np.int64):
        plan = planned(x.astype(dtype), 0)
        plan.run()
        np.testing.assert_array_equal(plan.outputs["sum"], x.sum(axis=0))


@pytest.mark.parametrize("shape", [(1_024, 5), (65_536, 1)])
def test_shorter_sums_are_one_product(shape):
    x = np.random.default_rng(0).random(shape, np.float32)
    plan = planned(x, 0)
    plan.run()
    np.testing.assert_array_equal(plan.outputs["sum"], np.ones(len(x), np.float32).dot(x))


def test_a_long_sum_allocates_nothing():
    plan = planned(np.ones((20_000, 5), np.float32), 0)
    plan.run()
    tracemalloc.start()
    for _ in range(10):
        plan.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000
    assert plan.outputs["sum"].tolist() == [20_000.0] * 5


def test_batch_norms_mean_and_a_bias_of_many_rows():
    """The mean of numbers far from 0, where one addition after the other loses most."""
    x = (1e3 + np.random.default_rng(0).random((100_000, 4))).astype(np.float32)
    value = ad.input_("x", x.shape, x.dtype)
    (mean,) = ad.evaluate([ad.mean(value, 0)], {value: x})
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=np.float64), rtol=4 * EPSILON)

"""Kinks, ties and extreme arguments: tables of exact values."""

import math

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.execution.plan import Plan

INF, NAN = math.inf, math.nan

# A number that overflows on its way to the right limit is no mistake here.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|divide by zero|invalid value):RuntimeWarning")


def slope(function, *points):
    """Derivatives of ``function`` at points, in each operand, by both modes."""
    arrays = [np.asarray(p, np.float64) for p in points]
    inputs = [ad.input_("x", a.shape) for a in arrays]
    feed = dict(zip(inputs, arrays, strict=True))
    out = function(*inputs)
    reverse = ad.evaluate(ad.gradients(ad.sum(out), inputs), feed)
    for k, x in enumerate(inputs):
        ones = ad.constant(np.ones(x.shape))
        (forward,) = ad.evaluate([ad.sum(ad.jvp([out], [x], [ones])[0])], feed)
        np.testing.assert_array_equal(forward, reverse[k].sum())
    return [part.tolist() for part in reverse]


def values(function, point, dtype=np.float64):
    x = ad.constant(np.asarray(point, dtype))
    (out,) = ad.evaluate([function(x)], {})
    assert out.dtype == dtype
    return out


@pytest.mark.parametrize(
    ("function", "at", "wanted"),
    [
        (ad.relu, [-1.0, -0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]),
        (ad.absolute, [-1.0, -0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 1.0]),
        (ad.sign, [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
        (lambda x: ad.maximum(x, 0.0), [-1.0, 0.0, 1.0], [0.0, 0.5, 1.0]),
        (lambda x: ad.minimum(0.0, x), [-1.0, 0.0, 1.0], [1.0, 0.5, 0.0]),
        (lambda x: ad.clip(x, -1.0, 2.0), [-2.0, -1.0, 0.0, 2.0, 3.0], [0.0, 0.5, 1.0, 0.5, 0.0]),
        (lambda x: ad.power(x, 0.0), [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0]),
        (lambda x: ad.power(x, 1.0), [-1.0, 0.0, 2.0], [1.0, 1.0, 1.0]),
        (lambda x: ad.power(x, 2.0), [-1.0, 0.0, 2.0], [-2.0, 0.0, 4.0]),
        (ad.sqrt, [0.0, 4.0], [INF, 0.25]),
        (lambda x: ad.amax(x, 0), [1.0, 3.0, 3.0, 2.0], [0.0, 0.5, 0.5, 0.0]),
        (lambda x: ad.amax(x, 1), [[1.0, 1.0], [0.0, 2.0]], [[0.5, 0.5], [0.0, 1.0]]),
        (lambda x: ad.amax(x, (0, 1), keepdims=True), [[4.0, 4.0], [4.0, 4.0]], [[0.25, 0.25], [0.25, 0.25]]),
        (ad.sigmoid, [-1000.0, 0.0, 1000.0], [0.0, 0.25, 0.0]),
        (ad.softplus, [-1000.0, 0.0, 1000.0], [0.0, 0.5, 1.0]),
        (ad.tanh, [-1000.0, 0.0, 1000.0], [0.0, 1.0, 0.0]),
        (ad.erf, [-1000.0, 0.0, 1000.0], [0.0, 2.0 / math.sqrt(math.pi), 0.0]),
        (lambda x: ad.logsumexp(x, 0), [1000.0, 1000.0], [0.5, 0.5]),
        (lambda x: ad.logsumexp(x, 0), [-INF, 0.0], [0.0, 1.0]),
        (lambda x: ad.slice_(ad.log_softmax(x), 0, 0, 1), [1000.0, -1000.0], [0.0, 0.0]),
        (lambda x: ad.slice_(ad.log_softmax(x), 0, 1, 2), [1000.0, -1000.0], [-1.0, 1.0]),
    ],
)
def test_slopes_of_one(function, at, wanted):
    assert slope(function, at) == [wanted]


@pytest.mark.parametrize(
    ("function", "left", "right", "wanted"),
    [
        (ad.maximum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], ([0.0, 0.5, 1.0], [1.0, 0.5, 0.0])),
        (ad.minimum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], ([1.0, 0.5, 0.0], [0.0, 0.5, 1.0])),
        (ad.maximum, [1.0, 2.0, 3.0], 2.0, ([0.0, 0.5, 1.0], 1.5)),
        (ad.greater, [1.0, 2.0], [2.0, 2.0], ([0.0, 0.0], [0.0, 0.0])),
        (lambda x, y: ad.where(ad.greater(x, y), x, y), [1.0, 2.0, 3.0], [2.0] * 3, ([0.0, 0.0, 1.0], [1.0, 1.0, 0.0])),
    ],
)
def test_slopes_of_two(function, left, right, wanted):
    assert slope(function, left, right) == list(wanted)


E = math.e
LOG_2 = math.log(2.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("function", "at", "wanted"),
    [
        (ad.sigmoid, [-INF, -1000.0, 0.0, 1000.0, INF, NAN], [0.0, 0.0, 0.5, 1.0, 1.0, NAN]),
        (ad.sigmoid, [-40.0], [4.248354255291589e-18]),
        (ad.softplus, [-INF, -1000.0, 0.0, 1000.0, INF, NAN], [0.0, 0.0, LOG_2, 1000.0, INF, NAN]),
        (ad.softplus, [-40.0], [4.248354255291589e-18]),
        (ad.tanh, [-INF, -1000.0, 0.0, 1000.0, INF, NAN], [-1.0, -1.0, 0.0, 1.0, 1.0, NAN]),
        (ad.erf, [-INF, -1000.0, -0.0, 0.0, 1000.0, INF, NAN], [-1.0, -1.0, -0.0, 0.0, 1.0, 1.0, NAN]),
        (ad.relu, [-INF, -1.0, 0.0, INF, NAN], [0.0, 0.0, 0.0, INF, NAN]),
        (ad.sign, [-INF, -0.0, 3.0, NAN], [-1.0, 0.0, 1.0, NAN]),
        (lambda x: ad.amax(x, 0), [1.0, NAN, 2.0], NAN),
        (lambda x: ad.logsumexp(x), [1000.0, 1000.0], 1000.0 + LOG_2),
        (lambda x: ad.logsumexp(x), [-1000.0, -1000.0], -1000.0 + LOG_2),
        (lambda x: ad.logsumexp(x), [1000.0, -1000.0], 1000.0),
        (lambda x: ad.logsumexp(x), [-INF, 1.0], 1.0),
        (lambda x: ad.logsumexp(x), [-INF, -INF], -INF),
        (lambda x: ad.logsumexp(x), [INF, 1.0], INF),
        (lambda x: ad.logsumexp(x), [INF, -INF], INF),
        (lambda x: ad.logsumexp(x), [NAN, INF], NAN),
        (lambda x: ad.logsumexp(x), [3.0], 3.0),
        (lambda x: ad.log_softmax(x), [1000.0, 0.0, -1000.0], [0.0, -1000.0, -2000.0]),
        (lambda x: ad.log_softmax(x), [0.0, -INF], [0.0, -INF]),
        (lambda x: ad.log_softmax(x), [NAN, 0.0], [NAN, NAN]),
        (lambda x: ad.softmax(x), [1000.0, 1000.0, -1000.0], [0.5, 0.5, 0.0]),
        (lambda x: ad.softmax(x), [0.0, -INF], [1.0, 0.0]),
        (lambda x: ad.expm1(x), [1e-20], [1e-20]),
        (lambda x: ad.log1p(x), [1e-20], [1e-20]),
        (lambda x: ad.where(x, 1.0 / x, 7.0), [0.0, 2.0, NAN], [7.0, 0.5, NAN]),
        (lambda x: ad.clip(x, -1.0, 1.0), [-INF, INF, NAN], [-1.0, 1.0, NAN]),
    ],
)
def test_values(function, at, wanted, dtype):
    np.testing.assert_allclose(values(function, at, dtype), wanted, rtol=4 * np.finfo(dtype).eps, atol=0)


def test_sign_of_zero_survives_erf():
    assert math.copysign(1.0, values(ad.erf, [-0.0])[0]) == -1.0


GRID = np.concatenate([np.linspace(-7, 7, 20011), np.geomspace(1e-300, 1.0, 501), np.nextafter(1.0, [0.0, 2.0])])


def test_erf_is_the_c_librarys():
    wanted = np.array([math.erf(x) for x in GRID])
    np.testing.assert_allclose(values(ad.erf, GRID), wanted, rtol=1e-15, atol=0)


def test_erf_of_float32():
    points = GRID[np.abs(GRID) > 1e-30].astype(np.float32)
    wanted = np.array([math.erf(x) for x in points.tolist()])
    np.testing.assert_allclose(values(ad.erf, points, np.float32), wanted, rtol=3e-7, atol=0)


@pytest.mark.parametrize("function", [ad.sigmoid, ad.softplus], ids=["sigmoid", "softplus"])
def test_sigmoids_are_exact_to_a_few_ulps(function):
    points = np.linspace(-700.0, 40.0, 5001)
    exact = {
        ad.sigmoid: lambda x: 1.0 / (1.0 + math.exp(-x)) if x > 0 else math.exp(x) / (1.0 + math.exp(x)),
        ad.softplus: lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    }[function]
    np.testing.assert_allclose(values(function, points), [exact(x) for x in points], rtol=1e-15, atol=0)


def test_comparisons_with_nan_are_0():
    for function in (ad.greater, ad.greater_equal, ad.less, ad.equal):
        assert values(lambda x, f=function: f(x, 0.0), [NAN]).tolist() == [0.0]


def test_comparisons():
    x = [1.0, 2.0, 3.0]
    table = {
        ad.greater: [0.0, 0.0, 1.0],
        ad.greater_equal: [0.0, 1.0, 1.0],
        ad.less: [1.0, 0.0, 0.0],
        ad.equal: [0.0, 1.0, 0.0],
    }
    for function, wanted in table.items():
        assert values(lambda x, f=function: f(x, 2.0), x).tolist() == wanted


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_empty_arrays(shape):
    x = ad.input_("x", shape)
    out = ad.sum(ad.square(ad.exp(x)))
    feed = {x: np.zeros(shape)}
    value, gradient = ad.evaluate([out, *ad.gradients(out, [x])], feed)
    assert value == 0.0
    assert gradient.shape == shape
    plan = Plan(ad.Program({"x": x}, {"out": out, "gradient": ad.gradients(out, [x])[0]}))
    plan.run()
    assert plan.outputs["gradient"].shape == shape

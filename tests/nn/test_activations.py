"""Activations: HIPS autograd on the same function, PyTorch's stored numbers at extremes, kinks."""

import json
from itertools import product
from pathlib import Path

import autograd.numpy as anp
import autograd.scipy.special as special
import numpy as np
import pytest
from autograd import grad as hips_grad
from nn_support import build, distance, evaluate, inputs, label, samples

from backprop_cli import autodiff as ad
from backprop_cli.nn.activation import ACTIVATIONS

TORCH = json.loads(Path(__file__).with_name("torch_reference.json").read_text())["activations"]
CASES = samples(ACTIVATIONS)


def _elu(x, alpha):
    return anp.where(x > 0, x, alpha * (anp.exp(x) - 1))


def _gelu(x, approximate):
    if approximate == "tanh":
        return x / 2 * (1 + anp.tanh(anp.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + special.erf(x / np.sqrt(2)))


def _log_softmax(x):
    return x - anp.log(anp.sum(anp.exp(x), axis=-1, keepdims=True))


# The same functions, written from their definitions for another package.
REFERENCE = {
    "identity": lambda x, _: x,
    "relu": lambda x, _: anp.where(x > 0, x, 0 * x),
    "leaky_relu": lambda x, own: anp.where(x > 0, x, own.negative_slope * x),
    "elu": lambda x, own: _elu(x, own.alpha),
    "selu": lambda x, _: 1.0507009873554804934193349852946 * _elu(x, 1.6732632423543772848170429916717),
    "gelu": lambda x, own: _gelu(x, own.approximate),
    "silu": lambda x, _: x / (1 + anp.exp(-x)),
    "mish": lambda x, _: x * anp.tanh(anp.log(1 + anp.exp(x))),
    "sigmoid": lambda x, _: 1 / (1 + anp.exp(-x)),
    "tanh": lambda x, _: anp.tanh(x),
    "softplus": lambda x, _: anp.log(1 + anp.exp(x)),
    "softmax": lambda x, _: anp.exp(x) / anp.sum(anp.exp(x), axis=-1, keepdims=True),
    "log_softmax": lambda x, _: _log_softmax(x),
}


@pytest.mark.parametrize(("name", "settings"), CASES, ids=map(label, [s for _, s in CASES]))
def test_value_and_gradient_are_those_of_hips_autograd(name, settings):
    activation, rng = build(ACTIVATIONS, settings), np.random.default_rng(1)
    x, ct = 2 * rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    values, feed = inputs(x=x, ct=ct)
    out = activation.apply(values["x"])
    (slope,) = ad.gradients(ad.sum(out * values["ct"]), [values["x"]])
    found, gradient = evaluate([out, slope], feed)

    def reference(x):
        return anp.sum(REFERENCE[name](x, activation) * ct)

    assert distance(found, REFERENCE[name](x, activation)) < 1e-14
    assert distance(gradient, hips_grad(reference)(x)) < 1e-10


@pytest.mark.parametrize(("name", "settings"), CASES, ids=map(label, [s for _, s in CASES]))
def test_shape_and_precision_stay(name, settings):
    for dtype, shape in product(("float32", "float64"), ((2, 3), (2, 1, 4), (1, 2, 3, 2))):
        x = ad.input_("x", shape, dtype)
        out = build(ACTIVATIONS, settings).apply(x)
        assert out.spec == x.spec
        assert ad.gradients(ad.sum(out), [x])[0].spec == x.spec


def _torch_name(settings):
    return "gelu tanh" if settings.get("approximate") == "tanh" else settings["type"]


TABLE = [{"type": "gelu", "approximate": "tanh"}, *({"type": name} for name in TORCH["functions"] if " " not in name)]


@pytest.mark.parametrize("settings", TABLE, ids=label)
def test_values_and_slopes_are_pytorchs_far_out_and_at_zero(settings):
    expected = TORCH["functions"][_torch_name(settings)]
    values, feed = inputs(x=np.array(TORCH["points"]))
    out = build(ACTIVATIONS, settings).apply(values["x"])
    (slope,) = ad.gradients(ad.sum(out), [values["x"]])
    found, gradient = evaluate([out, slope], feed)
    np.testing.assert_allclose(found, expected["value"], rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(gradient, expected["slope"], rtol=1e-12, atol=1e-15)


EXACT = {
    "relu": [(-1e30, 0, 0), (-0.0, 0, 0), (0, 0, 0), (1e30, 1e30, 1), (np.inf, np.inf, 1)],
    "leaky_relu": [(-1e30, -1e28, 0.01), (0, 0, 0.01), (1e30, 1e30, 1), (-np.inf, -np.inf, 0.01)],
    "elu": [(-1e30, -1, 0), (0, 0, 1), (1e30, 1e30, 1), (np.inf, np.inf, 1), (-np.inf, -1, 0)],
    "gelu": [(-1e30, 0, 0), (0, 0, 0.5), (1e30, 1e30, 1)],
    "gelu tanh": [(-1e30, 0, 0), (0, 0, 0.5), (1e30, 1e30, 1)],
    "silu": [(-1e30, 0, 0), (0, 0, 0.5), (1e30, 1e30, 1)],
    "mish": [(-1e30, 0, 0), (1e30, 1e30, 1)],
    "sigmoid": [(-1e30, 0, 0), (0, 0.5, 0.25), (1e30, 1, 0), (np.inf, 1, 0), (-np.inf, 0, 0)],
    "tanh": [(-1e30, -1, 0), (0, 0, 1), (1e30, 1, 0), (np.inf, 1, 0)],
    "softplus": [(-1e30, 0, 0), (1e30, 1e30, 1), (-np.inf, 0, 0)],
    "identity": [(-1e30, -1e30, 1), (0, 0, 1)],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
def test_kinks_and_limits_are_exact(name, dtype):
    kind, _, approximate = name.partition(" ")
    x, value, slope = np.array(EXACT[name], dtype=dtype).T.copy()
    values, feed = inputs(x=x)
    out = build(ACTIVATIONS, {"type": kind, **({"approximate": approximate} if approximate else {})}).apply(values["x"])
    found, gradient = evaluate([out, *ad.gradients(ad.sum(out), [values["x"]])], feed)
    np.testing.assert_array_equal(found, value)
    np.testing.assert_array_equal(gradient, slope)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_does_not_overflow(dtype):
    x = np.array([[1e30, 0.0], [-1e30, 0.0], [3e4, 3e4]], dtype)
    values, feed = inputs(x=x)
    probs, logs = evaluate([build(ACTIVATIONS, n).apply(values["x"]) for n in ("softmax", "log_softmax")], feed)
    np.testing.assert_array_equal(probs, np.array([[1, 0], [0, 1], [0.5, 0.5]], dtype))
    np.testing.assert_array_equal(logs[:2], np.array([[0, -1e30], [-1e30, 0]], dtype))
    np.testing.assert_allclose(logs[2], np.log(0.5), rtol=1e-6)


def test_softmax_is_over_the_last_axis():
    values, feed = inputs(x=np.random.default_rng(0).normal(size=(2, 3, 4)))
    (probs,) = evaluate([build(ACTIVATIONS, "softmax").apply(values["x"])], feed)
    np.testing.assert_allclose(probs.sum(axis=-1), np.ones((2, 3)), rtol=1e-15)


ROUNDED_NEAR_1 = ("gelu", "mish", "sigmoid", "silu", "tanh")
"""Whose derivative is made of a number near 1, or crosses 0: right absolutely, not relatively."""


@pytest.mark.parametrize("settings", [s for name, s in CASES if "softmax" not in name], ids=label)
def test_float32_is_as_good_as_float64_up_to_1e30(settings):
    """A formula that overflows on its way does so in float32 first."""
    near, far = np.logspace(-6, 1.9, 500), np.logspace(2, 30, 85)
    x, activation = np.concatenate([-far, -near, [0], near, far]).astype(np.float32), build(ACTIVATIONS, settings)
    found = []
    for array in (x, x.astype(np.float64)):
        values, feed = inputs(x=array)
        out = activation.apply(values["x"])
        found.append(evaluate([out, *ad.gradients(ad.sum(out), [values["x"]])], feed))
    is_rounded = settings["type"] in ROUNDED_NEAR_1
    with np.errstate(over="ignore"):
        expected = np.array(found[1]).astype(np.float32)
    assert not np.isnan(expected).any()
    np.testing.assert_allclose(found[0][0], expected[0], rtol=2e-6, atol=1e-6, err_msg="values")
    np.testing.assert_allclose(
        found[0][1],
        expected[1],
        rtol=0 if is_rounded else 1e-6,
        atol=2e-6 if is_rounded else 1e-37,
        err_msg="slopes: ROUNDED_NEAR_1 is for derivatives that cross 0, or lose digits next to 1",
    )

"""Every loss and activation at numbers of every size: a finite value has a finite gradient, and it is the right one."""

import itertools

import numpy as np
import pytest
from nn_support import build, inputs, label, samples

from backprop_cli import autodiff as ad
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.loss import LOSSES

SIZES = {
    "float32": (0, 1e-38, 1e-20, 1.3, 20, 90, 1e4, 1e10, 1e19, 1e30, 1e38, 2e38, 3.4e38),
    "float64": (0, 1e-300, 1e-20, 1.3, 90, 750, 1e4, 1e150, 1e300, 1.7e308),
}
MORE_FOCAL = [{"type": "focal", "gamma": 5.0}, {"type": "binary_focal", "gamma": 5.0}, {"type": "focal", "gamma": 0.0}]
LOSS_CASES = [*(settings for _, settings in samples(LOSSES)), *MORE_FOCAL]
ACTIVATION_CASES = [settings for _, settings in samples(ACTIVATIONS)]


def rows_of(dtype):
    """Rows of three numbers: all pairs of sizes and signs, with a third that is small or large. Shapes: (rows, 3)."""
    sizes = sorted({sign * size for size in SIZES[dtype] for sign in (1, -1)})
    return np.array(list(itertools.product(sizes, sizes, (0, 1.7, sizes[0], sizes[-1]))), dtype)


def targets_of(loss, outputs):
    """Some targets of every kind that the loss has."""
    shape = (len(outputs), *loss.target_shape(outputs.shape[1:]))
    if loss.task in ("classes", "tokens"):
        return [np.full(shape, number) for number in range(3)]
    choices = {"binary": [(0, 1, 1), (1, 0, 0)], "kl_divergence": [(0, 0.5, 0.5), (1, 0, 0)]}
    found = choices.get(loss.type) or choices.get(loss.task) or [(0, 1, 1), (0, 0, 0), (2, 0.5, 1)]
    return [np.broadcast_to(np.array(row[: shape[-1]], outputs.dtype), shape).copy() for row in found]


def value_and_gradient(function, x, **given):
    """Both, a row for each of x."""
    values, feed = inputs(x=x, **given)
    out = function(values["x"], *(values[name] for name in given))
    with np.errstate(all="ignore"):
        value, gradient = ad.evaluate([out, *ad.gradients(ad.sum(out), [values["x"]])], feed)
    return value.reshape(len(x), -1), gradient.reshape(len(x), -1)


def assert_finite(value, gradient, rows):
    lost = np.isfinite(value).all(axis=1) & ~np.isfinite(gradient).all(axis=1)
    assert not lost.any(), f"{lost.sum()} rows, as {rows[lost][0]}: {value[lost][0]}, gradient {gradient[lost][0]}"


def assert_right(single, double):
    """Float32 against float64, where both have a value."""
    both = np.isfinite(single[0]).all(axis=1) & np.isfinite(double[0]).all(axis=1)
    assert both.sum() > 100
    np.testing.assert_allclose(single[1][both], double[1][both], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("settings", LOSS_CASES, ids=label)
def test_losses(settings):
    loss = build(LOSSES, settings)
    for dtype in SIZES:
        rows = rows_of(dtype).reshape(-1, *([1] if loss.task == "tokens" else []), 3)
        for targets in targets_of(loss, rows):
            found = value_and_gradient(loss.costs, rows, targets=targets)
            assert_finite(*found, rows)
            if dtype == "float32":
                wide = targets if targets.dtype.kind == "i" else targets.astype(np.float64)
                assert_right(found, value_and_gradient(loss.costs, rows.astype(np.float64), targets=wide))


@pytest.mark.parametrize("settings", ACTIVATION_CASES, ids=label)
def test_activations(settings):
    activation = build(ACTIVATIONS, settings)
    for dtype in SIZES:
        rows = rows_of(dtype)
        found = value_and_gradient(activation.apply, rows)
        assert_finite(*found, rows)
        if dtype == "float32":
            assert_right(found, value_and_gradient(activation.apply, rows.astype(np.float64)))

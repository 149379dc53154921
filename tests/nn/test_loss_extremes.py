"""Losses far out, at their joints and of zeros: values and slopes are finite and exact."""

import numpy as np
import pytest
from nn_support import build, evaluate, traced_loss

from backprop_cli import autodiff as ad
from backprop_cli.nn.loss import LOSSES


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("logits", "label", "value", "slope"),
    [
        ([1e4, 0.0], 0, 0.0, [0, 0]),
        ([1e4, 0.0], 1, 1e4, [1, -1]),
        ([-1e30, 0.0], 0, 1e30, [-1, 1]),
        ([0.0, 0.0], 0, np.log(2), [-0.5, 0.5]),
    ],
)
def test_cross_entropy_far_out(dtype, logits, label, value, slope):
    out, x, feed = traced_loss(build(LOSSES, "cross_entropy"), np.array([logits], dtype), np.array([label]))
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    np.testing.assert_allclose(found, np.asarray(value, dtype), rtol=2e-7)
    np.testing.assert_array_equal(gradient, [slope])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("logit", "target", "value", "slope"),
    [
        (0.0, 1, np.log(2), -0.5),
        (0.0, 0, np.log(2), 0.5),
        (1e30, 1, 0.0, 0.0),
        (1e30, 0, 1e30, 1.0),
        (-1e30, 1, 1e30, -1.0),
        (-1e30, 0, 0.0, 0.0),
        (60.0, 1, np.exp(-60.0), -np.exp(-60.0)),
        (-60.0, 0, np.exp(-60.0), np.exp(-60.0)),
    ],
)
def test_binary_cross_entropy_far_out(dtype, logit, target, value, slope):
    loss = build(LOSSES, "binary_cross_entropy")
    out, x, feed = traced_loss(loss, np.array([[logit]], dtype), np.array([[target]], dtype))
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    np.testing.assert_allclose(found, value, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[slope]], rtol=1e-6)


@pytest.mark.parametrize("residual", [-0.5, 0.5, 0.0, -3.0, 3.0])
def test_huber_at_its_joints(residual):
    loss = build(LOSSES, {"type": "huber", "delta": 0.5})
    out, x, feed = traced_loss(loss, np.array([[residual]]), np.zeros((1, 1)))
    _, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    assert gradient.item() == np.clip(residual, -0.5, 0.5)


def test_absolute_error_of_an_exact_prediction_has_slope_0():
    out, x, feed = traced_loss(build(LOSSES, "mean_absolute_error"), np.ones((1, 1)), np.ones((1, 1)))
    assert evaluate(ad.gradients(out, [x]), feed)[0].item() == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("logits", "label", "value", "slope"),
    [([1e4, 0.0], 0, 0.0, [0, 0]), ([1e4, 0.0], 1, 1e4, [1, -1]), ([-1e4, 0.0], 0, 1e4, [-1, 1])],
)
def test_focal_far_out(dtype, gamma, logits, label, value, slope):
    """Where 1 - p[y] rounds to 0 a power below 1 has no derivative; its logarithm has."""
    out, x, feed = traced_loss(
        build(LOSSES, {"type": "focal", "gamma": gamma}), np.array([logits], dtype), np.array([label])
    )
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    np.testing.assert_allclose(found, np.asarray(value, dtype), rtol=2e-7)
    np.testing.assert_allclose(gradient, [slope], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(
    ("logit", "target", "value", "slope"), [(1e4, 1, 0.0, 0.0), (1e4, 0, 1e4, 1.0), (-1e4, 1, 1e4, -1.0)]
)
def test_binary_focal_far_out(dtype, gamma, logit, target, value, slope):
    loss = build(LOSSES, {"type": "binary_focal", "gamma": gamma})
    out, x, feed = traced_loss(loss, np.array([[logit]], dtype), np.array([[target]], dtype))
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    np.testing.assert_allclose(found, value, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[slope]], rtol=1e-6, atol=1e-30)


def test_hinge_beyond_its_margin_costs_nothing_and_has_no_gradient():
    for keys in ("hinge", {"type": "hinge", "power": 2}):
        out, x, feed = traced_loss(build(LOSSES, keys), np.array([[3.0, 2.0, -5.0]]), np.array([0]))
        found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)  # exactly at the margin of class 1
        assert (found.item(), gradient.any()) == (0.0, False)


def test_cosine_similarity_of_a_row_of_zeros_is_0_with_a_finite_gradient():
    loss = build(LOSSES, "cosine_similarity")
    out, x, feed = traced_loss(loss, np.zeros((1, 2)), np.array([[3.0, 4.0]]))
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    assert found.item() == 1.0
    np.testing.assert_allclose(gradient, [[-0.6e8, -0.8e8]])

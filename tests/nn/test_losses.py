"""Losses: HIPS autograd on the same function, PyTorch's stored numbers, rules of the chain."""

import json
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad as hips_grad
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_support import build, distance, evaluate, inputs, label, samples, traced_loss
from scipy.special import xlogy

from backprop_cli import autodiff as ad
from backprop_cli.nn.loss import LOSSES

TORCH = json.loads(Path(__file__).with_name("torch_reference.json").read_text())["losses"]
MORE = json.loads(Path(__file__).with_name("torch_losses.json").read_text())
CASES = samples(LOSSES)
IDS = [label(settings) for _, settings in CASES]
CLASSES, POSITIONS = 3, 4


def _cross_entropy(outputs, labels, loss, weights):
    probs = anp.exp(outputs) / anp.sum(anp.exp(outputs), axis=1, keepdims=True)
    onehot, smoothing = np.eye(outputs.shape[1])[labels], loss.label_smoothing
    q = (1 - smoothing) * onehot + smoothing / outputs.shape[1]
    return anp.mean(weights[labels] * -anp.sum(q * anp.log(probs), axis=1))


def _binary_cross_entropy(outputs, t, loss, weights):
    p = 1 / (1 + anp.exp(-outputs))
    return anp.mean(-t * anp.log(p) - (1 - t) * anp.log(1 - p))


def _huber(outputs, t, loss, weights):
    far = anp.abs(outputs - t)
    return anp.mean(anp.where(far <= loss.delta, far**2 / 2, loss.delta * (far - loss.delta / 2)))


def _next_token(outputs, labels, loss, weights):
    counts = labels != loss.ignore
    each = _cross_entropy(outputs[counts], labels[counts], loss, weights) if counts.any() else 0.0
    return each + 0.0 * anp.sum(outputs)


def _hinge(outputs, labels, loss, weights):
    rows = anp.arange(len(labels))
    missing = anp.maximum(0.0, loss.margin - outputs[rows, labels][:, None] + outputs) ** loss.power
    each = (anp.sum(missing, axis=1) - loss.margin**loss.power) / outputs.shape[1]  # of the right class: the margin
    return anp.mean(weights[labels] * each)


def _binary_hinge(outputs, t, loss, weights):
    return anp.mean(anp.maximum(0.0, loss.margin - (2 * t - 1) * outputs) ** loss.power)


def _focal(outputs, labels, loss, weights):
    p = anp.exp(outputs) / anp.sum(anp.exp(outputs), axis=1, keepdims=True)
    own = p[anp.arange(len(labels)), labels]
    return anp.mean(weights[labels] * (1 - own) ** loss.gamma * -anp.log(own))


def _binary_focal(outputs, t, loss, weights):
    p, one = 1 / (1 + anp.exp(-outputs)), 1.0 if loss.alpha is None else loss.alpha
    own, alpha = anp.where(t == 1, p, 1 - p), anp.where(t == 1, one, 1.0 if loss.alpha is None else 1 - one)
    return anp.mean(alpha * (1 - own) ** loss.gamma * -anp.log(own))


def _kl_divergence(outputs, t, loss, weights):
    log_p = outputs - anp.log(anp.sum(anp.exp(outputs), axis=1, keepdims=True))
    return anp.mean(anp.sum(xlogy(t, t) - t * log_p, axis=1))


def _cosine_similarity(outputs, t, loss, weights):
    lengths = anp.sqrt(anp.sum(outputs**2, axis=1) * anp.sum(t**2, axis=1))
    return anp.mean(1 - anp.sum(outputs * t, axis=1) / lengths)


def _quantile(outputs, t, loss, weights):
    levels = np.tile(loss.levels, t.shape[1])
    residual = np.repeat(t, len(loss.levels), axis=1) - outputs
    return anp.mean(anp.where(residual > 0, levels * residual, (levels - 1) * residual))


# The same functions, written from their definitions for another package.
REFERENCE = {
    "mean_squared_error": lambda o, t, *_: anp.mean((o - t) ** 2),
    "mean_absolute_error": lambda o, t, *_: anp.mean(anp.abs(o - t)),
    "huber": _huber,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "next_token": _next_token,
    "hinge": _hinge,
    "binary_hinge": _binary_hinge,
    "focal": _focal,
    "binary_focal": _binary_focal,
    "kl_divergence": _kl_divergence,
    "poisson": lambda o, t, *_: anp.mean(anp.exp(o) - t * o),
    "cosine_similarity": _cosine_similarity,
    "quantile": _quantile,
}


def _data(loss, batch=6, seed=4, dtype="float64"):
    rng = np.random.default_rng(seed)
    positions = (POSITIONS,) if loss.task == "tokens" else ()
    outputs = (2 * rng.normal(size=(batch, *positions, CLASSES))).astype(dtype)
    targets = loss.draw(rng, outputs.shape)
    if loss.task == "tokens":
        targets[rng.random(targets.shape) < 0.3] = loss.ignore
    return outputs, targets if loss.task.has_labels else targets.astype(dtype)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=IDS)
def test_value_and_gradient_are_those_of_hips_autograd(name, settings):
    loss = build(LOSSES, settings)
    outputs, targets = _data(loss)
    out, x, feed = traced_loss(loss, outputs, targets)
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    weights = loss.class_weights(range(CLASSES), [5, 3, 2])
    weights = np.ones(CLASSES) if weights is None else weights

    def reference(outputs):
        return REFERENCE[name](outputs, targets, loss, weights)

    assert distance(found, reference(outputs)) < 1e-14
    assert distance(gradient, hips_grad(reference)(outputs)) < 1e-10


@pytest.mark.parametrize(("name", "settings"), CASES, ids=IDS)
def test_float32_stays_float32(name, settings):
    loss = build(LOSSES, settings)
    out, x, _ = traced_loss(loss, *_data(loss, dtype="float32"))
    nodes = ad.toposort([out, *ad.gradients(out, [x])])
    assert {value.dtype for value in nodes if value.spec.is_inexact} == {np.dtype("float32")}
    assert out.shape == ()


@pytest.mark.parametrize(("name", "keys"), CASES, ids=IDS)
@settings(max_examples=8)
@given(batch=st.integers(1, 7), seed=st.integers(0, 1000))
def test_a_batchs_loss_and_gradient_are_the_mean_of_its_examples(name, keys, batch, seed):
    """Weighted by how many of an example's costs count: by the positions of tokens, else all the same."""
    loss = build(LOSSES, keys)
    outputs, targets = _data(loss, batch, seed)

    def value_and_gradient(rows):
        out, x, feed = traced_loss(loss, outputs[rows], targets[rows])
        return evaluate([out, *ad.gradients(out, [x])], feed)

    whole, gradient = value_and_gradient(slice(None))
    each = [value_and_gradient(slice(i, i + 1)) for i in range(batch)]
    counts = [loss.count(targets[i : i + 1]) for i in range(batch)]
    assert sum(counts) == loss.count(targets)
    share = np.array(counts) / max(sum(counts), 1)
    np.testing.assert_allclose(
        whole, np.sum([s * value for s, (value, _) in zip(share, each, strict=True)]), rtol=1e-12
    )
    shared = np.concatenate([s * g for s, (_, g) in zip(share, each, strict=True)])
    np.testing.assert_allclose(gradient, shared, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "keys"), CASES, ids=IDS)
def test_an_example_of_weight_2_is_there_twice_and_one_of_weight_0_not_at_all(name, keys):
    loss = build(LOSSES, keys)
    outputs, targets = _data(loss, 4)
    repeats = np.array([2, 0, 1, 3])
    weights = loss.class_weights(range(CLASSES), [5, 3, 2])
    given = {"outputs": outputs, "targets": targets, "weights": repeats.astype(float)}
    values, feed = inputs(**given, **({} if weights is None else {"by_class": weights}))
    out = loss.apply(values["outputs"], values["targets"], values.get("by_class"), values["weights"])
    found, gradient = evaluate([out, *ad.gradients(out, [values["outputs"]])], feed)
    again, x, feed = traced_loss(loss, np.repeat(outputs, repeats, axis=0), np.repeat(targets, repeats, axis=0))
    value, slope = evaluate([again, *ad.gradients(again, [x])], feed)
    factor = loss.count(np.repeat(targets, repeats, axis=0)) / loss.count(targets)
    np.testing.assert_allclose(found, factor * value, rtol=1e-12)
    summed = [slope[start:stop].sum(axis=0) for start, stop in ((0, 2), (2, 2), (2, 3), (3, 6))]
    np.testing.assert_allclose(gradient, factor * np.stack(summed), rtol=1e-12, atol=1e-15)


PYTORCH = {
    "cross_entropy": {"type": "cross_entropy"},
    "cross_entropy smoothed": {"type": "cross_entropy", "label_smoothing": 0.2},
    "cross_entropy weighted": {"type": "cross_entropy", "class_weight": {0: 0.5, 2: 3}},
    "binary_cross_entropy": "binary_cross_entropy",
    "mean_squared_error": "mean_squared_error",
    "mean_absolute_error": "mean_absolute_error",
    "huber": {"type": "huber", "delta": 0.7},
}


@pytest.mark.parametrize("name", PYTORCH)
def test_value_is_pytorchs(name):
    loss = build(LOSSES, PYTORCH[name])
    targets = np.array(TORCH["labels"] if loss.task == "classes" else TORCH["targets"])
    out, _, feed = traced_loss(loss, np.array(TORCH["logits"]), targets)
    np.testing.assert_allclose(evaluate([out], feed)[0], TORCH[name], rtol=1e-14)


@pytest.mark.parametrize("name", MORE["losses"])
def test_value_and_gradient_are_pytorchs(name):
    case = MORE["losses"][name]
    loss = build(LOSSES, case["settings"])
    outputs = np.array(MORE["outputs"]) if loss.task == "tokens" else np.array(MORE["outputs"])[:, 0]
    out, x, feed = traced_loss(loss, outputs, np.array(MORE["targets"][case["targets"]]))
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    assert distance(found, case["value"]) < 1e-13
    assert distance(gradient, case["gradient"]) < 1e-12


def test_softmax_and_cross_entropy_give_p_minus_onehot_times_x():
    """The gradient that is usually written by hand comes out of the composed program."""
    rng = np.random.default_rng(5)
    x, weight, labels = rng.normal(size=(8, 4)), rng.normal(size=(3, 4)), rng.integers(0, 3, 8)
    values, feed = inputs(x=x, weight=weight, labels=labels)
    loss = build(LOSSES, "cross_entropy")
    logits = values["x"] @ values["weight"].T
    slopes = ad.gradients(loss.apply(logits, values["labels"]), [values["weight"], logits])
    to_weight, to_logits, probs = evaluate([*slopes, loss.activate(logits)], feed)
    np.testing.assert_allclose(to_logits, (probs - np.eye(3)[labels]) / 8, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(to_weight, (probs - np.eye(3)[labels]).T @ x / 8, rtol=1e-12, atol=1e-16)


def test_predictions_are_probabilities_where_outputs_are_logits():
    values, feed = inputs(x=np.array([[0.0, np.log(3)]]))
    found = {name: evaluate([cls().activate(values["x"])], feed)[0].tolist() for name, cls in LOSSES.items()}
    for name in ("cross_entropy", "next_token"):
        assert found.pop(name)[0] == pytest.approx([0.25, 0.75])
    for name in ("focal", "hinge", "kl_divergence"):
        assert found.pop(name)[0] == pytest.approx([0.25, 0.75])
    for name in ("binary_cross_entropy", "binary_focal", "binary_hinge"):
        assert found.pop(name)[0] == pytest.approx([0.5, 0.75])
    assert found.pop("poisson")[0] == pytest.approx([1, 3])
    assert all(rows == [[0.0, np.log(3)]] for rows in found.values())


def test_focal_with_gamma_0_is_cross_entropy():
    for focal, entropy in (("focal", "cross_entropy"), ("binary_focal", "binary_cross_entropy")):
        outputs, targets = _data(build(LOSSES, entropy))
        found = []
        for keys in ({"type": focal, "gamma": 0}, {"type": entropy}):
            out, x, feed = traced_loss(build(LOSSES, keys), outputs, targets)
            found.append(np.append(*(part.ravel() for part in evaluate([out, *ad.gradients(out, [x])], feed))))
        np.testing.assert_allclose(*found, rtol=1e-13)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_best_constant_for_a_quantile_is_that_quantile(level):
    data = np.random.default_rng(0).exponential(size=(101, 1))
    loss = build(LOSSES, {"type": "quantile", "quantile": level})
    costs = []
    for guess in np.sort(data[:, 0]):
        out, _, feed = traced_loss(loss, np.full((101, 1), guess), data)
        costs.append(evaluate([out], feed)[0].item())
    assert np.argmin(costs) == round(level * 100)


def test_names_of_the_outputs_of_quantiles():
    several = build(LOSSES, {"type": "quantile", "quantile": [0.05, 0.5]})
    assert several.output_names(["price"]) == ["q0.05", "q0.5"]
    assert several.output_names(["a", "b"]) == ["a_q0.05", "a_q0.5", "b_q0.05", "b_q0.5"]
    assert build(LOSSES, "quantile").output_names(["a", "b"]) == ["a", "b"]
    assert (several.outputs_for(2), several.target_shape((4,))) == (4, (2,))


def _logit(p):
    return np.log(p) - np.log1p(-p)


@pytest.mark.parametrize(
    ("keys", "best", "targets"),
    [
        ("cross_entropy", [[800.0, 0.0, 0.0]], [0]),
        ({"type": "cross_entropy", "label_smoothing": 0.3}, np.log([[0.8, 0.1, 0.1]]), [0]),
        ({"type": "next_token", "label_smoothing": 0.3}, np.log([[[0.8, 0.1, 0.1], [0.5, 0.5, 0.5]]]), [[0, -1]]),
        ("binary_cross_entropy", [[800.0, -800.0]], [[1.0, 0.0]]),
        ("binary_cross_entropy", [_logit(np.array([0.25, 0.5]))], [[0.25, 0.5]]),
        ("poisson", np.log([[2.0, 7.0], [1e-20, 1.0]]), [[2.0, 7.0], [0.0, 1.0]]),
        ("kl_divergence", np.log([[0.25, 0.75]]), [[0.25, 0.75]]),
        ("hinge", [[5.0, 0.0]], [0]),
        ("binary_hinge", [[5.0]], [[1.0]]),
        ("mean_squared_error", [[5.0]], [[5.0]]),
    ],
)
def test_the_least_that_a_loss_can_be_is_what_the_best_outputs_give(keys, best, targets):
    loss, best, targets = build(LOSSES, keys), np.array(best), np.array(targets)
    out, x, feed = traced_loss(loss, best, targets)
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    assert found == pytest.approx(loss.minimum(targets, best.shape[-1]), abs=1e-12)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-12)


def test_the_least_of_losses_with_targets_between_0_and_1_is_not_known():
    for name in ("binary_focal", "binary_hinge"):
        assert np.isnan(build(LOSSES, name).minimum(np.array([[0.5]]), 1))


# ------------------------------------------------------------------------------------------------ tokens


def test_a_batch_of_tokens_of_which_none_counts_has_loss_0_and_no_gradient():
    loss = build(LOSSES, "next_token")
    out, x, feed = traced_loss(loss, np.ones((2, 3, 4)), np.full((2, 3), -1))
    found, gradient = evaluate([out, *ad.gradients(out, [x])], feed)
    assert (found.item(), gradient.any()) == (0.0, False)


def test_metric_inputs_of_tokens_is_nats_and_rank_of_each_label():
    """By hand: of equals the first token is before the others; a label that is ignored has the rank -1."""
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.2, 0.4, 0.4], [0.2, 0.4, 0.4], [0.1, 0.2, 0.7]]]))
    values, feed = inputs(outputs=logits, targets=np.array([[0, 1, 2, -1]]))
    loss = build(LOSSES, "next_token")
    (found,) = evaluate([loss.metric_inputs(values["outputs"], values["targets"])], feed)
    np.testing.assert_allclose(found[0, :, 0], [-np.log(0.5), -np.log(0.4), -np.log(0.4), 0.0], rtol=1e-14)
    assert found[0, :, 1].tolist() == [0, 0, 1, -1]

"""Layers that normalize: PyTorch's stored numbers, in training over several batches and in evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
from nn_support import build, distance, evaluate, inputs, label

from backprop_cli import autodiff as ad
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.layer_shapes import LayerShapeError
from backprop_cli.nn.model import Model

CASES = json.loads(Path(__file__).with_name("torch_norms.json").read_text())
SAME = 1e-9


def _named(case):
    return label({"type": case["type"], **case["settings"], "shape": tuple(case["shape"])})


def _passed(layer, step, params, buffers, shape):
    """Output, gradients of x and parameters, and new buffers where ``buffers`` are to be moved."""
    arrays = {"x": np.reshape(step["x"], shape), **params, **buffers}
    values, feed = inputs(**arrays)
    own = {name: values[name] for name in params}
    held = {name: values[name] for name in buffers}
    is_training = "training" in step
    out = layer.apply(own if is_training else {**own, **held}, values["x"])
    slopes = ad.gradients(ad.sum(out * ad.constant(np.reshape(step["ct"], shape))), [values["x"], *own.values()])
    updates = layer.updates({**own, **held}, values["x"]) if is_training else {}
    found = evaluate([out, *slopes, *updates.values()], feed)
    gradients = dict(zip(["x", *own], found[1 : 2 + len(own)], strict=True))
    return found[0], gradients, dict(zip(updates, found[2 + len(own) :], strict=True))


def _compare(step, out, gradients):
    assert distance(out, np.reshape(step["out"], out.shape)) < SAME
    expected = {"x": step["x_bar"], **step["gradients"]}
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert distance(gradient, np.reshape(expected[name], gradient.shape)) < SAME, name


@pytest.mark.parametrize("case", CASES, ids=map(_named, CASES))
def test_numbers_of_pytorch(case):
    layer, shape = build(LAYERS, {"type": case["type"], **case["settings"]}), tuple(case["shape"])
    spec = ad.Spec(shape, np.dtype("float64"))
    params = {name: np.reshape(case["params"][name], p.shape) for name, p in layer.params(spec).items()}
    assert params.keys() == case["params"].keys()
    buffers = {name: np.full(buffer.shape, buffer.start) for name, buffer in layer.buffers(spec).items()}
    for step in case["steps"]:
        out, gradients, buffers = _passed(layer, {**step, "training": True}, params, buffers, shape)
        _compare(step, out, gradients)
    assert buffers.keys() == case["buffers"].keys()
    for name, array in buffers.items():
        assert distance(array, case["buffers"][name]) < SAME, name
    out, gradients, _ = _passed(layer, case["evaluation"], params, buffers, shape)
    _compare(case["evaluation"], out, gradients)


def test_a_batch_of_one_number_a_feature_leaves_the_buffers_alone():
    layer = build(LAYERS, "batch_norm")
    rng = np.random.default_rng(0)
    values, feed = inputs(x=rng.normal(size=(1, 3)), weight=rng.normal(size=3), bias=rng.normal(size=3))
    params = {name: values[name] for name in ("weight", "bias")}
    buffers = {name: ad.input_(name, (3,)) for name in ("running_mean", "running_var")}
    assert layer.updates({**params, **buffers}, values["x"]) == {}
    (out,) = evaluate([layer.apply(params, values["x"])], feed)
    np.testing.assert_array_equal(out, feed[values["bias"]][None])


def test_spatial_dropout_takes_whole_channels():
    layer = build(LAYERS, {"type": "spatial_dropout", "rate": 0.3})
    spec = ad.Spec((500, 40, 3, 2), np.dtype("float64"))
    noise = layer.noise(spec)["noise"]
    assert noise.shape == (500, 40, 1, 1)
    values, feed = inputs(x=np.ones(spec.shape), noise=np.random.default_rng(0).random(noise.shape))
    (out,) = evaluate([layer.apply({"noise": values["noise"]}, values["x"])], feed)
    assert set(np.unique(out)) == {0.0, 1 / 0.7}
    assert np.ptp(out.reshape(500, 40, 6), axis=2).max() == 0
    assert np.mean(out == 0) == pytest.approx(0.3, abs=0.01)


def test_spatial_dropout_of_vectors_says_what_to_use():
    with pytest.raises(LayerShapeError) as caught:
        Model.build([build(LAYERS, "spatial_dropout")], (3,))
    assert str(caught.value) == (
        "layer spatial_dropout_1: needs channels with places, (channels, ...) per example; use {type: dropout} for "
        "vectors (given input: [3])"
    )

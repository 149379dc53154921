"""Attention and embeddings: PyTorch's stored numbers, what is kept for the way back, and how they start."""

import json
from pathlib import Path

import numpy as np
import pytest
from nn_support import build, distance, evaluate, inputs, label

from backprop_cli import autodiff as ad
from backprop_cli.nn.layer import LAYERS

CASES = json.loads(Path(__file__).with_name("torch_attention.json").read_text())
SAME = 1e-9


def _named(case):
    return label({"type": case["type"], **case["settings"], "inputs": len(case["shapes"])})


@pytest.mark.parametrize("case", CASES, ids=map(_named, CASES))
def test_numbers_of_pytorch(case):
    layer = build(LAYERS, {"type": case["type"], **case["settings"]})
    x = {f"x{k}": np.reshape(flat, case["shapes"][k]) for k, flat in enumerate(case["x"])}
    params = layer.params(*(ad.spec_of(array) for array in x.values()))
    assert list(params) == list(case["params"])
    arrays = {name: np.reshape(case["params"][name], param.shape) for name, param in params.items()}
    values, feed = inputs(**x, **arrays)
    out = layer.apply({name: values[name] for name in arrays}, *(values[name] for name in x))
    assert out.size == len(case["ct"])
    wrt = [name for name, array in {**x, **arrays}.items() if array.dtype.kind == "f"]
    slopes = ad.gradients(ad.sum(out * ad.constant(np.reshape(case["ct"], out.shape))), [values[name] for name in wrt])
    found, *gradients = evaluate([out, *slopes], feed)
    assert distance(found, np.reshape(case["out"], out.shape)) < SAME
    expected = [*case["x_bar"], *case["gradients"].values()]
    for name, gradient, wanted in zip(wrt, gradients, expected, strict=True):
        assert distance(gradient, np.reshape(wanted, gradient.shape)) < SAME, name


def test_causal_positions_do_not_see_what_follows():
    layer = build(LAYERS, {"type": "attention", "heads": 2, "causal": True})
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 5, 4))
    params = {name: rng.normal(size=p.shape) for name, p in layer.params(ad.spec_of(x)).items()}

    def run(array):
        values, feed = inputs(x=array, **params)
        return evaluate([layer.apply({name: values[name] for name in params}, values["x"])], feed)[0]

    changed = x.copy()
    changed[:, 3:] = 7.0
    np.testing.assert_array_equal(run(x)[:, :3], run(changed)[:, :3])
    assert not np.allclose(run(x)[:, 3:], run(changed)[:, 3:])


def test_only_queries_keys_values_and_probabilities_wait_for_the_way_back():
    layer, shape = build(LAYERS, {"type": "attention", "heads": 2, "causal": True}), (3, 16, 8)
    x = ad.input_("x", shape)
    params = {name: ad.input_(name, p.shape) for name, p in layer.params(x.spec).items()}
    out = layer.apply(params, x)
    forward = set(ad.toposort([out]))
    gradient = ad.gradients(ad.sum(out * ad.input_("ct", out.shape)), [x, *params.values()])
    kept = {
        _owner(operand)
        for node in ad.toposort(gradient)
        if node not in forward
        for operand in node.inputs
        if operand in forward and operand.op is not None
    }
    rows, probs = 3 * 16 * 8, 3 * 2 * 16 * 16
    assert sorted(value.size for value in kept if value.size >= rows) == [rows] * 5 + [probs]  # with x and the heads


def _owner(value):
    while value.op is not None and value.op.is_view:
        value = value.inputs[0]
    return value

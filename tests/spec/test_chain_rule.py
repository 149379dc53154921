"""The chain rule on one page: a network of two weights, computed by hand.

x = 2,  W1 = 0.5,  W2 = 3,  target = 1
z1 = W1 x,  a1 = tanh(z1),  z2 = W2 a1,  L = (z2 - target)^2

dL/dz2 = 2 (z2 - target)
dL/dW2 = dL/dz2 a1
dL/dW1 = dL/dz2 W2 (1 - a1^2) x
"""

from math import tanh
from pathlib import Path

import pytest
from safetensors.numpy import load_file

TINY = """\
data: {source: one.csv, target: y, split: {validation: 0, test: 0}, transform: {numeric: none, target: none}}
model:
  layers:
    - {type: dense, units: 1, bias: false, activation: tanh, initializer: {type: constant, value: 0.5}}
    - {type: dense, units: 1, bias: false, initializer: {type: constant, value: 3.0}}
loss: mean_squared_error
optimizer: {type: sgd, learning_rate: 0.1}
training: {epochs: 1, batch_size: 2, precision: float64}
"""


@pytest.fixture(autouse=True)
def tiny(folder):
    Path("one.csv").write_text("x,y\n2,1\n2,1\n")  # the mean over two equal examples is that of one
    Path("tiny.yaml").write_text(TINY)


def gradients(w1, w2, x=2.0, target=1.0):
    """``dL/dW1`` and ``dL/dW2``."""
    a1 = tanh(w1 * x)
    by_z2 = 2.0 * (w2 * a1 - target)
    return by_z2 * w2 * (1.0 - a1**2) * x, by_z2 * a1


def weights_after_one_step(bp):
    bp("train", "tiny.yaml", "--run-dir", "run")
    tensors = load_file("run/checkpoints/last.safetensors")
    return tensors["dense_1.weight"].item(), tensors["dense_2.weight"].item()


def test_a_step_of_gradient_descent_subtracts_the_learning_rate_times_the_gradient(bp):
    by_w1, by_w2 = gradients(0.5, 3.0)
    assert weights_after_one_step(bp) == pytest.approx((0.5 - 0.1 * by_w1, 3.0 - 0.1 * by_w2), rel=1e-14)


def test_explain_writes_the_chain_rule_with_a_factor_for_every_arrow(bp):
    said = bp("explain", "tiny.yaml").out
    assert "dL/dW2 = dL/dz2 · dz2/dW2" in said
    assert "dL/dW1 = dL/dz2 · dz2/da1  · da1/dz1  · dz1/dW1" in said


def test_explain_counts_the_multiplications_of_both_modes(bp):
    explained = bp("explain", "tiny.yaml", "--json").json
    assert [node["name"] for node in explained["nodes"] if node["op"] == "tanh"] == ["dense_1.tanh"]
    # W2 (1 - a1^2) W1, one entry each: two products, whatever the order.
    assert [explained["accumulation"][order] for order in ("forward", "reverse", "best")] == [2, 2, 2]


def test_jacobian_gives_the_gradient_of_the_loss_by_every_weight(bp):
    w1, w2 = weights_after_one_step(bp)
    found = bp("jacobian", "run", "--split", "train", "--of", "loss", "--by", "parameters", "--json").json
    assert found["values"] == pytest.approx(gradients(w1, w2), rel=1e-13)


def test_jacobian_gives_the_outputs_by_the_inputs(bp):
    w1, w2 = weights_after_one_step(bp)
    found = bp("jacobian", "run", "--split", "train", "--json").json
    assert found["values"][0] == pytest.approx([w2 * (1.0 - tanh(w1 * 2.0) ** 2) * w1], rel=1e-13)


def test_a_checked_gradient_is_the_difference_quotient_of_the_loss(bp):
    (worst, *_) = bp("gradcheck", "tiny.yaml", "--samples", "all", "--method", "central", "--json").json["checks"]
    assert worst["verdict"] == "PASS"
    assert worst["worst"]["analytic"] == pytest.approx(worst["worst"]["numeric"], rel=1e-6)

"""``bp explain`` as text: one network whole, and what differs for others."""

import json

import pytest

import backprop_cli
from backprop_cli.cli import app
from backprop_cli.report.diagrams import dot, mermaid
from backprop_cli.report.explain_text import _array, explain_text

CONFIG = """\
data: {generate: linear}
model:
  input: [2]
  layers:
    - {type: dense, units: 3, activation: tanh}
    - {type: dense, units: 1}
loss: mean_squared_error
"""

TEXT = """\
the network, for one example
    is computed as             shape  layer
W1                             [3,2]  dense_1.weight
b1                             [3]    dense_1.bias
W2                             [1,3]  dense_2.weight
b2                             [1]    dense_2.bias
z1  x @ W1.T + b1              [1,3]  dense_1
a1  tanh(z1)                   [1,3]  dense_1
z2  a1 @ W2.T + b2             [1,1]  dense_2
L   mean_squared_error(z2, y)  []     loss

the chain rule
Under each factor: its shape as a matrix (arrays flattened), and its structure.

dL/dW2 = dL/dz2 · dz2/dW2
         1x1      1x3
         dense    dense

dL/db2 = dL/dz2 · dz2/db2
         1x1      1x1
         dense    identity

dL/dW1 = dL/dz2 · dz2/da1 · da1/dz1  · dz1/dW1
         1x1      1x3       3x3        3x6
         dense    dense     diagonal   block diagonal

dL/db1 = dL/dz2 · dz2/da1 · da1/dz1  · dz1/db1
         1x1      1x3       3x3        3x3
         dense    dense     diagonal   identity

every operation
operation          shape  by            local Jacobian  structure       entries
dense_1.transpose  [2,3]  weight        [2,3,3,2]       permutation           6
dense_1.matmul     [1,3]  input         [1,3,1,2]       dense                 6
                          transpose     [1,3,2,3]       block diagonal        6
dense_1.add        [1,3]  matmul        [1,3,1,3]       identity              3
                          bias          [1,3,3]         identity              3
dense_1.tanh       [1,3]  add           [1,3,1,3]       diagonal              3
dense_2.transpose  [3,1]  weight        [3,1,1,3]       identity              3
dense_2.matmul     [1,1]  dense_1.tanh  [1,1,1,3]       dense                 3
                          transpose     [1,1,3,1]       dense                 3
dense_2.add        [1,1]  matmul        [1,1,1,1]       identity              1
                          bias          [1,1,1]         identity              1
loss.subtract      [1,1]  dense_2.add   [1,1,1,1]       identity              1
                          targets       [1,1,1,1]       diagonal              1
loss.square        [1,1]  subtract      [1,1,1,1]       diagonal              1
loss.sum           []     square        [1,1]           identity              1
loss.multiply      []     sum           []              diagonal              1

multiplications, for one example
derivative            order    multiplications
gradient of the loss  forward              125  a pass for each parameter
                      reverse               17  one pass; optimal for a scalar
outputs by inputs     forward               12  in the order of evaluation
                      reverse                9  against it
                      best                   9  reverse, proved optimal
best order: (dz2/da1 · da1/dz1) · dz1/dx
Entries that are always 1 or -1 (views, sums, biases) need no multiplication.

memory that reverse mode keeps for a training batch of 32
layer    kept
dense_1  384 B
loss     128 B

all kept            512 B
training.recompute  would save nothing here
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(CONFIG)


def explained(*overrides, numbers=False):
    return backprop_cli.explain("small.yaml", overrides, numbers=numbers)


def test_the_whole_text(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert app.run(["explain", "small.yaml"]) == 0
    assert capsys.readouterr().out == TEXT


@pytest.mark.parametrize("width", [40, 80, 120])
def test_formulas_are_wrapped(width):
    layers = [{"type": "dense", "units": n, "activation": "tanh"} for n in (3, 4, 2)]
    found = explained(f"model.layers={json.dumps(layers)}")
    text = explain_text(found, width)
    rule = text[text.index("the chain rule") : text.index("every operation")]
    assert max(map(len, rule.splitlines())) <= width
    block = rule[rule.index("dL/dW1 = ") : rule.index("dL/db1 = ")]
    factors = [word for word in block.replace("dL/dW1 = ", "").split() if word.startswith("d") and "/" in word]
    assert factors == ["dL/da3", "da3/dz3", "dz3/da2", "da2/dz2", "dz2/da1", "da1/dz1", "dz1/dW1"]


def test_long_expressions_are_wrapped():
    layers = ["layer_norm", {"type": "dense", "units": 1}]
    found = explained(f"model.layers={json.dumps(layers)}")
    lines = explain_text(found, 60).partition("\n\nthe chain rule")[0].splitlines()
    assert lines[6:8] == [
        "z1_1  sum(x, axes=(1,),          [1,1]  layer_norm_1",
        "        keepdims=True)",
    ]
    assert lines[-5:] == [
        "a1    z1_8 * reshape(w1,         [1,2]  layer_norm_1",
        "        to=(2,)) + reshape(b1,",
        "        to=(2,))",
        "z2    a1 @ W2.T + b2             [1,1]  dense_1",
        "L     mean_squared_error(z2, y)  []     loss",
    ]
    assert "a1    z1_8 * reshape(w1, to=(2,)) + reshape(b1, to=(2,))  [1,2]" in explain_text(found, 90)


def test_a_long_table_is_cut():
    layers = [{"type": "dense", "units": 2, "activation": "tanh"}] * 25
    text = explain_text(explained(f"model.layers={json.dumps(layers)}", "loss=binary_cross_entropy"), 80)
    assert "... and 42 more: --json has them all" in text
    assert "training.recompute      " in text


def test_numbers_are_printed_below_each_other():
    found = explained("data.transform.numeric=none", "seed=3", numbers=True)
    text = explain_text(found, 60)
    walk = text[text.index("one example forward") : text.index("every operation")]
    assert walk.count(" = ") == 10 + 7
    assert "b1 = [0., 0., 0.]\n" in walk
    assert "\n\nand back\ndL/dz2 = [[" in walk
    rows = [line for line in walk.splitlines() if line.startswith("      [")]
    assert rows
    assert max(map(len, walk.splitlines())) <= 60


def test_diagrams():
    nodes = explained().nodes[:2]
    assert dot(nodes) == (
        "digraph network {\n"
        "  rankdir=BT;\n"
        '  node [shape=box, fontname="sans-serif"];\n'
        '  "dense_1.weight" [shape=ellipse];\n'
        '  "input" [shape=ellipse];\n'
        '  "dense_1.transpose" [label="dense_1.transpose [2, 3]"];\n'
        '  "dense_1.matmul" [label="dense_1.matmul [1, 3]"];\n'
        '  "dense_1.weight" -> "dense_1.transpose" [label="permutation"];\n'
        '  "input" -> "dense_1.matmul" [label="dense"];\n'
        '  "dense_1.transpose" -> "dense_1.matmul" [label="block diagonal"];\n'
        "}"
    )
    assert mermaid(nodes) == (
        "flowchart BT\n"
        '  n0(["dense_1.weight"])\n'
        '  n1(["input"])\n'
        '  n2["dense_1.transpose [2, 3]"]\n'
        '  n3["dense_1.matmul [1, 3]"]\n'
        '  n0 -- "permutation" --> n2\n'
        '  n1 -- "dense" --> n3\n'
        '  n2 -- "block diagonal" --> n3'
    )


def test_a_zero_has_no_sign():
    assert list(_array("g", [-0.0, -1e-9, -0.5, 1.5], 80)) == ["g = [ 0. ,  0. , -0.5,  1.5]"]

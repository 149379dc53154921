"""Commands on networks with blocks, shared parameters and penalties of single layers."""

from pathlib import Path

import numpy as np
import pytest
from api_support import bp, write_config

from backprop_cli.api.explain import explain
from backprop_cli.api.gradcheck import gradcheck
from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.run.checkpoint import load

BLOCK = {
    "type": "block",
    "repeat": 2,
    "residual": True,
    "layers": ["layer_norm", {"type": "dense", "units": 6, "activation": "tanh"}, {"type": "dropout", "rate": 0.2}],
}
DEEP = [{"type": "dense", "units": 6}, BLOCK, {"type": "dense", "units": 3}]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_with_blocks_is_checked_saved_shown_and_resumed():
    config = write_config(model={"layers": DEEP}, gradient_check={})
    result = train(config, ["training.epochs=2"])
    tensors = load(Path(result.checkpoints["last"])).tensors
    assert {"block_1.2.dense_1.weight", "block_1.1.layer_norm_1.bias"} <= tensors.keys()
    assert any(name.startswith("optimizer.") and name.endswith(".block_1.2.dense_1.weight") for name in tensors)
    again = train(result.run_dir / "config.resolved.yaml")
    assert again.metrics == result.metrics
    assert gradcheck(result.run_dir).passed
    resumed = train(resume=result.run_dir, overrides=["training.epochs=3"])
    assert resumed.epochs == 3
    shown = show(result.run_dir).to_json()
    assert [layer["name"] for layer in shown["layers"]][:5] == [
        "dense_1",
        "block_1.1.layer_norm_1",
        "block_1.1.dense_1",
        "block_1.1.dropout_1",
        "block_1.1",
    ]
    assert shown["layers"][4] | {"multiplications": 0} == {
        "name": "block_1.1",
        "type": "add",
        "inputs": ["block_1.1.dropout_1", "dense_1"],
        "output_shape": [6],
        "parameters": 0,
        "multiplications": 0,
    }
    assert [bp(*words) for words in (("show", config), ("explain", config), ("list", "layers", "block"))] == [0, 0, 0]


def test_explain_names_the_layers_of_blocks():
    found = explain(write_config(model={"input": [2], "layers": DEEP}))
    assert {"block_1.1.dense_1.matmul", "block_1.2.add"} <= {node.name for node in found.nodes}


def test_shared_parameters_are_one():
    layers = [
        {"type": "dense", "units": 2, "activation": "tanh"},
        {"type": "dense", "units": 2, "share": "dense_1.weight"},
    ]
    config = write_config(model={"layers": [*layers, {"type": "dense", "units": 3}]}, gradient_check={})
    result = train(config)
    tensors = load(Path(result.checkpoints["last"])).tensors
    assert [name for name in tensors if not name.startswith("optimizer.")] == [
        "dense_1.bias",
        "dense_1.weight",
        "dense_2.bias",
        "dense_3.bias",
        "dense_3.weight",
    ]
    shown = show(result.run_dir).to_json()
    assert [layer["parameters"] for layer in shown["layers"]] == [6, 2, 9]
    assert shown["parameters"] == 17


def test_the_penalty_of_a_layer_stands_in_place_of_the_networks():
    rules = [{"l2": 0.5, "l1": 0.25}, {"l2": 0.0}, None]
    units = [4, 4, 3]
    layers = [
        {"type": "dense", "units": n, **({"regularization": r} if r else {})} for n, r in zip(units, rules, strict=True)
    ]
    config = write_config(
        model={"layers": layers},
        regularization={"l2": 0.1},
        training={"epochs": 1, "batch_size": 42, "precision": "float64"},
        gradient_check={},
    )
    at_start = load(Path(train(config, ["training.epochs=0"]).checkpoints["last"])).tensors
    one, three = at_start["dense_1.weight"], at_start["dense_3.weight"]
    expected = 0.25 * np.abs(one).sum() + 0.25 * (one**2).sum() + 0.05 * (three**2).sum()
    rows = (train(config).run_dir / "metrics.jsonl").read_text()
    found = float(rows.split('"train/regularization": ')[1].split(",")[0])
    assert found == pytest.approx(expected, rel=1e-12)

"""Runs of networks with buffers and frozen parameters: every command carries them."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, write_config

from backprop_cli.api.eval import evaluate
from backprop_cli.api.explain import explain
from backprop_cli.api.gradcheck import gradcheck
from backprop_cli.api.jacobian import jacobian
from backprop_cli.api.predict import predict
from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.errors import ConfigError
from backprop_cli.run.checkpoint import load

NORMED = [
    {"type": "dense", "units": 6, "trainable": False},
    "batch_norm",
    {"type": "activation", "function": "tanh"},
    {"type": "dense", "units": 3},
]
CHECK = {"at_start": True, "every_steps": 5}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trained(**more):
    return train(write_config(model={"layers": NORMED}, gradient_check=CHECK, **more))


def by_hand(arrays, x):
    """Probabilities from the tensors of a checkpoint."""
    a = {name: array.astype(np.float64) for name, array in arrays.items()}
    h = x @ a["dense_1.weight"].T + a["dense_1.bias"]
    h = (h - a["batch_norm_1.running_mean"]) / np.sqrt(a["batch_norm_1.running_var"] + 1e-5)
    h = np.tanh(h * a["batch_norm_1.weight"] + a["batch_norm_1.bias"])
    logits = h @ a["dense_2.weight"].T + a["dense_2.bias"]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_predictions_are_made_with_the_buffers_of_the_checkpoint():
    run = trained(data={"transform": {"numeric": "none"}}).run_dir
    tensors = load(run / "checkpoints" / "best.safetensors").tensors
    assert {"batch_norm_1.running_mean", "batch_norm_1.running_var", "dense_1.weight"} <= tensors.keys()
    assert not np.array_equal(tensors["batch_norm_1.running_var"], np.ones(6))
    predict(run, Path("flowers.csv"), Path("out.npz"), proba=True)
    x = np.genfromtxt("flowers.csv", delimiter=",", skip_header=1, usecols=(0, 1))
    np.testing.assert_allclose(np.load("out.npz")["probability"], by_hand(tensors, x), atol=1e-5)


def test_the_metrics_of_the_run_are_those_of_the_kept_network():
    result = trained(early_stopping={"monitor": "train/loss", "patience": 5}, training={"epochs": 6})
    found = evaluate(result.run_dir).metrics
    assert {f"test/{name}": value for name, value in found.items()} == {
        name: value for name, value in result.metrics.items() if name.startswith("test/")
    }


def test_a_resumed_run_ends_where_one_run_ends():
    whole = trained(training={"epochs": 4})
    half = trained(training={"epochs": 2})
    resumed = train(resume=half.run_dir, overrides=["training.epochs=4"])
    one, two = (load(Path(result.checkpoints["last"])).tensors for result in (whole, resumed))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_resumed_run_keeps_what_is_frozen():
    half = trained(training={"epochs": 1})
    with pytest.raises(ConfigError) as caught:
        train(resume=half.run_dir, overrides=["model.layers.0.trainable=true"])
    assert str(caught.value) == (
        "override model.layers.0.trainable=true: was false, would be true: the numbers that the run has saved would "
        "mean something else; leave it out, or start a new run\n1 problem; nothing was run."
    )


def test_every_gradient_is_right_of_a_configuration_and_of_a_run():
    run = trained().run_dir
    for target in ("flowers.yaml", run):
        report = gradcheck(target)
        assert report.passed
        assert {check.name for check in report.checks} >= {"batch_norm_1.weight", "dense_2.weight"}
        assert not any(check.name.startswith("dense_1") for check in report.checks)
    assert all(json.loads(path.read_text())["passed"] for path in (run / "gradient_check").iterdir())


def test_derivatives_of_the_trained_network_are_those_of_its_evaluation():
    """In evaluation no example acts on another."""
    run = trained().run_dir
    batch = jacobian(run, rows=["all"], split="test").arrays["jacobian"]
    count = len(batch)
    acts = np.array([[np.any(batch[i, :, j]) for j in range(count)] for i in range(count)])
    np.testing.assert_array_equal(acts, np.eye(count, dtype=bool))


def test_show_counts_what_is_trained():
    found = show(write_config(model={"input": [2], "layers": NORMED})).to_json()
    assert (found["parameters"], found["trainable"]) == (18 + 12 + 21, 12 + 21)
    assert found["bytes"]["parameters"] == 4 * (18 + 12 + 21 + 12)
    assert found["bytes"]["optimizer"] == 4 * 2 * (12 + 21)
    assert [layer["parameters"] for layer in found["layers"]] == [18, 12, 0, 21]


def test_explain_walks_through_the_numbers_of_a_run():
    run = trained().run_dir
    walked = explain(run, numbers=True)
    assert walked.numbers is not None
    assert bp("explain", run) == 0

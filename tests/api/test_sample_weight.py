"""A column of weights: what each example counts in the loss."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import bp, run_of, write_config
from sklearn.linear_model import LogisticRegression

from backprop_cli.api.eval import evaluate
from backprop_cli.api.jacobian import jacobian
from backprop_cli.run.checkpoint import load


def write_weighted(path="flowers.csv", rows=60, weights=None):
    """The flowers, with a column ``sure`` between the features."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, rows)
    points = rng.standard_normal((rows, 2)) + 1.5 * kinds[:, None]
    sure = rng.integers(0, 5, rows) / 2 if weights is None else weights
    lines = [f"{x:.6f},{w},{y:.6f},{'abc'[k]}" for (x, y), w, k in zip(points, sure, kinds, strict=True)]
    Path(path).write_text("\n".join(["x,sure,y,kind", *lines]) + "\n")
    return points, kinds, sure


def config(**more):
    data = {"sample_weight": "sure", "split": {"validation": 0, "test": 0}, "transform": {"numeric": "none"}}
    return write_config(**{"data": data, **more})


LINEAR = {"layers": [{"type": "dense", "units": 3}]}
LBFGS = {"type": "lbfgs", "learning_rate": 1.0, "tolerance": 1e-9}


def test_the_optimum_is_that_of_scikit_learns_weighted_logistic_regression():
    """Which minimizes C times the sum of weight times cost and half the squared weights: C = 1 / (examples * l2)."""
    x, kinds, weights = write_weighted()
    training = {"epochs": 100, "batch_size": 60, "precision": "float64"}
    run, _ = run_of(config(model=LINEAR, optimizer=LBFGS, training=training, regularization={"l2": 0.05}), "run")
    found = load(run / "checkpoints" / "last.safetensors").tensors
    peer = LogisticRegression(C=1 / (60 * 0.05), tol=1e-10, max_iter=10_000)
    peer.fit(x.round(6), kinds, sample_weight=weights)
    np.testing.assert_allclose(found["dense_1.weight"], peer.coef_, rtol=0, atol=1e-6)
    bias = found["dense_1.bias"]  # a constant in all of them changes no probability
    np.testing.assert_allclose(bias - bias.mean(), peer.intercept_ - peer.intercept_.mean(), rtol=0, atol=1e-6)
    unweighted = LogisticRegression(C=1 / (60 * 0.05)).fit(x, kinds)
    assert np.abs(unweighted.coef_ - peer.coef_).max() > 0.05


def test_the_loss_is_the_mean_of_weight_times_cost_and_metrics_know_no_weights():
    _, kinds, weights = write_weighted()
    run, result = run_of(config(), "run")
    assert result.metrics["train/loss"] == pytest.approx(evaluate(run, split="train").metrics["loss"])
    assert bp("predict", run, "flowers.csv", "--proba", "-o", "out.csv") == 0
    probs = np.loadtxt("out.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))
    costs = -np.log(probs[np.arange(60), kinds])
    assert result.metrics["train/loss"] == pytest.approx(np.mean(weights * costs), rel=1e-5)
    assert result.metrics["train/accuracy"] == np.mean(probs.argmax(axis=1) == kinds)


def test_other_data_needs_no_weights_and_uses_those_it_has(capsys):
    write_weighted()
    run, result = run_of(config(), "run")
    lines = [line.split(",") for line in Path("flowers.csv").read_text().splitlines()]
    Path("bare.csv").write_text("\n".join(f"{x},{y},{kind}" for x, _, y, kind in lines) + "\n")
    assert evaluate(run, data=Path("flowers.csv")).metrics["loss"] == pytest.approx(result.metrics["train/loss"])
    write_weighted("ones.csv", weights=[1] * 60)
    ones = evaluate(run, data=Path("ones.csv")).metrics["loss"]
    assert evaluate(run, data=Path("bare.csv")).metrics["loss"] == ones != result.metrics["train/loss"]
    Path("inputs.csv").write_text("\n".join(f"{x},{y}" for x, _, y, _ in lines) + "\n")
    assert bp("predict", run, "inputs.csv", "-o", "out.csv") == 0


def test_the_derivatives_of_the_loss_are_weighted():
    _, _, weights = write_weighted()
    run, _ = run_of(config(), "run")
    whole = jacobian(run, of="loss", by="parameters", split="train").matrix.ravel()
    each = jacobian(run, per_example=True, of="loss", split="train", output=Path("g.npz")).arrays["gradients"]
    np.testing.assert_allclose(each.mean(axis=0), whole, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(each[weights == 0], 0.0)


def test_the_weights_are_no_feature():
    write_weighted()
    run, _ = run_of(config(), "run")
    assert load(run / "checkpoints" / "last.safetensors").tensors["dense_1.weight"].shape == (6, 2)


def test_the_gradient_check_of_a_run_is_weighted(capsys):
    write_weighted()
    run, _ = run_of(config(gradient_check={}), "run")
    assert json.loads((run / "gradient_check" / "step-00000000.json").read_text())["passed"]
    assert bp("gradcheck", run) == 0


def test_weights_in_the_targets_file_of_a_pair():
    write_weighted()
    table = [line.split(",") for line in Path("flowers.csv").read_text().splitlines()]
    Path("in.csv").write_text("\n".join(f"{x},{y}" for x, _, y, _ in table) + "\n")
    Path("out.csv").write_text("\n".join(f"{kind},{w}" for _, w, _, kind in table) + "\n")
    _, one = run_of(config(), "one")
    tree = yaml.safe_load(config().read_text())
    tree["data"] |= {"train": {"inputs": "in.csv", "targets": "out.csv"}}
    del tree["data"]["source"], tree["data"]["target"], tree["data"]["split"]
    Path("pair.yaml").write_text(yaml.safe_dump(tree))
    _, pair = run_of(Path("pair.yaml"), "pair")
    assert pair.metrics["train/loss"] == one.metrics["train/loss"]


@pytest.mark.parametrize(
    ("row", "value", "text"),
    [
        (3, "-1", "flowers.csv:5: column 'sure': expected a weight of at least 0, got -1.0\n"),
        (3, "", "flowers.csv:5: column 'sure': the example's weight is missing; fill it in or remove the row\n"),
        (0, "much", "flowers.csv:2: column 'sure': expected a number, got 'much'\n"),
    ],
)
def test_weights_that_are_none(capsys, row, value, text):
    _, _, weights = write_weighted()
    given = [str(weight) for weight in weights]
    given[row] = value
    write_weighted(weights=np.array(given, object))
    assert bp("train", config()) == 6
    assert capsys.readouterr().err == text


def test_weights_that_are_all_0(capsys):
    write_weighted(weights=[0] * 60)
    assert bp("train", config()) == 6
    assert capsys.readouterr().err == (
        "flowers.csv: column 'sure': every weight of the train split is 0: nothing would be learned\n"
    )


def test_a_column_that_there_is_not(capsys):
    write_weighted()
    assert bp("validate", config(), "data.sample_weight=shure") == 2
    assert capsys.readouterr().err == (
        "override data.sample_weight=shure: no column 'shure' in flowers.csv; did you mean 'sure'?\n"
        "1 problem; nothing was run.\n"
    )


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("data.target=sure", "'sure' is under 'target' too; it can be only one of them"),
        ("data.features=[x, sure]", "'sure' is under 'features' too; it can be only one of them"),
    ],
)
def test_weights_that_are_something_else_too(capsys, override, text):
    write_weighted()
    assert bp("validate", config(), override) == 2
    assert text in capsys.readouterr().err

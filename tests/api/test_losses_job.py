"""Losses whose targets or outputs are of another kind: quantiles, counts, probabilities, scores; from file to file."""

from pathlib import Path

import numpy as np
import pytest
from api_support import bp, run_of, write_config

from backprop_cli.api.eval import evaluate

ONE = {"layers": [{"type": "dense", "units": 1}]}


def write_numbers(path="numbers.csv", rows=400):
    """y is about 3 x + 100, with a spread that grows with x; n counts, at a rate of exp(x)."""
    rng = np.random.default_rng(0)
    x = rng.random(rows)
    y, n = 100 + 3 * x + (0.2 + x) * rng.standard_normal(rows), rng.poisson(np.exp(x))
    lines = [f"{a:.6f},{b:.6f},{c},{1 - a:.6f},{a:.6f}" for a, b, c in zip(x, y, n, strict=True)]
    Path(path).write_text("\n".join(["x,y,n,p1,p2", *lines]) + "\n")
    return x, y, n


def config(target, loss, units=1, **more):
    data = {"source": "numbers.csv", "features": ["x"], "target": target, **more.pop("data", {})}
    layers = [{"type": "dense", "units": units}]
    training = {"epochs": 60, "batch_size": 40, "precision": "float64"}
    optimizer = {"type": "adam", "learning_rate": 0.05}
    return write_config(
        Path("numbers.yaml"),
        data=data,
        model={"layers": layers},
        loss=loss,
        training=training,
        optimizer=optimizer,
        **more,
    )


def predicted(run):
    assert bp("predict", run, "numbers.csv", "-o", "out.csv") == 0
    header, *rows = Path("out.csv").read_text().splitlines()
    return header, np.array([row.split(",") for row in rows], float)


def test_quantiles_of_a_standardized_target_are_in_its_own_unit():
    _, y, _ = write_numbers()
    loss = {"type": "quantile", "quantile": [0.1, 0.5, 0.9]}
    more = {"metrics": ["pinball_loss", "mean_absolute_error"], "data": {"transform": {"target": "standardize"}}}
    run, _ = run_of(config("y", loss, 3, **more), "run")
    header, rows = predicted(run)
    assert header == "prediction_q0.1,prediction_q0.5,prediction_q0.9"
    assert np.abs(np.mean(y[:, None] < rows, axis=0) - [0.1, 0.5, 0.9]).max() < 0.04
    found = evaluate(run, data=Path("numbers.csv")).metrics
    assert found["mean_absolute_error"] == pytest.approx(np.mean(np.abs(rows[:, 1] - y)), abs=1e-5)
    residual, levels = y[:, None] - rows, np.array([0.1, 0.5, 0.9])
    assert found["pinball_loss"] == pytest.approx(
        np.mean(np.maximum(levels * residual, (levels - 1) * residual)), abs=1e-5
    )


def test_quantiles_of_two_targets(capsys):
    write_numbers()
    loss = {"type": "quantile", "quantile": [0.1, 0.9]}
    assert bp("validate", config(["y", "n"], loss, 2)) == 2
    assert capsys.readouterr().err == (
        "numbers.yaml:11:12: model.layers[0].units: the network has 2 outputs, but quantile needs 4 for 2 target "
        "columns; set units: 4\n"
        "   11 |     units: 2\n"
        "      |            ^\n"
        "1 problem; nothing was run.\n"
    )
    run, _ = run_of(config(["y", "n"], loss, 4), "run")
    header, _ = predicted(run)
    assert header == "prediction_y_q0.1,prediction_y_q0.9,prediction_n_q0.1,prediction_n_q0.9"
    assert bp("jacobian", run, "numbers.csv", "--row", "2") == 0
    assert "n_q0.9" in capsys.readouterr().out


def test_counts_are_predicted_as_rates():
    x, _, n = write_numbers()
    run, result = run_of(config("n", "poisson", metrics=["mean_poisson_deviance"]), "run")
    _, rates = predicted(run)
    assert np.abs(rates[:, 0] - np.exp(x)).max() < 0.35
    assert rates.mean() == pytest.approx(n.mean(), rel=0.1)
    assert 0.5 < result.metrics["test/mean_poisson_deviance"] < 1.6  # of counts with the right rates it is about 1


def test_given_probabilities_are_learned():
    x, _, _ = write_numbers()
    run, result = run_of(config(["p1", "p2"], "kl_divergence", 2, metrics=["kl_divergence"]), "run")
    _, probs = predicted(run)
    np.testing.assert_allclose(probs.sum(axis=1), 1.0, atol=1e-12)
    assert np.abs(probs[:, 1] - x).mean() < 0.1
    assert result.metrics["test/kl_divergence"] == pytest.approx(result.metrics["test/loss"], rel=1e-9)


@pytest.mark.parametrize(
    ("target", "loss", "text"),
    [
        (["n"], "poisson", "numbers.csv:8: column 'n': expected a count of at least 0, got -2\n"),
        (
            ["p1", "p2"],
            "kl_divergence",
            "numbers.csv:8: column 'p1', 'p2': expected probabilities that sum to 1, got a sum of 1.5\n",
        ),
    ],
)
def test_targets_that_the_loss_has_no_cost_for(capsys, target, loss, text):
    write_numbers()
    lines = Path("numbers.csv").read_text().splitlines()
    x, y, *_ = lines[7].split(",")
    lines[7] = f"{x},{y},-2,0.5,1.0"
    Path("numbers.csv").write_text("\n".join(lines) + "\n")
    whole = {"split": {"validation": 0, "test": 0}}
    assert bp("train", config(target, loss, len(target), data=whole)) == 6
    assert capsys.readouterr().err == text


def test_scores_are_no_probabilities(capsys):
    run, result = run_of(write_config(loss="hinge", metrics=["accuracy"], training={"epochs": 60}), "run")
    assert result.metrics["test/accuracy"] > 0.6
    assert bp("predict", run, "flowers.csv", "--proba") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "--proba: hinge predicts scores of classes, not probabilities; leave it out"
    )
    assert bp("eval", run, "--require", "log_loss<=1") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("--require 'log_loss<=1': unknown metric 'log_loss'")


@pytest.mark.parametrize("loss", ["hinge", "focal", "cross_entropy"])
def test_class_weights_are_for_every_loss_of_classes(loss):
    _, plain = run_of(write_config(loss=loss), "plain")
    _, weighted = run_of(write_config(loss={"type": loss, "class_weight": {"a": 5}}), "weighted")
    assert weighted.metrics["train/loss"] != plain.metrics["train/loss"]

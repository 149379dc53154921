"""Metrics of a regression come from the numbers of the file, not from what is left of them in float32."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, epoch_numbers, run_of, write_config

from backprop_cli.api.eval import evaluate

X = np.random.default_rng(0).random(60)
Y = 1.7e9 + np.round(10 * X, 3)


def config(data=None, **more) -> Path:
    lines = [f"{x:.6f},{i % 3},{y:.3f}" for i, (x, y) in enumerate(zip(X, Y, strict=True))]
    Path("d.csv").write_text("\n".join(["x,w,y", *lines]) + "\n")
    return write_config(
        data={"source": "d.csv", "target": "y", "features": ["x"], "transform": {"target": "none"}, **(data or {})},
        model={"layers": [{"type": "dense", "units": 1}]},
        loss="mean_absolute_error",
        metrics=["root_mean_squared_error", "r2", "mean_absolute_error"],
        **more,
    )


def measured(name: str) -> dict[str, float]:
    """From what ``predict`` prints of a file and what the file says."""
    assert bp("predict", "run", name, "-o", "out.csv") == 0
    predicted = np.loadtxt("out.csv", skiprows=1)
    y = np.loadtxt(name, delimiter=",", skiprows=1)[:, -1]
    off = predicted - y
    return {
        "root_mean_squared_error": float(np.sqrt(np.mean(off**2))),
        "r2": float(1 - np.sum(off**2) / np.sum((y - y.mean()) ** 2)),
        "mean_absolute_error": float(np.mean(np.abs(off))),
    }


@pytest.mark.parametrize("data", [{}, {"sample_weight": "w"}, {"transform": {"target": "standardize"}}])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_metrics_are_those_of_what_predict_prints(data, precision):
    path = config({"split": {"validation": 0, "test": 0}, **data}, training={"precision": precision, "epochs": 2})
    _, result = run_of(path, "run")
    expected = measured("d.csv")
    for found in (
        {name.removeprefix("train/"): value for name, value in result.metrics.items()},
        dict(evaluate("run", split="train").metrics),
        dict(evaluate("run", data=Path("d.csv")).metrics),
    ):
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_epochs_see_the_numbers_of_the_file():
    """The network predicts about 0, in every epoch: to all digits that is 1.7e9 off, and r2 is far from 0."""
    run, _ = run_of(config(training={"epochs": 2}), "run")
    for epoch in epoch_numbers(run):
        for split in ("train", "validation"):
            assert epoch[f"{split}/r2"] < -1e15


def test_an_overfitted_batch_does_so():
    _, result = run_of(config(training={"epochs": 2, "overfit_batches": 1}), "run")
    assert result.metrics["train/r2"] < -1e15


def test_windows_and_their_baselines(capsys):
    path = config({"features": ["y"], "window": {"length": 2, "horizon": 2}})
    text = path.read_text().replace("units: 1", "units: 2").replace("layers:", "layers:\n  - flatten")
    path.write_text(text)
    run_of(path, "run")
    assert bp("eval", "run", "--data", "d.csv", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert bp("predict", "run", "d.csv", "-o", "out.csv") == 0
    predicted = np.loadtxt("out.csv", skiprows=1, delimiter=",")[:-2]
    y = np.stack([Y[2:-1], Y[3:]], axis=1)
    assert found["metrics"]["mean_absolute_error"] == pytest.approx(np.abs(predicted - y).mean(), rel=1e-9)
    assert found["metrics"]["r2"] < -1e15
    last = found["baselines"]["last_value"]["data/mean_absolute_error"]
    assert last == pytest.approx(np.abs(Y[1:-2, None] - y).mean(), rel=1e-9)


def test_train_says_that_float32_rounds_the_targets_away(capsys):
    warning = (
        "warning: d.csv: column 'y': float32 rounds values near 1.7e+09 to multiples of 128, and the standard "
        "deviation of these is "
    )
    assert bp("train", config(), "--run-dir", "run", "--quiet") == 0
    assert warning in capsys.readouterr().err
    assert warning in Path("run/log.txt").read_text()
    assert bp("train", config(), "--run-dir", "run2", "--quiet", "data.transform.target=standardize") == 0
    assert "warning" not in capsys.readouterr().err


def test_inputs_that_are_the_target():
    """The network predicts 0 of both columns; r2 is the mean of that of each."""
    rng = np.random.default_rng(1)
    lines = [f"{1.7e9 + 10 * value:.3f},{value:.6f}" for value in rng.random(40)]
    Path("d.csv").write_text("\n".join(["a,b", *lines]) + "\n")
    path = write_config(
        data={"source": "d.csv", "target": "features", "transform": {"numeric": {"scale": 1.0}, "target": "none"}},
        model={"layers": [{"type": "dense", "units": 2, "initializer": "zeros"}]},
        loss="mean_squared_error",
        metrics=["r2", "mean_absolute_error"],
        optimizer={"type": "sgd", "learning_rate": 1e-37},
        training={"epochs": 1},
    )
    run_of(path, "run")
    found = evaluate("run", data=Path("d.csv")).metrics
    values = np.loadtxt("d.csv", delimiter=",", skiprows=1)
    assert found["mean_absolute_error"] == pytest.approx(values.mean(), rel=1e-12)
    assert found["r2"] == pytest.approx(np.mean(1 - np.mean(values**2, axis=0) / values.var(axis=0)), rel=1e-9)


@pytest.mark.parametrize(
    ("loss", "how"),
    [
        ("mean_squared_error", "standardize"),
        ("mean_absolute_error", "standardize"),
        ("huber", "standardize"),
        ("quantile", "standardize"),
        ("poisson", "none"),
        ("cosine_similarity", "none"),
    ],
)
def test_auto_standardizes_the_targets_of_losses_of_real_numbers(loss, how):
    Path("d.csv").write_text("x,y,z\n" + "".join(f"{x:.6f},{x:.3f},{2 * x + 1:.3f}\n" for x in X))
    path = write_config(
        data={"source": "d.csv", "target": ["y", "z"], "features": ["x"]},
        model={"layers": [{"type": "dense", "units": 2}]},
        loss=loss,
        training={"epochs": 2},
    )
    found = [run_of(path, each, [f"data.transform.target={each}"])[1].metrics for each in ("auto", how)]
    assert found[0] == found[1]


def test_auto_leaves_inputs_that_are_the_target():
    config()
    path = write_config(
        data={"source": "d.csv", "target": "features", "features": ["x", "y"], "transform": {"numeric": "min_max"}},
        model={"layers": [{"type": "dense", "units": 2}]},
        loss="mean_squared_error",
        training={"epochs": 1},
    )
    found = [run_of(path, each, [f"data.transform.target={each}"])[1].metrics for each in ("auto", "none")]
    assert found[0] == found[1]

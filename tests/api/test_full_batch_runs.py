"""Runs of lbfgs: what scikit-learn finds, the whole train split at once, ends and resumes."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import EVERY_STEP, assert_same_state, bp, last, rows, run_of, stop_at, write_config
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.errors import ConfigError, InterruptionError

DATASETS = Path(__file__).parents[2] / "datasets"
LBFGS = {"type": "lbfgs", "tolerance": 1e-8}


def configured(path: Path = Path("flowers.yaml"), **more) -> Path:
    """The flowers without a number of examples a batch."""
    config = write_config(path, **{"optimizer": LBFGS, **more})
    if "batch_size" not in more.get("training", {}):
        config.write_text(config.read_text().replace("  batch_size: 12\n", ""))
    return config


def table_of(name: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    lines = [line.split(",") for line in (DATASETS / name).read_text().splitlines()]
    column = lines[0].index(target)
    x = np.array([[float(v) for k, v in enumerate(line) if k != column] for line in lines[1:]])
    return x, np.array([line[column] for line in lines[1:]])


def trained_on(name: str, target: str, units: int, loss: str, l2: float) -> Path:
    Path("whole.yaml").write_text(
        f"data: {{source: {DATASETS / name}, target: {target}, split: {{validation: 0, test: 0}},\n"
        "  transform: {target: none}}\n"
        f"model: {{layers: [{{type: dense, units: {units}}}]}}\n"
        f"loss: {loss}\nregularization: {{l2: {l2}}}\noptimizer: {{type: lbfgs, tolerance: 1.0e-9, history: 20}}\n"
        "training: {epochs: 2000, precision: float64}\n"
    )
    return run_of(Path("whole.yaml"), "run")[0]


@pytest.mark.parametrize("name", ["iris.csv", "breast_cancer.csv"])
def test_logistic_regression_is_scikit_learns(name):
    target = (DATASETS / name).read_text().splitlines()[0].split(",")[-1]
    x, labels = table_of(name, target)
    classes = len(set(labels))
    run = trained_on(name, target, classes, "cross_entropy", 0.01)
    # Of two classes scikit-learn has the difference of the rows, w - (-w): half its penalty is that of both.
    factor = 0.01 if classes > 2 else 0.005
    other = LogisticRegression(C=1 / (factor * len(x)), tol=1e-10, max_iter=10_000)
    other.fit(StandardScaler().fit_transform(x), labels)
    weight = last(run).tensors["dense_1.weight"]
    found = weight - weight.mean(axis=0) if classes > 2 else weight[1:] - weight[:1]
    expected = other.coef_ - (other.coef_.mean(axis=0) if classes > 2 else 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert len(rows(run, "epoch")) < 100


def test_linear_regression_on_diabetes_is_scikit_learns():
    header = (DATASETS / "diabetes.csv").read_text().splitlines()[0].split(",")
    run = trained_on("diabetes.csv", header[-1], 1, "mean_squared_error", 0.0)
    x, y = table_of("diabetes.csv", header[-1])
    exact = LinearRegression().fit(StandardScaler().fit_transform(x), y.astype(float))
    weight, bias = (last(run).tensors[f"dense_1.{name}"] for name in ("weight", "bias"))
    np.testing.assert_allclose(weight[0], exact.coef_, rtol=0, atol=1e-4 * np.abs(exact.coef_).max())
    np.testing.assert_allclose(bias[0], exact.intercept_, rtol=1e-6)


def test_the_batch_is_the_train_split_and_the_run_says_so():
    run, result = run_of(configured(training={"epochs": 3}), "run")
    assert result.steps == 3
    resolved = (run / "config.resolved.yaml").read_text()
    assert "batch_size: 42" in resolved
    again, _ = run_of(run / "config.resolved.yaml", "again")
    assert_same_state(again, run)


def test_a_smaller_batch_is_refused():
    config = configured(training={"epochs": 3, "batch_size": 12})
    with pytest.raises(ConfigError) as caught:
        train(config)
    assert str(caught.value) == (
        "flowers.yaml:18:15: training.batch_size: lbfgs needs the whole train split at once, 42 examples, got 12; "
        "leave it out, or set it to 42\n"
        "   18 |   batch_size: 12\n"
        "      |               ^^\n"
        "1 problem; nothing was run."
    )
    assert train(config, ["training.batch_size=100"], run_dir=Path("larger")).steps <= 3


@pytest.mark.parametrize("step", [1, 2, 5])
def test_interrupted_and_resumed_is_not_interrupted(step):
    config = configured(training={"epochs": 12}, log=EVERY_STEP, regularization={"l2": 1e-3})
    straight, whole = run_of(config, "straight")
    with pytest.raises(InterruptionError):
        train(config, run_dir=Path("broken"), on_event=stop_at(step))
    rest = train(resume=Path("broken"))
    assert_same_state(Path("broken"), straight)
    assert (rest.metrics, rest.steps) == (whole.metrics, whole.steps)


def test_another_history_is_another_run(capsys):
    run, _ = run_of(configured(training={"epochs": 2}), "run")
    assert bp("train", "--resume", run, "optimizer.history=5") == 2
    assert capsys.readouterr().err == (
        "override optimizer.history=5: was 10, would be 5: the numbers that the run has saved would mean something "
        "else; leave it out, or start a new run\n"
        "1 problem; nothing was run.\n"
    )


def test_converged_is_finished(capsys):
    config = configured(training={"epochs": 500, "precision": "float64"}, regularization={"l2": 0.01})
    assert bp("train", config, "--run-dir", "run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "finished"
    assert found["steps"] < 300
    (stopped,) = rows(Path("run"), "stopped")
    assert stopped["reason"].startswith("lbfgs: converged; the largest entry of the gradient is ")
    assert train(resume=Path("run"), overrides=["training.epochs=600"]).steps == found["steps"]


def test_show_knows_its_memory_and_the_whole_batch():
    config = configured()
    found, sgd = show(config), show(config, ["optimizer=sgd", "training.batch_size=42"])
    assert found.bytes.optimizer == 21 * found.bytes.parameters
    assert found.bytes.plan >= sgd.bytes.plan - 4 * found.bytes.parameters


def test_gradients_are_checked_while_it_trains():
    run, _ = run_of(configured(gradient_check={"every_steps": 2}, training={"epochs": 4}), "run")
    assert [json.loads(path.read_text())["passed"] for path in (run / "gradient_check").iterdir()] == [True] * 3

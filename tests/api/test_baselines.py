"""Baselines of tables: a constant and a linear network, with the same loss and metrics as the trained one."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, record, run_of, write_config
from training_support import recipe

from backprop_cli.config.load import load_config
from backprop_cli.data.examples import Split
from backprop_cli.nn.task import CLASSES
from backprop_cli.session import linear_fits
from backprop_cli.session.baselines import FoundBaselines
from backprop_cli.session.experiment import prepare
from backprop_cli.session.outcome import Best
from backprop_cli.session.verdict import doubts

NUMBERS = {"data": {"source": "prices.csv", "target": "price"}, "model": {"layers": [{"type": "dense", "units": 1}]}}


def regression(loss="mean_squared_error", rows=80, **data):
    """A configuration for prices that are nearly linear in two of three inputs."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 3)) * [1, 100, 0.01] + [5, 0, 1]
    y = 3 * x[:, 0] - 0.02 * x[:, 1] + rng.exponential(1, rows)
    lines = [",".join(map(repr, map(float, row))) for row in np.column_stack([x, y])]
    Path("prices.csv").write_text("\n".join(["a,b,c,price", *lines]) + "\n")
    tree = {**NUMBERS, "data": {**NUMBERS["data"], "transform": {"target": "none"}, **data}, "loss": loss}
    return write_config(Path("prices.yaml"), **tree)


def arrays(config):
    found = prepare(load_config(config, ["training.precision=float64"]))
    return found, found.dataset.splits


def test_the_majority_is_the_share_of_the_commonest_class_of_the_train_split():
    config = write_config()
    run, result = run_of(config, "run")
    _, splits = arrays(config)
    counts = np.bincount(splits["train"].targets)
    found = result.baselines["majority"]
    assert found["test/accuracy"] == np.mean(splits["test"].targets == counts.argmax())
    shares = counts / counts.sum()
    assert found["test/loss"] == pytest.approx(-np.mean(np.log(shares[splits["test"].targets])), rel=1e-5)
    assert record(run)["baselines"] == {name: dict(values) for name, values in result.baselines.items()}


def test_the_linear_network_of_classes_is_at_the_minimum_of_the_penalized_loss():
    """The gradient is 0 there. This is scikit-learn's LogisticRegression with C = 1 on standardized inputs."""
    experiment, splits = arrays(write_config())
    x, labels = np.asarray(splits["train"].inputs), splits["train"].targets
    fitted = linear_fits.linear_fit(experiment.recipe, splits["train"])
    logits = fitted.outputs(x)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = probs - np.eye(3)[labels]
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    weight = fitted.weight * x.std(axis=0)
    np.testing.assert_allclose(wrong.T @ z + weight, 0, atol=2e-3 * len(x) ** 0.5)
    np.testing.assert_allclose(wrong.sum(axis=0), 0, atol=2e-3 * len(x) ** 0.5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_linear_network_of_numbers_is_ridge_regression(weighted):
    experiment, splits = arrays(regression(**({"sample_weight": "c", "features": ["a", "b"]} if weighted else {})))
    train = splits["train"]
    fitted = linear_fits.linear_fit(experiment.recipe, train)
    x, y = np.asarray(train.inputs), np.asarray(train.targets)
    root = np.sqrt(train.weights) if weighted else np.ones(len(x))
    z = np.column_stack([(x - x.mean(axis=0)) / x.std(axis=0), np.ones(len(x))])
    penalty = np.eye(z.shape[1])[:-1]  # least squares with a row for each penalized weight
    expected = np.linalg.lstsq(
        np.vstack([z * root[:, None], penalty]), np.vstack([y * root[:, None], np.zeros((len(penalty), 1))]), rcond=None
    )[0]
    np.testing.assert_allclose(fitted.outputs(x), z @ expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("loss", "name", "constant"),
    [
        ("mean_squared_error", "mean", np.mean),
        ("mean_absolute_error", "median", np.median),
        ({"type": "quantile", "quantile": 0.9}, "quantiles", lambda y: np.quantile(y, 0.9)),
        ("poisson", "mean", np.mean),
    ],
)
def test_the_constant_is_the_best_one_of_the_loss(loss, name, constant):
    config = regression(loss)
    _, result = run_of(config, "run")
    _, splits = arrays(config)
    expected = np.sqrt(np.mean((splits["test"].targets - constant(splits["train"].targets)) ** 2))
    assert list(result.baselines) == [name, *([] if name == "quantiles" else ["linear"])]
    assert result.baselines[name]["test/root_mean_squared_error"] == pytest.approx(expected, rel=1e-4)


def test_they_stand_beside_the_metrics(capsys):
    assert bp("train", write_config(), "--run-dir", "run", "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    told = record(Path("run"))
    values = [f"{told['baselines'][name]['test/accuracy']:.4g}" for name in ("majority", "linear")]
    ours = f"{told['metrics']['test/accuracy']:.4g}"
    assert lines[-1] == f"test/accuracy {ours} (majority {values[0]}, linear {values[1]})"
    assert lines[-1] in Path("run/log.txt").read_text()


def test_a_linear_network_that_takes_too_long_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(linear_fits, "LEAST_WORK", 1e3)
    assert bp("train", write_config(), "--run-dir", "run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["baselines"]) == ["majority"]
    assert found["no_linear"] == "fitting 2 inputs of 42 examples would take too long"
    assert "\nno linear baseline: fitting 2 inputs" in Path("run/log.txt").read_text()


@pytest.mark.parametrize(
    ("seen", "says"), [(0, "fitting 4 inputs of 1,000,000 examples would take too long"), (10**9, "")]
)
def test_a_long_run_may_spend_a_tenth_on_it(seen, says):
    inputs = np.broadcast_to(0.0, (1_000_000, 4))
    network = recipe()
    assert network.loss.task is CLASSES
    assert linear_fits.obstacle(network, Split(inputs, np.broadcast_to(0, len(inputs))), seen) == says


def test_an_autoencoder_has_no_linear_baseline():
    write_config()
    config = write_config(
        data={"target": "features", "exclude": ["kind"]},
        model={"layers": [{"type": "dense", "units": 2}]},
        loss="mean_squared_error",
    )
    assert list(run_of(config, "run")[1].baselines) == ["mean"]


def test_runs_on_a_few_batches_and_of_a_hinge_loss():
    assert run_of(write_config(training={"overfit_batches": 1}), "a")[1].baselines == {}
    assert list(run_of(write_config(loss="hinge"), "b")[1].baselines) == ["majority"]


METRICS = {"train/loss": 0.2, "validation/loss": 0.3}
CONSTANT = {"train/loss": 1.0, "validation/loss": 1.0}
FALLING = [1.0 - 0.05 * epoch for epoch in range(12)]


@pytest.mark.parametrize(
    ("metrics", "linear", "best", "values", "says"),
    [
        (METRICS, {}, 6, FALLING, []),
        (
            METRICS,
            {"validation/loss": 0.25},
            6,
            FALLING,
            [
                "validation/loss 0.3 is worse than 0.25 of the baseline linear; try a smaller network, dropout or "
                "weight decay, or use a network of one dense layer"
            ],
        ),
        (
            {**METRICS, "validation/loss": 1.5},
            {},
            6,
            FALLING,
            [
                "validation/loss 1.5 is worse than 1 of the baseline majority; try another optimizer.learning_rate, "
                "more epochs, or look for a mistake in network or data"
            ],
        ),
        (
            {**METRICS, "validation/loss": 0.8},
            {},
            6,
            FALLING,
            [
                "validation/loss 0.8 is far from train/loss 0.2: it gains 25% of what training gained over the "
                "baseline majority; try more data, a smaller network, dropout or weight decay"
            ],
        ),
        (
            METRICS,
            {},
            12,
            FALLING,
            ["validation/loss was still improving in the last epoch, 12; train longer: training.epochs"],
        ),
        (METRICS, {}, 12, [*FALLING[:-2], FALLING[-1], FALLING[-1]], []),
        (
            METRICS,
            {},
            1,
            FALLING,
            [
                "the best epoch was 1 of 12, and validation/loss never improved later; try a lower "
                "optimizer.learning_rate, a smaller network, dropout or weight decay"
            ],
        ),
        ({**METRICS, "validation/loss": 1.5}, {}, 1, FALLING[:9], []),
    ],
)
def test_what_is_said_after_training(metrics, linear, best, values, says):
    config = load_config(write_config(training={"epochs": len(values)})).config
    found = FoundBaselines({"majority": CONSTANT, **({"linear": linear} if linear else {})})
    assert doubts(config, metrics, found, Best(best, 1, "validation/loss", 0.3), values) == says


def test_a_run_says_it(capsys):
    assert bp("train", write_config(training={"epochs": 12}), "--run-dir", "run", "--quiet") == 0
    warned = capsys.readouterr().err
    assert "warning: validation/loss was still improving in the last epoch, 12" in warned
    assert warned.strip() in Path("run/log.txt").read_text()

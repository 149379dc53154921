"""Temperature and intervals, from the configuration to predictions."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, record, rows, run_of, write_config, write_flowers

from backprop_cli.api.eval import evaluate
from backprop_cli.api.predict import predict
from backprop_cli.config.load import load_config
from backprop_cli.errors import ConfigError, warnings_to
from backprop_cli.run.checkpoint import Checkpoint, load, save
from backprop_cli.session.calibration import fit_temperature
from backprop_cli.session.experiment import prepare
from backprop_cli.session.trained_network import open_network

CLASSES = {"calibrate": "temperature", "intervals": 0.8, "metrics": ["accuracy", "coverage", "log_loss"]}
BINARY = {"loss": "binary_cross_entropy", "model": {"layers": [{"type": "dense", "units": 1}]}}


def table(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def prices(rows=120):
    rng = np.random.default_rng(2)
    x = rng.normal(size=rows)
    lines = [
        f"{a:.5f},{1000 + 100 * a + 20 * e:.3f},{-a + e:.4f}" for a, e in zip(x, rng.normal(size=rows), strict=True)
    ]
    Path("prices.csv").write_text("\n".join(["x,price,other", *lines]) + "\n")
    return write_config(
        Path("prices.yaml"),
        data={"source": "prices.csv", "target": ["price", "other"], "transform": {"target": "standardize"}},
        model={"layers": [{"type": "dense", "units": 2}]},
        loss="mean_squared_error",
        metrics=["coverage", "mean_absolute_error"],
        intervals=0.9,
    )


def test_the_temperature_has_the_least_log_loss():
    rng = np.random.default_rng(0)
    logits, labels = 4 * rng.normal(size=(200, 3)), rng.integers(0, 3, 200)
    labels[:120] = logits[:120].argmax(axis=1)
    found = fit_temperature(logits, labels)

    def loss(temperature):
        scaled = logits / temperature
        return np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(200), labels])

    assert found == pytest.approx(min(np.geomspace(0.5, 20, 20_001), key=loss), rel=1e-3)
    two = logits[:, :1]
    on = (labels == 0)[:, None].astype(float)
    both = fit_temperature(np.column_stack([np.zeros(200), two]), on[:, 0].astype(np.int64))
    assert fit_temperature(two, on) == pytest.approx(both, rel=1e-9)


@pytest.mark.slow
def test_the_temperature_of_an_ensemble_is_that_of_its_mean_probabilities():
    rng = np.random.default_rng(1)
    logits, labels = 5 * rng.normal(size=(150, 4, 3)), rng.integers(0, 3, 150)
    labels[:90] = logits[:90].mean(axis=1).argmax(axis=1)

    def loss(temperature):
        probs = np.exp(logits / temperature)
        probs = (probs / probs.sum(axis=2, keepdims=True)).mean(axis=1)
        return -np.mean(np.log(probs[np.arange(150), labels]))

    assert fit_temperature(logits, labels) == pytest.approx(min(np.geomspace(0.5, 20, 20_001), key=loss), rel=1e-3)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_an_ensemble_is_calibrated(loss):
    write_flowers(rows=200)
    if loss != "cross_entropy":
        Path("flowers.csv").write_text(Path("flowers.csv").read_text().replace(",c", ",a"))
    layers = [
        {"type": "ensemble_dense", "units": 6, "members": 4, "activation": "relu"},
        {"type": "ensemble_dense", "units": 3 if loss == "cross_entropy" else 1, "members": 4},
    ]
    tree = {"model": {"layers": layers}, "metrics": ["log_loss"], "training": {"epochs": 15}, "loss": loss}
    _, result = run_of(write_config(**tree, calibrate="temperature", intervals=0.8), "run")
    _, plain = run_of(write_config(**tree), "plain")
    assert result.metrics["validation/log_loss"] < plain.metrics["validation/log_loss"]


def test_a_split_that_is_all_right_gives_none():
    said = []
    with warnings_to(said.append):
        assert fit_temperature(np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([0, 1])) == 1.0
    assert said == [
        "calibrate: the validation split gives no temperature, because all its predictions are right; it stays 1"
    ]


def test_classes_from_the_run_to_predictions(capsys):
    write_flowers(rows=200)
    run, result = run_of(write_config(**CLASSES, training={"epochs": 20}), "run")
    stored = load(run / "checkpoints/best.safetensors").metadata["calibration"]
    assert stored["temperature"] != 1
    assert stored["intervals"]["level"] == 0.8
    plain = run_of(write_config(metrics=["accuracy", "log_loss"], training={"epochs": 20}), "plain")[1].metrics
    assert result.metrics["test/accuracy"] == plain["test/accuracy"]
    assert result.metrics["validation/log_loss"] < plain["validation/log_loss"]
    assert result.metrics["validation/loss"] == pytest.approx(result.metrics["validation/log_loss"], rel=1e-5)
    assert result.metrics["validation/coverage"] >= 0.8
    assert "validation/coverage" not in rows(run, "epoch")[0]  # it is fitted after the last one
    found = evaluate(run)
    assert found.metrics == {key.partition("/")[2]: v for key, v in result.metrics.items() if key.startswith("test/")}
    assert record(run)["metrics"] == dict(result.metrics)

    predict(run, "flowers.csv", "out.csv", proba=True)
    level = 1 - stored["intervals"]["largest"][0]
    for row in table("out.csv"):
        probs = {name: float(row[f"probability_{name}"]) for name in "abc"}
        expected = [name for name, prob in probs.items() if prob >= level - 1e-7 or prob == max(probs.values())]
        assert row["kind_set"].split("|") == expected
    predict(run, "flowers.csv", "out.npz")
    assert np.load("out.npz")["kind_set"].tolist() == [row["kind_set"] for row in table("out.csv")]


def test_the_log_loss_is_that_of_divided_logits():
    run, _ = run_of(write_config(calibrate="temperature", training={"epochs": 20}), "run")
    saved = open_network(run)
    dataset = prepare(load_config(Path("flowers.yaml"))).dataset
    logits = saved.evaluator().outputs(dataset.test.inputs).astype(float) / saved.calibration.temperature
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), dataset.test.targets])
    assert evaluate(run).metrics["loss"] == pytest.approx(expected, rel=1e-5)


def test_numbers_have_intervals_in_their_own_unit():
    config = prices()
    run, result = run_of(config, "run")
    largest = load(run / "checkpoints/last.safetensors").metadata["calibration"]["intervals"]["largest"]
    validation = prepare(load_config(config)).dataset.validation
    assert result.metrics["validation/coverage"] == pytest.approx(18 / 18)  # the 18th smallest of 18 residuals
    assert len(validation) == 18
    predict(run, "prices.csv", "out.csv")
    for row in table("out.csv"):
        for name, reach in zip(("price", "other"), largest, strict=True):
            low, high, middle = (float(row[key]) for key in (f"{name}_low", f"{name}_high", f"prediction_{name}"))
            assert (middle - low, high - middle) == pytest.approx((reach, reach), rel=1e-4)


def test_binary_targets_have_sets():
    write_flowers(rows=120)
    Path("flowers.csv").write_text(Path("flowers.csv").read_text().replace(",c", ",b"))
    run, result = run_of(write_config(**{**CLASSES, **BINARY}), "run")
    assert result.metrics["validation/coverage"] >= 0.8
    predict(run, "flowers.csv", "out.jsonl")
    sets = {json.loads(line)["kind_set"] for line in Path("out.jsonl").read_text().splitlines()}
    assert sets <= {"a", "b", "a|b"}


def test_a_resumed_run_calibrates_anew_or_not_at_all():
    run, _ = run_of(write_config(**CLASSES, training={"epochs": 5}), "run")
    before = load(run / "checkpoints/last.safetensors").metadata["calibration"]
    assert bp("train", "--resume", run, "training.epochs=15") == 0
    after = load(run / "checkpoints/last.safetensors").metadata["calibration"]
    assert before["temperature"] != after["temperature"]
    assert bp("train", "--resume", run, "calibrate=none", "intervals=none", "metrics=[accuracy]") == 0
    assert open_network(run).calibration.temperature == 1
    assert load(run / "checkpoints/last.safetensors").metadata["calibration"] is None


def test_a_run_without_best_uses_its_last():
    run, result = run_of(write_config(**CLASSES, checkpoint={"keep_best": 0}), "run")
    assert evaluate(run, split="validation").metrics["coverage"] == result.metrics["validation/coverage"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"calibrate": "temperature", "data": {"split": {"validation": 0}}}, "calibrate: is fitted on the validation"),
        ({"intervals": 0.9, "data": {"split": {"validation": 0}}}, "intervals: is fitted on the validation split, and"),
        ({"intervals": 0.9, "loss": "hinge"}, "intervals: '0.9' needs probabilities or numbers, and hinge predicts"),
        (
            {"calibrate": "temperature", "loss": "mean_squared_error", "metrics": ["r2"]},
            "calibrate: 'temperature' is for classes, but mean_squared_error is for regression; leave it out",
        ),
        (
            {"intervals": 0.9, "loss": {"type": "quantile", "quantile": [0.1, 0.9]}, "metrics": ["r2"]},
            "intervals: 0.9 goes with one prediction of each target, and quantile predicts 2; leave it out",
        ),
        ({"metrics": ["coverage"]}, "metrics[0]: 'coverage' needs intervals; set intervals: 0.9"),
        ({"intervals": 1.5}, "intervals: must be less than 1"),
    ],
)
def test_refused_before_data_is_read(more, says):
    tree = {"data": {"source": "not-there.csv"}}
    with pytest.raises(ConfigError) as caught:
        load_config(write_config(**{**more, "data": {**more.get("data", {}), **tree["data"]}}))
    assert says in "\n".join(map(str, caught.value.problems))


def test_too_few_rows_for_a_level():
    with pytest.raises(
        ConfigError, match=r"intervals: 0\.95 needs 19 rows in the validation split, which has 9; take a"
    ):
        prepare(load_config(write_config(intervals=0.95)))


def test_a_damaged_calibration(capsys):
    run_of(write_config(**CLASSES), "run")
    path = Path("run/checkpoints/best.safetensors")
    found = load(path)
    save(path, Checkpoint(found.tensors, {**found.metadata, "calibration": {"temperature": -1}}))
    assert bp("eval", path) == 5
    assert "calibration in its metadata: expected a temperature and intervals, or null" in capsys.readouterr().err

"""``bp eval --bootstrap``: intervals of metrics from samples of the rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, run_of, write_config, write_flowers

from backprop_cli.api.eval import evaluate
from backprop_cli.nn.metric import Predictions
from backprop_cli.nn.metrics.mean_absolute_error import MeanAbsoluteError
from backprop_cli.nn.task import REGRESSION
from backprop_cli.session.bootstrap import resampled


class Measured:
    """An evaluator of one metric."""

    def measure(self, predictions):
        return {"mean_absolute_error": MeanAbsoluteError().compute(predictions)}


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    errors = np.abs(np.random.default_rng(0).normal(size=(2000, 1)))
    shown = Predictions(REGRESSION, errors, np.zeros((2000, 1)))
    low, high = resampled(Measured(), shown, 2000, seed=0)["mean_absolute_error"]
    reach = 1.96 * errors.std() / 2000**0.5
    assert (low, high) == pytest.approx((errors.mean() - reach, errors.mean() + reach), abs=0.05 * reach)


def test_the_command(capsys):
    write_flowers(rows=120)
    run, _ = run_of(write_config(metrics=["accuracy", "f1"]), "run")
    assert bp("eval", run, "--bootstrap", 200, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["intervals"]) == ["accuracy", "f1"]
    low, high = found["intervals"]["accuracy"]
    assert 0 <= low < found["metrics"]["accuracy"] < high <= 1 or low <= found["metrics"]["accuracy"] == 1
    assert evaluate(run, bootstrap=200).intervals == {name: tuple(ends) for name, ends in found["intervals"].items()}
    assert "intervals" not in evaluate(run).to_json()
    assert bp("eval", run, "--bootstrap", 200) == 0
    assert f", 95 % interval {low:.4g} to {high:.4g}\n" in capsys.readouterr().out


def test_rows_of_a_group_are_alike(capsys):
    write_flowers(rows=120)
    lines = [f"{line},{k % 20}" for k, line in enumerate(open_lines())]
    write_lines(["x,y,kind,g", *lines[1:]])
    run, _ = run_of(write_config(data={"split": {"by": "g"}}), "run")
    assert bp("eval", run, "--bootstrap", 20) == 0
    assert "those of a group (by g) are alike: its intervals are too narrow" in capsys.readouterr().err


def open_lines():
    with Path("flowers.csv").open() as file:
        return file.read().splitlines()


def write_lines(lines):
    with Path("flowers.csv").open("w") as file:
        file.write("\n".join(lines) + "\n")


def test_refused(capsys):
    run, _ = run_of(write_config(), "run")
    assert bp("eval", run, "--bootstrap", 1) == 2

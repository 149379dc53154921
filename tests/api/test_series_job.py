"""A time series from the configuration to predictions, with the baselines beside the metrics."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, record, run_of, write_config

from backprop_cli.api.eval import evaluate
from backprop_cli.report.results import eval_text, train_text

ROWS = 60
SALES = np.array([10 + i % 5 + i / 10 for i in range(ROWS)])


@pytest.fixture
def config() -> Path:
    Path("sales.csv").write_text("sales\n" + "".join(f"{value:.1f}\n" for value in SALES))
    return write_config(
        data={"source": "sales.csv", "target": "sales", "window": {"length": 5, "horizon": 2, "season": 5}},
        model={"layers": ["flatten", {"type": "dense", "units": 2}]},
        loss="mean_squared_error",
        metrics=["root_mean_squared_error", "mean_absolute_error"],
    )


def expected(first: int, stop: int) -> dict[str, dict[str, float]]:
    """Of the windows that predict rows ``first`` to ``stop``: what the baselines are off, from the definitions."""
    starts = np.arange(first - 5, stop - 6)
    after = np.stack([SALES[starts + 5], SALES[starts + 6]], axis=1)
    guesses = {
        "last_value": np.stack([SALES[starts + 4]] * 2, axis=1),
        "seasonal": np.stack([SALES[starts], SALES[starts + 1]], axis=1),
    }
    return {
        name: {
            "root_mean_squared_error": float(np.sqrt(np.square(guess - after).mean(axis=0)).mean()),
            "mean_absolute_error": float(np.abs(guess - after).mean()),
        }
        for name, guess in guesses.items()
    }


PARTS = {"train": (5, 42), "validation": (42, 51), "test": (51, 60)}


def test_baselines_stand_beside_the_metrics(config, capsys):
    run, result = run_of(config, "run")
    found = result.to_json()["baselines"]
    for name in ("last_value", "seasonal"):
        values = {f"{s}/{metric}": v for s, part in PARTS.items() for metric, v in expected(*part)[name].items()}
        assert found[name] == pytest.approx(values, rel=1e-6)
    assert record(run)["baselines"] == found
    text = train_text(result)
    assert "\ntest/mean_absolute_error " in text
    assert text.count(" (last_value ") == 2
    assert bp("eval", run, "--json") == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["examples"] == 8
    on_test = {name: {m: v for m, v in values.items() if m.startswith("test/")} for name, values in found.items()}
    assert evaluated["baselines"] == on_test
    beside = f"(last_value {on_test['last_value']['test/mean_absolute_error']:.4g}, seasonal 0.5)"
    assert eval_text(evaluate(run)).splitlines()[-1].endswith(beside)


def test_other_data(config, capsys):
    run, _ = run_of(config, "run")
    Path("new.csv").write_text(Path("sales.csv").read_text())
    assert bp("eval", run, "--data", "new.csv", "--json", "--require", "mean_absolute_error<1000") == 0
    found = json.loads(capsys.readouterr().out)["baselines"]["seasonal"]
    assert found == pytest.approx({f"data/{name}": v for name, v in expected(5, 60)["seasonal"].items()}, rel=1e-6)


def test_predictions_end_with_the_future(config):
    run, _ = run_of(config, "run")
    assert bp("predict", run, "sales.csv", "-o", "out.csv") == 0
    with Path("out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS - 4
    assert list(rows[0]) == ["prediction_sales+1", "prediction_sales+2"]
    Path("last.csv").write_text("sales\n" + "".join(f"{value:.1f}\n" for value in SALES[-5:]))
    assert bp("predict", run, "last.csv", "-o", "last_out.csv") == 0
    (last,) = csv.DictReader(Path("last_out.csv").read_text().splitlines())
    assert {k: float(v) for k, v in last.items()} == pytest.approx({k: float(v) for k, v in rows[-1].items()}, rel=1e-6)


def test_a_resumed_run_keeps_its_windows(config, capsys):
    run, _ = run_of(config, "run")
    assert bp("train", "--resume", run, "data.window.stride=2", "training.epochs=5") == 2
    assert capsys.readouterr().err == (
        "override data.window.stride=2: was 1, would be 2: the run would be tested on rows that it was trained on; "
        "leave it out, or start a new run\n1 problem; nothing was run.\n"
    )
    assert bp("train", "--resume", run, "training.epochs=5") == 0


def test_autoregression_is_no_caution(config, capsys):
    assert bp("validate", config, "--json", "data.features=[sales]") == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


@pytest.mark.parametrize("empty", ["", '""', "NA"])
def test_a_gap_in_a_file_of_one_column_is_no_shorter_series(config, empty, capsys):
    lines = Path("sales.csv").read_text().splitlines()
    Path("sales.csv").write_text("\n".join([*lines[:20], empty, *lines[21:], "", ""]))
    assert bp("validate", config) == 6
    assert capsys.readouterr().err == (
        "sales.csv:21: column 'sales': the value is missing; fill it in, or train with data.transform.missing: mean, "
        "median, most_frequent or indicator\n"
    )


def test_a_blank_line_is_a_row_to_predict(capsys):
    Path("x.csv").write_text("x,y\n" + "".join(f"{i},{2 * i}\n" for i in range(40)))
    model = {"layers": [{"type": "dense", "units": 1}]}
    data = {"source": "x.csv", "target": "y", "transform": {"missing": "mean"}}
    run, _ = run_of(write_config(data=data, model=model, loss="mean_squared_error"), "run")
    for name, lines in (("new.csv", "x\n1\n\n2\n\n"), ("new.tsv", "x\n1\nNA\n2\n")):
        Path(name).write_text(lines)
        assert bp("predict", run, name, "-o", f"{name}.out.csv") == 0
    out = Path("new.csv.out.csv").read_text()
    assert len(out.splitlines()) == 4
    assert out == Path("new.tsv.out.csv").read_text()


def test_windows_have_intervals_and_their_baselines_no_coverage(config):
    run, result = run_of(config, "run", ["intervals=0.8", "metrics=[coverage, mean_absolute_error]"])
    assert result.metrics["validation/coverage"] >= 0.8
    assert list(result.baselines["last_value"]) == [
        f"{split}/mean_absolute_error" for split in ("train", "validation", "test")
    ]
    assert record(run)["baselines"] == result.to_json()["baselines"]

"""Runs on tables with categories: those that training lacks, and missing ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import assert_same_state, bp, last, run_of, stop_at, write_config

from backprop_cli.api.train import train
from backprop_cli.errors import InterruptionError

NEW = "c,d,x\na,p,1\nq,p,2\nb,,3\nq,r,\n"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = ["c,d,x,y"]
    for _ in range(200):
        c, d, x = rng.choice(["a", "b", "c"]), rng.choice(["p", "r", ""]), rng.normal()
        rows.append(f"{c},{d},{'' if rng.random() < 0.1 else f'{x:.3f}'},{('abc'.index(c) + x) > 1:d}")
    Path("d.csv").write_text("\n".join(rows) + "\n")
    Path("new.csv").write_text(NEW)
    return write_config(
        data={
            "source": "d.csv",
            "target": "y",
            "transform": {"missing": "indicator", "columns": {"d": {"categorical": "ordinal", "unknown": "error"}}},
        },
        model={"layers": [{"type": "dense", "units": 8, "activation": "relu"}, {"type": "dense", "units": 1}]},
        loss="binary_cross_entropy",
        training={"epochs": 4, "batch_size": 7},
    )


def test_predictions_of_other_categories_are_counted(config, capsys):
    run_of(config, "run")
    capsys.readouterr()
    assert bp("predict", "run", "new.csv") == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 5
    assert (
        "warning: new.csv:3: column 'c': 2 rows with a category that the train split lacks, read as other: 'q' (2)\n"
    ) in printed.err
    Path("test.csv").write_text("c,d,x,y\nq,p,2,1\nz,p,,0\n")
    assert bp("eval", "run", "--data", "test.csv") == 0
    assert "test.csv:2: column 'c': 2 rows with a category that the train split lacks" in capsys.readouterr().err
    Path("bad.csv").write_text("c,d,x\na,q,1\n")
    assert bp("predict", "run", "bad.csv") == 6
    assert "bad.csv:2: column 'd': category 'q' is not in the train split, which has p, r" in capsys.readouterr().err


def test_a_resumed_run_reads_the_same_rows_as_other(config):
    whole, _ = run_of(config, "whole")
    none, _ = run_of(config, "none", ["data.transform.unknown=error"])
    assert last(whole).tensors["dense_1.weight"].shape == (8, 2 + 4 + 1)
    assert last(none).tensors["dense_1.weight"].shape == (8, 2 + 3 + 1)
    with pytest.raises(InterruptionError):
        train(config, ["log={every_steps: 1}"], run_dir=Path("cut"), on_event=stop_at(31))
    train(resume=Path("cut"))
    assert_same_state(Path("whole"), Path("cut"))


def test_the_resolved_configuration_repeats_the_run(config):
    run_of(config, "one")
    run_of(Path("one/config.resolved.yaml"), "two")
    assert_same_state(Path("one"), Path("two"))
    assert "columns: {d: {categorical: ordinal, unknown: error}}" in Path("one/config.resolved.yaml").read_text()
    assert json.loads(json.dumps(last(Path("one")).metadata["config"]["data"]["transform"]["columns"])) == {
        "d": {"categorical": "ordinal", "unknown": "error"}
    }


def test_a_full_batch_optimizer_sees_one_loss(config):
    run, _ = run_of(config, "run", ["optimizer=lbfgs", "training={epochs: 30}"])
    losses = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [each["train/loss"] for each in losses if each["event"] == "epoch"]
    assert losses == sorted(losses, reverse=True)


def test_settings_of_a_column_that_is_not_there(config, capsys):
    assert bp("validate", config, "data.transform.columns={cc: {missing: mean}}") == 2
    assert (
        "data.transform.columns={cc: {missing: mean}}: data.transform.columns.cc: no column 'cc' in d.csv"
        in capsys.readouterr().err
    )
    assert bp("validate", config, "data.transform.columns={c: {mising: mean}}") == 2
    assert "unknown key; did you mean 'missing'?" in capsys.readouterr().err

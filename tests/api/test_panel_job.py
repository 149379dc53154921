"""Series sorted and kept apart, from the configuration to predictions."""

import csv
import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from api_support import assert_same_state, bp, run_of, write_config

from backprop_cli.api.jacobian import jacobian
from backprop_cli.run.checkpoint import load, save

START = date(2024, 1, 1)
LINES = [
    f"{START + timedelta(day)},{shop},{10 * (k + 1) + day % 7 + day / 10:.1f}"
    for day in range(60)
    for k, shop in enumerate(["north", "south"])
]


def write(lines, path="sales.csv", header="date,shop,v"):
    Path(path).write_text("\n".join([header, *lines]) + "\n")
    return path


def mixed(lines=LINES, seed=0):
    return [lines[i] for i in np.random.default_rng(seed).permutation(len(lines))]


@pytest.fixture
def config():
    write(mixed())
    return write_config(
        data={"source": "sales.csv", "target": "v", "window": {"length": 4, "time": "date", "group": "shop"}},
        model={"layers": ["flatten", {"type": "dense", "units": 1}]},
        loss="mean_squared_error",
        metrics=["root_mean_squared_error"],
    )


def predictions(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def test_the_order_of_the_file_does_not_matter(config, capsys):
    """Neither for training, nor for eval and predict."""
    run_of(config, "mixed")
    write(LINES)
    run_of(config, "sorted")
    ours, theirs = (load(Path(run) / "checkpoints" / "last.safetensors").tensors for run in ("mixed", "sorted"))
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)
    write(mixed(seed=3), "other.csv")
    found = []
    for name in ("sales.csv", "other.csv"):
        assert bp("eval", "mixed", "--data", name, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["metrics"])
        assert bp("predict", "mixed", name, "-o", f"{name}.out.csv") == 0
    assert found[0] == found[1]
    one, other = (
        {(row["date"], row["shop"]): float(row["prediction"]) for row in predictions(f"{name}.out.csv")}
        for name in ("sales.csv", "other.csv")
    )
    assert one == other
    assert len(one) == 2 * 57


@pytest.mark.parametrize("kind", ["csv", "jsonl", "npz"])
@pytest.mark.parametrize(("time", "group"), [("prediction", "shop"), ("date", "prediction")])
def test_a_time_or_group_called_as_the_predictions_are_is_kept(kind, time, group):
    write(LINES, header=f"{time},{group},v")
    window = {"length": 4, "time": time, "group": group}
    config = write_config(
        data={"source": "sales.csv", "target": "v", "window": window},
        model={"layers": ["flatten", {"type": "dense", "units": 1}]},
        loss="mean_squared_error",
        metrics=[],
    )
    run_of(config, "run", ["training.epochs=1"])
    assert bp("predict", "run", "sales.csv", "-o", f"out.{kind}") == 0
    if kind == "csv":
        first = predictions("out.csv")[0]
    elif kind == "jsonl":
        first = json.loads(Path("out.jsonl").read_text().splitlines()[0])
    else:
        first = {name: values[0] for name, values in np.load("out.npz").items()}
    wanted = [f"{name}_" if name == "prediction" else name for name in (time, group)]
    assert list(first) == [*wanted, "prediction"]
    assert [first[name] for name in wanted] == ["2024-01-04", "north"]
    assert 0 < abs(float(first["prediction"])) < 1000


def test_predictions_carry_time_and_group_of_the_last_row_they_know(config):
    run_of(config, "run")
    assert bp("predict", "run", "sales.csv", "-o", "out.csv") == 0
    rows = predictions("out.csv")
    assert list(rows[0]) == ["date", "shop", "prediction"]
    assert [(row["date"], row["shop"]) for row in rows] == [
        (str(START + timedelta(day)), shop) for shop in ("north", "south") for day in range(3, 60)
    ]
    # The row of a window that ends on the 20th is what its four rows alone give.
    four = [line for line in LINES if ",south," in line and "2024-01-17" <= line[:10] <= "2024-01-20"]
    write(four[::-1], "four.csv")
    assert bp("predict", "run", "four.csv", "-o", "four_out.csv") == 0
    (alone,) = predictions("four_out.csv")
    (same,) = [row for row in rows if (row["date"], row["shop"]) == ("2024-01-20", "south")]
    assert float(alone["prediction"]) == pytest.approx(float(same["prediction"]), rel=1e-5)
    assert (alone["date"], alone["shop"]) == ("2024-01-20", "south")


def test_other_outputs_and_standard_input(config):
    run_of(config, "run")
    assert bp("predict", "run", "sales.csv", "-o", "out.csv") == 0
    expected = predictions("out.csv")
    assert bp("predict", "run", "sales.csv", "-o", "out.jsonl") == 0
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [(line["date"], line["shop"]) for line in lines] == [(row["date"], row["shop"]) for row in expected]
    assert bp("predict", "run", "sales.csv", "-o", "out.npz") == 0
    with np.load("out.npz", allow_pickle=False) as arrays:
        assert arrays["date"].tolist() == [row["date"] for row in expected]
        assert arrays["prediction"].tolist() == pytest.approx([float(row["prediction"]) for row in expected])
    command = [sys.executable, "-c", "from backprop_cli.cli.app import main; main()", "predict", "run", "-"]
    with Path("sales.csv").open() as source:
        piped = subprocess.run(command, stdin=source, capture_output=True, text=True, check=True).stdout
    assert piped == Path("out.csv").read_text()


def test_rows_of_windows_are_lines_of_the_file(config):
    run_of(config, "run")
    lines = Path("sales.csv").read_text().splitlines()
    line = 1 + lines.index(next(text for text in LINES if text.startswith("2024-01-09,south")))
    found = jacobian("run", Path("sales.csv"), rows=[str(line)], by="inputs", of="predictions")
    assert found.to_json()["data"]["rows"] == [line]
    split = jacobian("run", rows=["all"], of="loss", split="train").to_json()["data"]["rows"]
    days = [lines[row - 1].split(",")[0] for row in split]
    assert len(days) == 2 * (42 - 4)
    assert max(days) == str(START + timedelta(42 - 5))


def test_a_resumed_run_keeps_its_order(config):
    run_of(config, "whole", ["training.epochs=4"])
    run, _ = run_of(config, "run", ["training.epochs=2"])
    assert bp("train", "--resume", run, "training.epochs=4", "--quiet") == 0
    assert_same_state(run, Path("whole"))


def test_checkpoints_that_know_no_times_are_read(config):
    """Those of before these settings say nothing of them."""
    write(sorted(line for line in LINES if ",south," in line))
    run, _ = run_of(config, "run", ["data.window={length: 4}", "data.features=[v]"])
    path = run / "checkpoints" / "best.safetensors"
    stored = load(path)
    for tree in (stored.metadata["transform"]["window"], stored.metadata["config"]["data"]["window"]):
        del tree["time"], tree["group"]
    del stored.metadata["transform"]["day_first"]
    save(path, stored)
    assert bp("predict", run, "sales.csv", "-o", "out.csv") == 0
    assert list(predictions("out.csv")[0]) == ["prediction"]
    assert bp("eval", run) == 0


def test_messages(config, capsys):
    def said(code, *words):
        assert bp(*words) == code
        return capsys.readouterr().err

    write([*LINES, LINES[7]])
    assert said(6, "validate", config) == (
        "sales.csv:122: column 'date': the time '2024-01-04' occurs twice in group 'south', first on line 9; remove "
        "one of the rows, or add a column to data.window.group\n"
    )
    assert said(2, "validate", config, "data.window.time=day").startswith(
        "override data.window.time=day: no column 'day' in sales.csv; its columns: "
    )
    assert "'v' is under 'window' too; it can be only one of them" in said(2, "validate", config, "data.window.time=v")
    assert "'date' is under 'time' too" in said(2, "validate", config, "data.window.group=date")
    assert "names 'shop' twice" in said(2, "validate", config, "data.window.group=[shop, shop]")


def test_the_log_warns_of_a_file_that_is_not_in_order(config, capsys):
    write(LINES[::-1])
    assert bp("train", config, "--run-dir", "run", "--quiet", "data.window={length: 4}") == 0
    err = capsys.readouterr().err
    assert "warning: sales.csv:4: column 'date': falls from row to row, 59 times (here " in err
    assert "set data.window.time: date" in Path("run/log.txt").read_text()
    assert bp("validate", config, "--json", "data.window={length: 4}") == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 2
    assert bp("validate", config, "--json") == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []

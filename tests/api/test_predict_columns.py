"""What ``bp predict`` writes next to predictions: columns of the input, the file of each row; and in which format."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, run_of, write_config

from backprop_cli.api import predict as predict_module
from backprop_cli.api.predict import predict

ROWS = ['id,when,x,"a, b"', "007,2024-01-31, 1.50,u", 'b"c,,2,NA', "-3,31/12/24,3,", "1e5,x,4,w"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [f"{x:.3f},{'yes' if x + rng.normal() > 0 else 'no'}" for x in rng.normal(size=80)]
    Path("d.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    Path("new.csv").write_text("\n".join(ROWS).replace('b"c', '"b""c"') + "\n")
    config = write_config(
        data={"source": "d.csv", "target": "y"},
        model={"layers": [{"type": "dense", "units": 1}]},
        loss="binary_cross_entropy",
        training={"epochs": 3},
    )
    return run_of(config, "run")[0]


def table(name):
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_columns_are_copied_as_they_are_written(run, monkeypatch):
    monkeypatch.setattr(predict_module, "CHUNK", 3)
    assert bp("predict", run, "new.csv", "--keep", "id,when", "--keep", '"a, b",x', "-o", "out.csv", "--proba") == 0
    rows = table("out.csv")
    assert list(rows[0]) == ["id", "when", "a, b", "x", "prediction", "probability_no", "probability_yes"]
    assert [row["id"] for row in rows] == ["007", 'b"c', "-3", "1e5"]
    assert [row["when"] for row in rows] == ["2024-01-31", "", "31/12/24", "x"]
    assert [row["a, b"] for row in rows] == ["u", "NA", "", "w"]
    assert [row["x"] for row in rows] == ["1.50", "2", "3", "4"]
    assert bp("predict", run, "new.csv", "-o", "plain.csv", "--proba") == 0
    kept = ("id", "when", "a, b", "x")
    assert [{name: v for name, v in row.items() if name not in kept} for row in rows] == table("plain.csv")


def test_json_keeps_types_and_null(run):
    rows = [{"id": 7, "x": 1}, {"id": "7", "x": 2}, {"id": None, "x": 3}, {"id": True, "x": 4}, {"x": 5.0}]
    Path("new.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert bp("predict", run, "new.jsonl", "--keep", "id", "-o", "out.jsonl") == 0
    written = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in written] == [7, "7", None, True, None]
    assert bp("predict", run, "new.jsonl", "--keep", "id", "-o", "out.csv") == 0
    assert [row["id"] for row in table("out.csv")] == ["7", "7", "", "true", ""]


def test_arrays_are_kept(run):
    np.savez("new.npz", x=np.arange(3.0), id=np.array([5, 7, 9]), name=np.array(["p", "q", "p"]))
    assert bp("predict", run, "new.npz", "--keep", "id,name", "-o", "out.csv") == 0
    assert [(row["id"], row["name"]) for row in table("out.csv")] == [("5", "p"), ("7", "q"), ("9", "p")]


def test_a_column_that_is_not_there(run, capsys):
    capsys.readouterr()
    assert bp("predict", run, "new.csv", "--keep", "idd", "-o", "out.csv") == 6
    assert capsys.readouterr().err.endswith("new.csv: no column 'idd'; did you mean 'id'?\n")
    assert not Path("out.csv").exists()


def test_a_prediction_of_the_same_name_comes_second(run):
    Path("again.csv").write_text("x,prediction\n1,old\n")
    assert bp("predict", run, "again.csv", "--keep", "prediction", "-o", "out.csv") == 0
    assert list(table("out.csv")[0]) == ["prediction_", "prediction"]


def test_several_files_in_their_order(run, monkeypatch):
    monkeypatch.setattr(predict_module, "CHUNK", 2)
    Path("b.csv").write_text("x,id\n9,1\n8,2\n7,3\n")
    Path("a.jsonl").write_text('{"x": -9, "id": 4}\n')
    assert bp("predict", run, "b.csv", "a.jsonl", "b.csv", "--keep", "id", "-o", "out.csv") == 0
    found = [(row["file"], row["id"], row["prediction"]) for row in table("out.csv")]
    ones = [("b.csv", str(k), "yes") for k in (1, 2, 3)]
    assert found == [*ones, ("a.jsonl", "4", "no"), *ones]
    assert predict(run, ["b.csv", Path("a.jsonl")], "two.csv") == 4
    assert [row["file"] for row in table("two.csv")] == ["b.csv"] * 3 + ["a.jsonl"]


def test_a_kept_column_called_file(run):
    Path("f.csv").write_text("x,file,allow_pickle\n9,mine,p\n")
    assert bp("predict", run, "f.csv", "f.csv", "--keep", "file,allow_pickle", "-o", "out.csv") == 0
    expected = {"file": "f.csv", "file_": "mine", "allow_pickle": "p", "prediction": "yes"}
    assert table("out.csv") == [expected, expected]
    assert bp("predict", run, "f.csv", "f.csv", "--keep", "file,allow_pickle", "-o", "out.npz") == 0
    with np.load("out.npz") as arrays:
        assert {name: arrays[name].tolist() for name in arrays} == {
            name: [value] * 2 for name, value in expected.items()
        }


def test_several_files_that_cannot_be_predicted(run, capsys):
    Path("bad.csv").write_text("x\n1\nq\n")
    capsys.readouterr()
    assert bp("predict", run, "new.csv", "bad.csv", "-o", "out.csv") == 6
    assert "bad.csv:3: column 'x': expected a number, got 'q'" in capsys.readouterr().err
    assert not Path("out.csv").exists()
    assert bp("predict", run, "new.csv", "gone.csv") == 6
    assert bp("predict", run, "new.csv", "-") == 2
    assert "predict: - is standard input, which cannot be one of several files" in capsys.readouterr().err
    assert bp("predict", run, "new.csv", "d.csv", "-o", "d.csv") == 2


def test_the_threshold_of_a_binary_target(run, capsys):
    Path("x.csv").write_text("x\n" + "".join(f"{k / 10}\n" for k in range(-30, 31)))
    for threshold in (0.2, 0.5, 0.9):
        assert bp("predict", run, "x.csv", "--threshold", threshold, "--proba", "-o", "out.csv") == 0
        rows = table("out.csv")
        assert [row["prediction"] for row in rows] == [
            "yes" if float(row["probability_yes"]) >= threshold else "no" for row in rows
        ]
        assert len({row["prediction"] for row in rows}) == 2
    capsys.readouterr()
    assert bp("predict", run, "x.csv", "--threshold", 1.5) == 2
    assert capsys.readouterr().err.endswith("--threshold: must be between 0 and 1, got 1.5\n")


def test_a_threshold_needs_a_probability(run, capsys):
    config = write_config(
        data={"source": "d.csv", "target": "x", "features": ["y"]},
        model={"layers": [{"type": "dense", "units": 1}]},
        loss="mean_squared_error",
        training={"epochs": 1},
    )
    other, _ = run_of(config, "other")
    capsys.readouterr()
    assert bp("predict", other, "d.csv", "--threshold", 0.5) == 2
    assert "--threshold: mean_squared_error predicts no probability of one of two classes" in capsys.readouterr().err


def test_parquet(run, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(predict_module, "CHUNK", 2)
    assert bp("predict", run, "new.csv", "--keep", "id", "--proba", "-o", "out.parquet") == 0
    assert bp("predict", run, "new.csv", "--keep", "id", "--proba", "-o", "out.npz") == 0
    found, arrays = parquet.read_table("out.parquet").to_pydict(), np.load("out.npz")
    assert list(found) == ["id", "prediction", "probability_no", "probability_yes"]
    assert found["id"] == ["007", 'b"c', "-3", "1e5"]
    assert arrays["id"].tolist() == ["007", 'b"c', "-3", "1e5"]
    np.testing.assert_array_equal(np.array(found["probability_yes"], np.float32), arrays["probability"][:, 1])
    Path("none.csv").write_text("x,id\n")
    assert bp("predict", run, "none.csv", "--keep", "id", "-o", "none.parquet") == 0
    assert parquet.read_table("none.parquet").column_names == ["id", "prediction"]


def test_parquet_needs_an_extra(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    capsys.readouterr()
    assert bp("predict", run, "new.csv", "-o", "out.parquet") == 2
    assert capsys.readouterr().err.endswith(
        "--format parquet needs PyArrow, which is not installed: pip install 'backprop-cli[parquet]'\n"
    )
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize("order", [{}, {"time": "t", "group": "g"}])
def test_windows_keep_columns_of_their_last_row(run, order, monkeypatch):
    monkeypatch.setattr(predict_module, "CHUNK", 4)
    rows = [f"{'ab'[k // 10]},{k % 10},{k * k % 7},{f'r{k}'}" for k in range(20)]
    Path("s.csv").write_text("g,t,x,id\n" + "\n".join(rows) + "\n")
    config = write_config(
        data={
            "source": "s.csv",
            "target": "x",
            "features": ["x"],
            "window": {"length": 3, **order},
            "split": {"validation": 0, "test": 0},
        },
        model={"layers": ["flatten", {"type": "dense", "units": 1}]},
        loss="mean_squared_error",
        training={"epochs": 1},
    )
    series, _ = run_of(config, "series")
    assert bp("predict", series, "s.csv", "s.csv", "--keep", "id,t", "-o", "out.csv") == 0
    found = table("out.csv")
    own = [k for k in range(20) if k % 10 >= 2] if order else list(range(2, 20))
    assert [row["id"] for row in found] == [f"r{k}" for k in own] * 2
    assert [row["t"] for row in found] == [str(k % 10) for k in own] * 2
    assert list(found[0])[:4] == ["file", *(["t", "g", "id"] if order else ["id", "t", "prediction"])]

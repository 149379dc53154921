"""``bp predict``: every output format, standard input, order, own units, and output that cannot be written."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, known_run, last, run_of, start_bp, write_config

from backprop_cli.api import predict as predict_module
from backprop_cli.api.predict import predict
from backprop_cli.data import lines
from backprop_cli.data.dataset import load_split
from backprop_cli.data.file import LONGEST_LINE
from backprop_cli.errors import DataError
from backprop_cli.session.trained_network import open_network

REGRESSION = {
    "data": {"target": "y", "features": ["x"], "transform": {"target": "standardize"}},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mean_squared_error",
    "training": {"precision": "float64"},
}


@pytest.fixture
def run():
    return known_run(write_config(), "run")[0]


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def probabilities(run: Path) -> np.ndarray:
    """Of the flowers, as the network's evaluator says them."""
    saved = open_network(run / "checkpoints" / "best.safetensors")
    split = load_split(Path("flowers.csv"), saved.transform, dtype="float32")
    return np.concatenate(list(saved.evaluator().predict([split.inputs])))


def test_csv(run):
    assert bp("predict", run, "flowers.csv", "-o", "out.csv", "--proba") == 0
    rows, expected = table("out.csv"), probabilities(run)
    assert list(rows[0]) == ["prediction", "probability_a", "probability_b", "probability_c"]
    found = np.array([[float(row[f"probability_{name}"]) for name in "abc"] for row in rows], np.float32)
    np.testing.assert_array_equal(found, expected)  # printed so that they are read back equal
    assert [row["prediction"] for row in rows] == ["abc"[k] for k in expected.argmax(axis=1)]


def test_swapped_arguments(run, capsys):
    capsys.readouterr()
    for network in (run, run / "checkpoints" / "best.safetensors"):
        assert bp("predict", "flowers.csv", network) == 2
        said = f"predict: the run comes first, then the data: bp predict {network} flowers.csv\n"
        assert capsys.readouterr().err == said
    assert bp("predict", "x" * 300, "flowers.csv") == 5
    assert "name too long" in capsys.readouterr().err


def test_without_probabilities(run):
    assert bp("predict", run, "flowers.csv", "-o", "out.csv") == 0
    assert Path("out.csv").read_text().splitlines()[0] == "prediction"
    assert len(table("out.csv")) == 60


def test_jsonl(run):
    assert bp("predict", run, "flowers.csv", "-o", "out.jsonl", "--proba") == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    expected = probabilities(run)
    assert list(rows[0]) == ["prediction", "probability"]
    assert list(rows[0]["probability"]) == ["a", "b", "c"]
    found = np.array([list(row["probability"].values()) for row in rows], np.float32)
    np.testing.assert_array_equal(found, expected)


def test_npz(run):
    assert bp("predict", run, "flowers.csv", "-o", "out.npz", "--proba") == 0
    expected = probabilities(run)
    with np.load("out.npz", allow_pickle=False) as found:
        assert sorted(found) == ["classes", "prediction", "probability"]
        assert found["classes"].tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(found["probability"], expected)
        assert found["prediction"].tolist() == ["abc"[k] for k in expected.argmax(axis=1)]


def test_order_is_kept_over_many_pieces(run, monkeypatch):
    """Pieces of rows, and batches of them, of no common size."""
    whole = io.BytesIO()
    predict(run, Path("flowers.csv"), whole, proba=True)
    monkeypatch.setattr(predict_module, "CHUNK", 7)
    pieces = io.BytesIO()
    assert predict(run, Path("flowers.csv"), pieces, proba=True) == 60
    first = np.genfromtxt(io.BytesIO(whole.getvalue()), delimiter=",", skip_header=1, usecols=(1, 2, 3))
    second = np.genfromtxt(io.BytesIO(pieces.getvalue()), delimiter=",", skip_header=1, usecols=(1, 2, 3))
    np.testing.assert_allclose(second, first, rtol=1e-6)
    assert second.shape == (60, 3)


def test_columns_are_found_by_name(run):
    """Not by place, and with none of the target's."""
    predict(run, Path("flowers.csv"), Path("all.csv"), proba=True)
    rows = [line.split(",") for line in Path("flowers.csv").read_text().splitlines()]
    Path("turned.csv").write_text("\n".join(f"{y},other,{x}" for x, y, _ in rows) + "\n")
    predict(run, Path("turned.csv"), Path("turned_out.csv"), proba=True)
    assert Path("turned_out.csv").read_text() == Path("all.csv").read_text()


def test_formats_are_named_or_follow_the_suffix(run, capsys):
    predict(run, Path("flowers.csv"), Path("a.csv"), format="jsonl")
    predict(run, Path("flowers.csv"), Path("a.jsonl"))
    assert Path("a.csv").read_text() == Path("a.jsonl").read_text()
    assert bp("predict", run / "checkpoints" / "best.safetensors", "flowers.csv", "-o", "out.txt") == 2
    assert capsys.readouterr().err == (
        "out.txt: unknown suffix '.txt'; predictions are written as csv, jsonl, npz, parquet: name one with --format\n"
    )
    assert bp("predict", run / "checkpoints" / "best.safetensors", "flowers.csv", "--format", "xml") == 2
    assert capsys.readouterr().err == (
        "--format xml: unknown; predictions are written as csv, jsonl, npz, parquet: name one with --format\n"
    )


# --- numbers and binary targets --------------------------------------------------------------------------------


def test_numbers_are_in_the_targets_own_unit():
    run, _ = known_run(write_config(**REGRESSION), "run")
    predict(run, Path("flowers.csv"), Path("out.csv"))
    predict(run, Path("flowers.csv"), Path("out.jsonl"))
    predict(run, Path("flowers.csv"), Path("out.npz"))
    saved = open_network(run / "checkpoints" / "best.safetensors")
    split = load_split(Path("flowers.csv"), saved.transform, dtype="float64")
    tensors = saved.checkpoint.tensors
    standardized = split.inputs @ tensors["dense_1.weight"].T + tensors["dense_1.bias"]
    target = saved.transform.target
    expected = (standardized * target.deviation + target.mean)[:, 0]
    found = np.array([float(row["prediction"]) for row in table("out.csv")])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    lines = Path("out.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == found.tolist()
    with np.load("out.npz") as arrays:
        np.testing.assert_array_equal(arrays["prediction"], found)


def test_several_numbers_are_named_by_their_targets():
    more = {
        "data": {"target": ["y", "x"], "features": ["kind"]},
        "model": {"layers": [{"type": "dense", "units": 2}]},
        "loss": "mean_squared_error",
    }
    run, _ = known_run(write_config(**more), "run")
    predict(run, Path("flowers.csv"), Path("out.csv"))
    assert Path("out.csv").read_text().splitlines()[0] == "prediction_y,prediction_x"


def write_binary(values=("no", "yes")) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{values[int(a > 0)]},{int(b > 0)}" for a, b in rng.standard_normal((60, 2))]
    Path("binary.csv").write_text("\n".join(["x,p,q", *rows]) + "\n")


def binary_run(target) -> Path:
    width = 1 if isinstance(target, str) else len(target)
    more = {
        "data": {"source": "binary.csv", "target": target, "features": ["x"]},
        "model": {"layers": [{"type": "dense", "units": width}]},
        "loss": "binary_cross_entropy",
    }
    return known_run(write_config(**more), "run")[0]


def test_a_binary_target_has_its_two_names():
    write_binary()
    run = binary_run("p")
    predict(run, Path("binary.csv"), Path("out.csv"), proba=True)
    rows = table("out.csv")
    assert list(rows[0]) == ["prediction", "probability_no", "probability_yes"]
    for row in rows:
        assert float(row["probability_no"]) + float(row["probability_yes"]) == pytest.approx(1.0)
        assert row["prediction"] == ("yes" if float(row["probability_yes"]) >= 0.5 else "no")


def test_several_binary_targets_each_have_their_own():
    write_binary()
    run = binary_run(["p", "q"])
    predict(run, Path("binary.csv"), Path("out.csv"), proba=True)
    rows = table("out.csv")
    assert list(rows[0]) == ["prediction_p", "prediction_q", "probability_p", "probability_q"]
    for row in rows:
        assert row["prediction_p"] == ("yes" if float(row["probability_p"]) >= 0.5 else "no")
        assert row["prediction_q"] == ("1" if float(row["probability_q"]) >= 0.5 else "0")
    predict(run, Path("binary.csv"), Path("out.jsonl"))
    assert set(json.loads(Path("out.jsonl").read_text().splitlines()[0])) == {"prediction_p", "prediction_q"}


def test_probabilities_are_of_classes(capsys):
    run, _ = known_run(write_config(**REGRESSION), "run")
    assert bp("predict", run / "checkpoints" / "best.safetensors", "flowers.csv", "--proba") == 2
    assert capsys.readouterr().err == "--proba: mean_squared_error predicts numbers, not classes\n"


# --- streams ---------------------------------------------------------------------------------------------------


def test_standard_input_to_standard_output(run, tmp_path):
    predict(run, Path("flowers.csv"), Path("out.csv"), proba=True)
    command = [sys.executable, "-c", "from backprop_cli.cli.app import main; main()"]
    done = subprocess.run(
        [*command, "predict", "run", "-", "--proba"],
        input=Path("flowers.csv").read_bytes(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout == Path("out.csv").read_bytes()
    assert done.stderr.decode() == "checkpoint run/checkpoints/best.safetensors\n"
    done = subprocess.run(
        [*command, "predict", "run", "--input-format", "jsonl", "--format", "npz"],
        input=b'{"x": 1.0, "y": 2.0}\n{"y": -1, "x": 0}\n',
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    with np.load(io.BytesIO(done.stdout)) as found:
        assert found["prediction"].shape == (2,)


def test_a_reader_that_has_seen_enough_is_no_failure(run):
    """`bp predict | head -1` ends quietly."""
    rows = Path("flowers.csv").read_text().splitlines()
    Path("long.csv").write_text("\n".join([rows[0], *rows[1:] * 2000]) + "\n")
    process = start_bp("predict", run / "checkpoints" / "best.safetensors", "long.csv")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "prediction\n"
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_standard_output_that_takes_no_more(run):
    command = [sys.executable, "-c", "from backprop_cli.cli.app import main; main()"]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [*command, "predict", "run", "flowers.csv"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert process.returncode == 2
    assert process.stderr.decode() == (
        "checkpoint run/checkpoints/best.safetensors\nstandard output: cannot be written: No space left on device\n"
    )


@pytest.mark.parametrize(("kind", "content"), [("csv", b"prediction\n"), ("jsonl", b"")])
def test_no_rows_are_no_predictions(run, kind, content):
    Path("none.csv").write_text("x,y\n")
    assert predict(run, Path("none.csv"), Path(f"out.{kind}")) == 0
    assert Path(f"out.{kind}").read_bytes() == content


def test_no_rows_as_arrays(run):
    Path("none.csv").write_text("x,y\n")
    predict(run, Path("none.csv"), Path("out.npz"), proba=True)
    with np.load("out.npz") as found:
        assert {name: found[name].shape for name in found} == {
            "prediction": (0,),
            "probability": (0, 3),
            "classes": (3,),
        }


def test_a_bad_row_leaves_no_half_output(run, capsys):
    Path("out.csv").write_text("before\n")
    rows = Path("flowers.csv").read_text().splitlines()
    Path("bad.csv").write_text("\n".join([*rows[:31], "1.0,tall,a", *rows[31:]]) + "\n")
    best = run / "checkpoints" / "best.safetensors"
    assert bp("predict", best, "bad.csv", "-o", "out.csv") == 6
    assert capsys.readouterr().err == "bad.csv:32: column 'y': expected a number, got 'tall'\n"
    assert Path("out.csv").read_text() == "before\n"
    assert [path.name for path in Path().glob(".*")] == []


def test_an_output_that_cannot_be_written(run, capsys):
    best = run / "checkpoints" / "best.safetensors"
    assert bp("predict", best, "flowers.csv", "-o", "gone/out.csv") == 2
    assert capsys.readouterr().err == "gone/out.csv: cannot be written: No such file or directory\n"


def test_an_empty_file(run, capsys):
    Path("empty.csv").touch()
    assert bp("predict", run / "checkpoints" / "best.safetensors", "empty.csv") == 6
    assert capsys.readouterr().err == "empty.csv: the file is empty\n"


def test_the_weights_are_those_of_the_checkpoint_that_is_named(run):
    predict(run / "checkpoints" / "last.safetensors", Path("flowers.csv"), Path("last.csv"), proba=True)
    longer, _ = run_of(Path("flowers.yaml"), "longer", ["training.epochs=30"])
    predict(longer, Path("flowers.csv"), Path("longer.csv"), proba=True)
    assert Path("last.csv").read_text() != Path("longer.csv").read_text()
    assert last(run).metadata["state"]["epoch"] == 4


def test_the_input_is_not_overwritten(run, capsys):
    best = run / "checkpoints" / "best.safetensors"
    before = Path("flowers.csv").read_bytes()
    assert bp("predict", best, "flowers.csv", "-o", "flowers.csv") == 2
    assert capsys.readouterr().err == "flowers.csv: is the input; write the predictions to another file\n"
    assert Path("flowers.csv").read_bytes() == before


def test_a_pipe_is_written_into_not_replaced(run, tmp_path):
    best = run / "checkpoints" / "best.safetensors"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert bp("predict", best, "flowers.csv", "-o", str(pipe)) == 0
    reader.join()
    assert read[0].startswith("prediction\n")
    assert pipe.is_fifo()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("head", [b"", b"x,y\n", b'x,y\n"', b'{"a": "'])
def test_a_line_without_end_is_refused_in_bounded_memory(run, kind, head):
    """Every line, and every record of several, has at most so many bytes; nothing after them is read."""

    class Endless(io.RawIOBase):
        taken = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            start = head[self.taken :] if self.taken < len(head) else b""
            buffer[:] = (start + b"1" * len(buffer))[: len(buffer)]
            self.taken += len(buffer)
            return len(buffer)

    stream = Endless()
    line = 1 + head.count(b"\n")
    kept = LONGEST_LINE
    expected = f"standard input:{line}: a row of more than {kept:,} bytes; expected text with one line per row"
    with pytest.raises(DataError) as refused:
        predict(run, io.BufferedReader(stream), Path("out.csv"), input_format=kind)
    if kind == "csv" or b"\n" not in head:  # a header is no JSON, and refused at once
        assert str(refused.value) == expected
    assert stream.taken < kept + (1 << 20)


def test_a_record_of_lines_without_end_is_refused(run, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    header = ",".join(name for name in table("flowers.csv")[0])
    rows = header.encode() + b"\n" + b'"\n",' * 1000
    with pytest.raises(DataError, match=r"^standard input:2: a row of more than [0-9,]+ bytes; "):
        predict(run, io.BytesIO(rows), Path("out.csv"))


def test_the_number_1_and_the_text_have_a_column_each():
    rows = [{"x": float(i), "kind": 1 if i % 2 else "1"} for i in range(40)]
    Path("two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = write_config(
        data={"source": "two.jsonl", "target": "kind", "features": "all"},
        model={"layers": [{"type": "dense", "units": 2}]},
    )
    run, _ = run_of(config, "two")
    assert bp("predict", run, "two.jsonl", "-o", "two.csv", "--proba") == 0
    first = table("two.csv")[0]
    assert list(first) == ["prediction", "probability_1", 'probability_"1"']
    assert float(first["probability_1"]) + float(first['probability_"1"']) == pytest.approx(1, abs=1e-6)

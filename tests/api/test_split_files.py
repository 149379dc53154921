"""``bp split``: files for the splits, and a configuration that trains on them as before."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, last, run_of, write_config

from backprop_cli.api.split_files import split
from backprop_cli.config.load import load_config
from backprop_cli.session.experiment import prepare


def visits(split, name="visits.csv", **data):
    rng = np.random.default_rng(0)
    lines = ["patient,x,note,kind"]
    for row in range(80):
        kind = rng.integers(0, 3)
        lines.append(f'p{row % 13}, {rng.normal() + kind:.3f} ,"a\nb {row % 2}",{"abc"[kind]}')
    Path(name).write_text("\ufeff" + "\n\n".join(lines))  # a byte order mark, blank lines, no line feed at the end
    data = {"source": name, "target": "kind", "split": split, **data}
    return write_config(Path("visits.yaml"), data=data)


@pytest.mark.parametrize("split", [{"by": "patient"}, {"validation": 0.2, "test": 0.2}, {"by": "patient", "test": 0}])
def test_training_on_the_files_is_the_same_run(split):
    exclude = {} if "by" in split else {"exclude": ["patient"]}
    config = visits(split, **exclude)
    assert bp("split", config, "-o", "out/folder") == 0
    before, after = (prepare(load_config(Path(path))).dataset for path in (config, "out/folder/visits.yaml"))
    for name in before.splits:
        np.testing.assert_array_equal(before.splits[name].inputs, after.splits[name].inputs)
    _, one = run_of(config, "one")
    _, other = run_of(Path("out/folder/visits.yaml"), "other")
    assert one.metrics == other.metrics
    tensors = [last(Path(run)).tensors for run in ("one", "other")]
    for name, array in tensors[0].items():
        np.testing.assert_array_equal(array, tensors[1][name])


def test_rows_are_as_written():
    config = visits({"by": "patient"})
    assert bp("split", config, "-o", "out") == 0
    source = Path("visits.csv").read_bytes()
    files = {name: Path(f"out/{name}.csv").read_bytes() for name in ("train", "validation", "test")}
    head = b"\xef\xbb\xbfpatient,x,note,kind\n\n"
    assert all(content.startswith(head) for content in files.values())
    rows = [
        row for content in files.values() for row in content.removeprefix(head).replace(b"\n\n", b"\n").split(b"\np")
    ]
    assert len(rows) == 80
    written = source.removeprefix(head).replace(b"\n\n", b"\n").split(b"\np")
    assert sorted(row.strip().removeprefix(b"p") for row in rows) == sorted(
        row.strip().removeprefix(b"p") for row in written
    )


def test_json_and_text(capsys):
    config = visits({"by": "patient"})
    assert bp("split", config, "-o", "out", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"] == "out/visits.yaml"
    assert list(found["files"]) == ["train", "validation", "test"]
    assert sum(found["rows"].values()) == 80
    assert bp("split", config, "-o", "more", "data.split={by: patient, validation: 0}") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "next: bp train more/visits.yaml"


def test_json_lines_and_a_packed_file():
    import gzip

    rows = [{"x": i % 7, "g": i % 5, "kind": "abc"[i % 3]} for i in range(60)]
    with gzip.open("rows.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    config = write_config(Path("r.yaml"), data={"source": "rows.jsonl.gz", "target": "kind", "split": {"by": "g"}})
    assert bp("split", config, "-o", "out") == 0
    files = [Path(f"out/{name}.jsonl").read_text() for name in ("train", "validation", "test")]
    found = [json.loads(line) for text in files for line in text.splitlines()]
    assert sorted(map(str, found)) == sorted(map(str, rows))
    assert run_of(config, "one")[1].metrics == run_of(Path("out/r.yaml"), "other")[1].metrics


def test_objects_that_share_a_line_are_refused(capsys):
    for number, indent in enumerate((None, 2)):
        Path("a.json").write_text("\n" + json.dumps([{"x": i, "kind": "ab"[i % 2]} for i in range(40)], indent=indent))
        config = write_config(Path("a.yaml"), data={"source": "a.json", "target": "kind"})
        assert bp("split", config, "-o", f"out-{number}") == 2
        assert "a.json is one JSON array, not lines; write one object on each line" in capsys.readouterr().err
        assert not Path(f"out-{number}").exists()
    Path("a.json").write_text("".join(f'{{"x": {i}, "kind": "{"ab"[i % 2]}"}}\n' for i in range(40)))
    assert bp("split", config, "-o", "out") == 0
    assert len(Path("out/train.json").read_text().splitlines()) == 28


@pytest.mark.parametrize("format", [None, "jsonl"])
def test_the_parts_of_standard_input_have_a_suffix(format):
    rows = [(i % 7, "abc"[i % 3]) for i in range(60)]
    text = "x,kind\n" + "".join(f"{x},{kind}\n" for x, kind in rows)
    if format == "jsonl":
        text = "".join(f'{{"x": {x}, "kind": "{kind}"}}\n' for x, kind in rows)
    config = write_config(
        Path("s.yaml"), data={"source": "-", "target": "kind"} | ({"format": format} if format else {})
    )
    command = [sys.executable, "-m", "backprop_cli", "split", str(config), "-o", "out"]
    subprocess.run(command, input=text.encode(), check=True, capture_output=True)
    assert Path(f"out/train.{format or 'csv'}").exists()
    assert bp("validate", "out/s.yaml") == 0


def test_rows_without_a_target_are_left_out():
    lines = [f'"{i}\n",{"" if i % 5 == 0 else i}' for i in range(60)]
    Path("t.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    data = {"source": "t.csv", "target": "y", "missing_target": "drop"}
    config = write_config(Path("t.yaml"), data=data, loss="mean_squared_error", metrics=[])
    with pytest.warns(match="12 of 60 rows are left out"):
        found = split(config, "out")
    texts = [path.read_text().removeprefix("x,y\n") for path in found.files.values()]
    assert [text.count('"') // 2 for text in texts] == list(found.rows.values()) == [34, 7, 7]
    kept = "".join(f'"{i}\n",{i}\n' for i in range(60) if i % 5)
    assert sorted("".join(texts)) == sorted(kept)


def test_refusals(capsys):
    config = visits({"by": "patient"})
    Path("out").mkdir()
    Path("out/test.csv").write_text("mine")
    assert bp("split", config, "-o", "out") == 2
    assert capsys.readouterr().err.endswith("out/test.csv exists already; name another folder, or remove it\n")
    assert sorted(path.name for path in Path("out").iterdir()) == ["test.csv"]
    assert bp("split", write_config(Path("g.yaml"), data={"generate": "spiral", "source": "none"}), "-o", "g") == 2
    assert "the data has no rows in a file" in capsys.readouterr().err
    np.savez("a.npz", x=np.zeros((30, 2)), kind=np.arange(30) % 3)
    assert bp("split", write_config(Path("n.yaml"), data={"source": "a.npz"}), "-o", "n") == 6
    assert "a.npz: has no lines to write to other files" in capsys.readouterr().err


def test_log_and_show_say_what_decides(capsys):
    config = visits({"by": "patient"})
    run, _ = run_of(config, "run")
    assert ", split by patient, which is no input; 3 epochs" in (run / "log.txt").read_text()
    assert bp("show", run) == 0
    assert "by patient, which is no input" in capsys.readouterr().out
    assert bp("show", config, "data.features=[x]", "data.split={time: x}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["split"] == "in time by x"

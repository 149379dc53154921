"""``data.source: "-"``: a run on standard input, and what it needs to go on."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """\
name: piped
data: {source: "-", target: y}
model: {layers: [{type: dense, units: 1}]}
loss: mean_squared_error
training: {epochs: 1}
"""
pytestmark = pytest.mark.slow  # processes, whose standard input is a pipe

DATA = "x,y\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(60))


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("piped.yaml").write_text(CONFIG)


def bp(*words: str, data: str) -> tuple[int, str]:
    """The exit code of a command that reads ``data``, and what it writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "backprop_cli", *words], input=data, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_run_on_standard_input(tmp_path: Path) -> None:
    assert bp("train", "piped.yaml", data=DATA)[0] == 0
    facts = json.loads(Path("runs/piped/latest/run.json").read_text())
    assert facts["data"] == {"standard input": hashlib.sha256(DATA.encode()).hexdigest()}
    assert bp("eval", "runs/piped", data=DATA)[0] == 0
    assert bp("train", "--resume", "runs/piped", "training.epochs=2", data=DATA)[0] == 0
    code, message = bp("train", "--resume", "runs/piped", "training.epochs=3", data="")
    assert code == 6
    assert message == (
        "standard input: has no data; send a file to it, as in `bp train config.yaml < data.csv`; to resume or "
        "evaluate a run on standard input send the same data again\n"
    )
    code, message = bp("train", "--resume", "runs/piped", "training.epochs=3", data=DATA + "1,2\n")
    assert code != 0
    assert message.startswith("standard input: has changed since the run began")


def test_the_format_and_the_source_on_the_command_line(tmp_path: Path) -> None:
    Path("piped.yaml").write_text(CONFIG.replace('"-"', "other.csv"))
    lines = "".join(f'{{"x": {i % 7}, "y": {i % 5}}}\n' for i in range(60))
    assert bp("train", "piped.yaml", "data.source=-", "data.format=jsonl", data=lines)[0] == 0
    code, message = bp("train", "piped.yaml", "data.source=-", "data.format=npy", data=lines)
    assert code == 6
    assert message.startswith("standard input: arrays cannot be read from a stream; give a file, or csv, tsv or jsonl")
    code, message = bp("train", "piped.yaml", "data.source=-", data="x,y\n1,2\noops,3\n" * 1)
    assert message.startswith("standard input:3: column 'x'")


def test_a_file_of_that_name_is_read_as_a_file(tmp_path: Path) -> None:
    Path("-").write_text(DATA)
    assert bp("train", "piped.yaml", "data.format=csv", data="")[0] == 0

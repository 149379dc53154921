"""The specification: what ``bp`` promises, one behaviour a test, by its commands and Python API. Read it first."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from backprop_cli.cli.app import run

FLOWERS = """\
data: {source: flowers.csv, target: kind}
model:
  layers:
    - {type: dense, units: 6, activation: tanh}
    - {type: dropout, rate: 0.2}
    - {type: dense, units: 3}
loss: cross_entropy
optimizer: {type: adam, learning_rate: 0.02}
training: {epochs: 20, batch_size: 16}
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def bp(capsys):
    """``bp("train", "flowers.yaml")``: the command run in this process."""

    def command(*words: object) -> Ended:
        capsys.readouterr()
        return Ended(run([str(word) for word in words]), *capsys.readouterr())

    return command


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory: 90 flowers of three kinds, and a configuration of a network that tells them apart."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [f"{k % 3 + k % 7 / 7:.3f},{(k % 3) ** 2 - k % 5 / 5:.3f},{'abc'[k % 3]}" for k in range(90)]
    Path("flowers.csv").write_text("\n".join(["length,width,kind", *rows]) + "\n")
    Path("flowers.yaml").write_text(FLOWERS)
    return tmp_path

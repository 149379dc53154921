"""Whole jobs from the shell and back: a configuration, and a script of PyTorch that does the same."""

from __future__ import annotations

import atexit
import gzip
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.cases import MNIST
from benchmarks.command import ROOT, SCRIPTS, Command, bp, script
from benchmarks.participant import Participant
from benchmarks.peers import BP

ROUNDS = 3
"""Most rounds of the longer ones."""


class Job(NamedTuple):
    """``length``: an override that shortens a job of minutes, and the script's argument of the same meaning."""

    title: str
    config: Path
    script: str
    data: str = ""
    length: tuple[str, str] | None = None


JOBS = {
    "digits": Job("digits, 40 epochs", ROOT / "configs" / "digits.yaml", "digits_torch.py", "digits.csv"),
    "california_housing": Job(
        "house prices, 40 epochs",
        ROOT / "configs" / "california_housing.yaml",
        "california_torch.py",
        "california_housing.csv",
    ),
    "names_gru": Job(
        "names by a GRU, 3 of 12 epochs",
        ROOT / "configs" / "names_gru.yaml",
        "names_torch.py",
        "names.txt",
        ("training.epochs", "3"),
    ),
    "shakespeare": Job(
        "Shakespeare by a transformer, 1,000 of 2,000 steps",
        ROOT / "configs" / "shakespeare.yaml",
        "shakespeare_torch.py",
        "tiny_shakespeare.txt",
        ("training.max_steps", "1000"),
    ),
    "mnist": Job(
        "MNIST by 784-800-10, 5 epochs", SCRIPTS / "mnist.yaml", "mnist_torch.py", length=("training.epochs", "5")
    ),
}


def commands(job: Job) -> dict[str, Participant]:
    """bp and the script."""
    variables = _mnist if "mnist" in job.script else dict
    key, length = job.length or ("", "")
    data = [str(ROOT / "datasets" / job.data)] if job.data else []
    train = ["train", str(job.config), *([f"{key}={length}"] if key else [])]
    arguments = [*data, *([length] if length else [])]
    lines: dict[str, Command] = {
        BP: bp(*train, environment=variables),
        "torch_script": script(job.script, *arguments, environment=variables),
    }
    return dict(lines)


def _mnist() -> Mapping[str, str]:
    return {MNIST: os.environ.get(MNIST) or _drawn_mnist()}


@cache
def _drawn_mnist() -> str:
    """A folder with files as those of MNIST: four fifths of the pixels are 0, the digits are random."""
    folder = Path(tempfile.mkdtemp(prefix="bp-mnist-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", 60_000), ("t10k", 10_000)):
        pixels = rng.integers(1, 256, (count, 28, 28), np.uint8) * (rng.random((count, 28, 28), np.float32) < 0.2)
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", rng.integers(0, 10, count, np.uint8))
    return str(folder)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write bytes as a compressed IDX file."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">i4").tobytes() + array.tobytes())

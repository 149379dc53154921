"""Small data files in a folder of their own, which is the working directory, so that messages show short names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_dataset
from backprop_cli.data.fit import Demand
from backprop_cli.data.settings import DataSettings
from backprop_cli.nn.task import task_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    """``load(task, source=..., ...)``: the dataset of a ``data`` section with these keys, paths from the folder.

    A category that the train split lacks is an error, unless ``transform`` says otherwise.
    """

    def call(task: str = "classes", *, dtype: Any = "float64", input_shape: Any = None, seed: int = 0, **keys: Any):
        tokens = keys.pop("tokens", 256 if task == "tokens" else None)
        if not str(keys.get("source", keys.get("train"))).endswith((".txt", ".log")):
            keys["transform"] = {"unknown": "error", **keys.get("transform", {})}
        settings = DataSettings.model_validate(keys)
        return load_dataset(settings, Demand(task_of(task), dtype, input_shape, tokens), base=folder, seed=seed)

    return call


@pytest.fixture
def flowers(folder: Path) -> str:
    """A CSV file of 30 rows: numbers a and b, category c, class k."""
    rows = [f"{i}.5,{i * i % 7},{'rgb'[i % 3]},{'xy'[i % 2]}\n" for i in range(30)]
    (folder / "flowers.csv").write_text("a,b,c,k\n" + "".join(rows))
    return "flowers.csv"


def idx_bytes(array: np.ndarray, code: int = 0x08) -> bytes:
    """An IDX file's bytes, written from the format's description."""
    lengths = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, code, array.ndim]) + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def write_idx(folder: Path) -> Callable[..., str]:
    def write(name: str, array: np.ndarray, code: int = 0x08) -> str:
        (folder / name).write_bytes(idx_bytes(array, code))
        return name

    return write

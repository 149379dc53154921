"""Many columns: read in time and memory proportional to the file, and a wrong name is reported from the header."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from data_support import Load

from backprop_cli.data.file import DataFile
from backprop_cli.data.formats import csv as csv_format
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.table import NoColumnError, Numbers
from backprop_cli.errors import DataError


def seconds(act: Any) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def test_names_are_looked_up_once(load: Load, folder: Path) -> None:
    """2,000 columns instead of 250 take 8 times as long, give or take, where a look-up each would take 64 times."""
    times = {}
    for count in (250, 2000):
        names = [f"c{i}" for i in range(count)]
        rows = "\n".join(",".join(str((i * j) % 7) for i in range(count)) + ",1.5" for j in range(20))
        Path("t.csv").write_text(f"{','.join(names)},y\n{rows}\n")
        data = load("regression", source="t.csv", target="y", features=names)
        times[count] = seconds(
            lambda transform=data.transform: list(
                stream_inputs(Path("t.csv"), transform, dtype="float32", chunk_rows=2)
            )
        )
    assert times[2000] < 30 * times[250]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_columns_of_two_names_are_found_at_once(folder: Path, suffix: str) -> None:
    columns = pa.table([pa.array([1])] * 20_000, names=[f"c{i}" for i in range(19_999)] + ["c7"])
    if suffix == "parquet":
        pa.parquet.write_table(columns, "t.parquet")
    else:
        with pa.OSFile("t.arrow", "wb") as sink, pa.ipc.new_file(sink, columns.schema) as writer:
            writer.write_table(columns)

    def read() -> None:
        with pytest.raises(DataError, match=f"^t.{suffix}: two columns are called 'c7'; rename one$"):
            read_table(DataFile(Path(f"t.{suffix}")))

    assert seconds(read) < 2


def test_keys_of_their_own_are_no_columns(folder: Path) -> None:
    lines = [f'{{"a": 1, "y": "{"pq"[i % 2]}", "k{i}": 1}}\n' for i in range(20_000)]
    Path("k.jsonl").write_text("".join(lines))

    def read(**options: Any) -> str:
        with pytest.raises(DataError) as caught:
            read_table(DataFile(Path("k.jsonl")), Selection(**options))
        return str(caught.value)

    start = time.process_time()
    assert read() == (
        "k.jsonl: its first 2,676 rows have 2,678 different keys, and a row has 3; keys are columns, which rows "
        "should share: name those to use in data.features"
    )
    assert time.process_time() - start < 2
    table = read_table(DataFile(Path("k.jsonl")), Selection(["a", "y", "k7"]))
    assert table.rows == 20_000
    k7 = table.columns["k7"]
    assert isinstance(k7, Numbers)
    assert np.flatnonzero(~np.isnan(k7.values)).tolist() == [7]


def test_keys_that_come_and_go_are_missing_values(folder: Path) -> None:
    lines = [f'{{"y": {i}, "k{i // 100}": {i}}}\n' for i in range(3000)]
    Path("k.jsonl").write_text("".join(lines))
    table = read_table(DataFile(Path("k.jsonl")))
    assert list(table.columns) == ["y", *(f"k{i}" for i in range(30))]
    for i in range(30):
        found = table.columns[f"k{i}"]
        assert isinstance(found, Numbers)
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(found.values)), np.arange(100 * i, 100 * i + 100))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "npz"])
def test_a_wrong_target_is_told_before_the_rows_are_read(
    load: Load, folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """The rows are of a kind that cannot be read: that is not what is said."""
    if suffix == "csv":
        Path("t.csv").write_text("a,b\n1,2\n1,2,3\n")
    elif suffix == "npz":
        np.savez("t.npz", a=np.zeros(2), b=np.zeros(3))
    else:
        table = pa.table({"a": [1], "b": [[1]]})
        if suffix == "parquet":
            pa.parquet.write_table(table, "t.parquet")
        else:
            with pa.OSFile("t.arrow", "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
    with pytest.raises(DataError) as caught:
        load("regression", source=f"t.{suffix}", target="z")
    what = "array" if suffix == "npz" else "column"
    assert str(caught.value) == f"no {what} 'z' in t.{suffix}; its {what}s: a, b"


def test_many_wrong_names_get_no_nearest_name_each(folder: Path) -> None:
    Path("t.csv").write_text(",".join(f"c{i}" for i in range(3000)) + "\n" + ",".join("1" * 3000) + "\n")
    start = time.process_time()
    with pytest.raises(NoColumnError) as caught:
        read_table(DataFile(Path("t.csv")), Selection([f"d{i}" for i in range(3000)]))
    assert "; its columns: c0, c1, " in str(caught.value)
    assert len([caught.value.reason(name) for name in caught.value.names]) == 3000
    assert time.process_time() - start < 2


def test_rows_of_a_wide_file_are_read_many_at_a_time() -> None:
    assert csv_format.rows_per_chunk(10) == 20_000
    assert csv_format.rows_per_chunk(20_000) == 64

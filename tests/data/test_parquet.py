"""Parquet and Arrow: the same table as from a CSV file, read in pieces, and what cannot be read."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_split
from backprop_cli.data.file import DataFile
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.table import Numbers, Text
from backprop_cli.errors import DataError

WRITERS: dict[str, Callable[[pa.Table, str], None]] = {
    "parquet": lambda table, name: pa.parquet.write_table(table, name, row_group_size=7),
    "arrow": lambda table, name: _write_ipc(table, name, pa.ipc.new_file),
    "arrows": lambda table, name: _write_ipc(table, name, pa.ipc.new_stream),
}


def _write_ipc(table: pa.Table, name: str, kind: Any) -> None:
    with pa.OSFile(name, "wb") as sink, kind(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=11)


def write(columns: dict[str, Any], name: str = "t.parquet") -> str:
    WRITERS[name.rpartition(".")[2]](pa.table(columns), name)
    return name


def column(values: Any, **options: Any) -> Any:
    """One column ``x``, written and read."""
    return read_table(DataFile(Path(write({"x": values}))), Selection(**options)).columns["x"]


FLOWERS = {
    "a": [float(i) for i in range(30)],
    "b": pa.array([i % 7 for i in range(30)], pa.int16()),
    "c": pa.array(["rgb"[i % 3] for i in range(30)]).dictionary_encode(),
    "k": ["xy"[i % 2] for i in range(30)],
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_same_examples_as_from_csv(load: Load, folder: Path, suffix: str) -> None:
    rows = [f"{i}.0,{i % 7},{'rgb'[i % 3]},{'xy'[i % 2]}" for i in range(30)]
    (folder / "t.csv").write_text("\n".join(["a,b,c,k", *rows]))
    expected = load("classes", source="t.csv", target="k")
    found = load("classes", source=write(FLOWERS, f"t.{suffix}"), target="k")
    assert found.classes == expected.classes
    assert found.transform.to_json() == expected.transform.to_json()
    for name, split in expected.splits.items():
        np.testing.assert_array_equal(found.splits[name].inputs, split.inputs)
        np.testing.assert_array_equal(found.splits[name].targets, split.targets)
    np.testing.assert_array_equal(load_split(Path("t.csv"), found.transform, dtype="float64").rows, np.arange(2, 32))
    split = load_split(Path(f"t.{suffix}"), expected.transform, dtype="float64")
    np.testing.assert_array_equal(split.rows, np.arange(1, 31))


@pytest.mark.parametrize("suffix", WRITERS)
def test_predictions_stream_it(load: Load, folder: Path, suffix: str) -> None:
    name = write(FLOWERS, f"t.{suffix}")
    transform = load("classes", source=name, target="k", features=["c", "a"]).transform
    chunks = list(stream_inputs(Path(name), transform, dtype="float64", chunk_rows=4))
    assert max(map(len, chunks)) == 4
    np.testing.assert_array_equal(np.concatenate(chunks), load_split(Path(name), transform, dtype="float64").inputs[:])
    with Path(name).open("rb") as stream:
        again = list(stream_inputs(stream, transform, dtype="float64", format="arrow" if "arrow" in suffix else suffix))
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate(chunks))


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (pa.array([1, None, 3], pa.uint8()), [1, np.nan, 3]),
        (pa.array([1.5, None, float("nan")], pa.float32()), [1.5, np.nan, np.nan]),
        ([True, False, None], [1, 0, np.nan]),
        ([Decimal("1.25"), None, Decimal("-3.00")], [1.25, np.nan, -3]),
        (pa.array([None, None], pa.null()), [np.nan, np.nan]),
        (pa.array([2**40, 1], pa.int64()).dictionary_encode(), [2**40, 1]),
    ],
)
def test_numbers(folder: Path, values: Any, numbers: list[float]) -> None:
    found = column(values)
    assert isinstance(found, Numbers)
    np.testing.assert_array_equal(found.values, numbers)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["a", None, "", "NA", "b"], ["a", None, "", "NA", "b"]),
        (["10", "9"], ["10", "9"]),
        (pa.array(["u", "v"], pa.large_string()), ["u", "v"]),
        ([date(2024, 1, 2), None], ["2024-01-02", None]),
        ([datetime(2024, 1, 2, 3, 4)], ["2024-01-02 03:04:00.000000"]),
    ],
)
def test_text(folder: Path, values: Any, texts: list[str | None]) -> None:
    found = column(values)
    assert isinstance(found, Text)
    assert [None if code < 0 else found.categories[code] for code in found.codes] == texts


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (pa.array([2**60, 2**60 + 1], pa.int64()), [2**60, 2**60 + 1]),
        (pa.array([1, 0], pa.int8()), [1, 0]),
        ([True, False], [True, False]),
        (["1", "x"], ["1", "x"]),
    ],
)
def test_labels(folder: Path, values: Any, labels: list[Any]) -> None:
    found = column(values, kinds={"x": "label"})
    assert isinstance(found, Text)
    assert [found.categories[code] for code in found.codes] == labels


def test_only_the_columns_asked_for_are_read(folder: Path) -> None:
    name = write({"a": [1, 2], "odd": [[1], [2, 3]]})
    assert list(read_table(DataFile(Path(name)), Selection(["a"])).columns) == ["a"]


def message(name: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_table(DataFile(Path(name)), Selection(**options))
    return str(caught.value)


def test_messages(folder: Path) -> None:
    assert message(write({"a": [1, 2], "odd": [[1], [2, 3]]})) == (
        "t.parquet: column 'odd' holds list<element: int64>; expected numbers, text, dates, or true and false; choose "
        "other columns with data.features"
    )
    assert message(write({"x": [1.0, float("inf")]})) == (
        "t.parquet:2: column 'x': expected a finite number, got inf (1 of the column's 2 values are numbers); correct "
        "it, leave it empty if it is missing (or add it to data.missing_values), or read the column as names with "
        "data.categories: [x]"
    )
    assert message(write({"x": [1]}), columns=["y"]) == "t.parquet: no column 'y'; its columns: x"
    assert message(write({"x": pa.array([], pa.int64())})) == "t.parquet: has no rows under the header"
    Path("cut.parquet").write_bytes(Path(write({"x": list(range(1000))})).read_bytes()[:-10])
    assert message("cut.parquet").startswith("cut.parquet: the file is damaged, or of another format (")
    assert message("cut.parquet").endswith("); fetch or save it again")
    Path("old.feather").write_bytes(b"FEA1....")
    assert message("old.feather") == (
        "old.feather: is Feather of version 1; save it again as version 2, or as .parquet"
    )


CATEGORIES = {
    "string_view": pa.array(["u", None, "v", "u"], pa.string_view()),
    "dictionary": pa.array(["u", None, "v", "u"]).dictionary_encode(),
    "dictionary of string_view": pa.DictionaryArray.from_arrays(
        pa.array([1, None, 0, 1], pa.uint32()), pa.array(["v", "u"], pa.string_view())
    ),
    "dictionary of large_string": pa.DictionaryArray.from_arrays(
        pa.array([1, None, 0, 1], pa.int8()), pa.array(["v", "u"], pa.large_string())
    ),
    "dictionary with a null in it": pa.DictionaryArray.from_arrays(
        pa.array([1, 2, 0, 1], pa.int8()), pa.array(["v", "u", None])
    ),
}


@pytest.mark.parametrize("suffix", ["arrow", "arrows"])
@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_as_other_programs_write_them(folder: Path, kind: str, suffix: str) -> None:
    name = write({"x": CATEGORIES[kind]}, f"t.{suffix}")
    found = read_table(DataFile(Path(name))).columns["x"]
    assert isinstance(found, Text)
    assert [found.categories[code] if code >= 0 else None for code in found.codes] == ["u", None, "v", "u"]


def test_a_dictionary_of_numbers(folder: Path) -> None:
    codes = pa.array([1, None, 0], pa.int16())
    found = column(pa.DictionaryArray.from_arrays(codes, pa.array([0.5, 2.5])))
    assert isinstance(found, Numbers)
    np.testing.assert_array_equal(found.values, [2.5, np.nan, 0.5])


def test_offsets_beyond_a_buffer(folder: Path) -> None:
    """One byte changed in a file: unchecked, it is read from wherever the offset points."""
    name = write({"a": [1, 2, 3], "y": ["p", "q", None]}, "t.arrow")
    good = Path(name).read_bytes()
    offsets = good.index(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2, 2)))
    damaged = bytearray(good)
    damaged[offsets + 11] = 8
    Path(name).write_bytes(damaged)
    assert message(name) == (
        "t.arrow: the file is damaged, or of another format (In column 1: Invalid: Offset invariant failure: offset "
        "for slot 2 out of bounds: 134217730 > 2); fetch or save it again"
    )


def test_text_that_is_not_utf_8(folder: Path) -> None:
    raw = pa.array([b"fine", b"caf\xe9"], pa.binary())
    for name in ("t.parquet", "t.arrow"):
        write({"x": pa.Array.from_buffers(pa.string(), 2, raw.buffers())}, name)
        assert message(name).startswith(f"{name}: the file is damaged, or of another format (")
        assert "UTF8" in message(name)


def test_rows_that_are_announced_without_values(folder: Path) -> None:
    table = pa.table({"x": pa.nulls(20_000_000)})
    with pa.OSFile("t.arrow", "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert message("t.arrow") == "t.arrow: the file is damaged: a batch of 20,000,000 rows without values in it"


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
def test_an_error_leaves_no_reader_open(folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """One that is left aborts the interpreter when it ends, after the right message."""
    opened: list[Any] = []
    for module, kind in ((pa.parquet, "ParquetFile"), (pa.ipc, "open_file"), (pa.ipc, "open_stream")):
        real = getattr(module, kind)
        monkeypatch.setattr(
            module, kind, lambda *args, real=real, **keys: opened.append(real(*args, **keys)) or opened[-1]
        )
    name = write({"odd": [[1, 2]] * 60, "x": list(range(60))}, f"t.{suffix}")
    with pytest.raises(DataError) as caught:
        read_table(DataFile(Path(name)))
    assert "column 'odd' holds list" in str(caught.value)
    (reader,) = opened
    with pytest.raises((ValueError, OSError, pa.ArrowInvalid)):
        next(reader.iter_batches()) if suffix == "parquet" else reader.read_all()


def test_a_pipe_has_no_end_to_begin_with(load: Load, folder: Path) -> None:
    name = write({"a": [1.0, 2, 3, 4], "k": [0, 1, 0, 1]})
    transform = load("classes", source=name, target="k", split=None).transform

    def piped(file: str, format: str) -> list[np.ndarray]:
        reading, writing = os.pipe()
        content = Path(file).read_bytes()

        def send() -> None:
            with suppress(BrokenPipeError), os.fdopen(writing, "wb") as sink:
                sink.write(content)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            with os.fdopen(reading, "rb") as stream:
                return list(stream_inputs(stream, transform, dtype="float64", format=format))
        finally:
            sender.join()

    with pytest.raises(DataError) as caught:
        piped(name, "parquet")
    expected = "standard input: Parquet cannot be read from a pipe; save it to a file, and name that"
    assert str(caught.value) == expected
    assert len(np.concatenate(piped(write({"a": [1.0, 2, 3]}, "t.arrows"), "arrow"))) == 3


def test_without_pyarrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write({"x": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert message(name) == (
        "t.parquet: reading it needs PyArrow, which is not installed: pip install 'backprop-cli[parquet]'"
    )

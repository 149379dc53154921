"""Inputs for predictions: in order, in chunks, in bounded memory, and by the columns' names."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from data_support import SUFFIXES, Load

from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS
from backprop_cli.data.read import read_table
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError


@pytest.fixture
def transform(load: Load, flowers: str) -> Transform:
    return load("classes", source=flowers, target="k", features=["a", "b", "c"]).transform


def load_inputs(source: Path, transform: Transform, **options) -> np.ndarray:
    """All inputs of a file."""
    return np.concatenate(list(stream_inputs(source, transform, **options)))


def stream(text: str | bytes, transform: Transform, **options) -> list:
    source = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return [chunk.tolist() for chunk in stream_inputs(source, transform, dtype="float64", **options)]


def test_chunks_in_order_from_every_source(folder: Path, flowers: str, transform: Transform) -> None:
    whole = load_inputs(folder / flowers, transform, dtype="float64")
    assert whole.shape == (30, 5)
    text = (folder / flowers).read_text()
    (folder / "copy.tsv").write_text(text.replace(",", "\t"))
    for source in (Path(flowers), Path("copy.tsv"), io.BytesIO(text.encode())):
        chunks = list(stream_inputs(source, transform, dtype="float64", chunk_rows=7))
        assert [len(chunk) for chunk in chunks] == [7, 7, 7, 7, 2]
        np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_columns_by_name_others_are_not_looked_at(flowers: str, transform: Transform) -> None:
    expected = stream("a,b,c\n1,2,r\n", transform)
    assert stream('note,c,k,b,a\n"oops",r,unheard of,2,1\n', transform) == expected
    assert stream('{"b": 2, "c": "r", "a": 1, "note": "oops"}\n', transform, format="jsonl") == expected


def test_quoted_newlines_across_chunks(load: Load, folder: Path) -> None:
    (folder / "t.csv").write_text('c,k\n"r\nr",0\ng,1\n' * 1 + '"r\nr",1\n' * 9)
    transform = load("classes", source="t.csv", target="k", split=None).transform
    chunks = list(stream_inputs(folder / "t.csv", transform, dtype="float64", chunk_rows=2))
    assert sum(map(len, chunks)) == 11
    assert np.concatenate(chunks)[:, 1].tolist() == [1, 0, *[1] * 9]


def test_a_header_without_rows_has_no_predictions(transform: Transform) -> None:
    assert stream("a,b,c\n", transform) == []
    with pytest.raises(DataError) as caught:
        stream("a,c\n", transform)
    assert str(caught.value) == "standard input: no column 'b'; its columns: a, c"


def test_arrays(load: Load, folder: Path) -> None:
    np.save("x.npy", np.arange(40.0).reshape(10, 2, 2))
    transform = load(
        "regression", source="x.npy", target="features", split=None, transform={"numeric": "none"}
    ).transform
    chunks = list(stream_inputs(Path("x.npy"), transform, dtype="float32", chunk_rows=4))
    assert [chunk.shape for chunk in chunks] == [(4, 2, 2), (4, 2, 2), (2, 2, 2)]
    np.savez("x.npz", inputs=np.ones((3, 4)), other=np.ones(7))
    assert load_inputs(Path("x.npz"), transform, dtype="float32").shape == (3, 2, 2)


class Endless(io.RawIOBase):
    """``rows`` lines of CSV, made as they are read."""

    def __init__(self, rows: int):
        self._lines = self._make(rows)
        self._rest = b""

    @staticmethod
    def _make(rows: int) -> Iterator[bytes]:
        yield b"a,b,c\n"
        for i in range(rows):
            yield b"%d.25,%d,%s\n" % (i, i % 7, (b"r", b"g", b"b")[i % 3])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        self._rest = self._rest or next(self._lines, b"")
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.slow
def test_memory_is_bounded_by_the_chunk(transform: Transform) -> None:
    peaks = []
    for rows in (10_000, 60_000):
        source = io.BufferedReader(Endless(rows))
        tracemalloc.start()
        assert sum(len(chunk) for chunk in stream_inputs(source, transform, dtype="float32")) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "standard input: the file is empty; expected a header line and rows"),
        (
            "a,b,c\n1,2,r\n1,2,m\n",
            {},
            "standard input:3: column 'c': category 'm' is not in the train split, which has b, g, r; "
            "remove the row, or train without the column (data.exclude: [c])",
        ),
        ("a,b,c\n1,2,r\n1,x,r\n", {"chunk_rows": 1}, "standard input:3: column 'b': expected a number, got 'x'"),
        ("a,b,c\n1,2,r\n1,inf,r\n", {}, "standard input:3: column 'b': expected a finite number, got 'inf'"),
        (
            "a,b,c\n1,2,r\n1,,r\n",
            {},
            "standard input:3: column 'b': the value is missing; fill it in, or train with data.transform.missing: "
            "mean, median, most_frequent or indicator",
        ),
        ("a,b,c\n1,2\n", {}, "standard input:2: 2 fields, expected 3 as in the header; column 'c' has no value"),
        (
            '{"a": 1, "b": "2", "c": "r"}',
            {"format": "jsonl"},
            "standard input:1: column 'b': expected a number, got '2'",
        ),
        ('{"a": 1, "c": "r"}', {"format": "jsonl"}, "standard input: no column 'b'; its columns: a, c"),
        (
            "",
            {"format": "npy"},
            "standard input: arrays cannot be read from a stream; give a file, or csv, tsv or jsonl",
        ),
    ],
)
def test_messages(transform: Transform, text: str, options: dict, message: str) -> None:
    with pytest.raises(DataError) as caught:
        stream(text, transform, **options)
    assert str(caught.value) == message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pipe_is_read_once(folder: Path, flowers: str, transform: Transform, pack) -> None:
    os.mkfifo("pipe")
    content = pack((folder / flowers).read_bytes())
    with pipe_of(content):
        found = load_inputs(Path("pipe"), transform, dtype="float64", format="csv")
    np.testing.assert_array_equal(found, load_inputs(folder / flowers, transform, dtype="float64"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_says_no_format_and_is_no_data_to_train_on(folder: Path, transform: Transform) -> None:
    os.mkfifo("pipe")
    with pytest.raises(DataError) as caught:
        load_inputs(Path("pipe"), transform, dtype="float64")
    assert str(caught.value) == (
        f"pipe: unknown format; known suffixes: {SUFFIXES}; or set --input-format ({', '.join(FORMATS)})"
    )
    for format in ("csv", "npy"):
        with pytest.raises(DataError) as caught:
            read_table(DataFile(Path("pipe")), format=format)
        assert str(caught.value) == (
            "pipe: is a stream, and data is read more than once; save it to a file, and name that"
        )


@contextmanager
def pipe_of(content: bytes) -> Iterator[None]:
    """Somebody writes into `pipe`."""
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(content))
    writer.start()
    yield
    writer.join()


def test_files_without_rows_and_files_that_are_not_there(folder: Path, transform: Transform) -> None:
    (folder / "empty.csv").write_text("a,b,c\n")
    assert list(stream_inputs(folder / "empty.csv", transform, dtype="float32")) == []
    with pytest.raises(DataError) as caught:
        load_inputs(folder / "none.csv", transform, dtype="float32")
    assert str(caught.value) == "none.csv: no such file"


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.jsonl", "d.json", "d.parquet", "d.arrow", "d.arrows"])
def test_the_hash_of_a_file_that_was_read_is_that_of_its_bytes(folder: Path, name: str) -> None:
    """Hashed while it is read, or afterwards if not all of it is read in order."""
    rows = [{"a": i, "b": str(i % 3)} for i in range(20_000)]
    text = "a,b\n" + "".join(f"{row['a']},{row['b']}\n" for row in rows)
    table, path = pa.table({"a": [row["a"] for row in rows], "b": [row["b"] for row in rows]}), Path(name)
    if name.endswith("parquet"):
        pyarrow.parquet.write_table(table, name)
    elif name.startswith("d.arrow"):
        new = pyarrow.ipc.new_file if name == "d.arrow" else pyarrow.ipc.new_stream
        with new(name, table.schema) as writer:
            writer.write_table(table)
    elif name.startswith("d.json"):
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    file = DataFile(path)
    read_table(file)
    assert file.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    if name.endswith((".csv", ".gz", ".jsonl")):
        path.unlink()
        assert len(file.sha256()) == 64

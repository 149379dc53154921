"""Predictions as CSV, JSON lines, arrays or Parquet."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.formats.npz import write_arrays
from backprop_cli.errors import UsageError
from backprop_cli.inspection.predicted_rows import PredictedRows, probability_column
from backprop_cli.inspection.shortest import shortest
from backprop_cli.nn.class_name import spelled


class Writer(Protocol):
    """Writes rows to a stream and returns their number."""

    def __call__(self, stream: BinaryIO, rows: Iterator[PredictedRows]) -> int: ...


def _plain(array: Array) -> list[Any]:
    """Python numbers with the shortest text that reads back equal in their own precision; texts as they are."""
    values: list[Any] = (shortest(array) if array.dtype == np.float32 else array).tolist()
    return values


def _texts(array: Array) -> list[Any]:
    """A column for the writer of CSV: texts, and floats, which it writes as ``repr`` does."""
    if array.dtype.kind == "f":
        return _plain(array)
    return ["" if text is None else text for text in _spelled(array)]


def _write_csv(stream: BinaryIO, rows: Iterator[PredictedRows]) -> int:
    count = 0
    for chunk in rows:
        probabilities = {probability_column(name): array for name, array in chunk.probabilities.items()}
        columns = {**chunk.predictions, **probabilities}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if count == 0:
            writer.writerow(columns)
        writer.writerows(zip(*map(_texts, columns.values()), strict=True))
        stream.write(text.getvalue().encode())
        count += len(next(iter(columns.values())))
    return count


def _write_jsonl(stream: BinaryIO, rows: Iterator[PredictedRows]) -> int:
    count = 0
    for chunk in rows:
        named = {name: _plain(array) for name, array in chunk.predictions.items()}
        probable = {name: _plain(array) for name, array in chunk.probabilities.items()}
        size = len(next(iter(named.values())))
        for k in range(size):
            row: dict[str, Any] = {name: values[k] for name, values in named.items()}
            if probable:
                row["probability"] = {name: values[k] for name, values in probable.items()}
            stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        count += size
    return count


def _write_npz(stream: BinaryIO, rows: Iterator[PredictedRows]) -> int:
    chunks = list(rows)
    arrays = {
        name: _storable(np.concatenate([chunk.predictions[name] for chunk in chunks])) for name in chunks[0].predictions
    }
    if chunks[0].probabilities:
        names = list(chunks[0].probabilities)
        stacked = [np.stack([chunk.probabilities[name] for name in names], axis=1) for chunk in chunks]
        arrays |= {"probability": np.concatenate(stacked), "classes": np.array(names)}
    write_arrays(stream, arrays)
    return len(arrays[next(iter(chunks[0].predictions))])


def _storable(values: Array) -> Array:
    """Class names as an array of texts or numbers: an array of objects would need pickle."""
    return np.array(["" if value is None else value for value in values]) if values.dtype == object else values


def _write_parquet(stream: BinaryIO, rows: Iterator[PredictedRows]) -> int:
    try:
        arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    except ImportError as error:
        reason = "--format parquet needs PyArrow, which is not installed: pip install 'backprop-cli[parquet]'"
        raise UsageError(reason) from error
    count, writer = 0, None
    for chunk in rows:
        probabilities = {probability_column(name): array for name, array in chunk.probabilities.items()}
        columns = {**chunk.predictions, **probabilities}
        # Names and kept values are texts, so that all pieces have one type.
        table = arrow.table(
            {
                name: arrow.array(_spelled(values), arrow.string()) if values.dtype == object else values
                for name, values in columns.items()
            }
        )
        writer = writer or parquet.ParquetWriter(stream, table.schema)
        writer.write_table(table)
        count += table.num_rows
    if writer is not None:
        writer.close()
    return count


def _spelled(values: Array) -> list[str | None]:
    """Texts; None where a value is missing."""
    return [None if value is None else spelled(value) for value in values.tolist()]


WRITERS: dict[str, Writer] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "npz": _write_npz,
    "parquet": _write_parquet,
}

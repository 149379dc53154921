"""Predictions as CSV, JSON lines or arrays."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.inspection.predicted_rows import PredictedRows, probability_column
from backprop_cli.nn.class_name import spelled


class Writer(Protocol):
    """Writes rows to a stream and returns their number."""

    def __call__(self, stream: BinaryIO, rows: Iterator[PredictedRows]) -> int: ...


def _plain(value: Any) -> Any:
    """A Python number with the shortest text that reads back equal in its own precision."""
    if isinstance(value, np.floating):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def _columns_of(rows: PredictedRows) -> tuple[list[str], list[list[Any]]]:
    columns = {**rows.predictions, **{probability_column(name): array for name, array in rows.probabilities.items()}}
    return list(columns), [[_plain(value) for value in array] for array in columns.values()]


def _write_csv(stream: BinaryIO, rows: Iterator[PredictedRows]) -> int:
    count = 0
    for chunk in rows:
        header, columns = _columns_of(chunk)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if count == 0:
            writer.writerow(header)
        writer.writerows([map(spelled, row) for row in zip(*columns, strict=True)])
        stream.write(text.getvalue().encode())
        count += len(columns[0])
    return count


def _write_jsonl(stream: BinaryIO, rows: Iterator[PredictedRows]) -> int:
    count = 0
    for chunk in rows:
        named = {name: [_plain(v) for v in array] for name, array in chunk.predictions.items()}
        probable = {name: [_plain(v) for v in array] for name, array in chunk.probabilities.items()}
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
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return len(arrays[next(iter(chunks[0].predictions))])


def _storable(values: Array) -> Array:
    """Class names as an array of texts or numbers: an array of objects would need pickle."""
    return np.array(values.tolist()) if values.dtype == object else values


WRITERS: dict[str, Writer] = {"csv": _write_csv, "jsonl": _write_jsonl, "npz": _write_npz}

"""Inputs without targets, a few rows at a time: for predictions from files of any size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.file import DataFile, reading
from backprop_cli.data.format import ArrayFormat, Format, TableFormat, format_of, no_rows, too_large
from backprop_cli.data.read import array_table, stream_tables
from backprop_cli.data.series import windows_of
from backprop_cli.data.table import Array
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError
from backprop_cli.memory import memory_told


def stream_inputs(
    source: Path | BinaryIO,
    transform: Transform,
    *,
    dtype: DTypeLike,
    chunk_rows: int = 4096,
    format: str | None = None,
    name: str = "standard input",
    option: str = "--input-format",
) -> Iterator[Array]:
    """Inputs (at most ``chunk_rows``, *input_shape), in the order of the rows, in bounded memory.

    Where an example is a window of rows, there is one for each row that ends one.

    Columns are found by name; others, such as the target, are not looked at. Arrays are memory-mapped where their
    format allows it. ``source`` may be a stream of csv, tsv or jsonl (``format``; default csv), which messages
    call ``name``. ``option`` is what messages call ``format``.

    Raises: DataError at the first row that cannot be used; a column that is not there is told before any row.
    """
    with memory_told(too_large):
        pieces = _rows(source, transform, dtype, chunk_rows, format, name, option)
        if transform.window is None:
            for rows in pieces:
                yield rows.reshape(len(rows), *transform.input_shape)
            return
        called = DataFile(source).name if isinstance(source, Path) else name
        yield from windows_of(pieces, transform, called, largest=max(1, chunk_rows // transform.window.length))


def _rows(
    source: Path | BinaryIO,
    transform: Transform,
    dtype: DTypeLike,
    chunk_rows: int,
    format: str | None,
    name: str,
    option: str,
) -> Iterator[Array]:
    """Rows (at most ``chunk_rows``, width) of a file or a stream."""
    if not isinstance(source, Path):
        yield from _from_stream(source, name, format_of("", format or "csv"), transform, dtype, chunk_rows)
        return
    file = DataFile(source)
    file.check(folder=True)
    chosen = format_of(file.name, format, option=option).configured(transform.image)
    if isinstance(chosen, TableFormat):
        with file.open() as stream:
            yield from _from_stream(stream, file.name, chosen, transform, dtype, chunk_rows)
        return
    if not isinstance(chosen, ArrayFormat):
        raise no_rows(file.name)
    if file.is_stream:
        raise no_arrays(file.name)
    columns = transform.input_columns
    for arrays in chosen.pieces(file, chunk_rows):
        table = array_table(file.name, arrays, columns, columns[0])
        for start in range(0, table.rows, chunk_rows):
            rows = np.arange(start, min(start + chunk_rows, table.rows))
            yield transform.rows(table, rows, dtype=dtype)


def row_names(source: Path | BinaryIO, format: str | None) -> list[str] | None:
    """What the rows of ``source`` are called, where they are files of their own. Raises: DataError."""
    if not isinstance(source, Path):
        return None
    file = DataFile(source)
    file.check(folder=True)
    chosen = format_of(file.name, format, option="--input-format")
    return chosen.names(file) if isinstance(chosen, ArrayFormat) else None


def _from_stream(
    stream: BinaryIO, name: str, format: Format, transform: Transform, dtype: DTypeLike, rows: int
) -> Iterator[Array]:
    if isinstance(format, ArrayFormat) or not isinstance(format, TableFormat):
        raise no_arrays(name)
    transform.check_format(name, format)
    with reading(name):
        tables = stream_tables(stream, name, format, columns=transform.input_columns, kinds=transform.kinds, rows=rows)
        with closing(tables):
            for table in tables:
                yield transform.rows(table, dtype=dtype)


def no_arrays(name: str) -> DataError:
    """What is said of a stream of a format that needs a file."""
    return DataError(f"{name}: arrays cannot be read from a stream; give a file, or csv, tsv or jsonl")

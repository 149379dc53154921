"""Inputs without targets, a few rows at a time: for predictions from files of any size."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.file import DataFile, file_errors
from backprop_cli.data.format import ArrayFormat, Format, TableFormat, format_of, no_arrays, no_rows, too_large
from backprop_cli.data.panel import in_order, labels_of_rows
from backprop_cli.data.read import array_table, stream_tables
from backprop_cli.data.row_labels import RowLabels
from backprop_cli.data.series import too_short, window_starts, windows_at, windows_of
from backprop_cli.data.table import Array, Table, joined
from backprop_cli.data.times import Times
from backprop_cli.data.transform import Transform
from backprop_cli.data.unseen import Unseen
from backprop_cli.memory import memory_errors_as


def stream_inputs(
    source: Path | BinaryIO,
    transform: Transform,
    *,
    dtype: DTypeLike,
    chunk_rows: int = 4096,
    format: str | None = None,
    name: str = "standard input",
    option: str = "--input-format",
    labels: RowLabels | None = None,
    keep: Sequence[str] = (),
) -> Generator[Array, None, None]:
    """Inputs (at most ``chunk_rows``, *input_shape), in the order of the rows, in bounded memory.

    With windows, each row that completes one gives an example. Columns are found by name; others, such as the target,
    are ignored. Arrays are memory-mapped if their format allows it. ``source`` may be a stream of csv, tsv or jsonl
    (``format``; default csv), called ``name`` in messages. ``option`` is the name of ``format`` in messages. ``labels``
    gets the columns ``keep`` of each row.

    Raises: DataError at the first row that cannot be used; a missing column is reported before any row.
    """
    with memory_errors_as(too_large):
        tables, unseen = _tables(source, transform, chunk_rows, format, name, option, keep), Unseen()
        if labels is not None:
            labels.skip(0 if transform.window is None else transform.window.length - 1)
            tables = _noted(tables, labels)
        pieces = (transform.rows(table, dtype=dtype, unseen=unseen) for table in tables)
        if transform.window is None:
            for rows in pieces:
                yield rows.reshape(len(rows), *transform.input_shape)
        else:
            called = DataFile(source).name if isinstance(source, Path) else name
            yield from windows_of(pieces, transform, called, largest=max(1, chunk_rows // transform.window.length))
        unseen.warn()


def _noted(tables: Iterator[Table], labels: RowLabels) -> Iterator[Table]:
    for table in tables:
        labels.add(table.kept, table.rows)
        yield table


@memory_errors_as(too_large)
def ordered_inputs(
    source: Path | BinaryIO,
    transform: Transform,
    *,
    dtype: DTypeLike,
    chunk_rows: int = 4096,
    format: str | None = None,
    name: str = "standard input",
    option: str = "--input-format",
    keep: Sequence[str] = (),
) -> tuple[Generator[Array, None, None], Mapping[str, Array]]:
    """Inputs of a ``window`` with columns for the order: series by series, sorted by time.

    The second result has each of these columns, and of ``keep``, in the last row of every window. All rows are held in
    memory.

    Raises: as ``stream_inputs``, and DataError for rows that cannot be put in order.
    """
    window = transform.window
    assert window is not None
    called = DataFile(source).name if isinstance(source, Path) else name
    tables = list(_tables(source, transform, chunk_rows, format, name, option, keep))
    if not tables:
        raise too_short(called, 0, window.length)
    table, panel = in_order(joined(tables), window, Times(transform.day_first))
    starts = window_starts(panel, window, called)
    rows, size = transform.rows(table, dtype=dtype), max(1, chunk_rows // window.length)
    ends = table.take(starts + window.length - 1)
    batches = (windows_at(starts[at : at + size], rows, transform) for at in range(0, len(starts), size))
    texts = {name: np.array(column, object) for name, column in labels_of_rows(ends, window).items()}
    return batches, {**ends.kept, **texts}


def _tables(
    source: Path | BinaryIO,
    transform: Transform,
    chunk_rows: int,
    format: str | None,
    name: str,
    option: str,
    keep: Sequence[str],
) -> Iterator[Table]:
    """The rows of a file or a stream, at most ``chunk_rows`` at a time."""
    if not isinstance(source, Path):
        yield from _from_stream(
            source, name, format_of("", format or "csv").configured(transform.reading), transform, chunk_rows, keep
        )
        return
    file = DataFile(source)
    file.check(folder=True)
    chosen = format_of(file.name, format, option=option).configured(transform.reading)
    if isinstance(chosen, TableFormat):
        with file.open() as stream:
            yield from _from_stream(stream, file.name, chosen, transform, chunk_rows, keep)
        return
    if not isinstance(chosen, ArrayFormat):
        raise no_rows(file.name)
    if file.is_stream:
        raise no_arrays(file.name)
    for arrays in chosen.pieces(file, chunk_rows):
        table = array_table(file.name, arrays, transform.selection._replace(keep=keep), transform.reading)
        for start in range(0, table.rows, chunk_rows):
            yield table.take(np.arange(start, min(start + chunk_rows, table.rows)))


def row_names(source: Path | BinaryIO, format: str | None) -> list[str] | None:
    """The names of the rows of ``source``, if they are files of their own. Raises: DataError."""
    if not isinstance(source, Path):
        return None
    file = DataFile(source)
    file.check(folder=True)
    chosen = format_of(file.name, format, option="--input-format")
    return chosen.names(file) if isinstance(chosen, ArrayFormat) else None


def _from_stream(
    stream: BinaryIO, name: str, format: Format, transform: Transform, rows: int, keep: Sequence[str]
) -> Iterator[Table]:
    if not isinstance(format, TableFormat):
        raise no_arrays(name)
    transform.check_format(name, format)
    selection = transform.selection._replace(keep=keep)
    with file_errors(name):
        tables = stream_tables(stream, name, format, selection, transform.reading, rows=rows)
        with closing(tables):
            yield from tables

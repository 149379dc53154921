"""Columns in Parquet and Arrow files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from types import ModuleType
from typing import Any, BinaryIO, ClassVar

import numpy as np

from backprop_cli.data.cells import Coded, in_order
from backprop_cli.data.file import extra
from backprop_cli.data.format import FORMATS, Chunk, TableFormat, rows_per_chunk
from backprop_cli.data.table import Array
from backprop_cli.errors import DataError


@FORMATS.register
class Parquet(TableFormat):
    """A Parquet file, read in pieces, and only its wanted columns.

    Text is a category even if it spells a number, as are dates and times; true and false are 1 and 0 as inputs. Null,
    NaN, and the texts of `data.missing_values`, if it is set, are missing values. Messages count rows from 1. Needs the
    extra [parquet]. Files: ``.parquet``, ``.pq``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    typed: ClassVar[bool] = True

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Generator[Chunk, None, None]:
        """Numbers are arrays, everything else Python values."""
        arrow = extra("pyarrow", package="PyArrow", extra="parquet", file=name)
        done = 0
        # Always close the reader: one that is alive when the interpreter exits aborts the process.
        with _damage_as_data_error(arrow, name), ExitStack() as opened:
            names, batches = self._open(stream, name, columns, rows, opened)
            yield Chunk(dict.fromkeys(names, ()), ())
            wanted = [column for column in names if columns is None or column in columns]
            for batch in batches:
                batch.validate(full=True)  # PyArrow would read at an offset beyond the buffer
                for piece in _slices(batch, rows or rows_per_chunk(len(names))):
                    cells = {column: _cells(piece.column(column), arrow, name, column, verbatim) for column in wanted}
                    yield Chunk(cells, np.arange(done + 1, done + 1 + piece.num_rows))
                    done += piece.num_rows

    def _open(
        self, stream: BinaryIO, name: str, columns: Container[str] | None, rows: int | None, opened: ExitStack
    ) -> tuple[list[str], Iterator[Any]]:
        """The names of all columns, and batches of rows with at least the wanted ones.

        ``opened`` collects what must be closed.
        """
        if not stream.seekable():
            raise DataError(f"{name}: Parquet cannot be read from a pipe; save it to a file, and name that")
        parquet = extra("pyarrow.parquet", package="PyArrow", extra="parquet", file=name)
        # Reading ahead would start a thread.
        file = opened.enter_context(closing(parquet.ParquetFile(stream, pre_buffer=False)))
        names = _distinct(file.schema_arrow.names, name)
        wanted = [column for column in names if columns is None or column in columns]
        size = rows or rows_per_chunk(len(names))
        return names, opened.enter_context(
            closing(file.iter_batches(batch_size=size, columns=wanted, use_threads=False))
        )


@FORMATS.register
class Arrow(Parquet):
    """An Arrow file or stream (Feather, version 2); otherwise like parquet.

    A stream can also be read from a pipe. Files: ``.arrow``, ``.arrows``, ``.feather``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".arrows", ".feather")

    def _open(
        self, stream: BinaryIO, name: str, columns: Container[str] | None, rows: int | None, opened: ExitStack
    ) -> tuple[list[str], Iterator[Any]]:
        ipc = extra("pyarrow.ipc", package="PyArrow", extra="parquet", file=name)
        magic = b""
        if stream.seekable():
            magic = stream.read(4)
            stream.seek(0)
        if magic == b"FEA1":
            raise DataError(f"{name}: is Feather of version 1; save it again as version 2, or as .parquet")
        if magic == b"ARRO":
            file = opened.enter_context(ipc.open_file(stream))
            batches = (file.get_batch(i) for i in range(file.num_record_batches))
            return _distinct(file.schema.names, name), _believable(batches, name)
        source = opened.enter_context(ipc.open_stream(stream))
        return _distinct(source.schema.names, name), _believable(source, name)


def _believable(batches: Iterable[Any], name: str) -> Iterator[Any]:
    """The batches. Raises: DataError for a batch whose header announces more rows than its buffers can hold."""
    for batch in batches:
        # A row takes at least one bit, except in columns of nulls.
        most = max(_NULLS, 8 * batch.get_total_buffer_size())
        if batch.num_rows > most:
            raise DataError(f"{name}: the file is damaged: a batch of {batch.num_rows:,} rows without values in it")
        yield batch


_NULLS = 10_000_000
"""Most rows of a batch of nulls, whose number no buffer proves."""


def _distinct(names: list[str], name: str) -> list[str]:
    """The columns' names. Raises: DataError if a name is repeated, or no column exists."""
    if not names:
        raise DataError(f"{name}: has no columns")
    twice = next((column for column, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{name}: two columns are called '{twice}'; rename one")
    return list(names)


def _slices(batch: Any, rows: int) -> Iterator[Any]:
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


@contextmanager
def _damage_as_data_error(arrow: ModuleType, name: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except (arrow.ArrowException, OSError, EOFError, ValueError, OverflowError, LookupError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{name}: the file is damaged, or of another format ({reason}); fetch or save it again"
        ) from error


def _cells(column: Any, arrow: ModuleType, name: str, label: str, verbatim: bool) -> list[Any] | Array | Coded:
    """A column's values: float64 (NaN if missing), texts by their distinct values, or a list of what is unchanged."""
    types, kind = arrow.types, column.type
    if types.is_dictionary(kind):
        return _looked_up(column.indices, _cells(column.dictionary, arrow, name, label, verbatim))
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        numbers: Array = column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False)
        # Infinity is not a number here, as in text: returned in a list, it is reported.
        if not verbatim and not np.isinf(numbers).any():
            return numbers
        return numbers.tolist() if types.is_decimal(kind) else list(column.to_pylist())
    if types.is_temporal(kind) and not types.is_duration(kind):
        column = column.cast(arrow.string())
    elif not (types.is_boolean(kind) or types.is_null(kind) or str(kind) in _TEXT):
        raise DataError(
            f"{name}: column '{label}' holds {kind}; expected numbers, text, dates, or true and false; choose other "
            "columns with data.features"
        )
    try:
        found = column.dictionary_encode()
    except arrow.ArrowNotImplementedError:  # older versions lack some types
        return list(column.to_pylist())
    return _looked_up(found.indices, found.dictionary.to_pylist())


_TEXT = ("string", "large_string", "string_view")
"""Arrow's text types by name: older versions of PyArrow lack some of them."""


def _looked_up(indices: Any, values: list[Any] | Array | Coded) -> Array | Coded:
    """``values[indices]``, null for a null index. Arrow has no kernel for that for every text type."""
    places: Array = indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
    if isinstance(values, np.ndarray):
        found: Array = np.append(values, np.nan)[places]
        return found
    if isinstance(values, Coded):
        return in_order([*values.values, None], np.append(values.codes, len(values.values))[places])
    return in_order([*values, None], places % (len(values) + 1))

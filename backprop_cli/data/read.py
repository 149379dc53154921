"""A file, or a stream of text, to a table."""

from __future__ import annotations

from collections.abc import Collection, Container, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import BinaryIO

import numpy as np

from backprop_cli.data.cells import PLAIN, Reading
from backprop_cli.data.columns import ArrayBuilder, ColumnBuilder, Kind, NeedsText
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import ArrayFormat, Chunk, TableFormat, format_of, no_rows
from backprop_cli.data.settings import ImageSettings
from backprop_cli.data.table import Array, Column, Numbers, Table, require_columns
from backprop_cli.errors import DataError

Kinds = Mapping[str, Kind]
"""What columns are read as, by name."""


def read_table(
    file: DataFile,
    *,
    columns: Sequence[str] | None = None,
    kinds: Kinds | None = None,
    default: Kind = "auto",
    format: str | None = None,
    unnamed: str = "",
    image: ImageSettings | None = None,
    reading: Reading = PLAIN,
    exclude: Collection[str] = (),
    required: Sequence[str] = (),
) -> Table:
    """The rows of a file, with the ``columns`` named (None: all there are but those to ``exclude``). ``required``:
    columns there must be.

    ``default`` is the kind of columns that ``kinds`` does not name. ``unnamed`` is the column's name where the
    format has one array without a name. ``reading``: how texts spell numbers, and which are missing values.

    Raises: DataError where the file cannot be read, a column is not there, or a value is not of its kind.
    """
    file.check(folder=True)
    file.check_lasting()
    chosen = format_of(file.name, format).configured(image)
    if not chosen.reads_images:
        file.check()
    if isinstance(chosen, ArrayFormat):
        arrays = chosen.arrays(file)
        if file.is_folder:  # a folder's name is there, whatever it is
            reading = replace(reading, missing_values=())
        table = array_table(file.name, arrays, columns, unnamed, reading, exclude, kinds=kinds or {}, default=default)
        names = chosen.names(file) if file.is_folder else None
        return table if names is None else replace(table, files=[f"{file.name}{name}" for name in names])
    if not isinstance(chosen, TableFormat):
        raise no_rows(file.name)
    kinds, kept = kinds or {}, set[str]()
    while True:
        builders = _Builders(file.name, chosen, columns, kinds, default, reading, kept, exclude, required)
        verbatim = chosen.typed and (bool(kept) or "text" in kinds.values())
        try:
            with (
                file.open() as stream,
                closing(
                    chosen.chunks(stream, file.name, columns=builders.wanted, rows=None, verbatim=verbatim)
                ) as chunks,
            ):
                for chunk in chunks:
                    builders.add(chunk)
            table = builders.table()
        except NeedsText as request:
            kept.add(str(request))  # its cells were parsed, but turn out to be names: keep them this time
        else:
            if not table.rows:
                raise DataError(f"{file.name}: there are no rows{' under the header' if builders.seen else ''}")
            return table


def stream_tables(
    stream: BinaryIO,
    name: str,
    format: TableFormat,
    *,
    columns: Sequence[str],
    kinds: Kinds,
    rows: int,
    reading: Reading = PLAIN,
) -> Generator[Table, None, None]:
    """The same, at most ``rows`` rows at a time, of a stream; ``kinds`` names a kind for each column, none ``auto``."""
    builders = _Builders(name, format, columns, kinds, "auto", reading)
    verbatim = format.typed and "text" in kinds.values()
    with closing(format.chunks(stream, name, columns=builders.wanted, rows=rows, verbatim=verbatim)) as chunks:
        for chunk in chunks:
            builders.add(chunk)
            table = builders.table()
            if table.rows:
                yield table
            builders.clear()


class _AllBut:
    """Every name but some."""

    def __init__(self, names: Collection[str]):
        self._names = frozenset(names)

    def __contains__(self, name: object) -> bool:
        return name not in self._names


class _Builders:
    """A builder a column, fed with chunks."""

    def __init__(
        self,
        name: str,
        format: TableFormat,
        columns: Sequence[str] | None,
        kinds: Kinds,
        default: Kind,
        reading: Reading,
        kept: Collection[str] = (),
        exclude: Collection[str] = (),
        required: Sequence[str] = (),
    ):
        self.name, self.columns, self.kinds, self.default = name, columns, kinds, default
        self._reading, self._kept, self._exclude = reading, kept, exclude
        self._required = (*(columns or ()), *exclude, *required)
        everything = _AllBut(exclude) if exclude else None
        self.wanted: Container[str] | None = everything if columns is None else set(columns)
        self.seen: dict[str, None] = {}
        self._typed = format.typed
        self.clear()

    def clear(self) -> None:
        """Forget the rows, but not which columns there are."""
        self._rows = 0
        self._builders: dict[str, ColumnBuilder] = {}
        self._lines: list[Array] = []

    def add(self, chunk: Chunk) -> None:
        self.seen |= dict.fromkeys(chunk.columns)
        rows = len(chunk.lines)
        if not rows:  # a header with every column: report missing ones before the rows are read
            require_columns(self.name, self._required, self.seen)
        for name in chunk.columns if self.wanted is None else filter(self.wanted.__contains__, chunk.columns):
            if name not in self._builders:
                self._builders[name] = self._builder(name)
        for name, builder in self._builders.items():
            if name in chunk.columns:
                text = None if chunk.text is None else partial(chunk.text, name)
                builder.add(chunk.columns[name], chunk.lines, text, padded=chunk.padded)
            else:
                builder.skip(rows)
        self._lines.append(np.asarray(chunk.lines, np.int64))
        self._rows += rows

    def _builder(self, name: str) -> ColumnBuilder:
        """A new builder; the rows before the column's first appearance lack it."""
        kind, keep = self.kinds.get(name, self.default), name in self._kept
        builder = ColumnBuilder(self.name, name, kind, typed=self._typed, reading=self._reading, keep=keep)
        builder.skip(self._rows)
        return builder

    def table(self) -> Table:
        """The rows since the last ``clear``. Raises: DataError where named columns have not been seen; NeedsText."""
        require_columns(self.name, self._required, self.seen)
        for name in self.columns or ():
            if name not in self._builders:
                self._builders[name] = self._builder(name)
        names = self._builders if self.columns is None else dict.fromkeys(self.columns)
        lines = np.concatenate(self._lines) if self._lines else np.empty(0, np.int64)
        found = {name: self._builders[name].finish() for name in names}
        plain = frozenset(name for name in names if self._builders[name].is_plain)
        return Table(self.name, found, lines, plain=plain)


def array_table(
    place: str,
    given: Mapping[str, Array],
    columns: Sequence[str] | None,
    unnamed: str,
    reading: Reading = PLAIN,
    exclude: Collection[str] = (),
    *,
    kinds: Kinds,
    default: Kind = "auto",
) -> Table:
    """Arrays as columns: text as that of JSON, anything else as numbers. ``place`` is what messages call the file.

    Raises: DataError where a column is not there, arrays have another number of rows than the first, or the texts of
        one spell numbers that ``reading`` does not read.
    """
    arrays = {name or unnamed: array for name, array in given.items()}
    if list(arrays) == [unnamed]:
        columns = None  # the only array is meant, whatever it is called elsewhere
    found, plain = dict[str, Column](), list[str]()
    require_columns(place, [*(columns or ()), *exclude], arrays, "array")
    for name in [name for name in arrays if name not in exclude] if columns is None else columns:
        array, at = arrays[name], f"{place}: array '{name}'" if name else place
        if array.dtype.kind != "U":
            found[name] = Numbers(array)
            continue
        if array.size != len(array):
            raise DataError(f"{at}: has text of shape {list(array.shape)}, expected one text a row: [{len(array)}]")
        text = ArrayBuilder(at, name, kinds.get(name, default), typed=True, reading=reading)
        text.add(array.ravel().tolist(), range(len(array)))
        found[name] = text.finish()
        plain += [name] if text.is_plain else []
    sizes = {name: column.rows for name, column in found.items()}
    first = next(iter(sizes), "")
    for name, rows in sizes.items():
        if rows != sizes[first]:
            raise DataError(
                f"{place}: array '{first}' has {sizes[first]:,} rows, '{name}' {rows:,}; they must be equal"
            )
    return Table(place, found, plain=frozenset(plain))

"""A file, or a stream of text, to a table."""

from __future__ import annotations

from collections.abc import Collection, Container, Generator, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

import numpy as np

from backprop_cli.data.cells import written
from backprop_cli.data.columns import ArrayBuilder, ColumnBuilder, Kind, NeedsText
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import ArrayFormat, Chunk, TableFormat, format_of, no_arrays, no_rows
from backprop_cli.data.reading import PLAIN, Reading
from backprop_cli.data.refusals import SpellingError
from backprop_cli.data.table import Array, Column, Numbers, Table, require_columns
from backprop_cli.errors import DataError


class Selection(NamedTuple):
    """The columns of a file to read.

    ``columns``: their names; None: all but those to ``exclude``. ``required``: further columns that must exist.
    ``kinds``: the kind to read a column as; ``default`` applies to columns that it does not name. ``unnamed``: name of
    the only array, in a format whose array has no name. ``keep``: columns that are also read as they are written.
    """

    columns: Sequence[str] | None = None
    kinds: Mapping[str, Kind] = MappingProxyType({})
    default: Kind = "auto"
    exclude: Collection[str] = ()
    required: Sequence[str] = ()
    unnamed: str = ""
    keep: Sequence[str] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that must exist."""
        return (*(self.columns or ()), *self.exclude, *self.required, *self.keep)

    @property
    def wanted(self) -> Container[str] | None:
        """The columns whose cells are read; None: all."""
        if self.columns is not None:
            return frozenset((*self.columns, *self.keep))
        return _AllBut(self.exclude) if self.exclude else None

    def kind(self, column: str) -> Kind:
        """The kind to read a column as."""
        return self.kinds.get(column, self.default)

    @property
    def has_text(self) -> bool:
        """Whether a column must be read as text."""
        return "text" in self.kinds.values() or bool(self.keep)


EVERYTHING = Selection()


class _AllBut:
    """Every name but some."""

    def __init__(self, names: Collection[str]):
        self._names = frozenset(names)

    def __contains__(self, name: object) -> bool:
        return name not in self._names


def read_table(
    file: DataFile, selection: Selection = EVERYTHING, *, reading: Reading = PLAIN, format: str | None = None
) -> Table:
    """The rows of a file. ``format`` overrides the one that its suffix means.

    Raises: DataError if the file cannot be read, a column does not exist, or a value is not of its column's kind.
    """
    file.check(folder=True)
    file.check_lasting()
    chosen = format_of(file.name, format).configured(reading)
    if not chosen.reads_images:
        file.check()
    if isinstance(chosen, ArrayFormat):
        if file.is_standard_input:
            raise no_arrays(file.name)
        return _read_arrays(file, chosen, selection, reading)
    if not isinstance(chosen, TableFormat):
        raise no_rows(file.name)
    kept = set[str]()
    while True:
        try:
            table = _read_rows(file, chosen, _Builders(file.name, chosen, selection, reading, kept))
        except NeedsText as request:
            kept.add(str(request))  # its cells were parsed, but turn out to be names: keep them this time
        else:
            return table


def _read_arrays(file: DataFile, format: ArrayFormat, selection: Selection, reading: Reading) -> Table:
    arrays = format.arrays(file)
    if not file.is_folder:
        return array_table(file.name, arrays, selection, reading)
    # The name of a folder is never a missing value.
    table = array_table(file.name, arrays, selection, reading._replace(missing_values=()))
    names = format.names(file)
    return table if names is None else table._replace(files=[f"{file.name}{name}" for name in names])


def _read_rows(file: DataFile, format: TableFormat, builders: _Builders) -> Table:
    with file.open(hashed=True) as stream, closing(builders.chunks(format, stream, None)) as chunks:
        for chunk in chunks:
            builders.add(chunk)
    table = builders.table()
    if not table.rows:
        raise DataError(f"{file.name}: has no rows{' under the header' if builders.seen else ''}")
    return table


def stream_tables(
    stream: BinaryIO, name: str, format: TableFormat, selection: Selection, reading: Reading, *, rows: int
) -> Generator[Table, None, None]:
    """Tables of at most ``rows`` rows of a stream. ``selection`` names a kind other than ``auto`` for each column."""
    builders = _Builders(name, format, selection, reading)
    with closing(builders.chunks(format, stream, rows)) as chunks:
        for chunk in chunks:
            builders.add(chunk)
            table = builders.table()
            if table.rows:
                yield table
            builders.clear()


class _Builders:
    """A builder for each column, fed with chunks."""

    def __init__(
        self, name: str, format: TableFormat, selection: Selection, reading: Reading, kept: Collection[str] = ()
    ):
        self.name, self._selection, self._reading = name, selection, reading
        self._wanted, self._needed = selection.wanted, selection.needed
        self._typed, self._kept = format.typed, kept
        self._only_kept = frozenset(selection.keep).difference(selection.columns or ())
        self.seen: dict[str, None] = {}
        self._separator: str | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the rows, but not which columns exist."""
        self._rows = 0
        self._builders: dict[str, ColumnBuilder] = {}
        self._copies: dict[str, list[Array]] = {name: [] for name in self._selection.keep}
        self._lines: list[Array] = []

    def chunks(self, format: TableFormat, stream: BinaryIO, rows: int | None) -> Generator[Chunk, None, None]:
        """The chunks of a stream, for ``add``."""
        verbatim = self._typed and (bool(self._kept) or self._selection.has_text)
        return format.chunks(stream, self.name, columns=self._wanted, rows=rows, verbatim=verbatim)

    def add(self, chunk: Chunk) -> None:
        self.seen |= dict.fromkeys(chunk.columns)
        self._separator = self._separator or chunk.separator
        rows = len(chunk.lines)
        if not rows:  # a header with every column: report missing ones before the rows are read
            require_columns(self.name, self._needed, self.seen)
        for name in chunk.columns if self._wanted is None else filter(self._wanted.__contains__, chunk.columns):
            if name not in self._builders and name not in self._only_kept:
                self._builders[name] = self._builder(name)
        for name, builder in self._builders.items():
            if name in chunk.columns:
                builder.add(chunk.columns[name], chunk.lines)
            else:
                builder.skip(rows)
        for name, parts in self._copies.items():
            parts.append(written(chunk.columns.get(name, [None] * rows)))
        self._lines.append(np.asarray(chunk.lines, np.int64))
        self._rows += rows

    def _builder(self, name: str) -> ColumnBuilder:
        """A new builder; the column has no value in the rows before its first appearance."""
        kind, keep = self._selection.kind(name), name in self._kept
        builder = ColumnBuilder(self.name, name, kind, typed=self._typed, reading=self._reading, keep=keep)
        builder.skip(self._rows)
        return builder

    def table(self) -> Table:
        """The rows since the last ``clear``. Raises: DataError if a column that must exist was not seen; NeedsText."""
        require_columns(self.name, self._needed, self.seen)
        columns = self._selection.columns
        for name in columns or ():
            if name not in self._builders:
                self._builders[name] = self._builder(name)
        names = self._builders if columns is None else dict.fromkeys(columns)
        lines = np.concatenate(self._lines) if self._lines else np.empty(0, np.int64)
        found = _finished({name: self._builders[name] for name in names})
        plain = frozenset(name for name in names if self._builders[name].is_plain)
        kept = {name: np.concatenate([np.empty(0, object), *parts]) for name, parts in self._copies.items()}
        return Table(self.name, found, lines, plain=plain, separator=self._separator, kept=kept)


def _finished(builders: Mapping[str, ColumnBuilder]) -> dict[str, Column]:
    """The columns. Raises: as ``ColumnBuilder.finish``, SpellingError with all columns that need a spelling."""
    found, errors = dict[str, Column](), list[SpellingError]()
    for name, builder in builders.items():
        try:
            found[name] = builder.finish()
        except SpellingError as error:
            errors.append(error)
    if errors:
        spellings = {name: own for error in errors for name, own in error.spellings.items()}
        raise SpellingError(str(errors[0]), spellings)
    return found


def array_table(place: str, given: Mapping[str, Array], selection: Selection, reading: Reading) -> Table:
    """Arrays as columns: text as in JSON, anything else as numbers. Messages call the file ``place``.

    Raises: DataError if a column does not exist, arrays differ in their number of rows, or the texts of one spell
        numbers that ``reading`` does not read.
    """
    arrays = {name or selection.unnamed: array for name, array in given.items()}
    # The only array is meant, whatever its name elsewhere.
    columns = None if list(arrays) == [selection.unnamed] else selection.columns
    require_columns(place, [*(columns or ()), *selection.exclude, *selection.keep], arrays, "array")
    names = [name for name in arrays if name not in selection.exclude] if columns is None else columns
    found, plain = dict[str, Column](), list[str]()
    for name in names:
        if arrays[name].dtype.kind != "U":
            found[name] = Numbers(arrays[name])
            continue
        builder = _text_builder(f"{place}: array '{name}'" if name else place, name, arrays[name], selection, reading)
        found[name] = builder.finish()
        plain += [name] if builder.is_plain else []
    kept = {name: _kept_array(place, name, arrays[name]) for name in selection.keep}
    _check_lengths(place, found | {name: Numbers(values) for name, values in kept.items()})
    return Table(place, found, plain=frozenset(plain), kept=kept)


def _kept_array(place: str, name: str, array: Array) -> Array:
    """An array as it is. Raises: DataError if a row has more than one value."""
    if array.size != len(array):
        raise DataError(f"{place}: array '{name}' has shape {list(array.shape)}; one with one value a row can be kept")
    return written(array.reshape(len(array)))


def _text_builder(at: str, name: str, array: Array, selection: Selection, reading: Reading) -> ColumnBuilder:
    if array.size != len(array):
        raise DataError(f"{at}: has text of shape {list(array.shape)}, expected one text per row: [{len(array)}]")
    builder = ArrayBuilder(at, name, selection.kind(name), typed=True, reading=reading)
    builder.add(array.ravel().tolist(), range(len(array)))
    return builder


def _check_lengths(place: str, columns: Mapping[str, Column]) -> None:
    sizes = {name: column.rows for name, column in columns.items()}
    first = next(iter(sizes), "")
    for name, rows in sizes.items():
        if rows != sizes[first]:
            raise DataError(
                f"{place}: array '{first}' has {sizes[first]:,} rows, '{name}' {rows:,}; they must be equal"
            )

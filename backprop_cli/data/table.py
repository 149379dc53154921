"""Named columns of equal length, and the place of each row in its file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backprop_cli.errors import DataError, did_you_mean, listing

Array = NDArray[Any]
CellValue = str | int | float | bool
"""A value that is not missing."""


class Numbers(NamedTuple):
    """Real numbers, ``values`` (rows, ...), with NaN for missing values. A column of a text file has shape (rows,)."""

    values: Array

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.values)

    def take(self, rows: NDArray[np.int64]) -> Numbers:
        """These rows."""
        return Numbers(self.values[rows])


class Text(NamedTuple):
    """``categories[codes[row]]`` is the row's value; the code of a missing value is -1. ``codes``: int64 (rows,).

    ``missing``: texts in the column that were taken for missing values.
    """

    codes: NDArray[np.int64]
    categories: tuple[CellValue, ...]
    missing: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.codes)

    def take(self, rows: NDArray[np.int64]) -> Text:
        """These rows."""
        return Text(self.codes[rows], self.categories)


Column = Numbers | Text


def is_missing(column: Column) -> NDArray[np.bool_]:
    """Whether each row's value, or one of its numbers, is missing, (rows,)."""
    if isinstance(column, Text):
        return np.asarray(column.codes < 0)
    if column.values.dtype.kind != "f":
        return np.zeros(column.rows, bool)
    return np.asarray(np.isnan(column.values).reshape(column.rows, -1).any(axis=1))


class Table(NamedTuple):
    """Columns by name; ``lines[row]`` is the line, from 1, on which the row begins (None: arrays, without lines).

    ``files[row]``: the row's file, in the table of a folder. ``places[row]``: the row's index in the file, from 0, in a
    reordered table. ``plain``: columns with numbers in Python's spelling, in a source that has another. ``separator``:
    what separates the file's fields, if it is not its format's own. ``kept``: columns to copy, as they are
    written, objects (rows,).
    """

    name: str
    columns: Mapping[str, Column]
    lines: NDArray[np.int64] | None = None
    files: Sequence[str] | None = None
    places: NDArray[np.int64] | None = None
    plain: frozenset[str] = frozenset()
    separator: str | None = None
    kept: Mapping[str, Array] = MappingProxyType({})

    def take(self, rows: NDArray[np.int64]) -> Table:
        """The table of these rows, in this order. Messages still give their places in the file."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        lines = None if self.lines is None else self.lines[rows]
        files = None if self.files is None else [self.files[row] for row in rows]
        places = rows if self.places is None else self.places[rows]
        kept = {name: values[rows] for name, values in self.kept.items()}
        return Table(self.name, columns, lines, files, places, self.plain, kept=kept)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return next(iter(self.columns.values())).rows if self.columns else 0

    def at(self, row: int, column: str, index: Sequence[int] = ()) -> str:
        """The place of a value, for the head of a message.

        ``iris.csv:17: column 'sepal_length'``; in an array ``x.npy: row 16, column 2 (from 0)``, with the ``index`` in
        the example if it has several axes; in a folder the row's own file, ``pets/cat/0.png``.
        """
        if self.lines is not None:
            return f"{self.name}:{self.lines[row]}: column '{column}'"
        if self.files is not None:
            return self.files[row]
        row = row if self.places is None else int(self.places[row])
        array = f"array '{column}', " if column else ""
        inside = (
            "" if not index else f", column {index[0]}" if len(index) == 1 else f", index {[int(i) for i in index]}"
        )
        return f"{self.name}: {array}row {row}{inside} (from 0)"

    def numbers(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """The numbers of these rows (None: all) as in ``at``: lines, from 1, or the array's rows, from 0."""
        chosen = np.arange(self.rows) if rows is None else rows
        if self.lines is not None:
            return self.lines[chosen]
        return chosen if self.places is None else self.places[chosen]

    def of(self, column: str) -> str:
        """A whole column, for the head of a message: ``iris.csv: column 'sepal_length'``."""
        if self.lines is not None:
            return f"{self.name}: column '{column}'"
        return f"{self.name}: array '{column}'" if column else self.name

    def column(self, name: str) -> Column:
        """The column called ``name``. Raises: NoColumnError if it does not exist."""
        if name not in self.columns:
            self.require([name])
        return self.columns[name]

    def require(self, names: Iterable[str]) -> None:
        """Raise NoColumnError about all of ``names`` that do not exist."""
        require_columns(self.name, names, self.columns, "column" if self.lines is not None else "array")


def joined(tables: Sequence[Table]) -> Table:
    """Tables with the same columns, concatenated."""
    first, lines = tables[0], [table.lines for table in tables if table.lines is not None]
    columns = {name: _joined([table.columns[name] for table in tables]) for name in first.columns}
    kept = {name: np.concatenate([table.kept[name] for table in tables]) for name in first.kept}
    return Table(first.name, columns, np.concatenate(lines) if lines else None, kept=kept)


def _joined(parts: Sequence[Column]) -> Column:
    if all(isinstance(part, Numbers) for part in parts):
        return Numbers(np.concatenate([part.values for part in parts if isinstance(part, Numbers)]))
    index: dict[CellValue, int] = {}
    codes = []
    for part in parts:
        assert isinstance(part, Text)
        own = [index.setdefault(category, len(index)) for category in part.categories]
        codes.append(np.array([*own, -1], np.int64)[part.codes])
    return Text(np.concatenate(codes), tuple(index))


def cell_texts(column: Column) -> list[str | None]:
    """A column's cells as text, whole numbers without a point; None for a missing value."""
    if isinstance(column, Text):
        texts = [*map(str, column.categories), None]
        return [texts[code] for code in column.codes]
    flat = column.values.reshape(len(column.values), -1)[:, 0].tolist()
    return [
        None if cell != cell else str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
        for cell in flat
    ]


class NoColumnError(DataError):
    """``names``: columns that a file does not have. ``reason(name)`` is about one of them."""

    def __init__(self, file: str, names: Sequence[str], known: Sequence[str], spare: Sequence[str], what: str):
        self.file, self.names, self._known, self._spare, self._what = file, tuple(names), known, spare, what
        quoted = listing(f"'{name}'" for name in names)
        plural = "" if len(names) == 1 else "s"
        super().__init__(f"{file}: no {what}{plural} {quoted}{self._hint(*names)}")

    def reason(self, name: str) -> str:
        """The message about one column, without the file at its head."""
        return f"no {self._what} '{name}' in {self.file}{self._hint(name)}"

    def _hint(self, *names: str) -> str:
        """The nearest names among columns that are not needed themselves, else the known ones."""
        # Finding the nearest of many names takes milliseconds for each.
        near = [did_you_mean(name, self._spare) for name in names if len(self.names) <= _HINTS]
        if near and all(near):
            found = dict.fromkeys(hint.removeprefix("; did you mean ").removesuffix("?") for hint in near)
            return f"; did you mean {', '.join(found)}?"
        return f"; its {self._what}s: {listing(self._known)}"


_HINTS = 20
"""Most missing columns for which a message suggests names. More of them mean another file."""


def require_columns(file: str, names: Iterable[str], known: Collection[str], what: str = "column") -> None:
    """Raise NoColumnError about all of ``names`` that are not in ``known``, a set or a mapping."""
    wanted = dict.fromkeys(names)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise NoColumnError(file, missing, list(known), [name for name in known if name not in wanted], what)


def alike(count: int) -> str:
    """For the end of a message about the first of ``count`` rows: their number, or nothing for a single row."""
    return "" if count == 1 else f" ({count:,} rows like it)"


def show(value: object, width: int = 60) -> str:
    """A value as messages quote it, shortened where it is long."""
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."

"""Named columns of equal length, and where each row came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.errors import DataError, did_you_mean

Array = NDArray[Any]
Cell = str | int | float | bool
"""One value that is not missing."""


@dataclass(frozen=True)
class Numbers:
    """Real numbers, ``values`` (rows, ...); NaN is a missing value. A column of a text file has shape (rows,)."""

    values: Array

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.values)


@dataclass(frozen=True)
class Text:
    """``categories[codes[row]]`` is the row's value; code -1 is a missing one. ``codes``: int64 (rows,)."""

    codes: NDArray[np.int64]
    categories: tuple[Cell, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.codes)


Column = Numbers | Text


@dataclass(frozen=True)
class Table:
    """Columns by name; ``lines[row]`` is the line, from 1, on which the row begins (None: arrays, no lines)."""

    name: str
    columns: Mapping[str, Column]
    lines: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return next(iter(self.columns.values())).rows if self.columns else 0

    def at(self, row: int, column: str, index: Sequence[int] = ()) -> str:
        """The place of a value, for the head of a message.

        ``iris.csv:17: column 'sepal_length'``; in an array ``x.npy: row 16, column 2 (from 0)``, or with the
        ``index`` in the example where an example has several axes.
        """
        if self.lines is not None:
            return f"{self.name}:{self.lines[row]}: column '{column}'"
        array = f"array '{column}', " if column else ""
        inside = (
            "" if not index else f", column {index[0]}" if len(index) == 1 else f", index {[int(i) for i in index]}"
        )
        return f"{self.name}: {array}row {row}{inside} (from 0)"

    def of(self, column: str) -> str:
        """A whole column, for the head of a message: ``iris.csv: column 'sepal_length'``."""
        if self.lines is not None:
            return f"{self.name}: column '{column}'"
        return f"{self.name}: array '{column}'" if column else self.name

    def column(self, name: str) -> Column:
        """The column called ``name``. Raises: DataError where there is none, with the nearest name or all names."""
        if name not in self.columns:
            raise DataError(no_column(self.name, name, self.columns, "column" if self.lines is not None else "array"))
        return self.columns[name]


def no_column(file: str, name: str, known: Iterable[str], what: str = "column") -> str:
    """The message for a column that a file does not have."""
    names = list(known)
    return f"{file}: no {what} '{name}'" + (did_you_mean(name, names) or f"; its {what}s: {listing(names)}")


def listing(values: Iterable[object], limit: int = 10) -> str:
    """Values separated by commas, the first ``limit`` of them and how many there are."""
    texts = [str(value) for value in values]
    return ", ".join(texts) if len(texts) <= limit else f"{', '.join(texts[:limit])}, ... ({len(texts)} in all)"


def show(value: object, width: int = 60) -> str:
    """A value as messages quote it, shortened where it is long."""
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."

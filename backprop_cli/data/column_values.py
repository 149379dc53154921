"""The values of a column as inputs: numbers in blocks, texts as categories, and messages on missing ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.table import Array, Column, Numbers, Table, Text, is_missing, show
from backprop_cli.errors import DataError, listing, plural
from backprop_cli.nn.class_name import spelled

Rows = NDArray[np.int64] | None
"""Rows of a table, in order; None: all."""
Floats = NDArray[np.float64]

_BLOCK = 1 << 18  # numbers converted at a time: 2 MB as float64


def blocks(table: Table, name: str, rows: Rows, fill: Floats | None = None) -> Iterator[tuple[int, Floats]]:
    """Pairs (position among ``rows``, float64 (block, width)) over a column of numbers; the blocks may be overwritten.

    Raises: DataError for an infinite value, and for a missing one unless ``fill`` replaces it.
    """
    values = values_of(table, name)
    width = math.prod(values.shape[1:])
    size = max(1, _BLOCK // width)
    count = len(values) if rows is None else len(rows)
    for start in range(0, count, size):
        part = values[start : start + size] if rows is None else values[rows[start : start + size]]
        block = part.reshape(len(part), -1).astype(np.float64)
        if values.dtype.kind == "f" and not np.isfinite(block).all():
            if fill is not None:
                np.copyto(block, fill, where=np.isnan(block))
            if not np.isfinite(block).all():
                raise DataError(_not_finite(table, name, rows, start, block, values.shape[1:]))
        yield start, block


def _not_finite(table: Table, name: str, rows: Rows, start: int, block: Floats, shape: tuple[int, ...]) -> str:
    i, j = np.argwhere(~np.isfinite(block))[0]
    index = np.unravel_index(int(j), shape) if shape else ()
    place = table.at(row_at(rows, start + int(i)), name, _ints(index))
    if np.isnan(block[i, j]):
        return missing(place)
    return f"{place}: expected a finite number, got {show(block[i, j])}"


_MISSING = "data.transform.missing: mean, median, most_frequent or indicator"


def missing(place: str, others: str = "") -> str:
    """The message for a missing input; ``others``: the other rows without a value."""
    return f"{place}: the value is missing{others}; fill it in, or train with {_MISSING}"


_MOST_ROWS = 3


def has_nan(values: Array) -> bool:
    """Whether a number is missing. It makes no array of flags: images have many numbers."""
    return values.dtype.kind == "f" and bool(np.isnan(np.min(values)))


def require_values(table: Table, name: str) -> None:
    """Raise DataError, with the number of rows and the first of them, if values of a column are missing."""
    column = as_feature(table.columns[name])
    if isinstance(column, Numbers) and not has_nan(column.values):
        return
    rows = np.flatnonzero(is_missing(column))
    if not len(rows):
        return
    if isinstance(column, Numbers) and column.values.ndim > 1:
        index = np.argwhere(np.isnan(column.values[rows[0]]))[0]
        place = table.at(int(rows[0]), name, tuple(map(int, index)))
    else:
        place = table.at(int(rows[0]), name)
    others = ""
    if len(rows) > 1:
        shown = ", ".join(map(str, table.numbers(rows[1 : _MOST_ROWS + 1])))
        more = ", ..." if len(rows) > _MOST_ROWS + 1 else ""
        others = f", here and in {plural(len(rows) - 1, 'other row')} ({shown}{more})"
    raise DataError(missing(place, others) + (missing_texts(column) if isinstance(column, Text) else ""))


def missing_texts(column: Text) -> str:
    """For the end of a message: texts read as missing that may be real values, such as NA for Namibia."""
    if not column.missing:
        return ""
    which = listing(map(show, column.missing), 3)
    return f" (here {which} {'means' if len(column.missing) == 1 else 'mean'} missing: data.missing_values)"


def as_feature(column: Column) -> Column:
    """A column that was read for its labels, as an input: numbers if all labels are, else categories."""
    if isinstance(column, Text) and column.categories and not any(isinstance(c, str) for c in column.categories):
        table = np.array([*map(float, column.categories), math.nan])
        return Numbers(table[column.codes])
    return column


def as_categories(column: Column) -> Text:
    """A column as categories. Numbers become their printed form, whole ones without a point."""
    if isinstance(column, Text):
        return column
    values, codes = np.unique(column.values.reshape(column.rows, -1)[:, 0], return_inverse=True)
    whole = all(float(value).is_integer() or value != value for value in values)
    texts = [spelled(int(value) if whole and value == value else value) for value in values.tolist()]
    known = np.arange(len(texts)) if not len(values) or values[-1] == values[-1] else np.arange(len(texts) - 1)
    return Text(np.where(codes < len(known), codes, -1), tuple(texts[: len(known)]))


def values_of(table: Table, name: str) -> Array:
    """The values of a column of numbers. Raises: DataError if it holds text."""
    column = as_feature(table.columns[name])
    if isinstance(column, Text):
        raise DataError(f"{table.of(name)}: expected numbers, got {show(column.categories[0])}")
    return column.values


def row_at(rows: Rows, position: int) -> int:
    """The row of the table at a position among ``rows``."""
    return position if rows is None else int(rows[position])


def _ints(index: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in index)

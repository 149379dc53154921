"""A column's cells in some rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Coded(NamedTuple):
    """``values[codes[row]]`` is the row's cell. ``codes``: int64 (rows,).

    The values are in the order of their first rows. Each occurs, and some may be equal.
    """

    values: Sequence[Any]
    codes: Rows


def in_order(values: Sequence[Any], codes: Rows) -> Coded:
    """Cells ``values[codes]`` whose values may be in another order, or not occur."""
    used, first, places = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Coded([values[code] for code in used[order].tolist()], rank[places])


def first_rows(codes: Rows, count: int) -> Rows:
    """The first row of each code below ``count``."""
    first = np.empty(count, np.int64)
    # Of repeated indices the last is assigned.
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first


class PlainNumbers(NamedTuple):
    """The cells of a text file that are plain decimal numbers, and where the others are.

    ``numbers``: float64 (rows,), NaN for the others. ``others``: the rows of the other cells, such as empty ones.
    ``padded``: a number may have leading zeros and no point, like 007.
    """

    numbers: NDArray[np.float64]
    others: Rows
    padded: bool


class TextCells:
    """A column's cells in some rows of a text file. They are parsed when they are asked for."""

    def plain(self, decimal: str = ".") -> PlainNumbers:
        """The numbers among the cells, as Python spells them, but for the mark before a fraction."""
        raise NotImplementedError

    def coded(self, rows: Rows | None = None) -> Coded:
        """The texts of these rows (None: all)."""
        raise NotImplementedError


def coded(cells: Sequence[Any], *, typed: bool) -> Coded:
    """Cells, texts or (``typed``) values of JSON, by their distinct values."""
    # 1 and True are equal keys of a dict, but different values of JSON.
    keys: Sequence[Any] = cells
    if typed and not {str, type(None)}.issuperset(map(type, cells)):
        keys = list(zip(map(type, cells), cells, strict=True))
    index = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    codes = np.fromiter(map(index.__getitem__, keys), np.int64, len(keys))
    return Coded(list(index) if keys is cells else [value for _, value in index], codes)


def written(cells: Sequence[Any] | NDArray[Any] | Coded | TextCells) -> NDArray[Any]:
    """Cells as they are written, without spaces around texts, objects (rows,); None for null and NaN."""
    if isinstance(cells, TextCells):
        cells = cells.coded()
    if isinstance(cells, Coded):
        return written(cells.values)[cells.codes]
    values = cells.tolist() if isinstance(cells, np.ndarray) else cells
    out = np.empty(len(values), object)
    out[:] = [cell.strip() if isinstance(cell, str) else None if cell != cell else cell for cell in values]
    return out

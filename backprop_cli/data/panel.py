"""Panels: the series of a table, one after the other, each sorted by time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.data.sections import WindowSettings
from backprop_cli.data.spelling import number_of
from backprop_cli.data.split import Indices
from backprop_cli.data.table import Table, alike, cell_texts, show
from backprop_cli.data.times import Key, Times
from backprop_cli.errors import DataError
from backprop_cli.structs import Struct


class Panel(Struct, eq=False):
    """The series of a table that holds them one after the other, each sorted by time.

    Series k is rows ``begins[k]`` to ``begins[k + 1] - 1``; its name is ``names[k]`` (empty for a single series).

    Shapes: begins int64 (series + 1,)
    """

    begins: Indices
    names: Sequence[str]

    @classmethod
    def whole(cls, rows: int) -> Panel:
        """One series."""
        return cls(np.array([0, rows]), [""])

    @property
    def parts(self) -> list[range]:
        """The rows of each series."""
        return [range(int(a), int(b)) for a, b in zip(self.begins[:-1], self.begins[1:], strict=True)]


def fit_times(table: Table, column: str | None) -> Times:
    """How the column spells its times. Raises: DataError if the order of day and month is ambiguous."""
    if column is None:
        return Times()
    texts = cell_texts(table.column(column))
    return Times.of(dict.fromkeys(text for text in texts if text is not None), table.of(column))


def ranks_of(table: Table, column: str, times: Times) -> Indices:
    """The rank of each row's time, from 0. Raises: DataError for a missing or malformed time."""
    return _ranks(times.keys(cell_texts(table.column(column)), lambda row: table.at(row, column)))


def order_of_rows(table: Table, window: WindowSettings, times: Times) -> tuple[Indices, Panel]:
    """The order that puts the rows of each series together and sorts them by time, and the resulting panel.

    Series are sorted by name, numeric names by value. With times the result does not depend on the order of the file.
    Without times the rows of a series keep that order.

    Raises: DataError for a missing time or group, a malformed time, and a time that occurs twice in a series.
    """
    table.require(window.order)
    codes, names = groups_of(table, window.group or ())
    order = np.argsort(codes, kind="stable")
    if window.time is not None:
        column = window.time
        ranks = ranks_of(table, column, times)
        order = np.lexsort((ranks, codes))
        _refuse_twice(table, column, order, codes, ranks, names)
    counts = np.bincount(codes, minlength=len(names))
    return order, Panel(np.concatenate([[0], np.cumsum(counts)]), names)


def groups_of(table: Table, columns: Sequence[str]) -> tuple[Indices, list[str]]:
    """The index of each row's group, and the names of the groups. Raises: DataError for a missing value."""
    if not columns:
        return np.zeros(table.rows, np.int64), [""]
    texts = [cell_texts(table.column(column)) for column in columns]
    for column, cells in zip(columns, texts, strict=True):
        missing = [row for row, cell in enumerate(cells) if cell is None]
        if missing:
            place = table.at(missing[0], column)
            raise DataError(f"{place}: the row's group is missing{alike(len(missing))}; fill it in or remove the row")
    keys = list(zip(*texts, strict=True))
    index = {key: place for place, key in enumerate(sorted(set(keys), key=lambda key: [*map(_by_value, key)]))}
    return np.array([index[key] for key in keys], np.int64), [", ".join(map(str, key)) for key in index]


def _by_value(text: str | None) -> tuple[bool, float, str]:
    """Numbers by value, then text by code point."""
    number = number_of(str(text))
    return (True, 0.0, str(text)) if number is None or number != number else (False, number, str(text))


def _ranks(keys: Sequence[Key]) -> Indices:
    """The rank of each key. Keys may be too large for int64."""
    rank = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([rank[key] for key in keys], np.int64)


def _refuse_twice(
    table: Table, column: str, order: Indices, codes: Indices, ranks: Indices, names: Sequence[str]
) -> None:
    again = 1 + np.flatnonzero((np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0))
    if not len(again):
        return
    row, before = int(order[again[0]]), int(order[again[0] - 1])
    text = show(cell_texts(table.column(column).take(np.array([row])))[0])
    group = names[codes[row]]
    where = f" in group {show(group)}" if len(names) > 1 or group else ""
    more = alike(len(again))
    way_out = (
        "remove one of the rows, or add a column to data.window.group"
        if group
        else "if the file has several series, name the column that separates them in data.window.group; else remove "
        "one of the rows"
    )
    first = table.numbers(np.array([before]))[0]
    line = f"line {first}" if table.lines is not None else f"row {first}"
    raise DataError(f"{table.at(row, column)}: the time {text} occurs twice{where}, first on {line}{more}; {way_out}")


def labels_of_rows(table: Table, window: WindowSettings) -> dict[str, list[str | None]]:
    """The time and groups of each row as text, by the names of their columns."""
    return {name: cell_texts(table.column(name)) for name in label_columns(window)}


def label_columns(window: WindowSettings) -> tuple[str, ...]:
    """The columns for time and groups, as predictions show them."""
    return (*(() if window.time is None else (window.time,)), *(window.group or ()))


def in_order(table: Table, window: WindowSettings, times: Times) -> tuple[Table, Panel]:
    """The table with its rows in order, and its panel. Raises: DataError."""
    if not window.order:
        return table, Panel.whole(table.rows)
    order, panel = order_of_rows(table, window, times)
    return table.take(order), panel

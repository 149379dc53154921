"""Warnings on rows that do not look like one series in the order of time, and on columns that a series ignores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from backprop_cli.data.column_values import as_feature
from backprop_cli.data.panel import Panel, order_of_rows
from backprop_cli.data.sections import WindowSettings
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import Tables
from backprop_cli.data.split import Indices
from backprop_cli.data.table import Column, Numbers, Table, Text, cell_texts, show
from backprop_cli.data.times import Times, are_dates, are_numbers
from backprop_cli.errors import DataError, listing, plural, warn

LONG_RUN = 4
"""Least average number of consecutive rows with the same text, for each text to be a series of its own."""
REGULAR = 0.9
"""Least share of equal steps in time, for the other steps to be exceptions."""
_TIME_NAMES = frozenset({"date", "time", "datetime", "timestamp", "ds", "epoch", "year", "day_number"})
"""Names of columns of numbers that hold times."""
_CLOCK = re.compile(r"\d{1,2}:\d\d")


def warn_of_order(tables: Tables, settings: DataSettings) -> None:
    """Warn if the rows do not look like one series in the order of time, as the settings say."""
    window, table = settings.window, tables.inputs
    assert window is not None
    dates = {name: keys for name in table.columns if (keys := _dates(table, name)) is not None}
    found: list[str | None] = []
    if window.time is None:
        found += [text for name, keys in dates.items() for text in _of_dates(table, name, keys, window)]
    if window.group is None:
        others = [name for name in table.columns if name not in dates and name not in window.order]
        found += [_of_runs(table, name) for name in others]
    found.append(_of_dropped(tables, settings, [*dates]))
    for text in found:
        if text is not None:
            warn(text)


def warn_of_gaps(table: Table, panel: Panel, window: WindowSettings, times: Times) -> None:
    """Warn of a few steps in time that are longer than nearly all others. The table must be in the order of time."""
    if window.time is None:
        return
    column, texts = window.time, cell_texts(table.columns[window.time])
    keys = times.keys(texts, lambda row: table.at(row, column))
    steps = {row: keys[row] - keys[row - 1] for part in panel.parts for row in part[1:]}
    if not steps:
        return
    (usual, often), *_ = Counter(steps.values()).most_common(1)
    longer = [row for row, step in steps.items() if step > 1.5 * usual]
    if not longer or often < REGULAR * len(steps) or len(longer) > (1 - REGULAR) * len(steps):
        return
    row = longer[0]
    count = (
        f"{len(longer):,} of {len(steps):,} steps in time {'is' if len(longer) == 1 else 'are'} longer than the others"
    )
    here = f"here from {show(texts[row - 1])} to {show(texts[row])}"
    warn(f"{table.at(row, column)}: {count} ({here}), but windows treat all steps as equal; add the missing rows")


def _dates(table: Table, name: str) -> Sequence[float | int] | None:
    """The sort keys of the rows, if all values of the column are dates; else None."""
    column, may_be_number = as_feature(table.columns[name]), name.lower() in _TIME_NAMES
    if isinstance(column, Numbers) and (column.values.size != column.rows or not may_be_number):
        return None
    texts = cell_texts(column)
    distinct = [text for text in dict.fromkeys(texts) if text is not None]
    if not (are_dates(distinct) or (may_be_number and are_numbers(distinct))):
        return None
    try:
        return Times.of(distinct, table.of(name)).keys(texts, lambda row: table.at(row, name))
    except DataError:
        return None


def _of_dates(table: Table, name: str, keys: Sequence[float | int], window: WindowSettings) -> Iterator[str]:
    """Warnings on the order of dates within each series."""
    order, panel = _as_in_file(table, window)
    inner = np.ones(max(len(order) - 1, 0), bool)
    inner[panel.begins[1:-1] - 1] = False
    pairs = [(int(order[i]), int(order[i + 1])) for i in np.flatnonzero(inner)]
    falls = [row for before, row in pairs if keys[row] < keys[before]]
    rises = sum(keys[row] > keys[before] for before, row in pairs)
    if falls:
        row = falls[0]
        before = next(b for b, r in pairs if r == row)
        now, then = (show(cell_texts(table.columns[name])[place]) for place in (row, before))
        what = "falls from row to row" if len(falls) > rises else "goes back in time"
        group = "" if window.group else "; if the file has several series, name their column in data.window.group"
        yield (
            f"{table.at(row, name)}: {what}, {plural(len(falls), 'time')} (here {now} after {then}), and windows take "
            f"the file's order as the order of time: set data.window.time: {name}{group}"
        )
    elif window.group is None and (other := _panel_of(table, name, keys)) is not None:
        yield (
            f"{table.of(name)}: several rows have the same time, and '{other}' distinguishes them: windows cross from "
            f"one series to another; set data.window.time: {name} and data.window.group: {other}"
        )


def _as_in_file(table: Table, window: WindowSettings) -> tuple[Indices, Panel]:
    """The rows of each series in the file's order."""
    if window.group is None:
        return np.arange(table.rows), Panel.whole(table.rows)
    return order_of_rows(table, window.model_copy(update={"time": None}), Times())


def _panel_of(table: Table, name: str, keys: Sequence[float | int]) -> str | None:
    """A column of text that makes rows with equal dates distinct, as the name of a series does.

    Times of day and numbers, such as months, are not names. None if all dates differ or no column does.
    """
    if len(set(keys)) == len(keys) or isinstance(as_feature(table.columns[name]), Numbers):
        return None
    for other in table.columns:
        column = as_feature(table.columns[other])
        if other == name or not isinstance(column, Text):
            continue
        texts = [*map(str, column.categories)]
        if are_numbers(texts) or all(map(_CLOCK.match, texts)):
            continue
        if len(set(zip(keys, cell_texts(column), strict=True))) == len(keys):
            return other
    return None


def _of_runs(table: Table, name: str) -> str | None:
    """The warning on a column of text that is constant over long runs, and may name series."""
    column: Column = as_feature(table.columns[name])
    if not isinstance(column, Text) or len(column.categories) < 2 or are_numbers([*map(str, column.categories)]):
        return None
    changes = 1 + np.flatnonzero(np.diff(column.codes))
    runs = len(changes) + 1
    if runs < 2 or column.rows < LONG_RUN * runs or runs > 2 * len(column.categories):
        return None
    row = int(changes[0])
    texts = cell_texts(column)
    return (
        f"{table.at(row, name)}: changes from {show(texts[row - 1])} to {show(texts[row])} after {row:,} rows, and "
        f"windows treat all rows as one series; if each value is a series of its own, set data.window.group: {name}"
    )


def _of_dropped(tables: Tables, settings: DataSettings, dates: Sequence[str]) -> str | None:
    """The warning on columns of text, which a series ignores unless ``features`` names them."""
    window = settings.window
    assert window is not None
    used = {*tables.features, *window.order, *(tables.target or ())}
    if settings.features != "all":
        return None
    dropped = [
        name
        for name, column in tables.inputs.columns.items()
        if name not in used and isinstance(as_feature(column), Text)
    ]
    if not dropped:
        return None
    time = next((name for name in dropped if name in dates), None)
    sorts = "" if time is None or window.time is not None else f"set data.window.time: {time} to sort by it, or "
    named, is_are = listing(f"'{name}'" for name in dropped), "is" if len(dropped) == 1 else "are"
    return (
        f"{tables.inputs.name}: a series is predicted from its columns of numbers; {named} {is_are} text and left "
        f"out: {sorts}name the columns to predict from in data.features"
    )

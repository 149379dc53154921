"""Whether the rows of a table are a series: dates at regular steps, in one series or in several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backprop_cli.config.table_facts import CATEGORIES, DATES, NUMBERS, Facts
from backprop_cli.data.dated import DAY
from backprop_cli.data.table import Text, cell_texts, is_missing
from backprop_cli.data.times import Times
from backprop_cli.errors import DataError
from backprop_cli.nn.task import REGRESSION

_REGULAR = 0.75
"""Least share of equal steps in time. Of working days four in five follow the day before."""
_FEWEST = 40
"""Fewest rows of each series."""
_PER_WINDOW = 5
"""Fewest windows' lengths of rows in each series."""


class Step(NamedTuple):
    """A usual step in time: its name, shortest and longest days, and the rows of a window and of a season."""

    name: str
    shortest: float
    longest: float
    length: int
    season: int | None


_STEPS = (
    Step("hour", 1 / 24, 1 / 24, 48, 24),
    Step("day", 1, 1, 28, 7),
    Step("week", 7, 7, 26, 52),
    Step("month", 28, 31, 24, 12),
    Step("quarter", 90, 92, 12, 4),
    Step("year", 365, 366, 10, None),
)
_OTHER = Step("step", 0, 0, 24, None)


class Series(NamedTuple):
    """How the rows of a table are a series, and the window for it.

    ``group``: the column that separates the series of the file, if it has several. ``features``: the inputs.
    """

    time: str
    group: str | None
    step: str
    length: int
    season: int | None
    features: Sequence[str]


def series_of(facts: Facts) -> Series | None:
    """The series of a table with a number to predict; None if its rows stand alone."""
    if facts.task != REGRESSION or facts.without_target:
        return None
    numbers = {*facts.columns[NUMBERS], facts.target.name}
    features = [name for name in facts.table.columns if name in numbers]
    for time in facts.columns[DATES]:
        seconds = _seconds(facts, time)
        if seconds is None:
            continue
        for group, codes in _groups(facts):
            step = _regular(seconds, codes)
            fewest = int(np.bincount(codes).min())
            if step is not None and fewest >= _FEWEST:
                length = min(step.length, fewest // _PER_WINDOW)
                season = step.season if step.season is not None and 2 * step.season <= fewest else None
                return Series(time, group, step.name, length, season, features)
    return None


def _seconds(facts: Facts, name: str) -> NDArray[np.float64] | None:
    """The time of each row; None if one is missing or cannot be read."""
    table, texts = facts.table, cell_texts(facts.table.columns[name])
    try:
        times = Times.of([text for text in dict.fromkeys(texts) if text is not None], table.of(name))
        return np.array(times.keys(texts, lambda row: table.at(row, name)), np.float64) / 1e9
    except DataError:
        return None


def _groups(facts: Facts) -> Iterator[tuple[str | None, NDArray[np.int64]]]:
    """No column, and each column of categories that could separate series: its name, and each row's code."""
    rows = facts.table.rows
    yield None, np.zeros(rows, np.int64)
    for name in facts.columns[CATEGORIES]:
        column = facts.table.columns[name]
        if not is_missing(column).any():
            used, codes = np.unique(column.codes if isinstance(column, Text) else column.values, return_inverse=True)
            if 1 < len(used) <= rows // _FEWEST:
                yield name, codes.astype(np.int64)


def _regular(seconds: NDArray[np.float64], codes: NDArray[np.int64]) -> Step | None:
    """The step in time, if nearly all are equal and no two rows of a series have one time."""
    order = np.lexsort((seconds, codes))
    inside = np.diff(codes[order]) == 0
    steps = (np.diff(seconds[order]) / DAY)[inside]
    if not len(steps) or steps.min() <= 0:
        return None
    names = Counter(_named(days) for days in steps.tolist())
    (usual, count), *_ = names.most_common(1)
    if count < _REGULAR * len(steps):
        return None
    return next((step for step in _STEPS if step.name == usual), _OTHER)


def _named(days: float) -> str:
    """The name of a step, or its hours."""
    near = 1 / 480  # three minutes
    found = (each.name for each in _STEPS if each.shortest - near <= days <= each.longest + near)
    return next(found, f"{24 * days:.3f}")

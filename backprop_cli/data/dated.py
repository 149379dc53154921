"""Columns of dates and times as inputs: the year, the place in a cycle, and the days that have passed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np

from backprop_cli.data.column_values import Floats, Rows, as_categories, missing, row_at
from backprop_cli.data.columns import Kind
from backprop_cli.data.refusals import in_yaml, look_like_dates
from backprop_cli.data.table import Array, Column, Table, Text, show
from backprop_cli.data.times import EXAMPLES, Times
from backprop_cli.data.unseen import Unseen
from backprop_cli.errors import DataError
from backprop_cli.nn.class_name import spelled
from backprop_cli.nn.input_columns import InputColumn
from backprop_cli.structs import Struct

CYCLES: Mapping[str, tuple[int, int]] = {"month": (12, 1), "day": (31, 1), "weekday": (7, 1), "hour": (24, 0)}
"""The length of each cycle, and its first number."""
DAY = 86_400
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?", re.ASCII)


class Dates(Struct):
    """How a column spells its times: ``format``, as ``strptime`` reads it, or else as ``times`` does."""

    format: str | None = None
    times: Times = Times()

    def seconds(self, texts: Sequence[str]) -> Floats:
        """Seconds since 1970, UTC, float64 (texts,); NaN for a text that is no time."""
        if self.format is None and all(map(_ISO.fullmatch, texts)):
            try:
                return np.array(texts, "M8[us]").astype(np.int64) / 1e6
            except ValueError:  # the 31st of June: find it
                pass
        return np.array([self._second(text) for text in texts], np.float64)

    def _second(self, text: str) -> float:
        if self.format is None:
            key = self.times.date_key(text)
            return float("nan") if key is None else key / 1e9
        try:
            found = datetime.strptime(text.strip(), self.format)
        except ValueError:
            return float("nan")
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Dated(Struct, eq=False):
    """A column of dates or times, in UTC: numbers, and places in a cycle as sine and cosine (``cyclic``).

    ``out = (part - shift) / divisor`` for each of ``parts`` that is a number. ``elapsed`` counts days from ``origin``.
    A missing time is ``fill`` (None: an error). Both are seconds since 1970. ``indicator``: a last input is 1 for a
    missing time, else 0.

    Shapes: shift and divisor float64 (inputs without the indicator,), 0 and 1 for a sine or cosine
    """

    kind: ClassVar[Kind] = "text"
    shape: ClassVar[tuple[int, ...]] = ()

    name: str
    parts: tuple[str, ...]
    cyclic: bool
    dates: Dates
    origin: float
    shift: Floats
    divisor: Floats
    fill: float | None
    indicator: bool = False

    @property
    def size(self) -> int:
        """Numbers of an example where times are numbers."""
        return 1

    @property
    def width(self) -> int:
        """Number of inputs."""
        return len(self.names())

    @property
    def column(self) -> InputColumn:
        """The column among the network's inputs."""
        return InputColumn(self.name, self.width)

    def names(self) -> list[str]:
        """The name of each input: ``joined.year``, ``joined.month_sin``."""
        return [f"{self.name}.{name}" for name in names_of(self.parts, self.cyclic)] + (
            [f"{self.name}=<missing>"] if self.indicator else []
        )

    def write(self, table: Table, rows: Rows, out: Array, unseen: Unseen) -> None:
        """Put the inputs of these rows into ``out`` (rows, width). Raises: DataError for an unusable value."""
        seconds = seconds_of(table, self.name, rows, self.dates)
        gaps = np.isnan(seconds)
        if gaps.any():
            if self.fill is None:
                raise DataError(missing(table.at(row_at(rows, int(np.argmax(gaps))), self.name)))
            seconds[gaps] = self.fill
        found = values_of_parts(seconds, self.parts, self.cyclic, self.origin)
        out[:, : found.shape[1]] = (found - self.shift) / self.divisor
        if self.indicator:
            out[:, -1] = gaps

    def to_json(self) -> dict[str, Any]:
        """Text, numbers and lists only; floats survive exactly."""
        return {
            "type": "dated",
            "name": self.name,
            "parts": list(self.parts),
            "cyclic": self.cyclic,
            "format": self.dates.format,
            "day_first": self.dates.times.day_first,
            "origin": self.origin,
            "shift": self.shift.tolist(),
            "divisor": self.divisor.tolist(),
            "fill": self.fill,
            "indicator": self.indicator,
        }

    @staticmethod
    def from_json(tree: Mapping[str, Any]) -> Dated:
        """The inverse of ``to_json``."""
        shift, divisor = (np.array(tree[key], np.float64) for key in ("shift", "divisor"))
        dates = Dates(tree["format"], Times(tree["day_first"]))
        more = tree["origin"], shift, divisor, tree["fill"], tree["indicator"]
        return Dated(tree["name"], tuple(tree["parts"]), tree["cyclic"], dates, *more)


def names_of(parts: Sequence[str], cyclic: bool) -> list[str]:
    """The name of each number that the parts of a time make."""
    is_pair = {part: cyclic and part in CYCLES for part in parts}
    return [f"{part}{end}" for part in parts for end in (("_sin", "_cos") if is_pair[part] else ("",))]


def values_of_parts(seconds: Floats, parts: Sequence[str], cyclic: bool, origin: float) -> Floats:
    """The numbers of ``names_of`` for times in seconds since 1970, float64 (times, names)."""
    days = np.floor_divide(seconds, DAY)
    dates = days.astype(np.int64).astype("M8[D]")
    months = dates.astype("M8[M]")
    found: list[Floats] = []
    for part in parts:
        if part == "year":
            found.append(dates.astype("M8[Y]").astype(np.float64) + 1970)
        elif part == "elapsed":
            found.append((seconds - origin) / DAY)
        else:
            places = {
                "month": months.astype(np.int64) % 12,
                "day": (dates - months).astype(np.int64),
                "weekday": (days + 3) % 7,  # the first of January 1970 was a Thursday
                "hour": (seconds - days * DAY) / 3600,
            }
            place = places[part].astype(np.float64)
            length, first = CYCLES[part]
            angle = place * (2 * np.pi / length)
            found += [np.sin(angle), np.cos(angle)] if cyclic else [place + first]
    return np.stack(found, axis=1)


def seconds_of(table: Table, name: str, rows: Rows, dates: Dates) -> Floats:
    """The times of these rows in seconds since 1970, NaN if missing. Raises: DataError for a text that is no time."""
    column = as_categories(table.columns[name])
    codes = column.codes if rows is None else column.codes[rows]
    known = np.append(dates.seconds([spelled(text) for text in column.categories]), np.nan)
    seconds = known[codes]
    wrong = np.isnan(seconds) & (codes >= 0)
    if wrong.any():
        raise _no_date(table, name, column, row_at(rows, int(np.argmax(wrong))), dates)
    return seconds


def _no_date(table: Table, name: str, column: Text, row: int, dates: Dates) -> DataError:
    expected = f"a time as {show(dates.format)} spells it" if dates.format else "a date"
    way_out = f"dates are {EXAMPLES.removesuffix(', or a number')}, or as data.transform.format says"
    return DataError(
        f"{table.at(row, name)}: expected {expected}, got {show(column.categories[column.codes[row]])}; correct it, or "
        f"read the column as names with data.categories: [{in_yaml(name)}] ({way_out})"
    )


def holds_dates(column: Column) -> bool:
    """Whether nearly all texts of a column look like dates, and most can be read as such."""
    if not isinstance(column, Text):
        return False
    texts = [spelled(text) for text in column.categories]
    if not look_like_dates(texts):
        return False
    sample = texts[:: max(1, len(texts) // 1000)]
    return 2 * sum(map(Times.recognizes, sample)) > len(sample)

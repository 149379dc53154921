"""Inputs of a network: columns, scaled or coded according to the train split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.columns import Kind
from backprop_cli.data.refusals import in_yaml, look_like_dates
from backprop_cli.data.sections import Scale, TransformSettings
from backprop_cli.data.table import Array, Column, Numbers, Table, Text, show
from backprop_cli.errors import DataError, listing
from backprop_cli.nn.class_name import Places, spelled
from backprop_cli.nn.input_columns import InputColumn
from backprop_cli.structs import Struct


class CategoryError(DataError):
    """Categories or a class at a ``place`` that cannot be used, the ``fault``, and a way out.

    ``column``: the column of the categories. ``more``: the end of the fault, for a column that is not useless.
    """

    def __init__(self, place: str, fault: str, way_out: str, column: str | None = None, more: str = ""):
        self.place, self.fault, self.column, self._short = place, fault + more, column, fault
        super().__init__(f"{place}: {self.fault}; {way_out}")

    def useless(self, why: str, others: Mapping[str, str] = MappingProxyType({})) -> str:
        """The message if the whole column is useless as categories: the cause, then the way out.

        ``others``: further columns to leave out, with the reasons.
        """
        reasons = "".join(f"; column '{name}' {reason}" for name, reason in others.items())
        exclude = ", ".join(map(in_yaml, [self.column or "", *others]))
        way_out = f"train without {'them' if others else 'it'} (data.exclude: [{exclude}])"
        return f"{self.place}: {self._short}: the column {why}{reasons}: {way_out}"


class UnseenError(CategoryError):
    """A category or class that the train split lacks.

    ``known``: those that it has. ``here``: the way out if the value is in the same file as the train split. ``column``:
    the category's column.
    """

    def __init__(
        self, place: str, fault: str, known: Iterable[str], way_out: str, here: str, column: str | None = None
    ):
        self.here = here
        super().__init__(place, fault, way_out, column, f", which has {listing(known)}")


Rows = NDArray[np.int64] | None
"""Rows of a table, in order; None: all."""
Floats = NDArray[np.float64]

MAX_ONE_HOT = 1000
"""Most categories of a column; with more, they are names or texts."""
_BLOCK = 1 << 18  # numbers converted at a time: 2 MB as float64


class Scaled(Struct, eq=False):
    """A column of numbers: ``out = (x - shift) / divisor * factor``, with ``fill`` for a missing x (None: an error).

    Shapes: an example's values have ``shape``; ``shift``, ``divisor``, ``factor`` and ``fill`` are float64 (width,), or
        (1,) if all are equal.
    """

    kind: ClassVar[Kind] = "number"

    name: str
    shape: tuple[int, ...]
    shift: Floats
    divisor: Floats
    factor: Floats
    fill: Floats | None

    @property
    def width(self) -> int:
        """Number of inputs."""
        return math.prod(self.shape)

    @property
    def column(self) -> InputColumn:
        """The column among the network's inputs."""
        return InputColumn(self.name, self.width)

    def names(self) -> list[str]:
        """The name of each input."""
        if not self.shape:
            return [self.name]
        # Each index becomes text once, not once a pixel: an autoencoder of images has a name for each.
        axes = [[str(place) for place in range(size)] for size in self.shape]
        return [f"{self.name}[{','.join(index)}]" for index in product(*axes)]

    def write(self, table: Table, rows: Rows, out: Array) -> None:
        """Put the inputs of these rows into ``out`` (rows, width). Raises: DataError for an unusable value."""
        for start, block in blocks(table, self.name, rows, self.fill):
            part = out[start : start + len(block)]
            with np.errstate(over="ignore"):
                if self.shift.any():
                    block -= self.shift
                if (self.divisor != 1).any():
                    block /= self.divisor
                if (self.factor != 1).any():
                    block *= self.factor
                part[...] = block
            if not np.isfinite(part).all():
                raise DataError(self._overflow(table, rows, start, part))

    def _overflow(self, table: Table, rows: Rows, start: int, part: Array) -> str:
        i, j = np.argwhere(~np.isfinite(part))[0]
        row, index = row_at(rows, start + int(i)), np.unravel_index(int(j), self.shape) if self.shape else ()
        value = values_of(table, self.name)[row][index]
        return (
            f"{table.at(row, self.name, _ints(index))}: {show(value)} becomes too large for {part.dtype}; "
            "correct it, or use training.precision: float64"
        )

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists only; floats survive exactly."""
        return {
            "type": "scaled",
            "name": self.name,
            "shape": list(self.shape),
            "shift": self.shift.tolist(),
            "divisor": self.divisor.tolist(),
            "factor": self.factor.tolist(),
            "fill": None if self.fill is None else self.fill.tolist(),
        }


class Coded(Struct):
    """A column of categories: one input per category (``one_hot``), or one input with the category's number, from 0.

    A missing value gets the category number ``fill`` (None: an error).
    """

    kind: ClassVar[Kind] = "text"

    name: str
    categories: tuple[str, ...]
    one_hot: bool
    fill: int | None

    shape: ClassVar[tuple[int, ...]] = ()

    @property
    def width(self) -> int:
        """Number of inputs."""
        return len(self.categories) if self.one_hot else 1

    @property
    def column(self) -> InputColumn:
        """The column among the network's inputs."""
        return InputColumn(self.name, self.width, len(self.categories))

    def names(self) -> list[str]:
        """The name of each input."""
        return [f"{self.name}={category}" for category in self.categories] if self.one_hot else [self.name]

    def write(self, table: Table, rows: Rows, out: Array) -> None:
        """Put the inputs of these rows into ``out`` (rows, width). Raises: DataError for an unknown category."""
        column, places = as_categories(table.columns[self.name]), Places(self.categories)
        found = [places.find(category) for category in column.categories]
        if isinstance(table.columns[self.name], Numbers) and not any(place is not None for place in found):
            raise DataError(f"{table.of(self.name)}: expected categories ({listing(self.categories)}), got numbers")
        fill = -1 if self.fill is None else self.fill
        codes = np.array([*(-2 if place is None else place for place in found), fill], np.int64)[
            column.codes if rows is None else column.codes[rows]
        ]
        if len(codes) and codes.min() < 0:
            raise self._refusal(table, column, rows, codes)
        if self.one_hot:
            out[...] = 0
            out[np.arange(len(codes)), codes] = 1
        else:
            out[:, 0] = codes

    def _refusal(self, table: Table, column: Text, rows: Rows, codes: NDArray[np.int64]) -> DataError:
        first = int(np.argmax(codes < 0))
        row = row_at(rows, first)
        if codes[first] == -1:
            return DataError(missing(table.at(row, self.name)) + missing_texts(column))
        category = column.categories[column.codes[row]]
        fault = f"category {show(category)} is not in the train split"
        way_out = f"remove the row, or train without the column (data.exclude: [{in_yaml(self.name)}])"
        error = UnseenError(table.at(row, self.name), fault, self.categories, way_out, way_out, self.name)
        return DataError(error.useless("holds dates")) if look_like_dates(self.categories) else error

    def to_json(self) -> dict[str, Any]:
        """Text and numbers only."""
        return {
            "type": "coded",
            "name": self.name,
            "categories": list(self.categories),
            "one_hot": self.one_hot,
            "fill": self.fill,
        }


Feature = Scaled | Coded


def feature_from_json(tree: dict[str, Any]) -> Feature:
    """The inverse of ``to_json``."""
    if tree["type"] == "coded":
        return Coded(tree["name"], tuple(tree["categories"]), tree["one_hot"], tree["fill"])
    shift, divisor, factor = (np.array(tree[key], np.float64) for key in ("shift", "divisor", "factor"))
    fill = None if tree["fill"] is None else np.array(tree["fill"], np.float64)
    return Scaled(tree["name"], tuple(tree["shape"]), shift, divisor, factor, fill)


def fit_feature(table: Table, name: str, rows: Rows, settings: TransformSettings) -> Feature:
    """Scale or code a column according to ``rows``.

    Raises: DataError for an infinite value, and for a missing one unless ``settings.missing`` replaces it.
    """
    column = as_feature(table.column(name))
    if isinstance(column, Text):
        return _fit_coded(table, name, column, rows, settings)
    return _fit_scaled(table, name, column, rows, settings)


def _fit_coded(table: Table, name: str, column: Text, rows: Rows, settings: TransformSettings) -> Coded:
    codes = column.codes if rows is None else column.codes[rows]
    if settings.missing == "error" and codes.min() < 0:
        raise DataError(missing(table.at(row_at(rows, int(np.argmin(codes))), name)) + missing_texts(column))
    counts = np.bincount(codes[codes >= 0], minlength=len(column.categories))
    known = sorted((str(column.categories[i]), int(counts[i])) for i in np.flatnonzero(counts))
    if not known:
        raise DataError(f"{table.of(name)}: {_NO_VALUE}")
    one_hot = settings.categorical == "one_hot"
    if one_hot and len(known) > MAX_ONE_HOT:
        raise CategoryError(
            table.of(name),
            f"{len(known):,} different texts, such as {show(known[0][0])}, are too many categories for one_hot (at "
            f"most {MAX_ONE_HOT:,})",
            f"leave it out with data.exclude: [{in_yaml(name)}], or use categorical: ordinal",
            name,
        )
    # Of equally frequent categories max takes the first, by code point.
    most = max(range(len(known)), key=lambda i: known[i][1])
    return Coded(name, tuple(text for text, _ in known), one_hot, None if settings.missing == "error" else most)


def _fit_scaled(table: Table, name: str, column: Numbers, rows: Rows, settings: TransformSettings) -> Scaled:
    shape = column.values.shape[1:]
    fill = _fit_fill(table, name, rows, settings.missing)
    shift, divisor, factor = np.zeros(1), np.ones(1), np.ones(1)
    if isinstance(settings.numeric, Scale):
        factor = np.array([settings.numeric.scale])
    elif settings.numeric != "none":
        low, high, mean = _range_and_mean(table, name, rows, fill)
        # The range recognizes a constant column: rounding can leave it a tiny deviation.
        varies = high > low
        if settings.numeric == "standardize":
            shift, spread = mean, _deviation(table, name, rows, fill, mean)
        else:
            shift, spread = low, high - low
        shift = np.where(varies, shift, low)
        divisor = np.where(varies & (spread > 0), spread, 1.0)
        factor = np.where(varies, 1.0, 0.0)
        if not (np.isfinite(shift) & np.isfinite(divisor)).all():
            raise DataError(f"{table.of(name)}: its numbers are too large for numeric: {settings.numeric}")
    return Scaled(
        name, shape, _shared(shift), _shared(divisor), _shared(factor), None if fill is None else _shared(fill)
    )


def _shared(values: Floats) -> Floats:
    """One number if all are equal."""
    return values[:1] if np.all(values == values[0]) else values


_NO_VALUE = "the train split has no value in it; leave the column out with data.features"


def _fit_fill(table: Table, name: str, rows: Rows, how: str) -> Floats | None:
    """The replacements of missing values, (width,); None if values may not be missing."""
    values = values_of(table, name)
    if how == "error" or values.dtype.kind != "f":
        return None
    flat = values.reshape(len(values), -1)
    return np.array([_typical(flat[:, j], rows, how, table.of(name)) for j in range(flat.shape[1])])


def _typical(values: Array, rows: Rows, how: str, place: str) -> float:
    chosen = np.asarray(values if rows is None else values[rows], np.float64)
    known = chosen[np.isfinite(chosen)]  # infinities are refused later, with their place
    if not len(known):
        raise DataError(f"{place}: {_NO_VALUE}")
    if how == "mean":
        return float(known.mean())
    if how == "median":
        return float(np.median(known))
    distinct, counts = np.unique(known, return_counts=True)
    return float(distinct[np.argmax(counts)])


def _range_and_mean(table: Table, name: str, rows: Rows, fill: Floats | None) -> tuple[Floats, Floats, Floats]:
    low, high, total, count = np.inf, -np.inf, 0.0, 0
    with np.errstate(over="ignore"):
        for _, block in blocks(table, name, rows, fill):
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
            total, count = total + block.sum(axis=0), count + len(block)
    return np.asarray(low), np.asarray(high), np.asarray(total / count)


def _deviation(table: Table, name: str, rows: Rows, fill: Floats | None, mean: Floats) -> Floats:
    """Population standard deviation, in a second pass: sums of squares about 0 would lose digits."""
    total, count = np.zeros_like(mean), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for _, block in blocks(table, name, rows, fill):
            block -= mean
            total, count = total + np.square(block, out=block).sum(axis=0), count + len(block)
    return np.asarray(np.sqrt(total / count))


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


_MISSING = "data.transform.missing: mean, median or most_frequent"


def missing(place: str) -> str:
    """The message for a missing input."""
    return f"{place}: the value is missing; fill it in, or train with {_MISSING}"


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

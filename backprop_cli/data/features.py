"""Inputs of a network: columns, scaled or coded according to the train split."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.column_values import (
    Floats,
    Rows,
    as_categories,
    blocks,
    missing,
    missing_texts,
    row_at,
    values_of,
)
from backprop_cli.data.columns import Kind
from backprop_cli.data.curves import Curve, curve_from_json, smoothly_clipped
from backprop_cli.data.dated import Dated
from backprop_cli.data.refusals import in_yaml, look_like_dates
from backprop_cli.data.table import Array, Numbers, Table, Text, show
from backprop_cli.data.unseen import Unseen, UnseenError
from backprop_cli.errors import DataError, listing
from backprop_cli.nn.class_name import Places
from backprop_cli.nn.input_columns import InputColumn
from backprop_cli.structs import Struct


class Scaled(Struct, eq=False):
    """A column of numbers: ``out = (x - shift) / divisor * factor``, with ``fill`` for a missing x (None: an error).

    ``curve`` bends x before that. ``clipped``: the result is clipped smoothly. ``indicator``: after these inputs come
    as many that are 1 where x is missing, else 0.

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
    indicator: bool = False
    curve: Curve | None = None
    clipped: bool = False

    @property
    def is_linear(self) -> bool:
        """Whether equal steps of x are equal steps of the input."""
        return self.curve is None and not self.clipped

    @property
    def size(self) -> int:
        """Numbers of an example."""
        return math.prod(self.shape)

    @property
    def width(self) -> int:
        """Number of inputs."""
        return self.size * (2 if self.indicator else 1)

    @property
    def column(self) -> InputColumn:
        """The column among the network's inputs."""
        return InputColumn(self.name, self.width)

    def names(self) -> list[str]:
        """The name of each input."""
        names = [self.name]
        if self.shape:
            # Each index becomes text once, not once a pixel: an autoencoder of images has a name for each.
            axes = [[str(place) for place in range(size)] for size in self.shape]
            names = [f"{self.name}[{','.join(index)}]" for index in product(*axes)]
        return [*names, *(f"{name}=<missing>" for name in names if self.indicator)]

    def write(self, table: Table, rows: Rows, out: Array, unseen: Unseen) -> None:
        """Put the inputs of these rows into ``out`` (rows, width). Raises: DataError for an unusable value."""
        if self.indicator:
            values = values_of(table, self.name)
            chosen = values if rows is None else values[rows]
            out[:, self.size :] = (chosen != chosen).reshape(len(chosen), -1)
        for start, block in blocks(table, self.name, rows, self.fill):
            part = out[start : start + len(block), : self.size]
            with np.errstate(over="ignore"):
                block = block if self.curve is None else self.curve(block)
                if self.shift.any():
                    block -= self.shift
                if (self.divisor != 1).any():
                    block /= self.divisor
                if (self.factor != 1).any():
                    block *= self.factor
                part[...] = smoothly_clipped(block) if self.clipped else block
            if not np.isfinite(part).all():
                raise DataError(self._overflow(table, rows, start, part))

    def _overflow(self, table: Table, rows: Rows, start: int, part: Array) -> str:
        i, j = np.argwhere(~np.isfinite(part))[0]
        row, index = row_at(rows, start + int(i)), np.unravel_index(int(j), self.shape) if self.shape else ()
        value = values_of(table, self.name)[row][index]
        return (
            f"{table.at(row, self.name, tuple(map(int, index)))}: {show(value)} becomes too large for {part.dtype}; "
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
            "indicator": self.indicator,
            "curve": None if self.curve is None else self.curve.to_json(),
            "clipped": self.clipped,
        }


class Coded(Struct):
    """A column of categories: one input per category (``one_hot``), or one input with the category's number, from 0.

    ``other``: categories that the train split lacks have the number after the last one, and an input of their own; else
    they are an error. A missing value has the number ``fill`` (None: an error): that of a category, or the number after
    all others, with an input of its own.
    """

    kind: ClassVar[Kind] = "text"

    name: str
    categories: tuple[str, ...]
    one_hot: bool
    fill: int | None
    other: bool = False

    shape: ClassVar[tuple[int, ...]] = ()

    @property
    def levels(self) -> int:
        """Numbers that a value may have."""
        known = len(self.categories) + self.other
        return known if self.fill is None else max(known, self.fill + 1)

    @property
    def width(self) -> int:
        """Number of inputs."""
        return self.levels if self.one_hot else 1

    @property
    def column(self) -> InputColumn:
        """The column among the network's inputs."""
        return InputColumn(self.name, self.width, self.levels)

    def names(self) -> list[str]:
        """The name of each input."""
        if not self.one_hot:
            return [self.name]
        own = [*self.categories, *(["<other>"] if self.other else []), "<missing>"]
        return [f"{self.name}={category}" for category in own[: self.levels]]

    def write(self, table: Table, rows: Rows, out: Array, unseen: Unseen) -> None:
        """Put the inputs of these rows into ``out`` (rows, width), and count other categories in ``unseen``.

        Raises: DataError for an unusable value.
        """
        column, places = as_categories(table.columns[self.name]), Places(self.categories)
        found = [places.find(category) for category in column.categories]
        if isinstance(table.columns[self.name], Numbers) and not any(place is not None for place in found):
            raise DataError(f"{table.of(self.name)}: expected categories ({listing(self.categories)}), got numbers")
        fill, new = -1 if self.fill is None else self.fill, len(self.categories) if self.other else -2
        own = column.codes if rows is None else column.codes[rows]
        codes = np.array([*(new if place is None else place for place in found), fill], np.int64)[own]
        if len(codes) and codes.min() < 0:
            raise self._refusal(table, column, rows, codes)
        if self.other and None in found:
            self._count(table, column, rows, np.where(codes == new, own, -1), unseen)
        if self.one_hot:
            out[...] = 0
            out[np.arange(len(codes)), codes] = 1
        else:
            out[:, 0] = codes

    def _count(self, table: Table, column: Text, rows: Rows, codes: NDArray[np.int64], unseen: Unseen) -> None:
        """``codes``: those of the column where the category is unknown, else -1."""
        if len(codes) and codes.max() >= 0:
            counts = np.bincount(codes[codes >= 0], minlength=len(column.categories))
            values = {str(column.categories[code]): int(counts[code]) for code in np.flatnonzero(counts)}
            unseen.add(self.name, table.at(row_at(rows, int(np.argmax(codes >= 0))), self.name), values)

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
            "other": self.other,
        }


Feature = Scaled | Coded | Dated


def feature_from_json(tree: dict[str, Any]) -> Feature:
    """The inverse of ``to_json``."""
    if tree["type"] == "dated":
        return Dated.from_json(tree)
    if tree["type"] == "coded":
        other = tree.get("other", False)
        return Coded(tree["name"], tuple(tree["categories"]), tree["one_hot"], tree["fill"], other)
    shift, divisor, factor = (np.array(tree[key], np.float64) for key in ("shift", "divisor", "factor"))
    fill = None if tree["fill"] is None else np.array(tree["fill"], np.float64)
    more = tree.get("indicator", False), curve_from_json(tree.get("curve")), tree.get("clipped", False)
    return Scaled(tree["name"], tuple(tree["shape"]), shift, divisor, factor, fill, *more)

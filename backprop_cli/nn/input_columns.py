"""Columns of the data among a network's inputs, and the groups of them that a layer can read by name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from backprop_cli.autodiff import Value, concat, slice_

NUMERIC, CATEGORIES = "numeric", "categories"
GROUPS = (NUMERIC, CATEGORIES)
"""Names that a layer reads: the columns of numbers, and all others."""
ONE = "input."
"""Before a column's name, to read this column alone: ``input.price``. No layer's name has a dot."""


class InputColumn(NamedTuple):
    """A column as inputs of the network, side by side.

    ``width``: number of inputs. ``categories``: number of categories, which are one input each, or the numbers from 0
    of a single input; None for numbers.
    """

    name: str
    width: int = 1
    categories: int | None = None

    @property
    def is_coded(self) -> bool:
        """Its one input is the number of a category."""
        return self.categories is not None and self.width == 1

    def is_in(self, group: str) -> bool:
        """Whether it belongs to a group, or is the column itself."""
        return group in (NUMERIC if self.categories is None else CATEGORIES, ONE + self.name)


Columns = tuple[InputColumn, ...]


def is_group(name: str) -> bool:
    """Whether a layer that reads ``name`` reads columns of the data."""
    return name in GROUPS or name.startswith(ONE)


def columns_in(columns: Columns, group: str) -> Columns:
    """The columns of a group; of any other name, such as ``input``, all."""
    return tuple(column for column in columns if not is_group(group) or column.is_in(group))


def chunks_of(columns: Columns) -> tuple[int, ...]:
    """Numbers of inputs that are one thing: a category's inputs for one column, and every number for itself."""
    sizes = ((column.width,) if column.categories is not None else (1,) * column.width for column in columns)
    return tuple(size for each in sizes for size in each)


def inputs_of(x: Value, columns: Columns, group: str) -> Value:
    """The inputs of a group, a view if its columns are neighbours.

    Shapes: x (batch, ..., inputs) -> (batch, ..., inputs of the group)
    """
    parts = [slice_(x, x.ndim - 1, start, stop) for start, stop in _ranges(columns, group)]
    return parts[0] if len(parts) == 1 else concat(parts, x.ndim - 1)


def _ranges(columns: Sequence[InputColumn], group: str) -> list[tuple[int, int]]:
    """Where the inputs of a group begin and end; neighbours are one range."""
    found: list[tuple[int, int]] = []
    ends = accumulate((column.width for column in columns), initial=0)
    for column, (start, stop) in zip(columns, pairwise(ends), strict=True):
        if not column.is_in(group):
            continue
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, stop))
    return found

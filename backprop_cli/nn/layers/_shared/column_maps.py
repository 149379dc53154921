"""Maps of single columns, each with weights of its own."""

from __future__ import annotations

from backprop_cli.autodiff import Spec, Value, reshape, transpose
from backprop_cli.errors import ShapeError


def columns_of(layer: str, x: Spec) -> int:
    """The number of columns. Raises: ShapeError for examples that are not vectors."""
    if x.ndim != 2:
        raise ShapeError(layer, "needs one vector per example; put {type: flatten} before it", x=x)
    return x.shape[1]


def columns_first(x: Value) -> Value:
    """Shapes: x (batch, columns) -> (columns, batch, 1): so a product maps each column by its own matrix."""
    return reshape(transpose(x), (x.shape[1], x.shape[0], 1))


def by_column(x: Value) -> Value:
    """A parameter that broadcasts over the batch. Shapes: x (columns, n) -> (columns, 1, n)"""
    return reshape(x, (x.shape[0], 1, x.shape[1]))


def side_by_side(x: Value) -> Value:
    """The columns of each example one after the other. Shapes: x (columns, batch, n) -> (batch, columns * n)"""
    columns, batch, size = x.shape
    return reshape(transpose(x, (1, 0, 2)), (batch, columns * size))

"""``x[key]`` of a value, by NumPy's rules: integers, slices, None, Ellipsis, and one array of integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop_cli.autodiff.families import inverse
from backprop_cli.autodiff.functions import cast, less, reshape, slice_, take_rows, transpose, where
from backprop_cli.autodiff.value import Value, constant
from backprop_cli.errors import ShapeError, UsageError

_ALL = slice(None)


def indexed(x: Value, key: Any) -> Value:
    """``x[key]``; traced integers that lie outside their axis are found by ``evaluate``, not by a plan.

    Raises:
        ShapeError: an index outside its axis, or more indices than axes.
        UsageError: an index of another kind, such as a mask.

    """
    indices = _complete(x, key if isinstance(key, tuple) else (key,))
    _check_kinds(indices)
    out, axis, shape = x, 0, list[int]()
    for index in indices:
        if index is None:
            shape.append(1)
            continue
        if isinstance(index, slice):
            out = _cut(out, axis, index)
            shape.append(out.shape[axis])
        elif isinstance(index, int | np.integer):
            place = _places(out, axis, int(index)).item()
            out = slice_(out, axis, place, place + 1)
        else:
            rows = _from_zero(out, axis, index)
            out = _taken(out, axis, reshape(rows, (rows.size,)))
            shape += rows.shape
        axis += 1
    return out if out.shape == tuple(shape) else reshape(out, shape)


def _complete(x: Value, key: tuple[Any, ...]) -> list[Any]:
    """One index an axis, and None for each new axis."""
    gaps = [k for k, index in enumerate(key) if index is Ellipsis]
    missing = x.ndim - sum(index is not None and index is not Ellipsis for index in key)
    if missing < 0:
        raise ShapeError(x, f"{x.ndim - missing} indices for {x.ndim} axes", x=x.spec)
    if len(gaps) > 1:
        raise ShapeError(x, "an index has at most one `...`", x=x.spec)
    gap = gaps[0] if gaps else len(key)
    return [*key[:gap], *[_ALL] * missing, *key[gap + 1 :]]


def _check_kinds(indices: list[Any]) -> None:
    arrays = [index for index in indices if isinstance(index, Value | np.ndarray | list)]
    for index in arrays:
        array = index if isinstance(index, Value) else np.asarray(index)
        if array.dtype.kind == "f" and array.size > 0 and not isinstance(index, Value):
            raise UsageError(f"an array of indices has integers, not {array.dtype}: write array.astype(int)")
        if array.dtype.kind not in "iu" and array.size > 0:
            raise UsageError("a mask selects no elements of a traced value: write ad.where(mask, x, 0)")
    known = (int, np.integer, slice, Value, np.ndarray, list, type(None))
    for index in indices:
        if isinstance(index, bool | np.bool_) or not isinstance(index, known):
            raise UsageError(f"{index!r} cannot index a traced value: use integers, slices, None, `...` or an array")
    integers = [index for index in indices if isinstance(index, int | np.integer)]
    if len(arrays) > 1:
        raise UsageError(
            "an index has at most one array of integers: x[np.arange(n), labels] is (ad.one_hot(labels, k) * x).sum(1)"
        )
    if arrays and integers:
        raise UsageError("an array of integers can be combined with slices only: index in two steps, x[k][array]")


def _places(x: Value, axis: int, index: Any) -> Any:
    """Integers from 0 in place of negative ones."""
    size, given = x.shape[axis], np.asarray(index)
    places = np.where(given < 0, given + size, given).astype(np.intp)
    wrong = given[(places < 0) | (places >= size)]
    if wrong.size:
        raise ShapeError(x, f"index {wrong.flat[0]} is outside axis {axis} of size {size}", x=x.spec)
    return places


def _from_zero(x: Value, axis: int, index: Any) -> Value:
    """An array of integers with numbers from 0 in place of negative ones."""
    if not isinstance(index, Value):
        return constant(_places(x, axis, index))
    if index.dtype.kind == "u":
        return index
    index = cast(index, np.intp)  # a small type might not hold the size
    return where(less(index, 0), index + x.shape[axis], index)


def _cut(x: Value, axis: int, index: slice) -> Value:
    start, stop, step = index.indices(x.shape[axis])
    if step != 1:
        return _taken(x, axis, constant(np.arange(start, stop, step)))
    stop = max(start, stop)
    return x if stop - start == x.shape[axis] else slice_(x, axis, start, stop)


def _taken(x: Value, axis: int, rows: Value) -> Value:
    """The elements at ``rows`` along an axis: rows of a matrix, once the axis is moved to the front."""
    order = (axis, *(k for k in range(x.ndim) if k != axis))
    front = transpose(x, order) if axis else x
    table = reshape(front, (front.shape[0], math.prod(front.shape[1:])))
    out = reshape(take_rows(table, rows), (rows.size, *front.shape[1:]))
    return transpose(out, inverse(order)) if axis else out

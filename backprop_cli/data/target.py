"""Targets of a network: class labels, zeros and ones, or numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.column_values import Floats, Rows, as_feature, missing_texts, row_at
from backprop_cli.data.spelling import number_of
from backprop_cli.data.table import Array, CellValue, Table, Text, is_missing, show
from backprop_cli.data.unseen import UnseenError
from backprop_cli.errors import DataError, SettingError, listing, plural
from backprop_cli.nn.class_name import Places, exact, spelled
from backprop_cli.nn.task import Task, task_of
from backprop_cli.structs import Struct


class FittedTarget(Struct, eq=False):
    """The meaning of the target's columns, fitted on the train split.

    ``columns``: those of the file; None if the inputs are the target. ``names``: one for each output. ``classes``: for
    each column its classes in order, or the values for 0 and 1 (binary); the tokens in order, if they have names; empty
    for numbers. ``mean`` and ``deviation``, float64 (outputs,): a regression is trained on ``(y - mean) / deviation``.
    """

    task: Task
    columns: tuple[str, ...] | None
    names: tuple[str, ...]
    classes: tuple[tuple[CellValue, ...], ...]
    mean: Floats
    deviation: Floats

    def encode(self, table: Table, rows: Rows, dtype: np.dtype[Any]) -> Array:
        """Targets of these rows: int64 (rows,) for classes, int64 (rows, positions) for tokens, else ``dtype`` (rows,
        outputs).

        Raises: DataError for a value that is missing, not a number, or a class that the train split lacks.
        """
        assert self.columns is not None
        if self.task.has_classes:
            known = zip(self.columns, self.classes, strict=False)  # classes of a multiclass target: one column
            codes = [_encode(table, column, rows, classes) for column, classes in known]
            return codes[0] if self.task.is_multiclass else np.stack(codes, axis=1).astype(dtype)
        numbers = _numbers(table, self.columns, rows)
        if self.task.has_positions:
            return _whole(table, self.columns, rows, numbers)
        if numbers.shape[1] != len(self.names):
            raise DataError(f"{table.name}: a row has {numbers.shape[1]} target values, expected {len(self.names)}")
        return self.standardize(numbers).astype(dtype)

    def numbers(self, table: Table, rows: Rows = None) -> Floats:
        """The targets of a regression in their own unit, float64 (rows, outputs). Raises: DataError as ``encode``."""
        assert self.columns is not None
        return _numbers(table, self.columns, rows)

    def encode_inputs(self, inputs: Array, place: str) -> Array:
        """The inputs (rows, ...) as their own targets, (rows, outputs)."""
        flat = inputs.reshape(len(inputs), -1)
        if self.task.has_classes and (flat.min() < 0 or flat.max() > 1):
            raise DataError(
                f"{place}: inputs that are binary targets must be from 0 to 1, got {flat.min():.4g} to "
                f"{flat.max():.4g}; use data.transform.numeric: min_max, or a loss for numbers"
            )
        return self.standardize(flat).astype(inputs.dtype, copy=False)

    def standardize(self, targets: Array) -> Array:
        """``(y - mean) / deviation``."""
        if not self.mean.any() and (self.deviation == 1).all():
            return targets
        return np.asarray((targets - self.mean) / self.deviation)

    def restore(self, outputs: Array) -> Array:
        """The inverse of ``standardize``: outputs in the target's own unit."""
        if not self.mean.any() and (self.deviation == 1).all():
            return outputs
        return np.asarray(outputs * self.deviation + self.mean)

    def to_json(self) -> dict[str, Any]:
        """Lists, text and numbers only; floats survive exactly."""
        return {
            "task": self.task,
            "columns": None if self.columns is None else list(self.columns),
            "names": list(self.names),
            "classes": [list(classes) for classes in self.classes],
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
        }

    @staticmethod
    def from_json(tree: dict[str, Any]) -> FittedTarget:
        """The inverse of ``to_json``."""
        return FittedTarget(
            task=task_of(tree["task"]),
            columns=None if tree["columns"] is None else tuple(tree["columns"]),
            names=tuple(tree["names"]),
            classes=tuple(tuple(classes) for classes in tree["classes"]),
            mean=np.array(tree["mean"], np.float64),
            deviation=np.array(tree["deviation"], np.float64),
        )


def fit_target(table: Table, columns: Sequence[str], rows: Rows, task: Task, *, standardize: bool) -> FittedTarget:
    """Fit the meaning of the target's columns on ``rows``.

    Raises: DataError for missing targets, for a single class, and for targets that do not suit the task; SettingError
        if classes are wanted and the column holds measurements or names.
    """
    classes: tuple[tuple[CellValue, ...], ...] = ()
    names = tuple(columns)
    if task.is_multiclass:
        if len(columns) != 1:
            raise DataError(
                f"{table.name}: class labels are one column, data.target names {len(columns)}: {listing(columns)}"
            )
        classes = (_classes(table, columns[0], rows),)
    elif task.has_classes:
        classes = tuple(_pair(table, column, rows, alone=len(columns) == 1) for column in columns)
    elif task.has_unit:
        names = tuple(name for column in columns for name in _names(table, column))
    plain = np.zeros(len(names)), np.ones(len(names))
    scale = mean_and_deviation(_numbers(table, columns, rows)) if task.has_unit and standardize else plain
    too_large = ~np.isfinite(scale).all(axis=0)
    if too_large.any():
        name = names[int(np.argmax(too_large))]
        raise DataError(f"{table.of(name)}: its numbers are too large for target: standardize; divide them")
    return FittedTarget(task, tuple(columns), names, classes, *scale)


def mean_and_deviation(targets: Array) -> tuple[Floats, Floats]:
    """Over the rows, float64 (outputs,). The deviation is the population's, and 1 for a constant column."""
    mean = targets.mean(axis=0, dtype=np.float64)
    deviation = targets.std(axis=0, dtype=np.float64)
    varies = (targets.max(axis=0) > targets.min(axis=0)) & (deviation > 0)
    return mean, np.where(varies, deviation, 1.0)


def labels_of(table: Table, column: str, rows: Rows) -> tuple[list[CellValue], NDArray[np.int64]]:
    """The distinct labels among these rows, in no order, and each row's index among them.

    Raises: DataError if a label is missing or is not one value.
    """
    found = table.columns[column]
    if isinstance(found, Text):
        codes = found.codes if rows is None else found.codes[rows]
        if codes.min() < 0:
            raise DataError(_missing(table, column, row_at(rows, int(np.argmin(codes)))) + missing_texts(found))
        used, codes = np.unique(codes, return_inverse=True)
        return _merged([found.categories[code] for code in used], codes)
    values = found.values
    if math.prod(values.shape[1:]) != 1:
        raise DataError(
            f"{table.of(column)}: has shape {list(values.shape)}, expected one label per row: [{len(values)}]"
            " (of one-hot rows, save argmax(axis=1))"
        )
    chosen = values.reshape(len(values))
    chosen = chosen if rows is None else chosen[rows]
    if chosen.dtype.kind == "f" and not np.isfinite(chosen).all():
        first = int(np.argmin(np.isfinite(chosen)))
        raise DataError(_missing(table, column, row_at(rows, first)))
    distinct, codes = np.unique(chosen, return_inverse=True)
    return _merged(_integers_if_whole(distinct.tolist()), codes)


def _merged(labels: list[CellValue], codes: NDArray[np.intp]) -> tuple[list[CellValue], NDArray[np.int64]]:
    """Merge equal numbers that are written differently (1 and 1.0) into the integer."""
    index: dict[Any, int] = {}
    places = np.array([index.setdefault(exact(label), len(index)) for label in labels], np.int64)
    names: dict[int, CellValue] = {}
    for place, label in zip(places.tolist(), labels, strict=True):
        if place not in names or isinstance(label, int):
            names[place] = label
    return list(names.values()), places[codes]


def _integers_if_whole(labels: list[CellValue]) -> list[CellValue]:
    """Labels of an array, which has no spelling, as integers if all are whole."""
    if all(isinstance(label, float) and label.is_integer() for label in labels):
        return [int(label) for label in labels]
    return labels


MAX_FRACTIONS = 10
"""Most distinct numbers with fractions that may be classes: 0.5, 1, 1.5 stars."""
MAX_CLASSES = 20
"""Number of classes that is never suspicious, however few the rows."""


def require_classes(table: Table, column: str, labels: Sequence[CellValue], rows: int) -> None:
    """Raise SettingError if the labels of ``rows`` rows are measurements or names rather than classes."""
    count = len(labels)
    numbers = [number_of(label) if isinstance(label, str) else label for label in labels]
    numeric = None not in numbers
    whole = not numeric or all(float(number).is_integer() for number in numbers if number is not None)
    if (whole or count <= MAX_FRACTIONS) and (count <= MAX_CLASSES or count <= rows / 2):
        return
    what = "numbers" if whole else "numbers with fractions"
    found = f"{table.of(column)} has {count:,} different {what if numeric else 'texts'} in {rows:,} rows"
    number = "; to predict a number use a loss for numbers, such as mean_squared_error" if numeric else ""
    reason = f"{found}, and the loss treats each as a class{number}; for classes name their column"
    raise SettingError([(("data", "target"), reason)])


def _order(label: CellValue) -> tuple[bool, Any]:
    """Numbers by value, then text by code point."""
    return isinstance(label, str), label


def _classes(table: Table, column: str, rows: Rows) -> tuple[CellValue, ...]:
    labels, codes = labels_of(table, column, rows)
    if len(labels) == 1:
        raise DataError(
            f"{table.of(column)}: the train split has only one class, {_shown(labels[0])}; at least two are needed"
        )
    require_classes(table, column, labels, len(codes))
    return tuple(sorted(labels, key=_order))


def _pair(table: Table, column: str, rows: Rows, *, alone: bool) -> tuple[CellValue, ...]:
    """The values for 0 and 1. A column next to others may be constant."""
    labels = sorted(labels_of(table, column, rows)[0], key=_order)
    if all(label in (0, 1) for label in labels) and len({isinstance(label, bool) for label in labels}) == 1:
        if alone and len(labels) == 1:
            _classes(table, column, rows)
        kind = type(labels[0])
        return tuple(labels) if len(labels) == 2 else (kind(0), kind(1))
    if len(labels) == 1:
        _classes(table, column, rows)
    texts = [label for label in labels if isinstance(label, str)]
    # If one number is spelled as a name, such as 02116, the other is a name as well.
    if len(labels) != 2 or not texts or (len(texts) == 1 and number_of(texts[0]) is None):
        shown = listing(map(_shown, labels), 5)
        way_out = "; for more classes use loss: cross_entropy" if len(labels) > 2 else ""
        raise DataError(f"{table.of(column)}: binary targets are 0 and 1, or two names; got {shown}{way_out}")
    return tuple(labels)


def _encode(table: Table, column: str, rows: Rows, classes: Sequence[CellValue]) -> NDArray[np.int64]:
    """Each row's index among ``classes``."""
    labels, codes = labels_of(table, column, rows)
    places = Places(classes)
    found = [places.find(label) for label in labels]
    out = np.array([-1 if place is None else place for place in found], np.int64)[codes]
    if len(out) and out.min() < 0:
        position = int(np.argmin(out))
        raise UnseenError(
            table.at(row_at(rows, position), column),
            f"class {_shown(labels[codes[position]])} is not in the train split",
            map(spelled, classes),
            "train with rows that have it, or remove this row",
            "remove the row",
        )
    return out


def _shown(label: CellValue) -> str:
    return show(label) if isinstance(label, str) else spelled(label)


def _names(table: Table, column: str) -> list[str]:
    found = as_feature(table.columns[column])
    shape = () if isinstance(found, Text) else found.values.shape[1:]
    if math.prod(shape) == 1:
        return [column]
    return [f"{column}[{','.join(map(str, index))}]" for index in np.ndindex(shape)]


def _numbers(table: Table, columns: Sequence[str], rows: Rows) -> Floats:
    """The columns side by side, float64 (rows, outputs). Raises: DataError for text, missing and infinite values."""
    return np.concatenate([_column_numbers(table, column, rows) for column in columns], axis=1)


def _column_numbers(table: Table, column: str, rows: Rows) -> Floats:
    found = as_feature(table.columns[column])
    if isinstance(found, Text):
        first = int(np.argmax(found.codes >= 0))
        got = show(found.categories[found.codes[first]])
        raise DataError(
            f"{table.at(first, column)}: expected a number as target, got {got}; for classes use loss: cross_entropy"
        )
    values = found.values if rows is None else found.values[rows]
    out = values.reshape(len(values), -1).astype(np.float64)
    if not np.isfinite(out).all():
        i, j = np.argwhere(~np.isfinite(out))[0]
        row = row_at(rows, int(i))
        if np.isnan(out[i, j]):
            raise DataError(_missing(table, column, row))
        raise DataError(f"{table.at(row, column)}: expected a finite number as target, got {show(out[i, j])}")
    return out


def _whole(table: Table, columns: Sequence[str], rows: Rows, numbers: Floats) -> NDArray[np.int64]:
    """Tokens as numbers, int64 (rows, positions). Raises: DataError for a fraction."""
    wrong = numbers != np.floor(numbers)
    if wrong.any():
        i, j = (int(k) for k in np.argwhere(wrong)[0])
        row = row_at(rows, i)
        place = table.at(row, columns[j]) if len(columns) > 1 else table.at(row, columns[0], (j,))
        raise DataError(f"{place}: expected a token's number, got {show(numbers[i, j])}")
    return numbers.astype(np.int64)


def weights_of(table: Table, column: str, rows: Rows) -> Floats:
    """Weights of examples, float64 (rows,). Raises: DataError for a missing, negative or infinite weight."""
    found = as_feature(table.columns[column])
    if isinstance(found, Text) or math.prod(found.values.shape[1:]) != 1:
        what = "text" if isinstance(found, Text) else f"an array of the shape {list(found.values.shape)}"
        raise DataError(f"{table.of(column)}: is {what}; expected one weight per example (data.sample_weight)")
    values = found.values if rows is None else found.values[rows]
    out = values.reshape(len(values)).astype(np.float64)
    wrong = ~(np.isfinite(out) & (out >= 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        place = table.at(row_at(rows, first), column)
        if np.isnan(out[first]):
            raise DataError(f"{place}: the example's weight is missing; fill it in or remove the row")
        raise DataError(f"{place}: expected a weight of at least 0, got {show(out[first])}")
    return out


def _missing(table: Table, column: str, row: int) -> str:
    others = int(is_missing(table.columns[column]).sum()) - 1
    here = f", here and in {plural(others, 'other row')}" if others > 0 else ""
    return f"{table.at(row, column)}: the target is missing{here}; fill it in, or train with data.missing_target: drop"

"""Predictions of a network as named columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array
from backprop_cli.data.row_labels import RowLabels
from backprop_cli.nn.class_name import spelled
from backprop_cli.nn.intervals import Intervals
from backprop_cli.nn.metric import Predictions
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.structs import Struct


class PredictedRows(Struct):
    """Predictions of some rows: a column for each target, and with ``--proba`` one for each class."""

    predictions: dict[str, Array]
    probabilities: dict[str, Array]


def predicted_outputs(saved: TrainedNetwork, batches: Iterator[Array]) -> Iterator[Array]:
    """Predictions batch by batch. Without rows there is one empty batch, which still has its columns."""
    found = False
    for outputs in saved.evaluator().predict(batches):
        found = True
        yield outputs
    if not found:
        yield np.empty((0, *saved.recipe.model.output_shape), saved.recipe.model.dtype)


def predicted_rows(saved: TrainedNetwork, outputs: Array, proba: bool, threshold: float | None = None) -> PredictedRows:
    """Outputs (rows, ...) as columns: numbers, names of classes, and with ``proba`` their probabilities.

    ``threshold``: the least probability of the second name of a binary target; None: one half.
    """
    task, names = saved.recipe.loss.task, saved.recipe.loss.output_names(saved.transform.target_names)
    intervals = saved.calibration.intervals
    if task.has_unit:
        numbers = {name: outputs[:, k] for k, name in enumerate(_columns(names, outputs.shape[1]))}
        return PredictedRows(numbers if intervals is None else {**numbers, **_bounds(intervals, outputs, names)}, {})
    labels = Predictions(task, outputs, outputs).labels
    labels = labels if threshold is None else (outputs >= threshold).astype(np.int64)
    labels = labels if labels.ndim == 2 else labels[:, None]
    classes = _classes(saved, labels.shape[1])
    columns = _columns(() if task.has_positions else names, labels.shape[1])
    found = {name: _named(labels[:, k], classes[k]) for k, name in enumerate(columns)}
    if intervals is not None:
        found |= _sets(intervals.sets(task, outputs), names, classes)
    if not proba:
        return PredictedRows(found, {})
    if task.is_multiclass:
        return PredictedRows(found, {name: outputs[:, k] for k, name in enumerate(_distinct(classes[0]))})
    if len(columns) == 1:
        off, on = _distinct(classes[0])
        return PredictedRows(found, {off: 1.0 - outputs[:, 0], on: outputs[:, 0]})
    return PredictedRows(found, {name: outputs[:, k] for k, name in enumerate(names)})


def true_rows(saved: TrainedNetwork, targets: Array) -> dict[str, Array]:
    """Targets of metrics as columns: numbers in their own unit, or names of classes. Inputs as targets have none."""
    if saved.transform.target.columns is None:
        return {}
    names = saved.transform.target_names
    if saved.recipe.loss.task.has_unit:
        return {name: targets[:, k] for k, name in enumerate(names)}
    labels = targets.astype(np.int64) if targets.ndim == 2 else targets.astype(np.int64)[:, None]
    classes = _classes(saved, labels.shape[1])
    return {name: _named(labels[:, k], classes[k]) for k, name in enumerate(names)}


def _bounds(intervals: Intervals, outputs: Array, names: Sequence[str]) -> dict[str, Array]:
    """The ends of each target's intervals, in the precision of the predictions."""
    low, high = (ends.astype(outputs.dtype) for ends in intervals.bounds(outputs.astype(np.float64)))
    return {f"{name}_{end}": ends[:, k] for k, name in enumerate(names) for end, ends in (("low", low), ("high", high))}


def _sets(sets: NDArray[np.bool_], names: Sequence[str], classes: Sequence[Sequence[Any]]) -> dict[str, Array]:
    """The classes in each set, separated by ``|``. Shapes: sets (rows, classes), or (rows, targets, 2)"""
    each = sets[:, None] if sets.ndim == 2 else sets
    found = {}
    for k, known in enumerate(classes):
        texts = _distinct(known)
        rows = [SEPARATOR.join(text for text, inside in zip(texts, row, strict=True) if inside) for row in each[:, k]]
        found[f"{names[k]}_set"] = _objects(rows)
    return found


SEPARATOR = "|"


def _distinct(classes: Sequence[Any]) -> list[str]:
    """A name for each class. If both the number 1 and the text "1" are classes, the text is quoted."""
    texts = [spelled(name) for name in classes]
    return [
        json.dumps(text, ensure_ascii=False) if texts.count(text) > 1 and isinstance(name, str) else text
        for name, text in zip(classes, texts, strict=True)
    ]


def _classes(saved: TrainedNetwork, columns: int) -> Sequence[Sequence[Any]]:
    """Names of the labels of each column: numbers for an autoencoder's outputs and for numbered tokens."""
    known = saved.transform.target.classes
    if saved.recipe.loss.task.has_positions:
        return (known[0] if known else range(saved.recipe.model.output_shape[-1]),) * columns
    return known or ((0, 1),) * columns


def labelled(rows: Iterator[PredictedRows], labels: RowLabels) -> Iterator[PredictedRows]:
    """The rows with labels in their first columns: the file of each row, its time and group, and kept columns."""
    for chunk in rows:
        count = len(next(iter(chunk.predictions.values())))
        names = _free(labels.names, [*chunk.predictions, *map(probability_column, chunk.probabilities), *_KEYS])
        own = dict(zip(names, labels.take(count), strict=True))
        yield PredictedRows({**own, **chunk.predictions}, chunk.probabilities)


_KEYS = ("probability", "classes")
"""Names of the probabilities in JSON lines and arrays."""


def _free(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The names, with a ``_`` appended until they are free."""
    used, found = set(taken), list[str]()
    for name in names:
        while name in used:
            name += "_"
        used.add(name)
        found.append(name)
    return found


def _objects(values: Sequence[Any]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _named(labels: Array, classes: Sequence[Any]) -> Array:
    named: Array = _objects(list(classes))[labels]
    return named


def _columns(names: Sequence[str], width: int) -> list[str]:
    """One prediction is called ``prediction``; several are ``prediction_<target>``."""
    if width == 1:
        return ["prediction"]
    return [f"prediction_{names[k] if k < len(names) else k}" for k in range(width)]


def probability_column(name: str) -> str:
    """The column of a class's probabilities."""
    return f"probability_{name}"

"""Fitting a transform on the train split."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.column_values import Rows
from backprop_cli.data.features import Coded, Feature
from backprop_cli.data.fit_features import fit_features
from backprop_cli.data.sections import WindowSettings
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import Tables
from backprop_cli.data.table import Table
from backprop_cli.data.target import FittedTarget, fit_target, mean_and_deviation
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError, SettingError, listing, plural
from backprop_cli.nn.task import Task
from backprop_cli.settings import AUTO


class Demand(NamedTuple):
    """A network's demands on its data.

    ``task``: the loss's, which decides the type of the targets. ``dtype``: of inputs and real targets. ``input_shape``:
    the shape of an example, if the model fixes it. ``tokens``: if the network looks its inputs up, they are integers in
    [0, tokens). ``standardizes``: whether ``transform.target: auto`` standardizes targets (see ``Loss``).
    """

    task: Task
    dtype: DTypeLike
    input_shape: tuple[int, ...] | None = None
    tokens: int | None = None
    standardizes: bool = False


def fit_transform(tables: Tables, rows: Rows, settings: DataSettings, demand: Demand) -> Transform:
    """The transform fitted on ``rows``, the train split.

    Raises: DataError if the data cannot be used; SettingError if an example does not fit ``input_shape``, or the
        target does not hold classes.
    """
    tokens = sys.maxsize if demand.tokens == AUTO else demand.tokens
    features = fit_features(tables.inputs, tables.features, rows, settings, tokens)
    shape = _input_shape(tables.inputs, features, settings.window, demand.input_shape)
    how = settings.transform.target
    standardize = how == "standardize"
    if tables.target is None:  # inputs are transformed already
        target = _inputs_as_target(tables.inputs, features, rows, demand.task, standardize)
    else:
        standardize |= how == "auto" and demand.standardizes
        target = fit_target(tables.targets, tables.target, rows, demand.task, standardize=standardize)
    fitted = Transform(
        features,
        target,
        shape,
        tokens,
        window=settings.window,
        day_first=tables.day_first,
        reading=tables.reading,
    )
    return replace(fitted, tokens=_tokens(fitted, tables.inputs, rows)) if demand.tokens == AUTO else fitted


def _tokens(fitted: Transform, table: Table, rows: Rows) -> int:
    """The number of tokens in the train split: one more than the largest, and all categories."""
    categories = (feature.levels for feature in fitted.features if isinstance(feature, Coded))
    return max(int(fitted.rows(table, rows, dtype=np.int64).max(initial=0)) + 1, *categories, 1)


def _inputs_as_target(
    table: Table, features: tuple[Feature, ...], rows: Rows, task: Task, standardize: bool
) -> FittedTarget:
    """The target of an autoencoder. Raises: DataError for a task whose targets are not numbers."""
    if task.has_labels:
        raise DataError(
            f"{table.name}: target: features goes with a loss for numbers or binary_cross_entropy, not with {task}"
        )
    names = tuple(name for feature in features for name in feature.names())
    plain = FittedTarget(task, None, names, (), np.zeros(len(names)), np.ones(len(names)))
    if not standardize or not task.has_unit:
        return plain
    inputs = Transform(features, plain, (len(names),)).rows(table, rows, dtype=np.float64)
    mean, deviation = mean_and_deviation(inputs)
    return replace(plain, mean=mean, deviation=deviation)


def _input_shape(
    table: Table, features: Sequence[Feature], window: WindowSettings | None, asked: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The shape of an example: as ``asked``, or as the columns and the window make it. Raises: SettingError."""
    width = sum(feature.width for feature in features)
    first = features[0].shape
    shape = first if len(features) == 1 and first and math.prod(first) == width else (width,)
    shape = shape if window is None else (window.length, *shape)
    if asked is None:
        return shape
    _check_input_shape(asked, shape, table, features, window)
    return asked


def _check_input_shape(
    asked: tuple[int, ...],
    shape: tuple[int, ...],
    inputs: Table,
    features: Sequence[Feature],
    window: WindowSettings | None,
) -> None:
    """Refuse a shape that examples of ``shape`` cannot take. Raises: SettingError."""
    if math.prod(asked) != math.prod(shape):
        rows_of = "" if window is None else f" in {window.length} rows of {math.prod(shape[1:])}"
        given = f"an example of {inputs.name} has {math.prod(shape):,}{rows_of}{_why(features)}"
        size = math.prod(asked)
        reason = f"{list(asked)} has {plural(size, 'value')}, but {given}"
        raise SettingError([(("model", "input"), reason)])
    if _is_turned(asked, shape):
        reason = f"{list(asked)} would mix up examples of {inputs.name}, which have the shape {list(shape)}"
        fixed = inputs.files is not None or window is not None
        fix = f"write {list(shape)}"
        if not fixed:
            fix += f", or save the array with the axes of each example in the order of {list(asked)}"
        raise SettingError([(("model", "input"), f"{reason}; {fix}")])


def _is_turned(asked: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether it has the same axes in another order. Examples are only reshaped, not transposed."""
    axes, wanted = ([size for size in each if size > 1] for each in (shape, asked))
    return axes != wanted and sorted(axes) == sorted(wanted)


def _why(features: Sequence[Feature]) -> str:
    """The number of columns that make the inputs, unless it is obvious."""
    coded = [feature.name for feature in features if feature.width > 1 and isinstance(feature, Coded)]
    return f" ({plural(len(features), 'column')}; one value per category of {listing(coded)})" if coded else ""

"""What turns rows of a file into a network's inputs and targets: fitted on the train split, kept in the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.cells import PLAIN, Reading
from backprop_cli.data.columns import Kind
from backprop_cli.data.features import Feature, Rows, Scaled, feature_from_json, fit_feature, values_of
from backprop_cli.data.format import Format, TableFormat
from backprop_cli.data.settings import ImageSettings, TransformSettings, WindowSettings
from backprop_cli.data.table import Array, Cell, Column, Numbers, Table
from backprop_cli.data.target import FittedTarget, fit_target, mean_and_deviation
from backprop_cli.data.times import Times
from backprop_cli.data.tokenizer import Tokenizer
from backprop_cli.errors import DataError, SettingError, listing

if TYPE_CHECKING:
    from backprop_cli.nn.task import Task

UNCHECKED = np.errstate(invalid="ignore", over="ignore")
"""Turns off NumPy's warnings in functions that check their numbers and report the place of a bad one."""


NO_TIMES = Times()
"""Of rows without times."""


@dataclass(frozen=True, eq=False)
class Transform:
    """Rows to arrays. ``input_shape`` is the shape of one example, without the batch.

    ``tokens``: where the network looks its inputs up, they are integers in [0, tokens).
    ``text``: the tokens, where examples are pieces of a text: there are no columns then.
    ``window``: how many rows an example is, where they are a time series.
    ``image``: how images are read, where they are files. ``times``: how the column ``window.time`` spells
    times. ``reading``: how texts of tables are read.
    """

    features: tuple[Feature, ...]
    target: FittedTarget
    input_shape: tuple[int, ...]
    tokens: int | None = None
    text: Tokenizer | None = None
    window: WindowSettings | None = None
    image: ImageSettings | None = None
    times: Times = NO_TIMES
    reading: Reading = PLAIN

    def inputs(self, table: Table, rows: Rows = None, *, dtype: DTypeLike) -> Array:
        """Inputs (rows, *input_shape) of the table's rows, or of those in ``rows``, where each is an example."""
        found = self.rows(table, rows, dtype=dtype)
        return found.reshape(len(found), *self.input_shape)

    @UNCHECKED
    def rows(self, table: Table, rows: Rows = None, *, dtype: DTypeLike) -> Array:
        """Inputs (rows, width) of the table's rows, or of those in ``rows``, C-contiguous; tokens are int64.

        Raises: DataError for a column that is not there, a missing or infinite value, an unknown category or token.
        """
        table = by_name(table, self.features)
        count = table.rows if rows is None else len(rows)
        kind = dtype if self.tokens is None else np.float64
        out = np.empty((count, sum(feature.width for feature in self.features)), kind)
        done = 0
        for feature in self.features:
            _check_shape(table, feature)
            feature.write(table, rows, out[:, done : done + feature.width])
            done += feature.width
        if self.tokens is not None:
            out = as_tokens(out, self.tokens, table, rows, self.features)
        return out

    def targets(self, table: Table, rows: Rows = None, *, dtype: DTypeLike, inputs: Array | None = None) -> Array:
        """Targets: int64 (rows,) for classes, else (rows, outputs). ``inputs``: where they are the target themselves.

        Raises: DataError for a target that is missing or was not met in training.
        """
        if self.target.columns is None:
            given = self.inputs(table, rows, dtype=dtype) if inputs is None else inputs
            return self.target.encode_inputs(given.astype(dtype, copy=False), table.name)
        for column in self.target.columns:
            table.column(column)
        return np.ascontiguousarray(self.target.encode(table, rows, np.dtype(dtype)))

    def exact_targets(self, table: Table, rows: Rows, targets: Array) -> Array | None:
        """Targets of a regression in their own unit before they were rounded; None if ``targets`` are exact.

        Inputs that are the target stay in the network's units. Arrays, such as images, are not kept a second time.

        Shapes: float64 (rows, outputs)
        """
        if not self.target.task.has_unit:
            return None
        if self.target.columns is not None:
            exact = self.target.numbers(table, rows)
        elif any(feature.shape for feature in self.features):
            return None
        else:
            exact = self.inputs(table, rows, dtype=np.float64).reshape(targets.shape)
        return None if np.array_equal(self.target.restore(targets.astype(np.float64)), exact) else exact

    def check_format(self, name: str, format: Format) -> None:
        """Refuse a text file where an example is an array. Raises: DataError."""
        shapes = [list(feature.shape) for feature in self.features if feature.shape]
        if shapes and isinstance(format, TableFormat):
            raise DataError(
                f"{name}: the network was trained on arrays of shape {shapes[0]} a row; give them as .npy, .npz, .idx "
                "or images"
            )

    def untransform_targets(self, outputs: Array) -> Array:
        """Outputs (examples, outputs) in the target's own unit."""
        each = outputs.reshape(-1, len(self.target.names)) if self.window is not None else outputs
        return self.target.restore(each).reshape(outputs.shape)

    @property
    def feature_names(self) -> list[str]:
        """A name an input, in order: ``bill_length_mm``, ``island=Biscoe``, ``inputs[3,4]``; of a window's rows
        ``Sunspots-2``, ``Sunspots-1``, ``Sunspots``.
        """
        names = [name for feature in self.features for name in feature.names()]
        return names if self.window is None else _at_times(names, range(1 - self.window.length, 1))

    @property
    def classes(self) -> list[Cell] | None:
        """The classes in the order of the outputs; for one binary target, what means 0 and what means 1; else None."""
        known = self.target.classes
        return list(known[0]) if len(known) == 1 else None

    @property
    def target_names(self) -> list[str]:
        """A name an output for numbers and binary targets; for classes the target's column; of a window
        ``Sunspots+1``, ``Sunspots+2``.
        """
        return self._at_horizon(self.target.names)

    def _at_horizon(self, names: Sequence[str]) -> list[str]:
        return list(names) if self.window is None else _at_times(names, range(1, self.window.horizon + 1))

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The columns of a file that are read as inputs."""
        return tuple(feature.name for feature in self.features)

    @property
    def read_columns(self) -> tuple[str, ...]:
        """``input_columns``, and the columns that put the rows of a series in order."""
        order = () if self.window is None else self.window.order
        return tuple(dict.fromkeys((*self.input_columns, *order)))

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each column of a text file is read as."""
        kinds: dict[str, Kind] = {feature.name: feature.kind for feature in self.features}
        order = () if self.window is None else self.window.order
        return {**dict.fromkeys(order, "text"), **kinds}

    def to_json(self) -> dict[str, Any]:
        """Text, numbers, lists and mappings only; ``from_json`` gives back the same transform to the last bit."""
        return {
            "features": [feature.to_json() for feature in self.features],
            "target": self.target.to_json(),
            "input_shape": list(self.input_shape),
            "tokens": self.tokens,
            "text": None if self.text is None else self.text.to_json(),
            "window": None if self.window is None else self.window.model_dump(),
            "image": None if self.image is None else self.image.model_dump(mode="json"),
            "day_first": self.times.day_first,
            "reading": self.reading.to_json(),
        }

    @staticmethod
    def from_json(tree: Mapping[str, Any]) -> Transform:
        """The inverse of ``to_json``."""
        target = FittedTarget.from_json(tree["target"])
        text, window, image = (tree.get(key) for key in ("text", "window", "image"))
        return Transform(
            features=tuple(feature_from_json(feature) for feature in tree["features"]),
            target=target,
            input_shape=tuple(tree["input_shape"]),
            tokens=tree.get("tokens"),
            text=None if text is None else Tokenizer.from_json(text, target.classes[0]),
            window=None if window is None else WindowSettings.model_validate(window),
            image=None if image is None else ImageSettings.model_validate(image),
            times=Times(tree.get("day_first")),
            reading=Reading.from_json(tree.get("reading") or {}),
        )


def _at_times(names: Sequence[str], times: Iterable[int]) -> list[str]:
    """The names at each time, with how many rows it is after the last one given."""
    return [f"{name}{time:+d}" if time else name for time in times for name in names]


def fit_transform(
    inputs: Table,
    features: Sequence[str],
    targets: Table,
    target: Sequence[str] | None,
    rows: Rows,
    *,
    settings: TransformSettings,
    task: Task,
    input_shape: tuple[int, ...] | None,
    tokens: int | None = None,
    window: WindowSettings | None = None,
    image: ImageSettings | None = None,
    times: Times = NO_TIMES,
    reading: Reading = PLAIN,
) -> Transform:
    """The transform that ``rows``, the train split, ask for. ``target`` None: the inputs themselves.

    Raises: DataError where the data cannot be used; SettingError where an example is not of ``input_shape``, or the
    target is no classes.
    """
    fitted = tuple(fit_feature(inputs, name, rows, settings) for name in features)
    width = sum(feature.width for feature in fitted)
    shape = fitted[0].shape if len(fitted) == 1 and fitted[0].shape else (width,)
    shape = shape if window is None else (window.length, *shape)
    if input_shape is not None:
        _check_input_shape(input_shape, shape, inputs, fitted, window)
        shape = input_shape
    if target is not None:
        fitted_target = fit_target(targets, target, rows, task, standardize=settings.target == "standardize")
        return Transform(fitted, fitted_target, shape, tokens, window=window, image=image, times=times, reading=reading)
    made = _with_inputs_as_target(fitted, shape, inputs, rows, settings, task)
    return replace(made, tokens=tokens, image=image, reading=reading)


def _check_input_shape(
    asked: tuple[int, ...],
    shape: tuple[int, ...],
    inputs: Table,
    features: Sequence[Feature],
    window: WindowSettings | None,
) -> None:
    """Refuse a shape that examples of ``shape`` cannot be given. Raises: SettingError."""
    if math.prod(asked) != math.prod(shape):
        rows_of = "" if window is None else f" in {window.length} rows of {math.prod(shape[1:])}"
        given = f"an example of {inputs.name} has {math.prod(shape):,}{rows_of}{_why(features)}"
        size = math.prod(asked)
        reason = f"{list(asked)} has {size:,} value{'' if size == 1 else 's'}, but {given}"
        raise SettingError([(("model", "input"), reason)])
    if _is_turned(asked, shape):
        reason = f"{list(asked)} would mix up examples of {inputs.name}, which have the shape {list(shape)}"
        fixed = inputs.files is not None or window is not None
        fix = f"write {list(shape)}"
        if not fixed:
            fix += f", or save the array with the axes of each example in the order of {list(asked)}"
        raise SettingError([(("model", "input"), f"{reason}; {fix}")])


def _is_turned(asked: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether it has the same axes in another order: values are only put into rows again, not transposed."""
    axes, wanted = ([size for size in each if size > 1] for each in (shape, asked))
    return axes != wanted and sorted(axes) == sorted(wanted)


def _why(features: Sequence[Feature]) -> str:
    """How many columns make the inputs, where the number does not say it."""
    coded = [feature.name for feature in features if feature.width > 1 and not isinstance(feature, Scaled)]
    count = f"{len(features)} column{'' if len(features) == 1 else 's'}"
    return f" ({count}; one value for each category of {listing(coded)})" if coded else ""


def _with_inputs_as_target(
    features: tuple[Feature, ...],
    shape: tuple[int, ...],
    table: Table,
    rows: Rows,
    settings: TransformSettings,
    task: Task,
) -> Transform:
    """An autoencoder's transform."""
    if task.has_labels:
        raise DataError(
            f"{table.name}: target: features goes with a loss for numbers or binary_cross_entropy, not with {task}"
        )
    names = tuple(name for feature in features for name in feature.names())
    plain = FittedTarget(task, None, names, (), np.zeros(len(names)), np.ones(len(names)))
    transform = Transform(features, plain, shape)
    if settings.target == "none" or not task.has_unit:
        return transform
    flat = transform.inputs(table, rows, dtype=np.float64).reshape(-1, len(names))
    return Transform(features, FittedTarget(task, None, names, (), *mean_and_deviation(flat)), shape)


def by_name(table: Table, features: Sequence[Feature]) -> Table:
    """``table`` with the features' columns: where it is one array and they are single numbers, they are its columns.

    Raises: DataError where a column is not there, or the array has another width.
    """
    only = next(iter(table.columns.values()), None)
    single = table.lines is None and len(table.columns) == 1 and isinstance(only, Numbers) and only.values.ndim == 2
    if single and isinstance(only, Numbers) and len(features) > 1 and not any(feature.shape for feature in features):
        width = only.values.shape[1]
        if width != len(features):
            names = listing(feature.name for feature in features)
            raise DataError(f"{table.name}: a row has {width} values, expected {len(features)}: {names}")
        columns: dict[str, Column] = {f.name: Numbers(only.values[:, j]) for j, f in enumerate(features)}
        return Table(table.name, columns, places=table.places)
    table.require(feature.name for feature in features)
    return table


def _check_shape(table: Table, feature: Feature) -> None:
    if isinstance(feature, Scaled):
        shape = values_of(table, feature.name).shape[1:]
        if math.prod(shape) != feature.width:
            raise DataError(
                f"{table.of(feature.name)}: an example has shape {list(shape)}, expected {list(feature.shape)}"
            )


def as_tokens(inputs: Array, tokens: int, table: Table, rows: Rows, features: Sequence[Feature]) -> Array:
    """Inputs (rows, width), as the features have made them of these rows of the table, as int64.

    Raises: DataError for one that is no whole number in [0, tokens).
    """
    wrong = (inputs != np.floor(inputs)) | (inputs < 0) | (inputs >= tokens)
    if wrong.any():
        i, j = (int(k) for k in np.argwhere(wrong)[0])
        raise DataError(_refusal(float(inputs[i, j]), tokens, table, i if rows is None else int(rows[i]), j, features))
    return inputs.astype(np.int64)


def _refusal(value: float, tokens: int, table: Table, row: int, place: int, features: Sequence[Feature]) -> str:
    for feature in features:
        if place < feature.width:
            break
        place -= feature.width
    index = tuple(int(k) for k in np.unravel_index(place, feature.shape)) if feature.shape else ()
    text = _show(value)
    if isinstance(feature, Scaled):
        raw = float(values_of(table, feature.name)[row][index])
        text = text if raw == value else f"{_show(raw)}, scaled to {text},"
    reason = f"{table.at(row, feature.name, index)}: {text} is no token of the network, which are 0 to {tokens - 1}"
    return f"{reason}; {_way_out(value, tokens, feature)}"


def _show(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:.6g}"


def _way_out(value: float, tokens: int, feature: Feature) -> str:
    if isinstance(feature, Scaled) and (feature.shift.any() or (feature.divisor != 1).any()):
        return "set data.transform.numeric: none"
    if value.is_integer() and value >= tokens:
        return f"set tokens of the embedding to {int(value) + 1} or more"
    return "correct it, or leave the column out with data.features"

"""Rows of a file to a network's inputs and targets: fitted on the train split, stored in the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.column_values import Rows, row_at, values_of
from backprop_cli.data.columns import Kind
from backprop_cli.data.features import Feature, Scaled, feature_from_json
from backprop_cli.data.format import Format, TableFormat
from backprop_cli.data.read import Selection
from backprop_cli.data.reading import PLAIN, ImageSettings, Reading
from backprop_cli.data.sections import WindowSettings
from backprop_cli.data.table import Array, CellValue, Column, Numbers, Table
from backprop_cli.data.target import FittedTarget
from backprop_cli.data.unseen import Unseen
from backprop_cli.errors import DataError, listing
from backprop_cli.nn.input_columns import Columns
from backprop_cli.structs import Struct

if TYPE_CHECKING:
    from backprop_cli.data.tokenizer import Tokenizer

UNCHECKED = np.errstate(invalid="ignore", over="ignore")
"""Turns off NumPy's warnings in functions that check their numbers and report the place of a bad one."""


class Transform(Struct, eq=False):
    """Rows to arrays. ``input_shape`` is the shape of one example, without the batch.

    ``tokens``: if the network looks its inputs up, they are integers in [0, tokens).
    ``text``: the tokens of a text, whose examples have no columns.
    ``window``: the rows of an example of a time series. ``day_first``: how its column ``time`` spells dates (see
    ``Times``). ``reading``: how files are read.
    """

    features: tuple[Feature, ...]
    target: FittedTarget
    input_shape: tuple[int, ...]
    tokens: int | None = None
    text: Tokenizer | None = None
    window: WindowSettings | None = None
    day_first: bool | None = None
    reading: Reading = PLAIN

    def inputs(self, table: Table, rows: Rows = None, *, dtype: DTypeLike, unseen: Unseen | None = None) -> Array:
        """Inputs (rows, *input_shape) of the table's rows, or of ``rows``, where each row is an example."""
        found = self.rows(table, rows, dtype=dtype, unseen=unseen)
        return found.reshape(len(found), *self.input_shape)

    @UNCHECKED
    def rows(self, table: Table, rows: Rows = None, *, dtype: DTypeLike, unseen: Unseen | None = None) -> Array:
        """Inputs (rows, width) of the table's rows, or of ``rows``, C-contiguous; tokens are int64.

        Categories that are read as other are counted in ``unseen``. Without it a warning counts them.

        Raises: DataError for a missing column, a missing or infinite value, an unknown category or token.
        """
        table, counted = by_name(table, self.features), unseen or Unseen()
        count = table.rows if rows is None else len(rows)
        kind = dtype if self.tokens is None else np.float64
        out = np.empty((count, sum(feature.width for feature in self.features)), kind)
        done = 0
        for feature in self.features:
            _check_shape(table, feature)
            feature.write(table, rows, out[:, done : done + feature.width], counted)
            done += feature.width
        if unseen is None:
            counted.warn()
        if self.tokens is not None:
            out = as_tokens(out, self.tokens, table, rows, self.features)
        return out

    def targets(self, table: Table, rows: Rows = None, *, dtype: DTypeLike, inputs: Array | None = None) -> Array:
        """Targets: int64 (rows,) for classes, else (rows, outputs). ``inputs``: the inputs, if they are their own
        targets.

        Raises: DataError for a target that is missing or did not occur in training.
        """
        if self.target.columns is None:
            given = self.inputs(table, rows, dtype=dtype) if inputs is None else inputs
            return self.target.encode_inputs(given.astype(dtype, copy=False), table.name)
        for column in self.target.columns:
            table.column(column)
        return np.ascontiguousarray(self.target.encode(table, rows, np.dtype(dtype)))

    def exact_targets(self, table: Table, rows: Rows, targets: Array) -> Array | None:
        """Targets of a regression in their own unit, as read, before rounding; None if ``targets`` are exact.

        Inputs as targets stay in the network's units. Arrays, such as images, are not stored a second time.

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
        """Refuse a text file if examples are arrays. Raises: DataError."""
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
        """The name of each input: ``bill_length_mm``, ``island=Biscoe``, ``inputs[3,4]``; in a window ``Sunspots-2``,
        ``Sunspots-1``, ``Sunspots``.
        """
        names = [name for feature in self.features for name in feature.names()]
        return names if self.window is None else _at_times(names, range(1 - self.window.length, 1))

    @property
    def columns(self) -> Columns:
        """The columns that the inputs are, in order."""
        return tuple(feature.column for feature in self.features)

    @property
    def classes(self) -> list[CellValue] | None:
        """The classes in the order of the outputs; of one binary target, the values for 0 and 1; else None."""
        known = self.target.classes
        return list(known[0]) if len(known) == 1 else None

    @property
    def target_names(self) -> list[str]:
        """The name of each output; for classes the target's column; for a window ``Sunspots+1``, ``Sunspots+2``."""
        names = self.target.names
        return list(names) if self.window is None else _at_times(names, range(1, self.window.horizon + 1))

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The columns to read as inputs."""
        return tuple(feature.name for feature in self.features)

    @property
    def selection(self) -> Selection:
        """The columns to read of a file: ``input_columns``, and those that put the rows of a series in order."""
        columns, order = self.input_columns, () if self.window is None else self.window.order
        kinds: dict[str, Kind] = {**dict.fromkeys(order, "text"), **{each.name: each.kind for each in self.features}}
        return Selection(tuple(dict.fromkeys((*columns, *order))), kinds, unnamed=columns[0])

    def to_json(self) -> dict[str, Any]:
        """Text, numbers, lists and mappings only; ``from_json`` restores the same transform to the last bit."""
        return {
            "features": [feature.to_json() for feature in self.features],
            "target": self.target.to_json(),
            "input_shape": list(self.input_shape),
            "tokens": self.tokens,
            "text": None if self.text is None else self.text.to_json(),
            "window": None if self.window is None else self.window.model_dump(),
            "image": None if self.reading.image is None else self.reading.image.model_dump(mode="json"),
            "day_first": self.day_first,
            "reading": self.reading.to_json(),
        }

    @staticmethod
    def from_json(tree: Mapping[str, Any]) -> Transform:
        """The inverse of ``to_json``."""
        target = FittedTarget.from_json(tree["target"])
        window, image = tree.get("window"), tree.get("image")
        settings = None if image is None else ImageSettings.model_validate(image)
        return Transform(
            features=tuple(feature_from_json(feature) for feature in tree["features"]),
            target=target,
            input_shape=tuple(tree["input_shape"]),
            tokens=tree.get("tokens"),
            text=_tokenizer(tree.get("text"), target),
            window=None if window is None else WindowSettings.model_validate(window),
            day_first=tree.get("day_first"),
            reading=Reading.from_json(tree.get("reading") or {}, settings),
        )


def _tokenizer(tree: dict[str, Any] | None, target: FittedTarget) -> Tokenizer | None:
    if tree is None:
        return None
    from backprop_cli.data.tokenizer import Tokenizer

    return Tokenizer.from_json(tree, target.classes[0])


def _at_times(names: Sequence[str], times: Iterable[int]) -> list[str]:
    """The names at each time, with its number of rows after the last known one."""
    return [f"{name}{time:+d}" if time else name for time in times for name in names]


def by_name(table: Table, features: Sequence[Feature]) -> Table:
    """``table`` with the features' columns; a single matrix becomes one column for each feature that is a number.

    Raises: DataError if a column is missing, or the array has another width.
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
        if math.prod(shape) != feature.size:
            raise DataError(
                f"{table.of(feature.name)}: an example has shape {list(shape)}, expected {list(feature.shape)}"
            )


def as_tokens(inputs: Array, tokens: int, table: Table, rows: Rows, features: Sequence[Feature]) -> Array:
    """Inputs (rows, width), as the features made them from these rows of the table, as int64.

    Raises: DataError for a value that is not a whole number in [0, tokens).
    """
    wrong = (inputs != np.floor(inputs)) | (inputs < 0) | (inputs >= tokens)
    if wrong.any():
        i, j = (int(k) for k in np.argwhere(wrong)[0])
        raise DataError(_refusal(float(inputs[i, j]), tokens, table, row_at(rows, i), j, features))
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
    reason = f"{table.at(row, feature.name, index)}: {text} is not a token of the network, which has 0 to {tokens - 1}"
    return f"{reason}; {_way_out(value, tokens, feature)}"


def _show(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:.6g}"


def _way_out(value: float, tokens: int, feature: Feature) -> str:
    if isinstance(feature, Scaled) and (feature.shift.any() or (feature.divisor != 1).any()):
        return "set data.transform.numeric: none"
    if value.is_integer() and value >= tokens:
        return f"set tokens of the embedding to {int(value) + 1} or more"
    return "correct it, or leave the column out with data.features"

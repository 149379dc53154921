"""Columns of tokens: whole numbers that a network looks up and does not compute with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.data.features import Feature, Rows, Scaled, values_of
from backprop_cli.data.table import Array, Table
from backprop_cli.errors import DataError


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

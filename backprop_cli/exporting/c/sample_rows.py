"""Random rows of data, as a fitted transform reads them, for the test of an exported network."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.curves import Logarithm, Quantiles
from backprop_cli.data.dated import DAY, Dated
from backprop_cli.data.features import Coded, Scaled
from backprop_cli.data.table import Column, Numbers, Table, Text
from backprop_cli.data.transform import Transform
from backprop_cli.data.unseen import Unseen
from backprop_cli.structs import Struct

_OTHER = "another category"


class SampleRows(Struct, eq=False):
    """Examples as C reads them, and as the network reads them.

    Shapes: numbers float64 (examples, numbers of an example), texts (examples, texts of an example), with None for a
        missing text; inputs (examples, *input_shape)
    """

    numbers: Array
    texts: list[list[str | None]]
    inputs: Array


def sample_rows(transform: Transform, count: int, dtype: np.dtype[np.generic], vocabulary: int | None) -> SampleRows:
    """``count`` examples near the values that the transform was fitted on; some values are missing where they may."""
    rng = np.random.default_rng(0)
    if transform.text is not None:
        tokens = rng.integers(0, vocabulary or 1, (count, *transform.input_shape))
        return SampleRows(tokens, [[] for _ in range(count)], tokens)
    rows = count * (1 if transform.window is None else transform.window.length)
    columns: dict[str, Column] = {}
    numbers: list[Array] = []
    texts: list[list[str | None]] = [[] for _ in range(rows)]
    for feature in transform.features:
        if isinstance(feature, Coded):
            known = (*feature.categories, *([_OTHER] if feature.other else []))
            codes = rng.integers(0 if feature.fill is None else -1, len(known), rows)
            columns[feature.name] = Text(codes, known)
            for row, code in zip(texts, codes.tolist(), strict=True):
                row.append(None if code < 0 else known[code])
        elif isinstance(feature, Dated):
            times, seconds = _times(feature, rows, rng)
            columns[feature.name] = times
            numbers.append(seconds)
        else:
            values = _values(feature, rows, rng, transform.tokens)
            columns[feature.name] = Numbers(values.reshape(rows, *feature.shape))
            numbers.append(values)
    inputs = transform.rows(Table("rows", columns), dtype=dtype, unseen=Unseen())
    inputs = inputs.reshape(count, *transform.input_shape)
    flat = np.concatenate(numbers, axis=1) if numbers else np.zeros((rows, 0))
    step = rows // count
    joined = [list(chain(*texts[start : start + step])) for start in range(0, rows, step)]
    return SampleRows(flat.reshape(count, -1), joined, inputs)


def _times(feature: Dated, rows: int, rng: np.random.Generator) -> tuple[Text, Array]:
    """Texts, and the same times in seconds since 1970, float64 (rows, 1)."""
    drawn = feature.origin + rng.integers(-400 * DAY, 400 * DAY, rows)
    found = [datetime.fromtimestamp(second, UTC) for second in drawn.tolist()]
    spelling = feature.dates.format or "%Y-%m-%dT%H:%M:%S"
    texts = [time.strftime(spelling) for time in found]
    seconds, codes = feature.dates.seconds(texts), np.arange(rows)
    if feature.fill is not None:
        gaps = rng.random(rows) < 0.1
        seconds[gaps], codes[gaps] = np.nan, -1
    return Text(codes, tuple(texts)), seconds[:, None]


def _values(feature: Scaled, rows: int, rng: np.random.Generator, tokens: int | None) -> Array:
    """Shapes: float64 (rows, size)."""
    if tokens is not None:
        return rng.integers(0, tokens, (rows, feature.size)) / feature.factor * feature.divisor + feature.shift
    drawn = rng.uniform(-1.5, 1.5, (rows, feature.size)).round(3)
    factor = np.where(feature.factor == 0, 1.0, feature.factor)
    values: Array = drawn * feature.divisor / factor + feature.shift
    if isinstance(feature.curve, Quantiles):
        knots = feature.curve.knots
        values = rng.choice(knots, rows) + drawn * (knots[-1] - knots[0]) * rng.integers(0, 2, (rows, 1))
    elif isinstance(feature.curve, Logarithm):
        values = np.copysign(np.expm1(np.abs(values)) * feature.curve.unit, values)
    if feature.fill is not None:
        values[rng.random(values.shape) < 0.1] = np.nan
    return values

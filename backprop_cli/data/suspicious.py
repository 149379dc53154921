"""Warnings on data that looks wrong: useless categories, and values that the training precision rounds away."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.features import Floats
from backprop_cli.data.refusals import in_yaml
from backprop_cli.data.table import Column, Table, Text, show
from backprop_cli.data.times import look_like_dates
from backprop_cli.nn.class_name import spelled


def caution_about(table: Table, features: Sequence[str]) -> str | None:
    """The warning for ``features`` that are useless as categories: dates, and texts different in nearly every row."""
    found = {name: why_no_categories(table.columns[name]) for name in features}
    reasons = [f"column '{name}' {reason}" for name, reason in found.items() if reason]
    if not reasons:
        return None
    names = ", ".join(in_yaml(name) for name, reason in found.items() if reason)
    return (
        f"{table.name}: {'; '.join(reasons)}: as categories they say nothing about other rows; leave them out with "
        f"data.exclude: [{names}]"
    )


def why_no_categories(column: Column) -> str | None:
    """Why a column's texts are useless as categories: dates, an identifier; None if they are not."""
    if not isinstance(column, Text):
        return None
    texts, rows = [spelled(each) for each in column.categories], int(np.count_nonzero(column.codes >= 0))
    if look_like_dates(texts):
        return f"holds dates, such as {show(texts[0])}"
    if is_identifier(len(texts), rows):
        return f"is an identifier or free text, with {len(texts):,} different texts in {rows:,} rows"
    return None


def is_identifier(different: int, rows: int) -> bool:
    """Whether a column with this many ``different`` texts in ``rows`` rows identifies rows rather than groups them."""
    return rows >= _FEW and different >= 0.9 * rows


_FEW = 20
"""In fewer rows all texts may differ by chance."""

MOST_ERROR = 3e-3
"""Largest rounding error that is harmless, relative to the values' standard deviation: that of rounding to a hundredth
of the deviation."""


def lost(values: Floats, dtype: DTypeLike) -> str | None:
    """How rounding to ``dtype`` hides the differences between ``values`` (rows,); None if it does not.

    It does if the root mean square of the errors exceeds ``MOST_ERROR`` times the standard deviation. Values that are
    all equal are never reported.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded).all():
        return None  # an overflow is reported elsewhere
    errors = values - rounded.astype(np.float64)
    deviation = float(values.std())
    if not errors.any() or values.min() == values.max() or _root_mean_square(errors) <= MOST_ERROR * deviation:
        return None
    largest = float(np.abs(values).max())
    step = float(np.spacing(np.abs(rounded).max()))
    return (
        f"{rounded.dtype} rounds values near {largest:.4g} to multiples of {step:.3g}, and the standard deviation of "
        f"these is {deviation:.3g}"
    )


def _root_mean_square(values: Floats) -> float:
    return math.sqrt(float(np.mean(np.square(values))))

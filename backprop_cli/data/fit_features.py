"""Inputs fitted on the train split: scales, categories, and replacements of missing values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.data.column_values import (
    Floats,
    Rows,
    as_categories,
    as_feature,
    blocks,
    has_nan,
    require_values,
    values_of,
)
from backprop_cli.data.curves import Curve, Logarithm, Quantiles
from backprop_cli.data.dated import DAY, Dated, Dates, holds_dates, names_of, seconds_of, values_of_parts
from backprop_cli.data.features import Coded, Feature, Scaled
from backprop_cli.data.refusals import in_yaml
from backprop_cli.data.sections import ColumnSettings, Scale, TransformSettings
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.table import Array, Column, Numbers, Table, Text, show
from backprop_cli.data.times import Times
from backprop_cli.data.unseen import CategoryError
from backprop_cli.errors import DataError, DataProblemsError, SettingError
from backprop_cli.nn.class_name import spelled

MAX_ONE_HOT = 1000
"""Most categories of a column; with more, they are names or texts."""


def fit_features(
    table: Table, names: Sequence[str], rows: Rows, settings: DataSettings, tokens: int | None
) -> tuple[Feature, ...]:
    """Scale or code columns according to ``rows``. Raises: DataError about all columns that cannot be fitted."""
    found, errors = list[Feature](), list[DataError]()
    for name in names:
        try:
            found.append(fit_feature(table, name, rows, settings, tokens))
        except SettingError:
            raise
        except DataError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else DataProblemsError(errors)
    return tuple(found)


def fit_feature(table: Table, name: str, rows: Rows, settings: DataSettings, tokens: int | None = None) -> Feature:
    """Scale or code a column according to ``rows``. ``tokens``: those of a network that looks its inputs up.

    Raises: DataError for an infinite value, and for a missing one unless ``settings.missing`` replaces it.
    """
    column, own = as_feature(table.column(name)), settings.transform.of(name)
    is_dated = reads_as_dates(column, name, settings)
    _check_own(settings.transform, name, column, is_dated)
    if own.missing == "error":
        require_values(table, name)
    if is_dated:
        return _fit_dated(table, name, rows, own)
    if isinstance(column, Text):
        return _fit_coded(table, name, column, rows, own, tokens)
    return _fit_scaled(table, name, column, rows, own)


def reads_as_dates(column: Column, name: str, settings: DataSettings) -> bool:
    """Whether a column becomes inputs as dates: the settings say so, or it looks like it."""
    if name in settings.transform.date_columns:
        return isinstance(column, Text)
    return name not in (settings.categories or ()) and holds_dates(column)


def _check_own(settings: TransformSettings, name: str, column: Column, is_dated: bool) -> None:
    """Raise SettingError for a key of ``columns`` that means nothing for this column."""
    of_dates, of_categories = ("date", "cyclic", "format"), ("categorical", "unknown")
    kind = "dates" if is_dated else "categories" if isinstance(column, Text) else "numbers"
    keys = {"dates": ("numeric", *of_categories), "categories": ("numeric", *of_dates)}.get(
        kind, (*of_categories, *of_dates)
    )
    given = (settings.columns or {}).get(name, settings).model_fields_set
    for key in keys:
        if key in given and name in (settings.columns or ()):
            reason = f"means nothing for '{name}', which holds {kind}; leave it out"
            raise SettingError([(("data", "transform", "columns", name, key), reason)])


def _fit_coded(
    table: Table, name: str, column: Text, rows: Rows, settings: ColumnSettings, tokens: int | None
) -> Coded:
    codes = column.codes if rows is None else column.codes[rows]
    counts = np.bincount(codes[codes >= 0], minlength=len(column.categories))
    known = sorted((str(column.categories[i]), int(counts[i])) for i in np.flatnonzero(counts))
    if not known:
        raise DataError(f"{table.of(name)}: {_NO_VALUE}")
    one_hot = settings.categorical == "one_hot"
    if one_hot and len(known) > MAX_ONE_HOT:
        raise CategoryError(
            table.of(name),
            f"{len(known):,} different texts, such as {show(known[0][0])}, are too many categories for one_hot (at "
            f"most {MAX_ONE_HOT:,})",
            f"leave it out with data.exclude: [{in_yaml(name)}], or use categorical: ordinal",
            name,
        )
    # A number that is no token could not be looked up.
    other = settings.unknown == "other" and (tokens is None or len(known) < tokens)
    fill = _code_of_missing(known, settings.missing, other, bool(codes.min() < 0))
    return Coded(name, tuple(text for text, _ in known), one_hot, fill, other)


def _fit_dated(table: Table, name: str, rows: Rows, settings: ColumnSettings) -> Dated:
    dates = Dates(settings.format)
    if settings.format is None:
        dates = Dates(None, _times(table, name))
    seconds = seconds_of(table, name, rows, dates)
    gaps = np.isnan(seconds)
    if gaps.all():
        raise DataError(f"{table.of(name)}: {_NO_VALUE}")
    fill = None if settings.missing == "error" else _typical(seconds, None, settings.missing, table.of(name))
    seconds[gaps] = 0.0 if fill is None else fill
    origin, parts = float(seconds.min()), tuple[str, ...](settings.date)
    if settings.date == "auto":
        parts = ("elapsed", "month", "weekday", *(["hour"] if (seconds % DAY).any() else []))
    found = values_of_parts(seconds, parts, settings.cyclic, origin)
    mean, deviation = found.mean(axis=0), found.std(axis=0)
    is_number = np.array([not name.endswith(("_sin", "_cos")) for name in names_of(parts, settings.cyclic)])
    varies = found.max(axis=0) > found.min(axis=0)
    shift = np.where(is_number, np.where(varies, mean, found.min(axis=0)), 0.0)
    divisor = np.where(is_number & varies & (deviation > 0), deviation, 1.0)
    indicator = settings.missing == "indicator" and bool(gaps.any())
    return Dated(name, parts, settings.cyclic, dates, origin, shift, divisor, fill, indicator)


def _times(table: Table, name: str) -> Times:
    """How a column spells its dates. Raises: DataError if the order of day and month is ambiguous."""
    try:
        return Times.of([spelled(text) for text in as_categories(table.columns[name]).categories], table.of(name))
    except DataError as error:
        way_out = f'{{columns: {{{in_yaml(name)}: {{format: "%d/%m/%Y"}}}}}}'
        raise DataError(f"{error}, or say how they are written with data.transform: {way_out}") from None


def _code_of_missing(known: Sequence[tuple[str, int]], how: str, other: bool, occurs: bool) -> int | None:
    """The number of a missing category. ``known``: categories with their counts; ``occurs``: the train split has one.

    An input for missing values is not trained by a train split without any. They are read as other then.
    """
    if how == "error":
        return None
    if how == "indicator" and (occurs or other):
        return len(known) + (other and occurs)
    # Of equally frequent categories max takes the first, by code point.
    return max(range(len(known)), key=lambda i: known[i][1])


def _fit_scaled(table: Table, name: str, column: Numbers, rows: Rows, settings: ColumnSettings) -> Scaled:
    fill, how = _fit_fill(table, name, rows, settings.missing), settings.numeric
    curve: Curve | None = None
    shift, divisor, factor = np.zeros(1), np.ones(1), np.ones(1)
    if isinstance(how, Scale):
        factor = np.array([how.scale])
    elif how != "none":
        if how in ("log", "quantile"):
            curve = (Logarithm if how == "log" else Quantiles).fit(_all(table, name, rows, fill))
        low, high, mean = _range_and_mean(table, name, rows, fill, curve)
        # The range recognizes a constant column: rounding can leave it a tiny deviation.
        varies = high > low
        if how in ("standardize", "log"):
            shift, spread = mean, _deviation(table, name, rows, fill, curve, mean)
        elif how == "min_max":
            shift, spread = low, high - low
        elif how == "robust":
            shift, spread = _median_and_spread(_all(table, name, rows, fill))
        else:
            shift, spread = np.zeros_like(low), np.ones_like(low)
        shift = np.where(varies, shift, low)
        divisor = np.where(varies & (spread > 0), spread, 1.0)
        factor = np.where(varies, 1.0, 0.0)
        if not (np.isfinite(shift) & np.isfinite(divisor)).all():
            raise DataError(f"{table.of(name)}: its numbers are too large for numeric: {how}")
    # An input that says missing is not trained by a train split without such a value.
    indicator = settings.missing == "indicator" and has_nan(column.values if rows is None else column.values[rows])
    filled = None if fill is None else _shared(fill)
    shift, divisor, factor = _shared(shift), _shared(divisor), _shared(factor)
    return Scaled(name, column.values.shape[1:], shift, divisor, factor, filled, indicator, curve, how == "robust")


def _all(table: Table, name: str, rows: Rows, fill: Floats | None) -> Floats:
    """The values of ``rows``, float64 (rows, width)."""
    return np.concatenate([block for _, block in blocks(table, name, rows, fill)])


def _median_and_spread(values: Floats) -> tuple[Floats, Floats]:
    """The median, and the quartile range, or half the whole range where that is 0; (width,)."""
    low, quarter, median, three, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1], axis=0)
    return median, np.where(three > quarter, three - quarter, (high - low) / 2)


def _shared(values: Floats) -> Floats:
    """One number if all are equal."""
    return values[:1] if np.all(values == values[0]) else values


_NO_VALUE = "the train split has no value in it; leave the column out with data.features"


def _fit_fill(table: Table, name: str, rows: Rows, how: str) -> Floats | None:
    """The replacements of missing values, (width,); None if values may not be missing."""
    values = values_of(table, name)
    if how == "error" or values.dtype.kind != "f":
        return None
    flat = values.reshape(len(values), -1)
    return np.array([_typical(flat[:, j], rows, how, table.of(name)) for j in range(flat.shape[1])])


def _typical(values: Array, rows: Rows, how: str, place: str) -> float:
    chosen = np.asarray(values if rows is None else values[rows], np.float64)
    known = chosen[np.isfinite(chosen)]  # infinities are refused later, with their place
    if not len(known):
        raise DataError(f"{place}: {_NO_VALUE}")
    if how == "mean":
        return float(known.mean())
    if how == "most_frequent":
        distinct, counts = np.unique(known, return_counts=True)
        return float(distinct[np.argmax(counts)])
    return float(np.median(known))


def _range_and_mean(
    table: Table, name: str, rows: Rows, fill: Floats | None, curve: Curve | None
) -> tuple[Floats, Floats, Floats]:
    """Of the values on the curve."""
    low, high, total, count = np.inf, -np.inf, 0.0, 0
    with np.errstate(over="ignore"):
        for _, values in blocks(table, name, rows, fill):
            block = values if curve is None else curve(values)
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
            total, count = total + block.sum(axis=0), count + len(block)
    return np.asarray(low), np.asarray(high), np.asarray(total / count)


def _deviation(table: Table, name: str, rows: Rows, fill: Floats | None, curve: Curve | None, mean: Floats) -> Floats:
    """Population standard deviation, in a second pass: sums of squares about 0 would lose digits."""
    total, count = np.zeros_like(mean), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for _, values in blocks(table, name, rows, fill):
            block = values if curve is None else curve(values)
            block -= mean
            total, count = total + np.square(block, out=block).sum(axis=0), count + len(block)
    return np.asarray(np.sqrt(total / count))

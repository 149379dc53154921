"""Warnings on data that looks wrong: useless categories, and values that the training precision rounds away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backprop_cli.data.column_values import Floats, Rows, blocks
from backprop_cli.data.features import Scaled
from backprop_cli.data.fit_features import reads_as_dates
from backprop_cli.data.refusals import in_yaml, look_like_dates
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import Tables
from backprop_cli.data.spelling import number_of
from backprop_cli.data.table import CellValue, Column, Table, Text, show
from backprop_cli.data.transform import Transform
from backprop_cli.errors import listing, warn
from backprop_cli.nn.class_name import spelled


def warn_of_useless(tables: Tables, settings: DataSettings) -> None:
    """Warn of features that are useless as categories."""
    found = useless_features(tables, settings)
    if found:
        reasons = "; ".join(f"column '{name}' {reason}" for name, reason in found.items())
        dates = "; data.transform.format can read dates" if "holds dates" in reasons else ""
        warn(
            f"{tables.inputs.name}: {reasons}: as categories they are useless for other rows; leave them "
            f"out with data.exclude: [{', '.join(map(in_yaml, found))}]{dates}"
        )


def useless_features(tables: Tables, settings: DataSettings) -> dict[str, str]:
    """Features that are useless as categories, with the reasons: dates, and texts that differ in nearly every row.

    None if ``data.features`` names them: then they are meant.
    """
    if settings.features != "all":
        return {}
    columns = {name: tables.inputs.columns[name] for name in tables.features if name not in (settings.categories or ())}
    return {
        name: reason
        for name, column in columns.items()
        if (reason := why_useless(column)) and not reads_as_dates(column, name, settings)
    }


def warn_of_header(table: Table) -> None:
    """Warn if the first line seems to be a row of values: a name is a fraction, a date, or a category of its column."""
    for name, column in table.columns.items():
        is_value = number_of(name) is not None and not name.isdigit()  # 2019 is a year
        if isinstance(column, Text):
            texts = [spelled(each) for each in column.categories]
            is_value |= name in texts or (look_like_dates([name]) and look_like_dates(texts))
        if is_value:
            warn(
                f"{table.name}: its first line should name the columns, and {show(name)} looks like a value; add a "
                "line with names if the file has none"
            )
            return


def warn_of_names(table: Table, columns: Iterable[str]) -> None:
    """Warn of categories or classes that differ only in the case of letters: Yes among yes."""
    for name in columns:
        column = table.columns[name]
        if not isinstance(column, Text) or why_useless(column) is not None:
            continue
        spellings: dict[str, list[str]] = {}
        for text in column.categories:
            if isinstance(text, str) and number_of(text) is None:  # 1E3 and 1e3 keep the spelling of their file
                spellings.setdefault(text.casefold(), []).append(text)
        alike = [", ".join(map(show, texts)) for texts in spellings.values() if len(texts) > 1]
        if alike:
            warn(
                f"{table.of(name)}: different names that differ only in case: {listing(alike, 3)}; spell them alike if "
                "they mean the same"
            )


def warn_of_single_rows(table: Table, column: str, labels: Sequence[CellValue], codes: NDArray[np.int64]) -> None:
    """Warn of classes with a single row among many. ``codes``: int64 (rows,), the index of each row's label."""
    counts = np.bincount(codes, minlength=len(labels))
    single = [int(k) for k in np.flatnonzero(counts == 1)]
    if len(codes) < _FEW or not single:
        return
    shown = listing((show(labels[k]) for k in single), 5)
    have = f"class {shown} has a single row" if len(single) == 1 else f"classes with a single row: {shown}"
    first = int(np.argmax(codes == single[0]))
    warn(f"{table.at(first, column)}: {have}, which cannot be in two splits; correct it, or remove the row")


def why_useless(column: Column) -> str | None:
    """The reason why a column's texts are useless as categories: dates, an identifier; None if they are not."""
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
"""Fewest rows of an identifier. In fewer rows all texts may differ by chance."""


def warn_of_rounding(tables: Tables, transform: Transform, rows: Rows, dtype: DTypeLike) -> None:
    """Warn of columns whose values are so large relative to their spread that ``dtype`` rounds differences away."""
    way_out = "standardize, or training.precision: float64"
    target = transform.target
    if target.task.has_unit and target.columns is not None:
        known = target.standardize(target.numbers(tables.targets, rows))
        for name, values in zip(target.names, known.T, strict=True):
            reason = lost(values, dtype)
            if reason is not None:
                alike = "targets that differ look the same to the loss"
                warn(f"{tables.targets.of(name)}: {reason}; {alike}: set data.transform.target: {way_out}")
    for feature in transform.features:
        if (
            isinstance(feature, Scaled)
            and not feature.shape
            and not feature.shift.any()
            and feature.is_linear
            and transform.tokens is None
        ):
            values = np.concatenate([part for _, part in blocks(tables.inputs, feature.name, rows, feature.fill)])
            reason = lost(values[:, 0], dtype)
            if reason is not None:
                alike = "inputs that differ look the same to the network"
                warn(f"{tables.inputs.of(feature.name)}: {reason}; {alike}: set data.transform.numeric: {way_out}")


MOST_ERROR = 3e-3
"""Largest harmless rounding error, relative to the values' standard deviation: as of rounding to 0.01 deviations."""


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

"""From the YAML section ``data`` to arrays: read, split, fit on the train split, transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.augment import augmentation
from backprop_cli.data.column_values import Rows, row_at
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.data.file import DataFile
from backprop_cli.data.fit import Demand, fit_transform
from backprop_cli.data.fit_features import fit_feature
from backprop_cli.data.format import format_of, too_large
from backprop_cli.data.read import read_table
from backprop_cli.data.sections import SplitSettings
from backprop_cli.data.settings import DataSettings, FilePair
from backprop_cli.data.sources import Tables, first_tables, more_tables
from backprop_cli.data.split import Assign, Indices, fold_rows, split_rows, split_series
from backprop_cli.data.split_columns import split_by_groups, split_by_time
from backprop_cli.data.suspicious import (
    useless_features,
    warn_of_names,
    warn_of_rounding,
    warn_of_single_rows,
    warn_of_useless,
    why_useless,
)
from backprop_cli.data.table import Array, CellValue, NoColumnError, Table
from backprop_cli.data.target import fit_target, labels_of, require_classes
from backprop_cli.data.transform import UNCHECKED, Transform
from backprop_cli.data.unseen import CategoryError, Unseen, UnseenError
from backprop_cli.errors import DataError, DataProblemsError, SettingError
from backprop_cli.memory import memory_errors_as
from backprop_cli.nn.task import Task

# The modules for texts and time series are imported in functions: most data is neither.


@memory_errors_as(too_large)
@UNCHECKED
def load_dataset(
    settings: DataSettings, demand: Demand, *, base: Path, seed: int, fitted: Transform | None = None
) -> Dataset:
    """The data of ``settings`` as arrays.

    Paths are relative to ``base``; ``seed`` decides which row is in which split. ``fitted`` is the transform of a
    trained network. Without it one is fitted on the train split, with warnings on data that looks wrong.

    Raises: DataError, with file, row, column and value; SettingError if the settings are wrong.
    """
    if settings.text is not None:
        from backprop_cli.data.text_examples import fit_text, load_text_dataset

        return load_text_dataset(settings, fitted or fit_text(settings, base, demand), base=base, seed=seed)
    if settings.window is not None and not demand.task.has_unit:
        raise SettingError([(("loss",), "data.window predicts numbers; use a loss for them: mean_squared_error")])
    tables = first_tables(settings, demand.task, base=base, seed=seed)
    if settings.window is not None:
        from backprop_cli.data.series import first_in_order

        tables = first_in_order(tables, settings, fitted)
    if fitted is None:
        warn_of_names(tables.inputs, tables.features)
        warn_of_names(tables.targets, tables.target or ())
    rows = _split(tables, settings, seed, demand.task, fitting=fitted is None)
    try:
        transform = fitted or fit_transform(tables, rows["train"], settings, demand)
    except DataProblemsError as errors:
        raise DataProblemsError([_explained(error, tables, settings) for error in errors.errors]) from errors
    except CategoryError as error:
        raise _explained(error, tables, settings) from error
    augmentation(settings.augment, transform.input_shape)  # refuses what it cannot change, before the first step
    splits = _first_splits(tables, transform, rows, demand.dtype, settings if fitted is None else None)
    if fitted is None:
        warn_of_rounding(tables, transform, rows["train"], demand.dtype)
        warn_of_useless(tables, settings)
    files = dict(tables.files)
    for name, own in (("validation", settings.validation), ("test", settings.test)):
        if own is not None:
            more = more_tables(own, transform, base, settings.format, settings.sample_weight)
            more = more.with_targets() if settings.missing_target == "drop" else more
            splits[name] = _encoded(more, transform, None, demand.dtype)
            files |= more.files
    return Dataset(splits["train"], splits.get("validation"), splits.get("test"), transform, files)


@memory_errors_as(too_large)
@UNCHECKED
def split_lines(settings: DataSettings, task: Task, *, base: Path, seed: int) -> tuple[dict[str, Indices], set[int]]:
    """The lines, from 1, on which the rows of each split of the first file begin, and those of rows left out.

    Raises: DataError if it cannot be read, or has no lines; SettingError if the settings are wrong.
    """
    whole = first_tables(settings.model_copy(update={"missing_target": "error"}), task, base=base, seed=seed)
    tables = whole.with_targets() if settings.missing_target == "drop" else whole
    if whole.inputs.lines is None or tables.inputs.lines is None:
        raise DataError(f"{tables.inputs.name}: has no lines to write to other files; split it in a script of your own")
    rows = _split(tables, settings, seed, task, fitting=True)
    left_out = {int(line) for line in np.setdiff1d(whole.inputs.lines, tables.inputs.lines)}
    return {name: tables.inputs.numbers(chosen) for name, chosen in rows.items()}, left_out


@memory_errors_as(too_large)
@UNCHECKED
def unusable_columns(settings: DataSettings, task: Task, *, base: Path, seed: int) -> dict[str, str]:
    """The inputs that cannot be fitted on the train split as configured, with the reasons.

    Raises: as ``load_dataset``, also for a target that cannot be fitted.
    """
    tables = first_tables(settings, task, base=base, seed=seed)
    train = _split(tables, settings, seed, task, fitting=True)["train"]
    found: dict[str, str] = {}
    for name in tables.features:
        try:
            fit_feature(tables.inputs, name, train, settings)
        except DataError as error:
            found[name] = f"cannot be used: {str(error).removeprefix(f'{tables.inputs.of(name)}: ')}"
    fit_target(tables.targets, tables.target or (), train, task, standardize=settings.transform.target != "none")
    return found


def _first_splits(
    tables: Tables, transform: Transform, rows: Mapping[str, Rows], dtype: DTypeLike, fitted_by: DataSettings | None
) -> dict[str, Split]:
    """The splits of the first file. ``fitted_by``: the settings, if the transform was fitted on the train split.

    Raises: DataError for a value that cannot be used, and if all weights are 0.
    """
    try:
        # Which categories a random split lacks is chance: a warning would teach nothing.
        unseen = Unseen() if fitted_by else None
        splits = {name: _encoded(tables, transform, chosen, dtype, name, unseen) for name, chosen in rows.items()}
    except UnseenError as error:
        raise (_explained(error, tables, fitted_by) if fitted_by else error) from error
    weights = splits["train"].weights
    if weights is not None and not weights.any():
        raise DataError(f"{tables.of_weights()}: every weight of the train split is 0: nothing would be learned")
    return splits


@memory_errors_as(too_large)
@UNCHECKED
def load_split(
    files: Path | str | FilePair,
    transform: Transform,
    *,
    dtype: DTypeLike,
    base: Path = Path(),
    format: str | None = None,
    sample_weight: str | None = None,
    missing_target: Literal["error", "drop"] = "error",
) -> Split:
    """Other examples, with targets, for a network trained with ``transform``.

    ``sample_weight`` is the column of weights; in a file without it all weights are 1. ``missing_target``: as in
    ``DataSettings``.

    Raises: DataError, also for a class or a category that the network does not know.
    """
    if transform.text is not None and not isinstance(files, FilePair):
        from backprop_cli.data.text_examples import load_text

        return load_text(DataFile(base / files), transform, format)
    try:
        found = more_tables(files, transform, base, format, sample_weight)
    except NoColumnError as error:
        if error.names != (sample_weight,):
            raise
        found = more_tables(files, transform, base, format, None)
    found = found.with_targets() if missing_target == "drop" else found
    return _encoded(found, transform, None, dtype)


@memory_errors_as(too_large)
@UNCHECKED
def load_inputs(
    path: Path, transform: Transform, *, dtype: DTypeLike, format: str | None = None
) -> tuple[Array, Indices]:
    """Inputs (rows, *input_shape) of a file, with or without targets, and their ``rows`` as in ``Split``.

    Raises: DataError.
    """
    file = DataFile(path)
    if transform.text is not None:
        from backprop_cli.data.text_examples import load_text

        split = load_text(file, transform, format)
        assert split.rows is not None
        return np.asarray(split.inputs), split.rows
    file.check(folder=True)
    transform.check_format(file.name, format_of(file.name, format, option="--input-format"))
    table = read_table(file, transform.selection, reading=transform.reading, format=format)
    if transform.window is not None:
        from backprop_cli.data.series import all_windows

        return all_windows(table, transform, dtype, file.name)
    return transform.inputs(table, dtype=dtype), table.numbers()


def _encoded(
    tables: Tables,
    transform: Transform,
    rows: Rows,
    dtype: DTypeLike,
    split: str = "",
    unseen: Unseen | None = None,
) -> Split:
    """``split``: the name of the split that ``rows`` make. ``unseen``: as in ``Transform.rows``."""
    if transform.window is not None:
        from backprop_cli.data.series import series_split

        return series_split(tables, transform, rows, dtype, split, unseen)
    inputs = transform.inputs(tables.inputs, rows, dtype=dtype, unseen=unseen)
    targets = transform.targets(tables.targets, rows, dtype=dtype, inputs=inputs)
    at = _target_at(tables, rows)
    numbers, weights = tables.inputs.numbers(rows), tables.weights(rows)
    exact = transform.exact_targets(tables.targets, rows, targets)
    return Split(inputs, targets, numbers, weights=weights, target_at=at, exact=exact)


def _target_at(tables: Tables, rows: Rows) -> Callable[[tuple[int, ...]], str] | None:
    """The place of a target in its file, by its index among the targets of these rows. It keeps no columns alive."""
    if tables.target is None:
        return None
    names, table = tables.target, Table(tables.targets.name, {}, tables.targets.lines)

    def at(index: tuple[int, ...]) -> str:
        row = row_at(rows, index[0])
        if len(index) == 1:
            return table.at(row, "', '".join(names))
        return table.at(row, names[index[1]]) if len(names) > 1 else table.at(row, names[0], index[1:])

    return at


def _explained(error: DataError, tables: Tables, settings: DataSettings) -> DataError:
    """The error for a column that is useless as categories, or for a value that occurs only in held-out rows."""
    if not isinstance(error, CategoryError):
        return error
    if error.column is not None and (why := why_useless(tables.inputs.columns[error.column])) is not None:
        others = useless_features(tables, settings)
        others.pop(error.column, None)
        return DataError(error.useless(why, others))
    if not isinstance(error, UnseenError):
        return error
    why = "which rows are in the train split depends on seed and data.split"
    return DataError(f"{error.place}: {error.fault}; {why}; {error.here}{_or_split(error, settings)}")


def _or_split(error: UnseenError, settings: DataSettings) -> str:
    """How the split may be changed, so that the train split has a class."""
    split = settings.split
    if error.column is not None or split is None:
        return ""
    if not split.stratify and split.time is None:
        return ", or set data.split.stratify: true"
    return ", or take fewer folds" if split.fold is not None else ""


def _split(tables: Tables, settings: DataSettings, seed: int, task: Task, *, fitting: bool) -> Mapping[str, Rows]:
    """Rows of each split of the first file; None: all of them."""
    split = settings.split
    if split is None:
        return {"train": None}
    own = {"validation": settings.validation is not None, "test": settings.test is not None}
    fractions = {name: getattr(split, name) for name, has_own in own.items() if not has_own}
    if tables.panel is not None:
        return dict(split_series(tables.panel.parts, fractions, name=tables.inputs.name))
    assign = _assignment(tables, split, seed, task, fitting=fitting)
    if split.fold is None:
        return assign(np.arange(tables.inputs.rows), fractions)
    return fold_rows(assign, tables.inputs.rows, split, fractions, tables.inputs.name)


def _assignment(tables: Tables, split: SplitSettings, seed: int, task: Task, *, fitting: bool) -> Assign:
    """A function that shares out some of the rows, as ``split`` says."""
    labels: Indices | None = None
    known: Sequence[CellValue] = ()
    single = tables.target is not None and len(tables.target) == 1
    if split.time is None and split.stratify and tables.target is not None and single and task.has_classes:
        column = tables.target[0]
        known, labels = labels_of(tables.targets, column, None)
        if fitting and task.is_multiclass:
            require_classes(tables.targets, column, known, len(labels))  # a split by thousands of classes is slow
        if fitting:
            warn_of_single_rows(tables.targets, column, known, labels)

    def assign(rows: Indices, fractions: Mapping[str, float]) -> dict[str, Indices]:
        table = tables.inputs if len(rows) == tables.inputs.rows else tables.inputs.take(rows)
        own = None if labels is None else labels[rows]
        if split.time is not None:
            found = split_by_time(table, split.time, fractions)
        elif split.by is not None:
            found = split_by_groups(table, split.by, fractions, seed, own, classes=known, warning=fitting)
        else:
            found = split_rows(len(rows), fractions, seed=seed, labels=own, name=table.name)
        return {name: rows[chosen] for name, chosen in found.items()}

    return assign

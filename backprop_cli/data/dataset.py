"""From the YAML section ``data`` to arrays: read, split, fit on the train split, transform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.augment import augmentation
from backprop_cli.data.cells import Reading
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.data.features import Rows, Scaled, UnseenError, blocks
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import format_of, too_large
from backprop_cli.data.panel import fit_times, in_order
from backprop_cli.data.read import read_table
from backprop_cli.data.refusals import in_yaml
from backprop_cli.data.series import series_split, window_starts, windows_at
from backprop_cli.data.series_order import warn_of_gaps, warn_of_order
from backprop_cli.data.settings import DataSettings, FilePair
from backprop_cli.data.sources import Tables, first_tables, more_tables, reading_of
from backprop_cli.data.split import Indices, split_rows, split_series
from backprop_cli.data.suspicious import caution_about, lost, why_no_categories
from backprop_cli.data.table import Array, NoColumnError, Table
from backprop_cli.data.target import labels_of, require_classes
from backprop_cli.data.text_examples import fit_text, load_text, load_text_dataset
from backprop_cli.data.times import Times
from backprop_cli.data.transform import UNCHECKED, Transform, fit_transform
from backprop_cli.errors import DataError, SettingError, warn
from backprop_cli.memory import memory_errors_as

if TYPE_CHECKING:
    from backprop_cli.nn.task import Task


@memory_errors_as(too_large)
@UNCHECKED
def load_dataset(
    settings: DataSettings,
    *,
    base: Path,
    seed: int,
    dtype: DTypeLike,
    task: Task,
    input_shape: tuple[int, ...] | None = None,
    fitted: Transform | None = None,
    tokens: int | None = None,
) -> Dataset:
    """The data that ``settings`` name, as arrays.

    Paths are relative to ``base``; ``seed`` decides which row is in which split. ``input_shape`` is that of the model,
    if it has one: examples are reshaped to it. ``tokens``: the network looks its inputs up, so they are integers in
    [0, tokens). ``fitted`` is the transform of a trained network; without it one is fitted on the train split, with
    warnings on data that looks wrong.

    Raises: DataError, which names file, row, column and value; SettingError if the settings are wrong.
    """
    if settings.text is not None:
        transform = fitted or fit_text(settings, base, task, input_shape, tokens)
        return load_text_dataset(settings, transform, base=base, seed=seed)
    if settings.window is not None and not task.has_unit:
        raise SettingError([(("loss",), "data.window predicts numbers; use a loss for them: mean_squared_error")])
    examples = first_tables(settings, base=base, seed=seed, task=task)
    examples, times = _in_order(examples, settings, fitted)
    rows = _split(examples, settings, seed, task, fitting=fitted is None)
    transform = fitted or fit_transform(
        examples.inputs,
        examples.features,
        examples.targets,
        examples.target,
        rows["train"],
        settings=settings.transform,
        task=task,
        input_shape=input_shape,
        tokens=tokens,
        window=settings.window,
        image=examples.image,
        times=times,
        reading=_fitted_reading(examples, settings),
    )
    augmentation(settings.augment, transform.input_shape)  # refuses what it cannot change, before the first step
    try:
        splits = {name: _encoded(examples, transform, chosen, dtype, name) for name, chosen in rows.items()}
    except UnseenError as error:
        raise DataError(_by_chance(error, examples) if fitted is None else str(error)) from error
    if splits["train"].weights is not None and not splits["train"].weights.any():
        raise DataError(f"{examples.of_weights()}: every weight of the train split is 0: nothing would be learned")
    if fitted is None:
        _warn_of_rounding(examples, transform, rows["train"], dtype)
        if settings.features == "all":
            _warn_of_names(examples, settings)
    read = dict(examples.files)
    for name, own in (("validation", settings.validation), ("test", settings.test)):
        if own is not None:
            more = more_tables(own, transform, base, settings.format, settings.sample_weight)
            splits[name] = _encoded(more, transform, None, dtype)
            read |= more.files
    return Dataset(splits["train"], splits.get("validation"), splits.get("test"), transform, read)


def _in_order(examples: Tables, settings: DataSettings, fitted: Transform | None) -> tuple[Tables, Times]:
    """The examples sorted as ``data.window`` says, and how their times are spelled."""
    window = settings.window
    if window is None:
        return examples, Times()
    if fitted is not None:
        return examples.in_order(window, fitted.times), fitted.times
    warn_of_order(examples, settings)
    times = fit_times(examples.inputs, window)
    examples = examples.in_order(window, times)
    if examples.panel is not None:
        warn_of_gaps(examples.inputs, examples.panel, window, times)
    return examples, times


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
) -> Split:
    """Other examples, with targets, for a network that was trained with ``transform``.

    ``sample_weight`` is the column of weights; in a file without it all are 1.

    Raises: DataError, also for a class or a category that the network does not know.
    """
    if transform.text is not None and not isinstance(files, FilePair):
        return load_text(DataFile(base / files), transform, format)
    try:
        found = more_tables(files, transform, base, format, sample_weight)
    except NoColumnError as error:
        if error.names != (sample_weight,):
            raise
        found = more_tables(files, transform, base, format, None)
    return _encoded(found, transform, None, dtype)


@memory_errors_as(too_large)
@UNCHECKED
def load_inputs(
    path: Path, transform: Transform, *, dtype: DTypeLike, format: str | None = None
) -> tuple[Array, Indices]:
    """Inputs (rows, *input_shape) of a file's rows, whether it has targets or not, and their ``rows`` as in a split.

    Raises: DataError.
    """
    file, columns = DataFile(path), transform.read_columns
    if transform.text is not None:
        split = load_text(file, transform, format)
        assert split.rows is not None
        return np.asarray(split.inputs), split.rows
    file.check(folder=True)
    transform.check_format(file.name, format_of(file.name, format, option="--input-format"))
    table = read_table(
        file,
        columns=columns,
        kinds=transform.kinds,
        format=format,
        unnamed=columns[0],
        image=transform.image,
        reading=transform.reading,
    )
    if transform.window is not None:
        table, panel = in_order(table, transform.window, transform.times)
        starts = window_starts(panel, transform.window, file.name)
        return windows_at(starts, transform.rows(table, dtype=dtype), transform), table.numbers(starts)
    return transform.inputs(table, dtype=dtype), table.numbers()


def _warn_of_names(examples: Tables, settings: DataSettings) -> None:
    names = [name for name in examples.features if name not in (settings.categories or ())]
    caution = caution_about(examples.inputs, names)
    if caution is not None:
        warn(caution)


def _encoded(examples: Tables, transform: Transform, rows: Rows, dtype: DTypeLike, split: str = "") -> Split:
    if transform.window is not None:
        if examples.panel is None:
            examples = examples.in_order(transform.window, transform.times)
        assert examples.panel is not None
        place = f"the {split} split of {examples.inputs.name}" if rows is not None else examples.inputs.name
        return series_split(examples.inputs, examples.targets, examples.panel, transform, rows, dtype, place)
    inputs = transform.inputs(examples.inputs, rows, dtype=dtype)
    targets = transform.targets(examples.targets, rows, dtype=dtype, inputs=inputs)
    at = _target_at(examples, rows)
    numbers, weights = examples.inputs.numbers(rows), examples.weights(rows)
    exact = transform.exact_targets(examples.targets, rows, targets)
    return Split(inputs, targets, numbers, weights=weights, target_at=at, exact=exact)


def _warn_of_rounding(examples: Tables, transform: Transform, rows: Rows, dtype: DTypeLike) -> None:
    """Warn of columns whose values are so large relative to their spread that ``dtype`` rounds differences away."""
    way_out = "standardize, or training.precision: float64"
    if transform.target.task.has_unit and transform.target.columns is not None:
        known = transform.target.standardize(transform.target.numbers(examples.targets, rows))
        for name, values in zip(transform.target.names, known.T, strict=True):
            reason = lost(values, dtype)
            if reason is not None:
                alike = "targets that differ look the same to the loss"
                warn(f"{examples.targets.of(name)}: {reason}; {alike}: set data.transform.target: {way_out}")
    for feature in transform.features:
        if isinstance(feature, Scaled) and not feature.shape and not feature.shift.any() and transform.tokens is None:
            values = np.concatenate([part for _, part in blocks(examples.inputs, feature.name, rows, feature.fill)])
            reason = lost(values[:, 0], dtype)
            if reason is not None:
                alike = "inputs that differ look the same to the network"
                warn(f"{examples.inputs.of(feature.name)}: {reason}; {alike}: set data.transform.numeric: {way_out}")


def _target_at(examples: Tables, rows: Rows) -> Callable[[tuple[int, ...]], str] | None:
    """Says where a target is in its file, by its index among the targets of these rows; keeps no columns alive."""
    if examples.target is None:
        return None
    names, table = examples.target, Table(examples.targets.name, {}, examples.targets.lines)

    def at(index: tuple[int, ...]) -> str:
        row = index[0] if rows is None else int(rows[index[0]])
        if len(index) == 1:
            return table.at(row, "', '".join(names))
        return table.at(row, names[index[1]]) if len(names) > 1 else table.at(row, names[0], index[1:])

    return at


def _fitted_reading(examples: Tables, settings: DataSettings) -> Reading:
    """How later files are read: each column as in the first file."""
    tables = (examples.inputs, examples.targets)
    plain = {name for table in tables for name in table.plain}
    return reading_of(settings).for_later(plain, [name for table in tables for name in table.columns])


def _by_chance(error: UnseenError, examples: Tables) -> str:
    """The message for a value that only held-out rows have."""
    why = None if error.column is None else why_no_categories(examples.inputs.columns[error.column])
    if error.column is not None and why is not None:
        return f"{error.reason}; the column {why}: train without it (data.exclude: [{in_yaml(error.column)}])"
    return f"{error.reason}; which rows are in the train split depends on seed and data.split; {error.here}"


def _split(examples: Tables, settings: DataSettings, seed: int, task: Task, fitting: bool) -> dict[str, Rows]:
    """Rows of each split that comes out of the first file; None: all of them."""
    if settings.split is None:
        return {"train": None}
    own = {"validation": settings.validation is not None, "test": settings.test is not None}
    fractions = {name: getattr(settings.split, name) for name, has_own in own.items() if not has_own}
    if examples.panel is not None:
        return dict(split_series(examples.panel.parts, fractions, name=examples.inputs.name))
    labels: Indices | None = None
    single = examples.target is not None and len(examples.target) == 1
    if settings.split.stratify and examples.target is not None and single and task.has_classes:
        column = examples.target[0]
        known, labels = labels_of(examples.targets, column, None)
        if fitting and task.is_multiclass:
            require_classes(examples.targets, column, known, len(labels))  # a split by thousands of classes is slow
    rows = split_rows(examples.inputs.rows, fractions, seed=seed, labels=labels, name=examples.inputs.name)
    return dict(rows)

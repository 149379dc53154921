"""From the YAML section ``data`` to arrays: read, split, fit on the train split, transform."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.columns import Kind
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.data.features import Rows, UnseenError, as_feature
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import ArrayFormat, format_of
from backprop_cli.data.generate import FEATURES, generate
from backprop_cli.data.read import read_table
from backprop_cli.data.series import series_split, windows_of
from backprop_cli.data.setting_error import SettingError, SettingPath
from backprop_cli.data.settings import DataSettings, FilePair
from backprop_cli.data.split import Indices, split_in_order, split_rows
from backprop_cli.data.table import Array, NoColumnError, Numbers, Table
from backprop_cli.data.target import labels_of, require_classes, weights_of
from backprop_cli.data.text_examples import fit_text, load_text, load_text_dataset
from backprop_cli.data.transform import Transform, fit_transform
from backprop_cli.errors import DataError

if TYPE_CHECKING:
    from backprop_cli.nn.loss import Task

INPUTS = "features"
"""The word that, as ``target``, means the inputs themselves (a column of that name: ``[features]``)."""


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
    """Everything that ``settings`` name, as arrays.

    Paths are relative to ``base``; ``seed`` decides which row is in which split. ``input_shape`` is that of the model,
    where it is given: examples are reshaped to it. ``tokens``: the network looks its inputs up, so they are integers in
    [0, tokens). ``fitted`` is the transform of a network that is trained already;
    without it one is fitted on the train split.

    Raises: DataError, which names file, row, column and value; SettingError where it is the settings that are wrong.
    """
    if settings.text is not None:
        transform = fitted or fit_text(settings, base, task, input_shape, tokens)
        return load_text_dataset(settings, transform, base=base, seed=seed)
    if settings.window is not None and task != "regression":
        raise SettingError([(("loss",), "data.window predicts numbers; use a loss for them: mean_squared_error")])
    with _columns_of_settings(settings):
        examples = _generated(settings, seed) if settings.generate is not None else _read(settings, base, task)
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
    )
    try:
        splits = {name: _encoded(examples, transform, chosen, dtype, name) for name, chosen in rows.items()}
        if splits["train"].weights is not None and not splits["train"].weights.any():
            raise DataError(f"{examples.of_weights()}: every weight of the train split is 0: nothing would be learned")
    except UnseenError as error:
        raise DataError(f"{error.reason}; {_BY_CHANCE}" if fitted is None else str(error)) from error
    read = dict(examples.files)
    for name, own in (("validation", settings.validation), ("test", settings.test)):
        if own is not None:
            more = _more_examples(own, transform, base, settings.format, settings.sample_weight)
            splits[name] = _encoded(more, transform, None, dtype)
            read |= more.files
    return Dataset(splits["train"], splits.get("validation"), splits.get("test"), transform, read)


@contextmanager
def _columns_of_settings(settings: DataSettings) -> Iterator[None]:
    """Columns that the settings name and the first file does not have are mistakes of the settings."""
    try:
        yield
    except NoColumnError as error:
        paths: dict[str, SettingPath] = {}
        named = {key: getattr(settings, key) for key in ("features", "target", "sample_weight")}
        for key, names in named.items():
            if isinstance(names, str):
                paths[names] = ("data", key)
            paths |= {name: ("data", key, i) for i, name in enumerate(names if isinstance(names, tuple) else ())}
        raise SettingError([(paths.get(name, ("data",)), error.reason(name)) for name in error.names]) from error


def known_input_shape(settings: DataSettings, base: Path) -> tuple[int, ...] | None:
    """The shape of one example as far as headers tell it without reading data; None where they do not."""
    if settings.text is not None:
        return (settings.text.context,)
    if settings.window is not None:
        return None
    if settings.generate is not None:
        return (len(FEATURES if settings.features == "all" else settings.features),)
    files = settings.source if settings.source is not None else settings.train
    assert files is not None
    file = DataFile(base / (files.inputs if isinstance(files, FilePair) else files))
    try:
        chosen = format_of(file.name, settings.format)
        shapes = chosen.shapes(file) if isinstance(chosen, ArrayFormat) else {}
    except DataError:
        return None  # whoever reads the file will say what is wrong with it
    target = () if isinstance(files, FilePair) else _target_columns(settings) or ()
    names = (
        [name for name in shapes if name not in (*target, settings.sample_weight)]
        if settings.features == "all"
        else settings.features
    )
    return shapes[names[0]][1:] or (1,) if len(names) == 1 and names[0] in shapes else None


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
        found = _more_examples(files, transform, base, format, sample_weight)
    except NoColumnError as error:
        if error.names != (sample_weight,):
            raise
        found = _more_examples(files, transform, base, format, None)
    return _encoded(found, transform, None, dtype)


def load_inputs(
    path: Path, transform: Transform, *, dtype: DTypeLike, format: str | None = None
) -> tuple[Array, Indices]:
    """Inputs (rows, *input_shape) of a file's rows, whether it has targets or not, and their ``rows`` as in a split.

    Raises: DataError.
    """
    file, columns = DataFile(path), transform.input_columns
    if transform.text is not None:
        split = load_text(file, transform, format)
        assert split.rows is not None
        return np.asarray(split.inputs), split.rows
    file.check()
    transform.check_format(file.name, format_of(file.name, format, option="--input-format"))
    table = read_table(file, columns=columns, kinds=transform.kinds, format=format, unnamed=columns[0])
    if transform.window is not None:
        (made,) = windows_of([transform.rows(table, dtype=dtype)], transform, file.name)
        return made, table.numbers()[: len(made)]
    return transform.inputs(table, dtype=dtype), table.numbers()


@dataclass(frozen=True)
class _Examples:
    """Tables of inputs and targets (the same where one file has both), and which of their columns are meant."""

    inputs: Table
    features: Sequence[str]
    targets: Table
    target: Sequence[str] | None  # None: the inputs are the target
    files: Mapping[str, str] = field(default_factory=dict)
    weight: str | None = None

    def of_weights(self) -> str:
        """The column of weights, for the head of a message."""
        assert self.weight is not None
        return self.targets.of(self.weight)

    def weights(self, rows: Rows) -> Array | None:
        """The weights of these rows; None where there are none. Raises: DataError."""
        return None if self.weight is None else weights_of(self.targets, self.weight, rows)


def _encoded(examples: _Examples, transform: Transform, rows: Rows, dtype: DTypeLike, split: str = "") -> Split:
    if transform.window is not None:
        place = f"the {split} split of {examples.inputs.name}" if rows is not None else examples.inputs.name
        return series_split(examples.inputs, examples.targets, transform, rows, dtype, place)
    inputs = transform.inputs(examples.inputs, rows, dtype=dtype)
    targets = transform.targets(examples.targets, rows, dtype=dtype, inputs=inputs)
    at = _target_at(examples, rows)
    return Split(inputs, targets, examples.inputs.numbers(rows), weights=examples.weights(rows), target_at=at)


def _target_at(examples: _Examples, rows: Rows) -> Callable[[tuple[int, ...]], str] | None:
    """Says where a target is in its file, by its index among the targets of these rows; keeps no columns alive."""
    if examples.target is None:
        return None
    names, table = examples.target, Table(examples.targets.name, {}, examples.targets.lines)

    def at(index: tuple[int, ...]) -> str:
        row = index[0] if rows is None else int(rows[index[0]])
        return table.at(row, names[index[1]]) if len(names) > 1 else table.at(row, names[0], index[1:])

    return at


_BY_CHANCE = (
    "which rows are in the train split depends on seed and data.split: give more rows with it, try another seed, or "
    "train without it (data.features, or the row removed)"
)


def _split(examples: _Examples, settings: DataSettings, seed: int, task: Task, fitting: bool) -> dict[str, Rows]:
    """Rows of each split that comes out of the first file; None: all of them."""
    if settings.split is None:
        return {"train": None}
    own = {"validation": settings.validation is not None, "test": settings.test is not None}
    fractions = {name: getattr(settings.split, name) for name, has_own in own.items() if not has_own}
    if settings.window is not None:
        parts = split_in_order(examples.inputs.rows, fractions, name=examples.inputs.name)
        return {name: np.arange(part.start, part.stop) for name, part in parts.items()}
    labels: Indices | None = None
    single = examples.target is not None and len(examples.target) == 1
    if settings.split.stratify and examples.target is not None and single and task in ("classes", "binary"):
        column = examples.target[0]
        known, labels = labels_of(examples.targets, column, None)
        if fitting and task == "classes":
            require_classes(examples.targets, column, known, len(labels))  # a split by thousands of classes is slow
    rows = split_rows(examples.inputs.rows, fractions, seed=seed, labels=labels, name=examples.inputs.name)
    return dict(rows)


def _generated(settings: DataSettings, seed: int) -> _Examples:
    assert settings.generate is not None
    table, made = generate(settings.generate, seed)
    features = FEATURES if settings.features == "all" else settings.features
    target = _target_columns(settings) if settings.target is not None else (made,)
    weight = settings.sample_weight
    table.require((*features, *(target or ()), *([weight] if weight else ())))
    return _Examples(table, [name for name in features if name != weight], table, target, weight=weight)


def _target_columns(settings: DataSettings) -> tuple[str, ...] | None:
    """The names under ``target``; None where it means the inputs, or says nothing."""
    if settings.target is None or settings.target == INPUTS:
        return None
    return (settings.target,) if isinstance(settings.target, str) else settings.target


def _target_kind(task: Task) -> Kind:
    return "label" if task in ("classes", "binary") else "number"


def _read(settings: DataSettings, base: Path, task: Task) -> _Examples:
    """The file that the transform is fitted on."""
    files = settings.source if settings.source is not None else settings.train
    assert files is not None
    features = None if settings.features == "all" else settings.features
    target = _target_columns(settings)
    # Numbers that are text throughout are told with the way out, a loss for classes, when the target is fitted.
    weight = () if settings.sample_weight is None else (settings.sample_weight,)
    kinds = dict.fromkeys(target or (), _target_kind(task) if task in ("classes", "binary") else "auto")
    kinds |= dict.fromkeys(weight, "number")
    if isinstance(files, FilePair):
        return _first_pair(files, features, target, base, settings, task)
    file = DataFile(base / files)
    file.check()
    if target is not None and isinstance(format_of(file.name, settings.format), ArrayFormat):
        _require_names(file, settings.format)
    columns = None if features is None else [*dict.fromkeys((*features, *(target or ()), *weight))]
    table = read_table(file, columns=columns, kinds=kinds, format=settings.format, unnamed="inputs")
    table.require((*(target or ()), *weight))
    if features is None:
        features = _all_features(table, (*(target or ()), *weight), settings)
        if not features:
            raise DataError(f"{table.name}: no columns are left to predict from; name them in data.features")
    return _Examples(table, features, table, target, file.hashes(), settings.sample_weight)


def _all_features(table: Table, target: Sequence[str], settings: DataSettings) -> tuple[str, ...]:
    """Every column but the target; of a time series every one of numbers, for a target is predicted from its past."""
    if settings.window is not None:
        return tuple(name for name, column in table.columns.items() if isinstance(as_feature(column), Numbers))
    return tuple(name for name in table.columns if name not in target)


def _require_names(file: DataFile, format: str | None) -> None:
    """A file with one array without a name has no target in it."""
    chosen = format_of(file.name, format)
    if isinstance(chosen, ArrayFormat) and list(chosen.shapes(file)) == [""]:
        raise DataError(
            f"{file.name}: holds one array and no targets; write train: {{inputs: ..., targets: ...}} "
            "instead of source, or target: features"
        )


def _first_pair(
    pair: FilePair,
    features: Sequence[str] | None,
    target: Sequence[str] | None,
    base: Path,
    settings: DataSettings,
    task: Task,
) -> _Examples:
    inputs_file, targets_file = DataFile(base / pair.inputs), DataFile(base / pair.targets)
    inputs = read_table(inputs_file, columns=features, format=settings.format, unnamed="inputs")
    weight = settings.sample_weight
    targets = read_table(
        targets_file,
        columns=target if target is None or weight is None else (*target, weight),
        kinds={} if weight is None else {weight: "number"},
        default=_target_kind(task) if task in ("classes", "binary") else "auto",
        format=settings.format,
        unnamed="target",
    )
    targets.require(() if weight is None else (weight,))
    _check_rows(inputs, targets)
    named = tuple(name for name in targets.columns if name != weight)
    files = inputs_file.hashes() | targets_file.hashes()
    return _Examples(inputs, tuple(inputs.columns), targets, named, files, weight)


def _more_examples(
    files: Path | str | FilePair, transform: Transform, base: Path, format: str | None, weight: str | None
) -> _Examples:
    """Files whose columns are those that the transform knows, and that of the weights."""
    fitted = transform.target
    features, target = transform.input_columns, fitted.columns
    kinds = transform.kinds
    weights = () if weight is None else (weight,)
    target_kinds: dict[str, Kind] = dict.fromkeys(target or (), _target_kind(fitted.task))
    target_kinds |= dict.fromkeys(weights, "number")
    if not isinstance(files, FilePair):
        file = DataFile(base / files)
        transform.check_format(file.name, format_of(file.name, format))
        columns = [*dict.fromkeys((*features, *(target or ()), *weights))]
        table = read_table(file, columns=columns, kinds=kinds | target_kinds, format=format, unnamed=features[0])
        table.require(weights)
        return _Examples(table, features, table, target, file.hashes(), weight)
    inputs_file, targets_file = DataFile(base / files.inputs), DataFile(base / files.targets)
    inputs = read_table(inputs_file, columns=features, kinds=kinds, format=format, unnamed=features[0])
    if target is None:
        raise DataError(f"{inputs.name}: the inputs are the target of this network; give one file, without targets")
    columns = [*target, *weights]
    targets = read_table(targets_file, columns=columns, kinds=target_kinds, format=format, unnamed=target[0])
    targets.require(weights)
    _check_rows(inputs, targets)
    return _Examples(inputs, features, targets, target, inputs_file.hashes() | targets_file.hashes(), weight)


def _check_rows(inputs: Table, targets: Table) -> None:
    if inputs.rows != targets.rows:
        raise DataError(
            f"{inputs.name} has {inputs.rows:,} rows, {targets.name} {targets.rows:,}; "
            "they must have a row an example each"
        )

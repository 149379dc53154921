"""The tables that the settings name, and the columns to use of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backprop_cli.data.column_values import Rows, as_categories, as_feature
from backprop_cli.data.columns import Kind
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import ArrayFormat, Format, TableFormat, format_of, no_arrays
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.reading import PLAIN, ImageSettings, Reading
from backprop_cli.data.settings import GENERATED_FEATURES, NEEDS_TARGET, DataSettings, FilePair, GenerateSettings
from backprop_cli.data.table import Array, NoColumnError, Numbers, Table, is_missing, require_columns
from backprop_cli.data.target import weights_of
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError, SettingError, TreePath, plural, warn
from backprop_cli.nn.task import Task

if TYPE_CHECKING:
    from backprop_cli.data.panel import Panel


class Tables(NamedTuple):
    """Tables of inputs and targets (the same if one file has both), and the columns to use of them.

    ``target`` None: the inputs are the target. ``weight``: the targets' column of weights. ``files``: sha256 by
    absolute path. ``reading``: how later files are read. ``panel``: the series of the rows, once they are in order.
    ``day_first``: how their times are spelled (see ``Times``).
    """

    inputs: Table
    features: Sequence[str]
    targets: Table
    target: Sequence[str] | None
    weight: str | None = None
    files: Mapping[str, str] = MappingProxyType({})
    reading: Reading = PLAIN
    panel: Panel | None = None
    day_first: bool | None = None

    def of_weights(self) -> str:
        """The column of weights, for the head of a message."""
        assert self.weight is not None
        return self.targets.of(self.weight)

    def with_targets(self) -> Tables:
        """Only the rows with a target; a warning counts the others. Raises: DataError if no row has one."""
        if self.target is None:
            return self
        each = np.array([is_missing(self.targets.column(name)) for name in self.target])
        missing = np.any(each, axis=0)
        if not missing.any():
            return self
        first, count = int(np.argmax(missing)), int(missing.sum())
        name = self.target[int(np.argmax(each[:, first]))]
        if count == len(missing):
            raise DataError(f"{self.targets.of(name)}: no row has a target")
        rest = f"{count:,} of {plural(len(missing), 'row')} {'is' if count == 1 else 'are'} left out"
        warn(f"{self.targets.at(first, name)}: the target is missing; {rest}")
        rows = np.flatnonzero(~missing)
        inputs = self.inputs.take(rows)
        return self._replace(inputs=inputs, targets=inputs if self.targets is self.inputs else self.targets.take(rows))

    def weights(self, rows: Rows) -> Array | None:
        """The weights of these rows; None if every example counts the same. Raises: DataError."""
        return None if self.weight is None else weights_of(self.targets, self.weight, rows)


def first_tables(settings: DataSettings, task: Task, *, base: Path, seed: int) -> Tables:
    """The tables to fit the transform on: the first file or files, or a generated set.

    Raises: DataError if they cannot be read; SettingError for columns that they do not have.
    """
    with _columns_at_their_keys(settings):
        if settings.generate is not None:
            tables = _generated(settings, settings.generate, seed)
        elif isinstance(settings.first, FilePair):
            tables = _first_pair(settings, settings.first, base, task)
        else:
            tables = _first_file(settings, DataFile(base / str(settings.first)), task)
        tables.inputs.require(settings.transform.columns or ())
    return tables.with_targets() if settings.missing_target == "drop" else tables


@contextmanager
def _columns_at_their_keys(settings: DataSettings) -> Iterator[None]:
    """Turn a NoColumnError into a SettingError at the keys that name the columns."""
    try:
        yield
    except NoColumnError as error:
        paths: dict[str, TreePath] = {}
        for key in ("features", "exclude", "categories", "target", "sample_weight"):
            names = getattr(settings, key)
            if isinstance(names, str):
                paths[names] = ("data", key)
            paths |= {name: ("data", key, i) for i, name in enumerate(names if isinstance(names, tuple) else ())}
        paths |= {name: ("data", "transform", "columns", name) for name in settings.transform.columns or ()}
        if settings.window is not None:
            paths |= dict.fromkeys(settings.window.group or (), ("data", "window", "group"))
            paths |= {settings.window.time or "": ("data", "window", "time")}
        if settings.split is not None:
            paths |= dict.fromkeys(settings.split.by or (), ("data", "split", "by"))
            paths |= {settings.split.time or "": ("data", "split", "time")}
        paths |= {name: ("data", "numbers", name) for name in settings.spelled if name not in paths}
        raise SettingError([(paths.get(name, ("data",)), error.reason(name)) for name in error.names]) from error


def known_input_shape(settings: DataSettings, base: Path) -> tuple[int, ...] | None:
    """The shape of one example if settings and headers determine it; None if only the data does."""
    if settings.text is not None:
        return (settings.text.context,)
    if settings.window is not None or settings.transform.has_indicators:
        return None
    if settings.generate is not None:
        return (len(settings.feature_columns or GENERATED_FEATURES),)
    files = settings.first
    file = DataFile(base / str(files.inputs if isinstance(files, FilePair) else files))
    try:
        file.check_lasting()
        format = format_of(file.name, settings.format).configured(settings.reading)
        shapes = format.shapes(file) if isinstance(format, ArrayFormat) else {}
    except DataError:
        return None  # reading the file will report it
    target = () if isinstance(files, FilePair) else _target_of(settings, format) or ()
    others = [
        name for name in shapes if name not in (*target, format.default_target, *settings.weights, *settings.order)
    ]
    names = settings.feature_columns or others
    return shapes[names[0]][1:] or (1,) if len(names) == 1 and names[0] in shapes else None


def _generated(settings: DataSettings, generated: GenerateSettings, seed: int) -> Tables:
    from backprop_cli.data.synthetic import generate

    table, made = generate(generated, seed)
    features = settings.feature_columns or GENERATED_FEATURES
    target = (made,) if settings.target is None else settings.target_columns
    table.require((*features, *(target or ()), *settings.weights))
    features = tuple(name for name in features if name not in settings.weights)
    return Tables(table, features, table, target, settings.sample_weight, reading=_later(settings, None, table))


def _later(settings: DataSettings, image: ImageSettings | None, *tables: Table) -> Reading:
    """How later files are read: each column as in the first ``tables``."""
    plain = {name for table in tables for name in table.plain}
    separator = next((table.separator for table in tables if table.separator), None)
    reading = settings.reading.for_later(plain, [name for table in tables for name in table.columns], image)
    return reading._replace(separator=separator)


def _target_of(settings: DataSettings, format: Format) -> tuple[str, ...] | None:
    """The target's columns in a single file; its format may have a default."""
    if settings.target is None and format.default_target is not None:
        return (format.default_target,)
    return settings.target_columns


def _first_file(settings: DataSettings, file: DataFile, task: Task) -> Tables:
    """One file with inputs and targets."""
    format = _checked_format(file, settings)
    target = _target_of(settings, format)
    if target is not None and isinstance(format, ArrayFormat):
        _require_arrays(file, format, () if settings.target is None else target)
    selection = _selection(settings, file, format, target or (), task)
    table = read_table(file, selection, reading=settings.reading, format=settings.format)
    _check_named(table, settings)
    table = _with_categories(table, settings)
    if settings.target is None and not set(target or ()) <= set(table.columns):
        key = "source" if settings.source is not None else "train"
        raise SettingError([(("data", key), f"{file.name} {format.no_target}")])
    features = settings.feature_columns
    table.require((*(features or ()), *(target or ()), *settings.weights, *settings.order))
    others = (*(target or ()), format.default_target, *settings.weights, *settings.order)
    features = features or _all_features(table, others, settings)
    if not features:
        raise DataError(f"{table.name}: no columns are left to predict from; name them in data.features")
    later = _later(settings, _image_settings(format, table, settings), table)
    return Tables(table, features, table, target, settings.sample_weight, file.hashes(), later)


def _selection(settings: DataSettings, file: DataFile, format: Format, target: Sequence[str], task: Task) -> Selection:
    """The columns to read of a file with inputs and targets."""
    features = settings.feature_columns
    default: Kind = "auto"
    others = (*target, *settings.weights, *settings.order)
    columns = None if features is None else tuple(dict.fromkeys((*features, *others)))
    kinds = _kinds_of_inputs(settings)
    if features is not None and _is_looked_at(file, format, settings):
        kinds = {name: kinds.get(name, "auto") for name in (*features, *kinds)}
        columns, default = None, "text"
    required = others if features is not None else (*others, *_named(settings))
    kinds |= dict.fromkeys(target, _first_kind(task)) | dict.fromkeys(settings.weights, "number")
    return Selection(columns, kinds, default, _excluded(settings, others), required, unnamed="inputs")


MOST_LOOKED_AT = 1 << 25
"""Most bytes of a series' file whose other columns are read as well, because they may reveal another order of rows."""


def _is_looked_at(file: DataFile, format: Format, settings: DataSettings) -> bool:
    window = settings.window
    is_open = window is not None and (window.time is None or window.group is None)
    return is_open and isinstance(format, TableFormat) and file.size <= MOST_LOOKED_AT


def _kinds_of_inputs(settings: DataSettings) -> dict[str, Kind]:
    """Columns read as text: categories, dates, and columns that only put a series in order."""
    only_order = [name for name in settings.order if name not in (settings.feature_columns or ())]
    return dict.fromkeys([*(settings.categories or ()), *settings.transform.date_columns, *only_order], "text")


def _named(settings: DataSettings) -> tuple[str, ...]:
    """Columns with a setting of their own, unless they are excluded."""
    names = (*(settings.categories or ()), *settings.spelled)
    return tuple(name for name in names if name not in (settings.exclude or ()))


def _excluded(settings: DataSettings, but: Sequence[str]) -> tuple[str, ...]:
    """Excluded columns, which are not read. Those in ``but`` are read for another use."""
    return tuple(name for name in settings.exclude or () if name not in but)


def _first_kind(task: Task) -> Kind:
    """Text targets are accepted here: fitting the target rejects them and suggests a loss for classes."""
    return "label" if task.has_classes else "quantity"


def _checked_format(file: DataFile, settings: DataSettings) -> Format:
    """The format of the first file. Raises: SettingError if the settings do not go with it."""
    file.check(folder=True)
    format = format_of(file.name, settings.format)
    if file.is_standard_input and isinstance(format, ArrayFormat):
        raise no_arrays(file.name)
    if settings.image is not None and not format.reads_images:
        raise SettingError([(("data", "image"), f"goes with images, and {file.name} is neither one nor a folder")])
    if settings.target is None and format.default_target is None:
        raise SettingError([(("data",), NEEDS_TARGET)])
    return format


def _check_named(table: Table, settings: DataSettings) -> None:
    """Refuse ``categories`` and ``numbers`` of columns that are not read. Raises: NoColumnError; SettingError."""
    for key, names in (("categories", settings.categories or ()), ("numbers", settings.spelled)):
        left_out = [name for name in names if name not in table.columns and name in (settings.exclude or ())]
        if settings.features != "all":
            left_out = [name for name in names if name not in table.columns]
        if left_out:
            raise SettingError([(("data", key), f"'{left_out[0]}' is not among the columns to read (data.features)")])
        table.require(names)


def _image_settings(format: Format, table: Table, settings: DataSettings) -> ImageSettings | None:
    """How further images are read: in the mode of the first ones."""
    if not format.reads_images:
        return None
    channels = max(c.values.shape[1] for c in table.columns.values() if isinstance(c, Numbers) and c.values.ndim > 1)
    mode = "gray" if channels == 1 else "rgb"
    return (settings.image or ImageSettings()).model_copy(update={"mode": mode})


def _all_features(table: Table, but: Sequence[str | None], settings: DataSettings) -> tuple[str, ...]:
    """Every column but ``but``. Of a time series every column of numbers: the past of a target helps predict it."""
    if settings.window is not None:
        left_out = (*settings.order, *(settings.exclude or ()))
        names = [name for name in table.columns if name not in left_out]
        return tuple(name for name in names if isinstance(as_feature(table.columns[name]), Numbers))
    return tuple(name for name in table.columns if name not in but)


def _with_categories(table: Table, settings: DataSettings) -> Table:
    """The table with the columns of ``data.categories`` as categories, also if arrays hold numbers."""
    made = {name: as_categories(table.columns[name]) for name in settings.categories or ()}
    return table._replace(columns={**table.columns, **made}) if made else table


def _require_arrays(file: DataFile, format: ArrayFormat, names: Sequence[str]) -> None:
    """Refuse a file with a single array without a name, or without these ``names``. Raises: DataError."""
    shapes = format.shapes(file)
    require_columns(file.name, names if "" not in shapes else (), shapes, "array")
    if list(shapes) == [""]:
        raise DataError(
            f"{file.name}: holds one array and no targets; write train: {{inputs: ..., targets: ...}} "
            "instead of source, or target: features"
        )


def _require_classes(file: DataFile, format: Format) -> None:
    """Refuse images without folders, which have no classes to compare with. Raises: DataError."""
    if isinstance(format, ArrayFormat) and format.reads_images and format.default_target not in format.shapes(file):
        raise DataError(
            f"{file.name}: has no folders, whose names would be the classes of its images; move each image into the "
            "folder of its class"
        )


def _first_pair(settings: DataSettings, pair: FilePair, base: Path, task: Task) -> Tables:
    """A file of inputs and a file of targets."""
    inputs_file, targets_file = DataFile(base / pair.inputs), DataFile(base / pair.targets)
    inputs_file.check(folder=True)
    format = format_of(inputs_file.name, settings.format)
    features, order, target = settings.feature_columns, settings.order, settings.target_columns
    columns = None if features is None else tuple(dict.fromkeys((*features, *order)))
    exclude = _excluded(settings, order)
    selection = Selection(columns, _kinds_of_inputs(settings), exclude=exclude, unnamed="inputs")
    inputs = read_table(inputs_file, selection, reading=settings.reading, format=settings.format)
    inputs.require((*order, *(settings.categories or ())))
    inputs = _with_categories(inputs, settings)
    columns = None if target is None else (*target, *settings.weights)
    weights: dict[str, Kind] = dict.fromkeys(settings.weights, "number")
    selection = Selection(columns, weights, _first_kind(task), unnamed="target")
    targets = _read_targets(targets_file, selection, settings.reading, settings.format)
    targets.require(settings.weights)
    inputs.require([name for name in settings.spelled if name not in targets.columns])
    _check_rows(inputs, targets)
    target = tuple(name for name in targets.columns if name not in settings.weights)
    later = _later(settings, _image_settings(format, inputs, settings), inputs, targets)
    features = tuple(name for name in inputs.columns if name in (features or ()) or name not in order)
    hashes = inputs_file.hashes() | targets_file.hashes()
    return Tables(inputs, features, targets, target, settings.sample_weight, hashes, later)


def more_tables(
    files: Path | str | FilePair, transform: Transform, base: Path, format: str | None, weight: str | None
) -> Tables:
    """Files with the columns that the transform knows, and with the column of weights. Raises: DataError."""
    if isinstance(files, FilePair):
        return _more_pair(files, transform, base, format, weight)
    file, of_inputs, target = DataFile(base / files), transform.selection, transform.target.columns
    chosen = format_of(file.name, format)
    transform.check_format(file.name, chosen)
    if target is not None:
        _require_classes(file, chosen)
    kinds = _kinds_of_targets(transform, weight)
    columns = tuple(dict.fromkeys((*(of_inputs.columns or ()), *kinds)))
    selection = of_inputs._replace(columns=columns, kinds={**of_inputs.kinds, **kinds})
    table = read_table(file, selection, reading=transform.reading, format=format)
    table.require(() if weight is None else (weight,))
    return Tables(table, transform.input_columns, table, target, weight, file.hashes())


def _more_pair(pair: FilePair, transform: Transform, base: Path, format: str | None, weight: str | None) -> Tables:
    inputs_file, targets_file = DataFile(base / pair.inputs), DataFile(base / pair.targets)
    inputs = read_table(inputs_file, transform.selection, reading=transform.reading, format=format)
    target = transform.target.columns
    if target is None:
        raise DataError(f"{inputs.name}: the inputs are the target of this network; give one file, without targets")
    kinds = _kinds_of_targets(transform, weight)
    selection = Selection(tuple(kinds), kinds, unnamed=target[0])
    targets = _read_targets(targets_file, selection, transform.reading, format)
    targets.require(() if weight is None else (weight,))
    _check_rows(inputs, targets)
    hashes = inputs_file.hashes() | targets_file.hashes()
    return Tables(inputs, transform.input_columns, targets, target, weight, hashes)


def _kinds_of_targets(transform: Transform, weight: str | None) -> dict[str, Kind]:
    """The columns of targets and weights, with their kinds."""
    kind: Kind = "label" if transform.target.task.has_classes else "number"
    weights: dict[str, Kind] = {} if weight is None else {weight: "number"}
    return {**dict.fromkeys(transform.target.columns or (), kind), **weights}


def _read_targets(file: DataFile, selection: Selection, reading: Reading, format: str | None) -> Table:
    """The targets of a pair of files; ``data.image`` is about the inputs."""
    return read_table(file, selection, reading=reading._replace(image=None), format=format)


def _check_rows(inputs: Table, targets: Table) -> None:
    if inputs.rows != targets.rows:
        raise DataError(
            f"{inputs.name} has {inputs.rows:,} rows, {targets.name} {targets.rows:,}; "
            "they must have one row per example"
        )

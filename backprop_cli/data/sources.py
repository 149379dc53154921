"""The tables that the settings name, and which of their columns are meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from backprop_cli.data.cells import Reading
from backprop_cli.data.columns import Kind
from backprop_cli.data.features import Rows, as_categories, as_feature
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import ArrayFormat, Format, TableFormat, format_of
from backprop_cli.data.number_settings import NumbersByColumn
from backprop_cli.data.panel import Panel, order_of_rows
from backprop_cli.data.read import read_table
from backprop_cli.data.settings import NEEDS_TARGET, DataSettings, FilePair, ImageSettings, WindowSettings
from backprop_cli.data.synthetic import FEATURES, generate
from backprop_cli.data.table import Array, NoColumnError, Numbers, Table, require_columns
from backprop_cli.data.target import weights_of
from backprop_cli.data.times import Times
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError, SettingError, TreePath

if TYPE_CHECKING:
    from backprop_cli.nn.task import Task

INPUTS = "features"
"""The word that, as ``target``, means the inputs themselves (a column of that name: ``[features]``)."""


@dataclass(frozen=True)
class Tables:
    """Tables of inputs and targets (the same where one file has both), and which of their columns are meant.

    ``target`` None: the inputs are the target. ``weight``: the targets' column of what each example counts. ``image``:
    how images were read. ``files``: sha256 by absolute path. ``panel``: the series of the rows, after they
    are sorted.
    """

    inputs: Table
    features: Sequence[str]
    targets: Table
    target: Sequence[str] | None
    image: ImageSettings | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    weight: str | None = None
    panel: Panel | None = None

    def in_order(self, window: WindowSettings, times: Times) -> Tables:
        """A copy with the rows of each series together and sorted by time. Raises: DataError."""
        if not window.order:
            return replace(self, panel=Panel.whole(self.inputs.rows))
        order, panel = order_of_rows(self.inputs, window, times)
        inputs = self.inputs.take(order)
        targets = inputs if self.targets is self.inputs else self.targets.take(order)
        return replace(self, inputs=inputs, targets=targets, panel=panel)

    def of_weights(self) -> str:
        """The column of weights, for the head of a message."""
        assert self.weight is not None
        return self.targets.of(self.weight)

    def weights(self, rows: Rows) -> Array | None:
        """The weights of these rows; None where there are none. Raises: DataError."""
        return None if self.weight is None else weights_of(self.targets, self.weight, rows)


def first_tables(settings: DataSettings, *, base: Path, seed: int, task: Task) -> Tables:
    """What the transform is fitted on: the first file, or a generated set.

    Raises: DataError where it cannot be read; SettingError for columns that it does not have.
    """
    with _columns_of_settings(settings):
        return _generated(settings, seed) if settings.generate is not None else _read(settings, base, task)


@contextmanager
def _columns_of_settings(settings: DataSettings) -> Iterator[None]:
    """Columns that the settings name and the first file does not have are mistakes of the settings."""
    try:
        yield
    except NoColumnError as error:
        paths: dict[str, TreePath] = {}
        keys = ("features", "exclude", "categories", "target", "sample_weight")
        named = {key: getattr(settings, key) for key in keys}
        for key, names in named.items():
            if isinstance(names, str):
                paths[names] = ("data", key)
            paths |= {name: ("data", key, i) for i, name in enumerate(names if isinstance(names, tuple) else ())}
        if settings.window is not None:
            paths |= dict.fromkeys(settings.window.group or (), ("data", "window", "group"))
            paths |= {settings.window.time or "": ("data", "window", "time")}
        paths |= {name: ("data", "numbers", name) for name in _spelled_columns(settings) if name not in paths}
        raise SettingError([(paths.get(name, ("data",)), error.reason(name)) for name in error.names]) from error


def reading_of(settings: DataSettings) -> Reading:
    """How texts of the first file are read."""
    return Reading(settings.numbers, settings.missing_values)


def _spelled_columns(settings: DataSettings) -> tuple[str, ...]:
    return tuple(settings.numbers) if isinstance(settings.numbers, NumbersByColumn) else ()


def _named(settings: DataSettings) -> tuple[str, ...]:
    """Columns with a setting of their own, as far as they are read."""
    return tuple(
        name
        for name in (*(settings.categories or ()), *_spelled_columns(settings))
        if name not in (settings.exclude or ())
    )


def _excluded(settings: DataSettings, but: Sequence[str | None]) -> tuple[str, ...]:
    """Excluded columns that are not read at all. Those in ``but`` are read for another use."""
    return tuple(name for name in settings.exclude or () if name not in but)


def _check_named(table: Table, settings: DataSettings) -> None:
    """Refuse ``categories`` and ``numbers`` of columns that are not read. Raises: NoColumnError; SettingError."""
    for key, names in (("categories", settings.categories or ()), ("numbers", _spelled_columns(settings))):
        left_out = [name for name in names if name not in table.columns and name in (settings.exclude or ())]
        if settings.features != "all":
            left_out = [name for name in names if name not in table.columns]
        if left_out:
            raise SettingError([(("data", key), f"'{left_out[0]}' is not a column that is read (data.features)")])
        table.require(names)


def known_input_shape(settings: DataSettings, base: Path) -> tuple[int, ...] | None:
    """The shape of one example as far as headers tell it without reading data; None where they do not."""
    if settings.text is not None:
        return (settings.text.context,)
    if settings.window is not None:
        return None
    if settings.generate is not None:
        return (len(FEATURES if settings.features == "all" else settings.features),)
    files = settings.first
    assert files is not None
    file = DataFile(base / (files.inputs if isinstance(files, FilePair) else files))
    try:
        file.check_lasting()
        chosen = format_of(file.name, settings.format).configured(settings.image)
        shapes = chosen.shapes(file) if isinstance(chosen, ArrayFormat) else {}
    except DataError:
        return None  # whoever reads the file will say what is wrong with it
    target = () if isinstance(files, FilePair) else _targets_in(settings, chosen) or ()
    others = [name for name in shapes if name not in (*target, chosen.default_target, settings.sample_weight)]
    names = others if settings.features == "all" else settings.features
    return shapes[names[0]][1:] or (1,) if len(names) == 1 and names[0] in shapes else None


def _generated(settings: DataSettings, seed: int) -> Tables:
    assert settings.generate is not None
    table, made = generate(settings.generate, seed)
    features = FEATURES if settings.features == "all" else settings.features
    target = _target_columns(settings) if settings.target is not None else (made,)
    weight = settings.sample_weight
    table.require((*features, *(target or ()), *([weight] if weight else ())))
    return Tables(table, [name for name in features if name != weight], table, target, weight=weight)


def _target_columns(settings: DataSettings) -> tuple[str, ...] | None:
    """The names under ``target``; None where it means the inputs, or says nothing."""
    if settings.target is None or settings.target == INPUTS:
        return None
    return (settings.target,) if isinstance(settings.target, str) else settings.target


def _targets_in(settings: DataSettings, format: Format) -> tuple[str, ...] | None:
    """The same for one file, of which the format may say what is predicted where the settings do not."""
    if settings.target is None and format.default_target is not None:
        return (format.default_target,)
    return _target_columns(settings)


def _target_kind(task: Task) -> Kind:
    return "label" if task.has_classes else "number"


def _first_kind(task: Task) -> Kind:
    """Numbers that are text throughout are told with the way out, a loss for classes, when the target is fitted."""
    return "label" if task.has_classes else "quantity"


def _read(settings: DataSettings, base: Path, task: Task) -> Tables:
    """The file that the transform is fitted on."""
    files = settings.first
    assert files is not None
    features = None if settings.features == "all" else settings.features
    if isinstance(files, FilePair):
        return _first_pair(files, features, _target_columns(settings), base, settings, task)
    file = DataFile(base / files)
    chosen = _format_as_set(file, settings)
    target = _targets_in(settings, chosen)
    if target is not None and isinstance(chosen, ArrayFormat):
        _require_names(file, chosen, () if settings.target is None else target)
    weight = () if settings.sample_weight is None else (settings.sample_weight,)
    order = () if settings.window is None else settings.window.order
    columns = None if features is None else [*dict.fromkeys((*features, *(target or ()), *weight, *order))]
    kinds = _kinds_of_names(settings, order, features)
    if features is not None and _is_looked_at(file, chosen, settings):
        columns, kinds = None, {name: kinds.get(name, "auto") for name in (*features, *kinds)}
    kinds |= dict.fromkeys(target or (), _first_kind(task)) | dict.fromkeys(weight, "number")
    table = read_table(
        file,
        columns=columns,
        kinds=kinds,
        default="auto" if columns is not None or features is None else "text",
        format=settings.format,
        unnamed="inputs",
        image=settings.image,
        reading=reading_of(settings),
        exclude=_excluded(settings, (*(target or ()), *weight, *order)),
        required=(*(target or ()), *weight, *order, *(_named(settings) if features is None else ())),
    )
    _check_named(table, settings)
    table = _with_categories(table, settings)
    if settings.target is None and not set(target or ()) <= set(table.columns):
        raise SettingError([(("data", _file_key(settings)), f"{file.name} {chosen.no_target}")])
    table.require((*(features or ()), *(target or ()), *weight, *order))
    if features is None:
        features = _all_features(table, (*(target or ()), chosen.default_target, *weight), settings)
        if not features:
            raise DataError(f"{table.name}: no columns are left to predict from; name them in data.features")
    image = _images_as_read(chosen, table, settings)
    return Tables(table, features, table, target, image, file.hashes(), settings.sample_weight)


MOST_LOOKED_AT = 1 << 25
"""Largest file of a series, in bytes, in which other columns are read, too: they may reveal another order of rows."""


def _is_looked_at(file: DataFile, format: Format, settings: DataSettings) -> bool:
    window = settings.window
    is_open = window is not None and (window.time is None or window.group is None)
    return is_open and isinstance(format, TableFormat) and file.path.stat().st_size <= MOST_LOOKED_AT


def _kinds_of_names(settings: DataSettings, order: Sequence[str], features: Sequence[str] | None) -> dict[str, Kind]:
    """Columns read as text: categories, and columns that only put a series in order."""
    return dict.fromkeys(
        [*(settings.categories or ()), *(name for name in order if name not in (features or ()))], "text"
    )


def _format_as_set(file: DataFile, settings: DataSettings) -> Format:
    """The format of the first file. Raises: SettingError where the settings do not go with it."""
    file.check(folder=True)
    chosen = format_of(file.name, settings.format)
    if settings.image is not None and not chosen.reads_images:
        raise SettingError([(("data", "image"), f"goes with images, and {file.name} is neither one nor a folder")])
    if settings.target is None and chosen.default_target is None:
        raise SettingError([(("data",), NEEDS_TARGET)])
    return chosen


def _images_as_read(chosen: Format, table: Table, settings: DataSettings) -> ImageSettings | None:
    """How further images are read: in the mode that these turned out to have."""
    if not chosen.reads_images:
        return None
    channels = max(c.values.shape[1] for c in table.columns.values() if isinstance(c, Numbers) and c.values.ndim > 1)
    mode: Literal["gray", "rgb"] = "gray" if channels == 1 else "rgb"
    return (settings.image or ImageSettings()).model_copy(update={"mode": mode})


def _file_key(settings: DataSettings) -> str:
    return "source" if settings.source is not None else "train"


def _all_features(table: Table, but: Sequence[str | None], settings: DataSettings) -> tuple[str, ...]:
    """Every column but these; of a time series every one of numbers, for a target is predicted from its past."""
    if settings.window is not None:
        left_out = (*settings.window.order, *(settings.exclude or ()))
        names = [name for name in table.columns if name not in left_out]
        return tuple(name for name in names if isinstance(as_feature(table.columns[name]), Numbers))
    return tuple(name for name in table.columns if name not in but)


def _with_categories(table: Table, settings: DataSettings) -> Table:
    """The table with the columns of ``data.categories`` as categories, also where arrays hold numbers."""
    made = {name: as_categories(table.columns[name]) for name in settings.categories or ()}
    return replace(table, columns={**table.columns, **made}) if made else table


def _require_names(file: DataFile, format: ArrayFormat, names: Sequence[str]) -> None:
    """Refuse a file with a single array without a name, or without these ``names``. Raises: DataError."""
    shapes = format.shapes(file)
    require_columns(file.name, names if "" not in shapes else (), shapes, "array")
    if list(shapes) == [""]:
        raise DataError(
            f"{file.name}: holds one array and no targets; write train: {{inputs: ..., targets: ...}} "
            "instead of source, or target: features"
        )


def _require_classes(file: DataFile, format: str | None) -> None:
    """Images without folders have no classes to compare with. Raises: DataError."""
    chosen = format_of(file.name, format)
    if isinstance(chosen, ArrayFormat) and chosen.reads_images and chosen.default_target not in chosen.shapes(file):
        raise DataError(
            f"{file.name}: has no folders of images, whose names would be their classes; move each image into the "
            "folder of its class"
        )


def _first_pair(
    pair: FilePair,
    features: Sequence[str] | None,
    target: Sequence[str] | None,
    base: Path,
    settings: DataSettings,
    task: Task,
) -> Tables:
    inputs_file, targets_file = DataFile(base / pair.inputs), DataFile(base / pair.targets)
    inputs_file.check(folder=True)
    chosen = format_of(inputs_file.name, settings.format)
    order = () if settings.window is None else settings.window.order
    inputs = read_table(
        inputs_file,
        columns=None if features is None else [*dict.fromkeys((*features, *order))],
        kinds=_kinds_of_names(settings, order, features),
        format=settings.format,
        unnamed="inputs",
        image=settings.image,
        reading=reading_of(settings),
        exclude=_excluded(settings, order),
    )
    inputs.require((*order, *(settings.categories or ())))
    inputs = _with_categories(inputs, settings)
    weight = settings.sample_weight
    targets = read_table(
        targets_file,
        columns=target if target is None or weight is None else (*target, weight),
        kinds={} if weight is None else {weight: "number"},
        default=_first_kind(task),
        format=settings.format,
        unnamed="target",
        reading=reading_of(settings),
    )
    targets.require(() if weight is None else (weight,))
    inputs.require([name for name in _spelled_columns(settings) if name not in targets.columns])
    _check_rows(inputs, targets)
    named = tuple(name for name in targets.columns if name != weight)
    hashes, image = inputs_file.hashes() | targets_file.hashes(), _images_as_read(chosen, inputs, settings)
    chosen_features = tuple(name for name in inputs.columns if name in (features or ()) or name not in order)
    return Tables(inputs, chosen_features, targets, named, image, hashes, weight)


def more_tables(
    files: Path | str | FilePair, transform: Transform, base: Path, format: str | None, weight: str | None
) -> Tables:
    """Files whose columns are those that the transform knows, and that of the weights. Raises: DataError."""
    fitted = transform.target
    features, target = transform.input_columns, fitted.columns
    kinds, image, reading = transform.kinds, transform.image, transform.reading
    weights = () if weight is None else (weight,)
    target_kinds: dict[str, Kind] = dict.fromkeys(target or (), _target_kind(fitted.task))
    target_kinds |= dict.fromkeys(weights, "number")
    if not isinstance(files, FilePair):
        file = DataFile(base / files)
        transform.check_format(file.name, format_of(file.name, format))
        columns = [*dict.fromkeys((*transform.read_columns, *(target or ()), *weights))]
        every = kinds | target_kinds
        if target is not None:
            _require_classes(file, format)
        table = read_table(
            file, columns=columns, kinds=every, format=format, unnamed=features[0], image=image, reading=reading
        )
        table.require(weights)
        return Tables(table, features, table, target, image, file.hashes(), weight)
    inputs_file, targets_file = DataFile(base / files.inputs), DataFile(base / files.targets)
    inputs = read_table(
        inputs_file,
        columns=transform.read_columns,
        kinds=kinds,
        format=format,
        unnamed=features[0],
        image=image,
        reading=reading,
    )
    if target is None:
        raise DataError(f"{inputs.name}: the inputs are the target of this network; give one file, without targets")
    columns = [*target, *weights]
    targets = read_table(
        targets_file, columns=columns, kinds=target_kinds, format=format, unnamed=target[0], reading=reading
    )
    targets.require(weights)
    _check_rows(inputs, targets)
    return Tables(inputs, features, targets, target, image, inputs_file.hashes() | targets_file.hashes(), weight)


def _check_rows(inputs: Table, targets: Table) -> None:
    if inputs.rows != targets.rows:
        raise DataError(
            f"{inputs.name} has {inputs.rows:,} rows, {targets.name} {targets.rows:,}; "
            "they must have a row an example each"
        )

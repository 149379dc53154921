"""``bp init``: a configuration to start from."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from backprop_cli.api.arguments import as_path
from backprop_cli.config.ready import Template, scalar, templates
from backprop_cli.errors import DataError, UsageError, did_you_mean, plural
from backprop_cli.files import exists, is_same_file
from backprop_cli.json_object import JsonObject
from backprop_cli.nn.class_name import spelled
from backprop_cli.nn.task import CLASSES, TOKENS, Task
from backprop_cli.run.output import opened
from backprop_cli.settings import NOT_UTF_8, VARIABLE

if TYPE_CHECKING:
    from backprop_cli.config.series_facts import Series
    from backprop_cli.config.table_facts import Facts

SCHEMA = "bp.schema.json"
"""The file that the first line of a configuration names, for editors. One with plugins has a schema of its own."""


class ListedTemplate(JsonObject):
    """A ready configuration: what it is, its data sets, and whether they come with the package."""

    name: str
    """Its name for ``bp init``."""
    summary: str
    """One line on what it trains."""
    data: Sequence[str]
    """Names of its data sets; empty if its data is generated."""
    included: bool
    """Whether they come with the package."""


class ListedTemplates(JsonObject):
    """The ready configurations."""

    templates: Sequence[ListedTemplate]
    """All of them, by name."""


class Seen(JsonObject, kw_only=True):
    """What ``bp init`` saw in the data."""

    source: Path
    """The file."""
    kind: str
    """What it is: table, series, images or text."""
    rows: int
    """Rows of a table, images, or lines of a text."""
    notes: Mapping[str, str]
    """More of it, in words."""
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The inputs by kind: numbers, dates, categories."""
    reason: str = ""
    """Why the target is predicted; empty if it was given."""
    classes: Mapping[str, int] = field(default_factory=dict)
    """The classes and their rows; empty for a number to predict."""
    without_target: int = 0
    """Rows without a target, which are dropped."""
    gaps: Mapping[str, int] = field(default_factory=dict)
    """Inputs with missing values, and how many."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that are no inputs, with the reasons."""


class InitResult(JsonObject, kw_only=True):
    """A new configuration: its file, the schema if it was written too, and the command that trains from it.

    It comes from a ``template``, or predicts the column ``target`` of a table as ``task``.
    """

    config: Path | None = None
    """The file that was written; null if it went to standard output."""
    template: str | None = None
    """The template that was copied."""
    target: str | None = None
    """The column of the table that is predicted."""
    task: str | None = None
    """Kind of prediction: classes, binary or regression."""
    preset: str | None = None
    """The network that was written."""
    seen: Seen | None = None
    """What the data is."""
    schema: Path | None = None
    """The JSON Schema for editors, if it was written too."""
    missing: Sequence[Path] = ()
    """Data files that are not there yet."""
    download: str | None = None
    """Where the missing files can be found."""
    variable: str | None = None
    """The environment variable that can name the folder of the missing files."""
    next: str
    """The command that trains from the configuration."""


def list_templates() -> ListedTemplates:
    """The ready configurations that come with the package."""
    return ListedTemplates(
        [ListedTemplate(found.name, found.summary, found.data_sets, found.included) for found in templates().values()]
    )


def init(
    source: Path | str,
    output: Path | str | BinaryIO | None = None,
    *,
    target: str | None = None,
    task: str | None = None,
    preset: str | None = None,
    force: bool = False,
) -> InitResult:
    """Write a configuration to start from, to ``output`` (default: ``NAME.yaml``).

    ``source``: the name of a template, or the path of a table, a folder of images or a text. Of a table the column
    ``target`` is predicted (default: one with a usual name, else the last) as ``task`` (``classes``, ``binary``,
    ``regression``; default: as its values are), by the network of ``preset`` (``plain``, ``strong``, ``realmlp``,
    ``tabm``; default: strong). A table with dates at regular steps is a series, unless ``task`` or ``preset`` is given.
    The schema is written next to it if no such file is there; into a stream goes the configuration alone. An existing
    file is only replaced with ``force``.

    Raises:
        UsageError: no such template or file; the file exists; target or task do not fit the table.
        DataError: the table cannot be read.

    """
    output, template = as_path(output), templates().get(str(source))
    if template is None:
        _check_data(str(source))
    elif target is not None or task is not None or preset is not None:
        raise UsageError(f"--target, --task and --preset go with a data file, and '{source}' is a template")
    stem = template.path.stem if template else Path(source).name.strip(".").partition(".")[0]
    path = output if isinstance(output, Path) else Path(f"{stem}.yaml")
    goes_to = path if output is None else output
    if isinstance(goes_to, Path):
        if template is None and is_same_file(goes_to, Path(source)):
            raise UsageError(f"{goes_to} is the table itself; -o FILE writes another file")
        _refuse_existing(goes_to, force)
    _require_utf_8(path)
    plugins = template.plugins if template else ()
    schema = path.parent / (f"{path.stem}.schema.json" if plugins else SCHEMA)
    text, result = _copied(template, path) if template else _drafted(Path(source), path, target, task, preset)
    with opened(goes_to) as stream:
        stream.write(f"# yaml-language-server: $schema={schema.name}\n{text}".encode())
    if not isinstance(goes_to, Path) or not goes_to.is_file():  # a stream, or a device
        return result
    return replace(result, config=path, schema=_write_schema(schema, plugins))


def _copied(template: Template, path: Path) -> tuple[str, InitResult]:
    """The text of a template for the file ``path``, and what is said of it."""
    return template.moved(path), InitResult(
        template=template.name,
        missing=template.missing(path.parent),
        download=template.download,
        variable=template.variable,
        next=_training(path),
    )


def _drafted(
    file: Path, path: Path, target: str | None, task: str | None, preset: str | None
) -> tuple[str, InitResult]:
    """The configuration of data for the file ``path``, and what is said of it."""
    name = _written(_relative(file, path.parent))
    if _is_table(file):
        return _drafted_table(file, path, name, target, task, preset)
    if target is not None or task is not None or preset is not None:
        raise UsageError(f"--target, --task and --preset go with a table, and {file} is none")
    return _drafted_images(file, path, name) if file.is_dir() else _drafted_text(file, path, name)


def _drafted_table(
    file: Path, path: Path, name: str, target: str | None, task: str | None, preset: str | None
) -> tuple[str, InitResult]:
    from backprop_cli.config.draft import draft, draft_series
    from backprop_cli.config.presets import DEFAULT
    from backprop_cli.config.series_facts import series_of
    from backprop_cli.config.table_facts import facts_of, read_spelled
    from backprop_cli.data.suspicious import warn_of_header, warn_of_names

    try:
        table, numbers = read_spelled(file)
    except DataError as error:
        if "data." in str(error):  # the way out is a key of a configuration
            raise DataError(
                f"{error}; bp init cannot decide this: correct the file, or write a configuration with that key"
            ) from error
        raise
    warn_of_header(table)
    warn_of_names(table, table.columns)
    found = facts_of(table, target, task, numbers=numbers)
    series = series_of(found) if task is None and preset is None else None
    if series is not None:
        return draft_series(found, series, name), InitResult(
            target=found.target.name, task=found.task, seen=_seen(file, found, series), next=_training(path)
        )
    preset = preset or DEFAULT
    text = draft(found, name, preset)
    unusable = _unusable(text, found.task, path)
    if unusable:
        found = facts_of(table, target, task, unusable, numbers)
        text = draft(found, name, preset)
    return text, InitResult(
        target=found.target.name, task=found.task, preset=preset, seen=_seen(file, found), next=_training(path)
    )


def _drafted_images(folder: Path, path: Path, name: str) -> tuple[str, InitResult]:
    from backprop_cli.config.image_draft import draft_images, image_facts

    found = image_facts(folder)
    height, width = found.size
    made = ", to which they are converted" if found.resized or found.mixed else ""
    seen = Seen(
        source=folder,
        kind="images",
        rows=found.images,
        classes=found.classes,
        notes={"pixels": f"{height} x {width}, {found.mode}{made}", "network": "convolutions"},
    )
    text = draft_images(found, name if "/" in name or "." not in name else f"./{name}/")
    return text, InitResult(target="class", task=CLASSES, seen=seen, next=_training(path))


def _drafted_text(file: Path, path: Path, name: str) -> tuple[str, InitResult]:
    from backprop_cli.config.text_draft import draft_text, text_facts

    found = text_facts(file)
    example = "a line" if found.are_examples else plural(found.context, "character")
    notes = {
        "text": f"{plural(found.characters, 'character')}, {found.different} different",
        "example": f"{example}; the next character is predicted",
        "network": "recurrent; bp generate writes on",
    }
    seen = Seen(source=file, kind="text", rows=found.lines, notes=notes)
    return draft_text(found, name, f"runs/{path.stem}/latest"), InitResult(task=TOKENS, seen=seen, next=_training(path))


def _seen(file: Path, found: Facts, series: Series | None = None) -> Seen:
    columns, notes, useless = found.columns, dict[str, str](), dict(found.useless)
    if series is not None:
        columns = {"numbers": series.features}
        used = {*series.features, series.time, series.group}
        useless |= dict.fromkeys(
            [each for each in found.used if each not in used], "holds no numbers, which a series is predicted from"
        )
        groups = "" if series.group is None else f", a series for each {series.group}"
        notes = {"series": f"a row a {series.step}, by {series.time}{groups}"}
        notes |= {"network": f"for windows of {series.length} rows; --task regression takes each row alone"}
    return Seen(
        source=file,
        kind="table" if series is None else "series",
        rows=found.table.rows,
        notes=notes,
        columns=columns,
        reason=found.target.reason,
        classes={spelled(label): count for label, count in found.classes.items()},
        without_target=found.without_target,
        gaps=found.gaps,
        left_out=useless,
    )


def _relative(file: Path, folder: Path) -> Path:
    """The path of ``file`` from ``folder``, if it is not absolute."""
    try:
        return file if file.is_absolute() else Path(os.path.relpath(file, folder))
    except ValueError:  # on another drive
        return file.absolute()


def _written(source: Path) -> str:
    """The path of a table as a configuration writes it. Raises: UsageError if it would mean another path there."""
    _require_utf_8(source)
    variable = VARIABLE.search(source.as_posix())
    if variable is not None:
        raise UsageError(f"{source}: a configuration reads {variable[0]} as an environment variable; rename the file")
    return scalar(source.as_posix())


def _require_utf_8(path: Path) -> None:
    if NOT_UTF_8.search(str(path)):
        raise UsageError(f"{path}: a name in a configuration must be UTF-8; rename it")


def _unusable(text: str, task: Task, path: Path) -> dict[str, str]:
    """The columns that cannot be used as the configuration ``text`` of the file ``path`` says, with the reasons."""
    from backprop_cli.config.configuration import Config
    from backprop_cli.config.load import read_tree
    from backprop_cli.data.dataset import unusable_columns
    from backprop_cli.data.settings import DataSettings

    settings = DataSettings.model_validate(read_tree(text, str(path))[0]["data"])
    return unusable_columns(settings, task, base=path.parent, seed=Config.model_fields["seed"].default)


def _training(path: Path) -> str:
    is_like_option = str(path).startswith("-")
    return f"bp train {shlex.quote(f'./{path}' if is_like_option else str(path))}"


def _check_data(source: str) -> None:
    """Raise UsageError unless ``source`` is the path of a table, a folder or a text."""
    file = Path(source)
    if not source or not exists(file):
        near = did_you_mean(file.stem if file.suffix == ".yaml" else source, templates()) or _near_file(file)
        raise UsageError(f"'{source}' is neither a template nor a file{near or '; bp init --list shows the templates'}")
    if file.suffix in (".yaml", ".yml") and file.is_file():
        raise UsageError(f"{source} is a configuration already; {_training(file)} trains it")
    if not (_is_table(file) or file.is_dir() or _is_text(file)):
        raise UsageError(
            f"{source}: a configuration is written for tables (.csv, .tsv, .jsonl, ...), folders of images and texts "
            "(.txt); for other data start from a template: bp init --list"
        )


def _is_table(file: Path) -> bool:
    from backprop_cli.data.format import is_table

    return is_table(file)


def _is_text(file: Path) -> bool:
    return file.is_file() and file.name.lower().removesuffix(".gz").endswith(".txt")


def _near_file(file: Path) -> str:
    """The hint at a file of a similar name, if any."""
    from backprop_cli.data.file import DataFile, NoFileError

    try:
        DataFile(file).check()
    except NoFileError as error:
        return error.hint
    except DataError:
        pass
    return ""


def _refuse_existing(path: Path, force: bool) -> None:
    if not force and exists(path, follow=False) and (path.is_file() or path.is_symlink()):
        raise UsageError(f"{path} exists already; --force replaces it, -o FILE writes another file")


def _write_schema(path: Path, plugins: Sequence[Path]) -> Path | None:
    """Write the schema. Returns: its path, or None if a file is there already."""
    if exists(path):
        return None
    from backprop_cli.api.config_schema import config_schema

    with opened(path) as stream:
        stream.write(f"{json.dumps(config_schema(plugins=plugins), indent=2, ensure_ascii=False)}\n".encode())
    return path

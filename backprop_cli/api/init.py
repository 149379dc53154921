"""``bp init``: a configuration to start from."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from backprop_cli.api.arguments import as_path
from backprop_cli.config.ready import Template, scalar, templates
from backprop_cli.errors import DataError, UsageError, did_you_mean
from backprop_cli.files import exists, is_same_file
from backprop_cli.json_object import JsonObject
from backprop_cli.run.output import opened
from backprop_cli.settings import NOT_UTF_8, VARIABLE

if TYPE_CHECKING:
    from backprop_cli.config.draft import Draft

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
    force: bool = False,
) -> InitResult:
    """Write a configuration to start from, to ``output`` (default: ``NAME.yaml``).

    ``source``: the name of a template, or the path of a table; the configuration of a table predicts its column
    ``target`` (default: the last) as ``task`` (``classes``, ``binary``, ``regression``; default: as its values are).
    The schema is written next to it if no such file is there; into a stream goes the configuration alone. An existing
    file is only replaced with ``force``.

    Raises:
        UsageError: no such template or file; the file exists; target or task do not fit the table.
        DataError: the table cannot be read.

    """
    output, template = as_path(output), templates().get(str(source))
    if template is None:
        _check_data(str(source))
    elif target is not None or task is not None:
        raise UsageError(f"--target and --task go with a data file, and '{source}' is a template")
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
    text, result = _copied(template, path) if template else _drafted(Path(source), path, target, task)
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


def _drafted(file: Path, path: Path, target: str | None, task: str | None) -> tuple[str, InitResult]:
    """The configuration of a table for the file ``path``, and what is said of it."""
    from backprop_cli.config.draft import draft, read_spelled
    from backprop_cli.data.suspicious import warn_of_header, warn_of_names

    try:
        table, numbers = read_spelled(file)
    except DataError as error:
        if "data." in str(error):  # the way out is a key of a configuration
            raise DataError(
                f"{error}; bp init cannot decide this: correct the file, or write a configuration with that key"
            ) from error
        raise
    try:
        source = file if file.is_absolute() else Path(os.path.relpath(file, path.parent))
    except ValueError:  # on another drive
        source = file.absolute()
    name = _written(source)
    warn_of_header(table)
    warn_of_names(table, table.columns)
    found = draft(table, name, target, task, numbers=numbers)
    unusable = _unusable(found, path)
    if unusable:
        found = draft(table, name, target, task, unusable, numbers)
    return found.text, InitResult(target=found.target, task=found.task, next=_training(path))


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


def _unusable(found: Draft, path: Path) -> dict[str, str]:
    """The columns that cannot be used as a draft for the file ``path`` says, with the reasons."""
    from backprop_cli.config.configuration import Config
    from backprop_cli.config.load import read_tree
    from backprop_cli.data.dataset import unusable_columns
    from backprop_cli.data.settings import DataSettings

    settings = DataSettings.model_validate(read_tree(found.text, str(path))[0]["data"])
    return unusable_columns(settings, found.task, base=path.parent, seed=Config.model_fields["seed"].default)


def _training(path: Path) -> str:
    is_like_option = str(path).startswith("-")
    return f"bp train {shlex.quote(f'./{path}' if is_like_option else str(path))}"


def _check_data(source: str) -> None:
    """Raise UsageError unless ``source`` is the path of a table."""
    file = Path(source)
    if not source or not exists(file):
        near = did_you_mean(file.stem if file.suffix == ".yaml" else source, templates()) or _near_file(file)
        raise UsageError(f"'{source}' is neither a template nor a file{near or '; bp init --list shows the templates'}")
    if file.suffix in (".yaml", ".yml") and file.is_file():
        raise UsageError(f"{source} is a configuration already; {_training(file)} trains it")
    from backprop_cli.data.format import is_table

    if not is_table(file):
        raise UsageError(
            f"{source}: a configuration is written for tables, such as .csv, .tsv or .jsonl; for other data start from "
            "a template: bp init --list"
        )


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

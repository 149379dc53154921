"""``bp init``: a configuration to start from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backprop_cli.api.arguments import as_path
from backprop_cli.config.ready import Template, templates
from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.json_object import JsonObject
from backprop_cli.run.output import opened

SCHEMA = "bp.schema.json"
"""The file that the first line of a configuration names, for editors."""


@dataclass(frozen=True)
class ListedTemplate(JsonObject):
    """A ready configuration: what it is, its data sets, and whether they come with the package."""

    name: str
    summary: str
    data: Sequence[str]
    included: bool


@dataclass(frozen=True)
class ListedTemplates(JsonObject):
    """The ready configurations."""

    templates: Sequence[ListedTemplate]


@dataclass(frozen=True, kw_only=True)
class InitResult(JsonObject):
    """A new configuration: its file, the schema if it was written too, and the command that trains from it.

    ``missing``: data files that are not there yet. They can be found at ``download``, and the environment variable
    ``variable`` can name their folder.
    """

    config: Path | None
    template: str
    schema: Path | None
    missing: Sequence[Path]
    download: str | None
    variable: str | None
    next: str


def list_templates() -> ListedTemplates:
    """The ready configurations that come with the package."""
    return ListedTemplates(
        [ListedTemplate(found.name, found.summary, found.data_sets, found.included) for found in templates().values()]
    )


def init(source: Path | str, output: Path | str | BinaryIO | None = None, *, force: bool = False) -> InitResult:
    """Write a configuration to start from: the template named ``source``, to ``output`` (default: ``NAME.yaml``).

    The schema is written next to it if no such file is there; into a stream goes the configuration alone. An existing
    file is only replaced with ``force``.

    Raises: UsageError.
    """
    template = _template(str(source))
    output = as_path(output)
    path = output if isinstance(output, Path) else Path(f"{template.path.stem}.yaml")
    text = f"# yaml-language-server: $schema={SCHEMA}\n{template.moved(path)}"
    goes_to = path if output is None else output
    if isinstance(goes_to, Path):
        _refuse_existing(goes_to, force)
    with opened(goes_to) as stream:
        stream.write(text.encode())
    to_file = isinstance(goes_to, Path)
    return InitResult(
        config=path if to_file else None,
        template=template.name,
        schema=_write_schema(path.with_name(SCHEMA), template.plugins) if to_file else None,
        missing=template.missing(path.parent),
        download=template.download,
        variable=template.variable,
        next=f"bp train {shlex.quote(str(path))}",
    )


def _template(source: str) -> Template:
    known = templates()
    if source in known:
        return known[source]
    path = Path(source)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        raise UsageError(f"{source} is a configuration already; bp train {shlex.quote(source)} trains it")
    if path.exists():
        raise UsageError(f"{source} is no template")
    near = did_you_mean(source.removesuffix(".yaml"), known)
    raise UsageError(f"'{source}' is neither a template nor a file{near or '; bp init --list shows the templates'}")


def _refuse_existing(path: Path, force: bool) -> None:
    if not force and (path.is_file() or path.is_symlink()):
        raise UsageError(f"{path} exists already; --force replaces it, -o FILE writes another file")


def _write_schema(path: Path, plugins: Sequence[Path]) -> Path | None:
    """The path, or None if a file is there already."""
    if path.exists():
        return None
    from backprop_cli.api.config_schema import config_schema

    with opened(path) as stream:
        stream.write(f"{json.dumps(config_schema(plugins=plugins), indent=2, ensure_ascii=False)}\n".encode())
    return path

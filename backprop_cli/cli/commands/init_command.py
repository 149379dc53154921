"""``bp init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

import backprop_cli
from backprop_cli.cli.command import Json, command
from backprop_cli.cli.terminal import emit, emit_json, say, standard_output
from backprop_cli.errors import UsageError


def _templates() -> list[str]:
    return [each.name for each in backprop_cli.list_templates().templates]


def _presets() -> list[str]:
    from backprop_cli.config.presets import PRESETS

    return [*PRESETS]


@command(
    "bp init --list",
    "bp init spiral",
    "bp init datasets/penguins.csv --target species -o birds.yaml",
    codes=(6,),
    group="Start here",
    order=1,
)
def init(
    source: Annotated[
        str | None,
        Argument(
            metavar="TEMPLATE|DATA",
            help="A name from bp init --list, or a table.",
            show_default=False,
            autocompletion=_templates,
        ),
    ] = None,
    target: Annotated[
        str | None,
        Option(
            metavar="COLUMN",
            help="The column of DATA to predict; default: one with a usual name, else the last.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        Option(
            metavar="classes|binary|regression", help="What to predict; default: as the values are.", show_default=False
        ),
    ] = None,
    preset: Annotated[
        str | None,
        Option(
            metavar="plain|strong|realmlp|tabm",
            help="The network for a table; default: strong.",
            show_default=False,
            autocompletion=_presets,
        ),
    ] = None,
    listed: Annotated[bool, Option("--list", help="List the templates.")] = False,
    examples: Annotated[
        bool, Option("--examples", help="Copy all templates and their data: configs/ and datasets/.")
    ] = False,
    output: Annotated[
        Path | None,
        Option(
            "--output",
            "-o",
            metavar="FILE|-",
            help="Default: the name with .yaml; -: standard output. With --examples, a folder.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a first configuration for a table, or copy a template."""
    from backprop_cli.report.results import examples_text, init_text, templates_text

    if examples:
        if source is not None or listed or any(word is not None for word in (target, task, preset)):
            raise UsageError("init: --examples copies all templates; give no other word than -o FOLDER")
        copied = backprop_cli.copy_examples(output or ".", force=force)
        if as_json:
            emit_json(copied.to_json())
        else:
            emit(examples_text(copied))
        return
    if listed and source is None:
        found = backprop_cli.list_templates()
        if as_json:
            emit_json(found.to_json())
        else:
            emit(templates_text(found))
        return
    if source is None or listed:
        raise UsageError("init: name a template or a table; bp init --list shows the templates")
    to_stdout = str(output) == "-"
    if to_stdout and as_json:
        raise UsageError("init: --json and -o - both print to standard output; leave one out")
    result = backprop_cli.init(
        source, standard_output() if to_stdout else output, target=target, task=task, preset=preset, force=force
    )
    if as_json:
        emit_json(result.to_json())
    else:
        (say if to_stdout else emit)(init_text(result))

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


@command(
    "bp init --list",
    "bp init spiral",
    "bp init iris -o first.yaml",
    group="Start here",
    order=1,
)
def init(
    template: Annotated[
        str | None,
        Argument(metavar="TEMPLATE", help="A name from bp init --list.", show_default=False, autocompletion=_templates),
    ] = None,
    listed: Annotated[bool, Option("--list", help="List the templates.")] = False,
    output: Annotated[
        Path | None,
        Option(
            "--output", "-o", metavar="FILE|-", help="Default: TEMPLATE.yaml; -: standard output.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a configuration to start from."""
    from backprop_cli.report.results import init_text, templates_text

    if listed and template is None:
        found = backprop_cli.list_templates()
        if as_json:
            emit_json(found.to_json())
        else:
            emit(templates_text(found))
        return
    if template is None or listed:
        raise UsageError("init: name a template, or use --list alone to see them")
    to_stdout = str(output) == "-"
    if to_stdout and as_json:
        raise UsageError("init: --json and -o - both print to standard output; leave one out")
    result = backprop_cli.init(template, standard_output() if to_stdout else output, force=force)
    if as_json:
        emit_json(result.to_json())
    else:
        (say if to_stdout else emit)(init_text(result))

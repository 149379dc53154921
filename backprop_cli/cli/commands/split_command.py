"""``bp split``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

import backprop_cli
from backprop_cli.cli.command import Json, Overrides, command
from backprop_cli.cli.terminal import emit, emit_json


@command(
    "bp split configs/penguins.yaml -o penguins-split",
    "bp split configs/penguins.yaml -o by-island data.split.by=island",
    codes=(3, 6),
    group="Check",
)
def split(
    config: Annotated[Path, Argument(metavar="CONFIG", help="Configuration file (YAML).", show_default=False)],
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="The folder to write to.")],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Write the splits of a table to files of their own."""
    from backprop_cli.report.results import split_text

    result = backprop_cli.split(config, output, list(overrides or []))
    if as_json:
        emit_json(result.to_json())
    else:
        emit(split_text(result))

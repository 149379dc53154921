"""``bp show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

import backprop_cli
from backprop_cli.cli.command import Json, Overrides, Plugins, command
from backprop_cli.cli.terminal import emit, emit_json


@command("bp show configs/digits.yaml", "bp show runs/digits/latest --json", codes=(3, 5, 6))
def show(
    target: Annotated[Path, Argument(metavar="CONFIG|CHECKPOINT|RUN", help="What to describe.", show_default=False)],
    overrides: Overrides = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Show a network's layers, shapes, parameters and memory."""
    from backprop_cli.report.results import show_text

    result = backprop_cli.show(target, list(overrides or []), plugins=list(plugins or []))
    if as_json:
        emit_json(result.to_json())
    else:
        emit(show_text(result))

"""``bp show``."""

from __future__ import annotations

import backprop_cli
from backprop_cli.cli.command import Json, Overrides, Plugins, Target, command
from backprop_cli.cli.terminal import emit, emit_json


@command("bp show configs/digits.yaml", "bp show runs/digits/latest --json", codes=(3, 5, 6), group="Look inside")
def show(
    target: Target,
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

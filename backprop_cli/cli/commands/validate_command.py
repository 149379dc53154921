"""``bp validate``."""

from __future__ import annotations

import backprop_cli
from backprop_cli.cli.command import Config, Json, Overrides, command
from backprop_cli.cli.terminal import emit, emit_json, say


@command("bp validate configs/digits.yaml model.layers.0.units=128", codes=(3, 6), group="Check")
def validate(config: Config, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check that a configuration and its data can be trained."""
    from backprop_cli.report.results import validate_text

    result = backprop_cli.validate(config, list(overrides or []))
    if as_json:
        emit_json(result.to_json())
        return
    for warning in result.warnings:
        say(f"warning: {warning}")
    emit(validate_text(result))

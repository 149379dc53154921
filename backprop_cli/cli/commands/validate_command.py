"""``bp validate``."""

from __future__ import annotations

from backprop_cli.cli.command import Config, Json, Overrides, command
from backprop_cli.cli.terminal import emit, emit_json, say


@command("bp validate configs/digits.yaml model.layers.0.units=128", codes=(3, 6))
def validate(config: Config, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check that a configuration and its data can be trained."""
    from backprop_cli.api.validate import validate as job
    from backprop_cli.report.results import validate_text

    result = job(config, list(overrides or [])).to_json()
    if as_json:
        emit_json(result)
        return
    for warning in result.pop("warnings", []):
        say(f"warning: {warning}")
    emit(validate_text(result))

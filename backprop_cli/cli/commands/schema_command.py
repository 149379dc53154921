"""``bp schema``."""

from __future__ import annotations

import backprop_cli
from backprop_cli.cli.command import Json, Plugins, command
from backprop_cli.cli.terminal import emit_json


@command("bp schema > bp.schema.json", codes=(3,))
def schema(plugins: Plugins = None, as_json: Json = False) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    emit_json(backprop_cli.config_schema(plugins=list(plugins or [])))

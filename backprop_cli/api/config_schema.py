"""``bp schema``: the JSON Schema of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backprop_cli.api.arguments import one_or_many
from backprop_cli.config.json_schema import json_schema
from backprop_cli.session.checked_plugins import run_plugins


@one_or_many
def config_schema(*, plugins: Sequence[Path | str] = ()) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the configuration, with what the files ``plugins`` register.

    Raises:
        ConfigError: a plugin cannot be run.
        CheckError: a plugin's gradient is wrong.

    """
    run_plugins(plugins)
    return json_schema()

"""``bp schema``."""

from __future__ import annotations

from typing import Any

from backprop_cli.config.json_schema import json_schema


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the configuration."""
    return json_schema()

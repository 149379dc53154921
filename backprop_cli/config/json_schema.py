"""The configuration as a JSON Schema (2020-12), for editors that complete and check YAML."""

from __future__ import annotations

import re
from typing import Any

from backprop_cli.config.schema import Config

_MODULE_NAME = re.compile(r"backprop_cli__(?:\w+__)?(\w+?)__\w+?__(\w+)$")


def json_schema() -> dict[str, Any]:
    """The schema; what only the loader can see (keys that do not go together, shapes) is not in it."""
    schema = _tidied(Config.model_json_schema())
    definitions = {_short(name): definition for name, definition in schema.pop("$defs").items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "bp configuration",
        "$defs": dict(sorted(definitions.items())),
    }


def _tidied(node: Any) -> Any:
    """Without titles that repeat the key and without OpenAPI's discriminator; references by short names."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items() if key != "discriminator" and not _is_title(key, value)}
    if "$ref" in tidy:
        prefix, _, name = tidy["$ref"].rpartition("/")
        tidy["$ref"] = f"{prefix}/{_short(name)}"
    return tidy


def _is_title(key: str, value: Any) -> bool:
    # A property may be called `title`; its value is then a schema.
    return key == "title" and isinstance(value, str)


def _short(name: str) -> str:
    """``backprop_cli__nn__losses__huber__Huber``, as pydantic writes one of two equal names -> ``losses.Huber``."""
    found = _MODULE_NAME.fullmatch(name)
    return f"{found[1]}.{found[2]}" if found else name

"""The configuration as a JSON Schema (2020-12), for editors that complete and check YAML."""

from __future__ import annotations

from typing import Any

from backprop_cli.config.configuration import Config
from backprop_cli.registry import TYPE
from backprop_cli.settings import Settings


def json_schema() -> dict[str, Any]:
    """The schema. It does not cover what only the loader checks, such as conflicts of keys and shapes."""
    definitions: dict[str, Any] = {}
    schema = _Definitions(definitions).of(Config)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "bp configuration",
        "$defs": dict(sorted(definitions.items())),
    }


class _Definitions:
    """Collects the definitions that schemas refer to: sections by class, registered types as ``layers.dense``."""

    def __init__(self, definitions: dict[str, Any]):
        self._definitions = definitions

    def of(self, cls: type[Settings]) -> dict[str, Any]:
        """The schema of one class; adds the definitions that it refers to."""
        schema = cls.model_json_schema()
        for name, definition in schema.pop("$defs", {}).items():
            self._definitions[name] = self._tidied(definition)
        tidied: dict[str, Any] = self._tidied(schema)
        return tidied

    def _tidied(self, node: Any) -> Any:
        """Without titles that repeat the key; registered types by reference."""
        if isinstance(node, list):
            return [self._tidied(item) for item in node]
        if not isinstance(node, dict):
            return node
        if TYPE in node:
            return {"$ref": f"#/$defs/{self._defined(*node[TYPE])}"}
        return {key: self._tidied(value) for key, value in node.items() if not _is_title(key, value)}

    def _defined(self, plural: str, name: str, cls: type[Settings]) -> str:
        full = f"{plural}.{name}"
        if full not in self._definitions:
            self._definitions[full] = {}  # first: a type may hold its own kind
            self._definitions[full] = self.of(cls)
        return full


def _is_title(key: str, value: Any) -> bool:
    # A property may be called `title`; its value is then a schema.
    return key == "title" and isinstance(value, str)

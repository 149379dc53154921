"""Results as JSON, from one definition: the object has the fields of the dataclass, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import PurePath
from typing import Any, ClassVar


class JsonObject:
    """Base of dataclasses that ``--json`` prints.

    ``json_keys`` names other keys than the fields, or another order. A key is an attribute: a field or a property. One
    that ends in ``?`` is left out while its value is None or empty. The underscore of ``from_`` is no part of the key.
    """

    json_keys: ClassVar[tuple[str, ...]] = ()

    def to_json(self) -> dict[str, Any]:
        """Only dicts, lists, texts, numbers, booleans and None; numbers may be NaN or infinite."""
        found = {}
        for key in self.json_keys or [field.name for field in fields(self)]:  # type: ignore[arg-type]
            value = getattr(self, key.removesuffix("?"))
            if not key.endswith("?") or not _is_empty(value):
                found[key.strip("?_")] = json_value(value)
        return found


def json_value(value: Any) -> Any:
    """A value as JSON has it: paths as texts, arrays and tuples as lists, dataclasses as objects."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, JsonObject):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    return value.tolist()  # an array


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, Mapping | list | tuple) and not value)

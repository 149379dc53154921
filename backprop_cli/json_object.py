"""Results as JSON, from one definition: the object has the fields of the struct, in their order.

It also words the error of a text that is not JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from json import JSONDecodeError
from pathlib import PurePath
from typing import Any, ClassVar

from backprop_cli.structs import Struct


class JsonObject(Struct):
    """Base of structs that ``--json`` prints.

    ``json_keys``: the fields and properties that are keys, if not all fields in their order. The key of ``from_`` is
    ``from``. ``json_optional``: keys that are left out while their value is None or empty.
    """

    json_keys: ClassVar[tuple[str, ...]] = ()
    json_optional: ClassVar[tuple[str, ...]] = ()

    def to_json(self) -> dict[str, Any]:
        """Only dicts, lists, texts, numbers, booleans and None; numbers may be NaN or infinite."""
        keys = self.json_keys or [field.name for field in fields(self)]
        values = {key: getattr(self, key) for key in keys}
        return {
            key.removesuffix("_"): json_value(value)
            for key, value in values.items()
            if key not in self.json_optional or not _is_empty(value)
        }


def json_value(value: Any) -> Any:
    """A value as JSON has it: paths as texts, arrays and tuples as lists, structs as objects."""
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


def not_json(error: JSONDecodeError) -> str:
    """The reason, without the words to which Python appends the position: ``Unterminated string``."""
    return error.msg.removesuffix(" at").removesuffix(" starting")

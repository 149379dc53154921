"""A registered type as ``bp list`` shows it: its docstring, its fields, and their types in words."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from backprop_cli.json_object import JsonObject
from backprop_cli.registry import Choice
from backprop_cli.settings import OrAuto, Settings, descriptions


class TypeField(JsonObject):
    """A key of a type, or an attribute of an op."""

    name: str
    """Name of the key."""
    type: str
    """Its value in words, with bounds: ``integer > 0``."""
    default: Any
    """Its default as YAML writes it; null if it is required or off."""
    required: bool
    """Whether it has to be given."""
    description: str
    """Its meaning; empty for an attribute of an op."""


class TypeEntry(JsonObject):
    """A type."""

    json_optional: ClassVar = ("page",)

    name: str
    """Its name in YAML."""
    summary: str
    """The first paragraph of its page, on one line."""
    fields: Sequence[TypeField]
    """Its keys."""
    page: str | None = None
    """The whole page, if a name was given."""


def type_entry(name: str, cls: type[Any], *, with_page: bool = False) -> TypeEntry:
    """The entry of a registered class. ``with_page``: include its whole docstring."""
    page = inspect.cleandoc(cls.__doc__ or "")
    summary = " ".join(page.split("\n\n")[0].split()).replace("``", "")
    return TypeEntry(name, summary, _fields(cls), page if with_page else None)


def _fields(cls: type[Any]) -> list[TypeField]:
    """All fields but ``type``, whose value is the name of the entry."""
    if issubclass(cls, BaseModel):
        return [settings_field(cls, key, info) for key, info in cls.model_fields.items() if key != "type"]
    if dataclasses.is_dataclass(cls):
        return [_attribute(field) for field in dataclasses.fields(cls)]
    return []


def settings_field(cls: type[Any], name: str, info: FieldInfo) -> TypeField:
    """A key of settings. ``default``: None also if it depends on other keys, which the description then says."""
    required = info.is_required()
    fixed = not (required or info.default_factory_takes_validated_data)
    default = _as_yaml(info.get_default(call_default_factory=True)) if fixed else None
    return TypeField(
        name, type_text(info.annotation, info.metadata), default, required, descriptions(cls).get(name, "")
    )


def _attribute(field: dataclasses.Field[Any]) -> TypeField:
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = None if field.default is dataclasses.MISSING else field.default
    return TypeField(field.name, str(field.type), _as_yaml(default), required, "")


def _as_yaml(value: Any) -> Any:
    """A default as YAML writes it: settings with only default values are the name of their type."""
    if value is PydanticUndefined:
        return None
    if isinstance(value, BaseModel):
        given = {key: _as_yaml(item) for key, item in value if item != type(value).model_fields[key].default}
        kind = getattr(value, "type", None)
        if kind is None:
            return given
        return {"type": kind, **given} if given else kind
    if isinstance(value, tuple | list):
        return [_as_yaml(item) for item in value]
    return value if isinstance(value, bool | int | float | str | type(None)) else str(value)


_WORDS = {bool: "true or false", int: "integer", float: "number", str: "text", NoneType: "none", Any: "anything"}
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def type_text(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """``integer > 0``, ``'mean' or 'sum'``, ``none or initializer``, ``list of text``.

    A field that takes a type of a registry has the kind of that registry.
    """
    marks = _flat(metadata)
    choice = next((mark for mark in marks if isinstance(mark, Choice)), None)
    if choice is not None:
        return choice.registry.kind
    bounds = _bounds(marks)
    auto = " or auto" if any(isinstance(mark, OrAuto) for mark in marks) else ""
    return _bare(annotation) + (f" {bounds}" if bounds else "") + auto


def _bare(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0], arguments[1:])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, UnionType):
        texts = dict.fromkeys(map(type_text, arguments))
        # "none" comes last: it switches the field off.
        return " or ".join(sorted(texts, key=lambda text: text == "none"))
    if origin in (tuple, list):
        return f"list of {type_text(arguments[0])}" if arguments else "list"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {type_text(arguments[0])} to {type_text(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return "mapping"
    return _WORDS.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _flat(metadata: Iterable[Any]) -> list[Any]:
    """The marks, with the marks inside a nested ``Field(...)``."""
    marks: list[Any] = []
    for mark in metadata:
        marks += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return marks


def _bounds(marks: Iterable[Any]) -> str:
    found = {name: value for mark in marks for name in _BOUNDS if (value := getattr(mark, name, None)) is not None}
    return ", ".join(f"{_BOUNDS[name]} {value}" for name, value in found.items())

"""The type of a settings field in words, as ``bp list KIND NAME`` shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from backprop_cli.registry import Choice
from backprop_cli.settings import Settings

_WORDS = {bool: "true or false", int: "integer", float: "number", str: "text", NoneType: "none", Any: "anything"}
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def type_text(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """``integer > 0``, ``'mean' or 'sum'``, ``none or initializer``, ``list of text``.

    A field that takes one of a registry's types is named by the registry's kind.
    """
    marks = _flat(metadata)
    choice = next((mark for mark in marks if isinstance(mark, Choice)), None)
    if choice is not None:
        return choice.registry.kind
    bounds = _bounds(marks)
    return _bare(annotation) + (f" {bounds}" if bounds else "")


def _bare(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0], arguments[1:])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, UnionType):
        texts = dict.fromkeys(map(type_text, arguments))
        # "none" last: first what the field is, then that it can be off.
        return " or ".join(sorted(texts, key=lambda text: text == "none"))
    if origin in (tuple, list):
        return f"list of {type_text(arguments[0])}" if arguments else "list"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {type_text(arguments[0])} to {type_text(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return "mapping"
    return _WORDS.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _flat(metadata: Iterable[Any]) -> list[Any]:
    """The marks, with those that a nested ``Field(...)`` holds."""
    marks: list[Any] = []
    for mark in metadata:
        marks += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return marks


def _bounds(marks: Iterable[Any]) -> str:
    found = {name: value for mark in marks for name in _BOUNDS if (value := getattr(mark, name, None)) is not None}
    return ", ".join(f"{_BOUNDS[name]} {value}" for name, value in found.items())

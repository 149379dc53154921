"""Walks over settings classes: the class that describes the mapping at a path, and its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from backprop_cli.errors import TreePath
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import DefaultType, NoneWord, Settings, descriptions

Described = tuple[Any, tuple[Any, ...]]
"""An annotation and the metadata around it."""


def settings_at(top: type[Settings], tree: Any, path: TreePath) -> list[type[Settings]]:
    """The classes that may describe the mapping at ``path`` of ``tree``: several for a union."""
    found = _walk(top, tree, path)
    return [cls for annotation, metadata, value in found for cls in _classes(annotation, metadata, value)]


def field_at(top: type[Settings], tree: Any, path: TreePath) -> FieldInfo | None:
    """The field at ``path``, whether or not it is in the tree; None for items of lists and unknown keys."""
    if not path:
        return None
    for cls in settings_at(top, tree, path[:-1]):
        if path[-1] in cls.model_fields:
            return cls.model_fields[str(path[-1])]
    return None


def description_at(top: type[Settings], tree: Any, path: TreePath) -> str:
    """The description of the key at ``path``; empty if it has none."""
    classes = settings_at(top, tree, path[:-1]) if path else []
    return next((words[str(path[-1])] for words in map(descriptions, classes) if path[-1] in words), "")


def known_keys(top: type[Settings], tree: Any, path: TreePath) -> list[str]:
    """The keys that the mapping at ``path`` may have, in the order they are declared."""
    return list(dict.fromkeys(key for cls in settings_at(top, tree, path) for key in cls.model_fields))


def choice_at(top: type[Settings], tree: Any, path: TreePath) -> tuple[Registry[Any], str | None] | None:
    """The registry of the value at ``path``, and the type that the value names or has by default."""
    for _, metadata, value in _walk(top, tree, path):
        for choice in (mark for mark in metadata if isinstance(mark, Choice)):
            default = next((mark.name for mark in metadata if isinstance(mark, DefaultType)), None)
            name = value.get("type", default) if isinstance(value, dict) else value
            return choice.registry, name if isinstance(name, str) else None
    return None


def admits_none(field: FieldInfo) -> bool:
    """Whether the word ``none`` turns the field off."""
    return any(isinstance(mark, NoneWord) for mark in field.metadata)


def fixed_length(field: FieldInfo | None) -> int | None:
    """The number of items that a list must have, such as 2 for [height, width]; None if it may vary."""
    if field is None:
        return None
    tuples = [get_args(each) for each in _containers(field.annotation) if get_origin(each) is tuple]
    return len(tuples[0]) if len(tuples) == 1 and Ellipsis not in tuples[0] else None


def has_marker(annotation: Any, metadata: tuple[Any, ...], marker: type) -> bool:
    """Whether ``marker`` annotates the value, an alternative or an item of it, but not a field inside."""
    return any(isinstance(mark, marker) for mark in metadata) or any(
        has_marker(inner, marks, marker) for inner, marks in _inner(annotation)
    )


def _walk(top: type[Settings], tree: Any, path: TreePath) -> list[tuple[Any, tuple[Any, ...], Any]]:
    here: list[tuple[Any, tuple[Any, ...], Any]] = [(top, (), tree)]
    for step in path:
        here = [
            (annotation, metadata, _child(value, step))
            for outer, marks, value in here
            for annotation, metadata in _step(outer, marks, value, step)
        ]
    return here


def _child(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None


def _step(annotation: Any, metadata: tuple[Any, ...], value: Any, step: str | int) -> Iterator[Described]:
    """The annotations of ``value[step]``."""
    for cls in _classes(annotation, metadata, value):
        if step in cls.model_fields:
            field = cls.model_fields[str(step)]
            yield field.annotation, tuple(field.metadata)
    for container in _containers(annotation):
        arguments = get_args(container)
        if issubclass(get_origin(container), Mapping):
            yield _split(arguments[1])
        elif isinstance(step, int) and arguments:
            yield _split(arguments[0])


def _classes(annotation: Any, metadata: tuple[Any, ...], value: Any) -> Iterator[type[Settings]]:
    """The settings classes among the alternatives of a field.

    For a registry, the type that ``value`` names; if ``value`` is None, the base of all its types.
    """
    choice = next((mark for mark in metadata if isinstance(mark, Choice)), None)
    if choice is not None:
        default = next((mark.name for mark in metadata if isinstance(mark, DefaultType)), None)
        name = value.get("type", default) if isinstance(value, dict) else value
        if isinstance(name, str) and name in choice.registry:
            yield choice.registry[name]
        elif value is None and choice.registry.base is not None:
            yield choice.registry.base
        return
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Settings):
        yield annotation
        return
    if get_origin(annotation) in (Union, UnionType, Annotated):
        for inner, marks in _inner(annotation):
            yield from _classes(inner, marks, value)


def _containers(annotation: Any) -> Iterator[Any]:
    """The lists and mappings among the alternatives of a field."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        for inner, _ in _inner(annotation):
            yield from _containers(inner)
    elif isinstance(origin, type) and issubclass(origin, tuple | list | Mapping):
        yield annotation


def _inner(annotation: Any) -> list[Described]:
    if get_origin(annotation) is Annotated:
        return [_split(annotation)]
    return [_split(argument) for argument in get_args(annotation)]


def _split(annotation: Any) -> Described:
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return inner, tuple(marks)
    return annotation, ()

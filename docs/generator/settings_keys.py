"""The keys of settings: the sections and registries below a field, and the places that name a registry's types."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from backprop_cli.config.configuration import Config
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings


class Section(NamedTuple):
    """A mapping of the configuration: its path (``data.split``) and the class that describes it."""

    path: str
    cls: type[Settings]


def inside(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[tuple[type[Settings] | Registry[Any], str]]:
    """The sections and registries that a field's value may hold; with ``[]`` for items of a list."""
    choice = next((mark for mark in metadata if isinstance(mark, Choice)), None)
    if choice is not None:
        yield choice.registry, ""
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and origin is None and issubclass(annotation, Settings):
        yield annotation, ""
    elif origin is Annotated:
        yield from inside(arguments[0], arguments[1:])
    else:
        suffix = "[]" if origin in (tuple, list) else ""
        for argument in arguments:
            yield from ((found, suffix + more) for found, more in inside(argument))


def below(section: Section) -> Iterator[Section]:
    """The sections directly below a section, in the order of its keys."""
    for key, field in section.cls.model_fields.items():
        for found, suffix in inside(field.annotation, tuple(field.metadata)):
            if isinstance(found, type):
                yield Section(f"{section.path}.{key}{suffix}".lstrip("."), found)


@cache
def sections(top: Section | None = None) -> list[Section]:
    """All sections of a configuration, in the order of a file, each once."""
    top = top or Section("", Config)
    found = {top.cls: top}
    for each in below(top):
        if each.cls not in found:
            found |= {inner.cls: inner for inner in sections(each) if inner.cls not in found}
    return list(found.values())


def heading(section: Section) -> str:
    """The heading of a section: its path as written in overrides."""
    return section.path or "the whole file"


@cache
def places(registry: Registry[Any]) -> list[str]:
    """The keys of the configuration whose value names one of a registry's types."""
    return [
        f"{section.path}.{key}{suffix}".lstrip(".")
        for section in sections()
        for key, field in section.cls.model_fields.items()
        for found, suffix in inside(field.annotation, tuple(field.metadata))
        if found is registry
    ]


def holders(registry: Registry[Any], other: Registry[Any]) -> dict[str, list[str]]:
    """The keys of another registry's types that name one of this registry's: ``{"initializer": ["dense"]}``."""
    found: dict[str, list[str]] = {}
    for name, cls in other.items():
        for key, field in getattr(cls, "model_fields", {}).items():
            if any(each is registry for each, _ in inside(field.annotation, tuple(field.metadata))):
                found.setdefault(key, []).append(name)
    return found

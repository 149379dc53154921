"""``bp list``: what a configuration can name, read from the registries."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.inspection.field_type import type_text
from backprop_cli.registry import Registry
from backprop_cli.session.checked_plugins import run_plugins
from backprop_cli.settings import descriptions

_REGISTRIES = {
    "layers": "backprop_cli.nn.layer:LAYERS",
    "activations": "backprop_cli.nn.activation:ACTIVATIONS",
    "losses": "backprop_cli.nn.loss:LOSSES",
    "optimizers": "backprop_cli.nn.optimizer:OPTIMIZERS",
    "averages": "backprop_cli.nn.average:AVERAGES",
    "schedules": "backprop_cli.nn.schedule:SCHEDULES",
    "initializers": "backprop_cli.nn.initializer:INITIALIZERS",
    "metrics": "backprop_cli.nn.metric:METRICS",
    "formats": "backprop_cli.data.format:FORMATS",
    "ops": "backprop_cli.autodiff.op:OPS",
}


def listing(kind: str | None = None, name: str | None = None, *, plugins: Sequence[Path | str] = ()) -> dict[str, Any]:
    """What there is: the kinds with their counts, a kind's entries, or the one entry ``name`` with its page.

    ``kind`` is singular or plural. Without it: ``{"kinds": [{"kind", "count"}]}``; with it:
    ``{"kind", "entries": [{"name", "summary", "fields": [...]}]}``; with a name its entry has ``page``, the docstring.

    What the files ``plugins`` register is among it.

    Raises:
        UsageError: a kind or name that is not known.
        ConfigError: a plugin cannot be run.
        CheckError: a plugin's gradient is wrong.

    """
    run_plugins(plugins)
    if kind is None:
        return {"kinds": [{"kind": plural, "count": len(registry_of(plural))} for plural in _REGISTRIES]}
    registry = registry_of(kind)
    if name is None:
        return {"kind": registry.plural, "entries": [_entry(key, cls) for key, cls in registry.items()]}
    cls = registry[name]
    return {"kind": registry.plural, "entries": [{**_entry(name, cls), "page": _documentation(cls)}]}


def registry_of(kind: str) -> Registry[Any]:
    """The registry of a kind, named in the singular or plural.

    Raises: UsageError for another word.
    """
    if kind in _REGISTRIES:
        return _registry(kind)
    for registry in map(_registry, _REGISTRIES):
        if kind == registry.kind:
            return registry
    raise UsageError(
        f"unknown kind '{kind}'" + (did_you_mean(kind, _REGISTRIES) or f"; known: {', '.join(_REGISTRIES)}")
    )


def _registry(plural: str) -> Registry[Any]:
    module, attribute = _REGISTRIES[plural].split(":")
    registry: Registry[Any] = getattr(importlib.import_module(module), attribute)
    return registry


def _entry(name: str, cls: type[Any]) -> dict[str, Any]:
    return {"name": name, "summary": _summary(cls), "fields": _fields(cls)}


def _documentation(cls: type[Any]) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _summary(cls: type[Any]) -> str:
    """The docstring's first paragraph on one line, without marks of code."""
    return " ".join(_documentation(cls).split("\n\n")[0].split()).replace("``", "")


def _fields(cls: type[Any]) -> list[dict[str, Any]]:
    """The keys of a class's YAML, or the attributes of an op; ``type`` itself is the entry's name."""
    if issubclass(cls, BaseModel):
        return [_settings_field(cls, key, info) for key, info in cls.model_fields.items() if key != "type"]
    if dataclasses.is_dataclass(cls):
        return [_attribute(field) for field in dataclasses.fields(cls)]
    return []


def _settings_field(cls: type[Any], name: str, info: Any) -> dict[str, Any]:
    required = info.is_required()
    return {
        "name": name,
        "type": type_text(info.annotation, info.metadata),
        "default": None if required else _plain(info.get_default(call_default_factory=True)),
        "required": required,
        "description": descriptions(cls).get(name, ""),
    }


def _attribute(field: dataclasses.Field[Any]) -> dict[str, Any]:
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = None if field.default is dataclasses.MISSING else field.default
    return {
        "name": field.name,
        "type": str(field.type),
        "default": _plain(default),
        "required": required,
        "description": "",
    }


def _plain(value: Any) -> Any:
    """A default as YAML would write it: settings with nothing but defaults are their type's name."""
    if value is PydanticUndefined:
        return None
    if isinstance(value, BaseModel):
        given = {key: _plain(item) for key, item in value if item != type(value).model_fields[key].default}
        kind = getattr(value, "type", None)
        if kind is None:
            return given
        return {"type": kind, **given} if given else kind
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | type(None)) else str(value)

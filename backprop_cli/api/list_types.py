"""``bp list``: the types that a configuration can name, read from the registries."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backprop_cli.api.arguments import one_or_many
from backprop_cli.errors import UsageError, did_you_mean, joined
from backprop_cli.inspection.type_entry import TypeEntry, type_entry
from backprop_cli.json_object import JsonObject
from backprop_cli.registry import Registry
from backprop_cli.session.checked_plugins import run_plugins

REGISTRIES = {
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


class KindCount(JsonObject):
    """A kind of types."""

    kind: str
    """The kind, in the plural."""
    count: int
    """Number of its types."""


class ListedKinds(JsonObject):
    """All kinds, for a command without a kind."""

    kinds: Sequence[KindCount]
    """The kinds with their counts."""


class ListedTypes(JsonObject):
    """The types of one kind."""

    kind: str
    """The kind, in the plural."""
    entries: Sequence[TypeEntry]
    """The types in the order of their names; one if a name was given."""


@one_or_many
def list_types(
    kind: str | None = None, name: str | None = None, *, plugins: Sequence[Path | str] = ()
) -> ListedKinds | ListedTypes:
    """All kinds with their counts, the types of a ``kind`` (singular or plural), or the one ``name`` with its page.

    The types that the files ``plugins`` register are included.

    Raises:
        UsageError: an unknown kind or name.
        ConfigError: a plugin cannot be run.
        CheckError: a plugin's gradient is wrong.

    """
    run_plugins(plugins)
    if kind is None:
        return ListedKinds([KindCount(plural, len(registry_of(plural))) for plural in REGISTRIES])
    registry = registry_of(kind)
    if name is None:
        return ListedTypes(registry.plural, [type_entry(key, cls) for key, cls in registry.items()])
    return ListedTypes(registry.plural, [type_entry(name, registry[name], with_page=True)])


def registry_of(kind: str) -> Registry[Any]:
    """The registry of a kind, named in the singular or plural. Raises: UsageError for an unknown kind."""
    if kind in REGISTRIES:
        return _registry(kind)
    for registry in map(_registry, REGISTRIES):
        if kind == registry.kind:
            return registry
    pages = [f"bp list {plural} {kind}" for plural in REGISTRIES if kind in _registry(plural)]
    way_out = f"; its page: {joined(pages, 'or')}" if pages else did_you_mean(kind, REGISTRIES)
    raise UsageError(f"unknown kind '{kind}'" + (way_out or f"; known: {', '.join(REGISTRIES)}"))


def _registry(plural: str) -> Registry[Any]:
    module, attribute = REGISTRIES[plural].split(":")
    registry: Registry[Any] = getattr(importlib.import_module(module), attribute)
    return registry

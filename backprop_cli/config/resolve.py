"""The resolved configuration: every key with its value, and paths relative to its own folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backprop_cli.config.fields import admits_none, has_marker
from backprop_cli.config.load import Loaded
from backprop_cli.settings import FromData, IsPath, Settings

Rewrite = Callable[[str], str]


def resolved_tree(loaded: Loaded, relative_to: Path | None = None) -> dict[str, Any]:
    """Every key of the configuration, defaults included; reading it again gives an equal ``Config``.

    Paths of files are rewritten to start at the directory ``relative_to``; None makes them absolute. Keys that are
    None and do not accept the word ``none`` are left out, such as ``data.train`` if there is ``data.source``.
    """

    def rewrite(text: str) -> str:
        path = Path(text)
        if path.is_absolute():
            return text
        # '..' leaves a linked directory by its real parent, so the path is computed between real directories.
        absolute = (loaded.base / path).parent.resolve() / path.name
        return str(absolute) if relative_to is None else os.path.relpath(absolute, relative_to.resolve())

    return _mapping(loaded.config, rewrite)


def _mapping(settings: Settings, rewrite: Rewrite) -> dict[str, Any]:
    tree = {}
    for key, field in type(settings).model_fields.items():
        if settings.like is not None and key not in settings.model_fields_set:
            continue
        value = getattr(settings, key)
        if value is not None:
            is_path = has_marker(field.annotation, tuple(field.metadata), IsPath)
            tree[key] = _plain(value, rewrite if is_path else None, rewrite)
        elif admits_none(field):
            tree[key] = "none"
    return tree


def _plain(value: Any, own: Rewrite | None, inside: Rewrite) -> Any:
    """``value`` as dict, list and scalars; ``own`` rewrites text here, ``inside`` paths of settings further in."""
    if isinstance(value, FromData):
        return str(value)
    if isinstance(value, Settings):
        tree = _mapping(value, inside)
        return tree["type"] if list(tree) == ["type"] else tree
    if isinstance(value, Mapping):
        return {key: _plain(inner, own, inside) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, own, inside) for item in value]
    return own(value) if own is not None and isinstance(value, str) else value

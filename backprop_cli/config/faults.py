"""Pydantic errors, each at the value of the tree that it is about.

Pydantic's locations hold steps that no file has: the alternatives of a union.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from backprop_cli.config.path import TreePath

_CONSEQUENCES = ("default_factory_not_called",)
"""Errors that only say that there is another one."""

UNKNOWN_KEY = ("extra_forbidden", "invalid_key")


@dataclass(frozen=True)
class Fault:
    """A pydantic error at its path in the tree. ``unions``: the paths at which it chose among alternatives."""

    path: TreePath
    unions: frozenset[TreePath]
    kind: str
    value: Any
    context: Mapping[str, Any]
    message: str


def find_faults(error: ValidationError, tree: Any) -> list[Fault]:
    """Every error at its path in ``tree``; those of alternatives that the value was not meant to be are left out."""
    entries = [entry for entry in error.errors(include_url=False) if entry["type"] not in _CONSEQUENCES]
    return _without_rejected_alternatives([_fault(entry, tree) for entry in entries])


def _fault(entry: Mapping[str, Any], tree: Any) -> Fault:
    """Drop the steps of a pydantic location that name an alternative instead of a key or an index."""
    kind, node = entry["type"], tree
    path: TreePath = ()
    unions = set()
    steps = [step for step in entry["loc"] if step != "[key]"]
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        key = _key(node, step)
        if key is not None:
            path, node = (*path, key[0]), key[1]
        elif is_last and kind == "missing":
            path = (*path, step)
        else:
            unions.add(path)
    context = entry.get("ctx", {})
    if context.get("key") is not None and isinstance(node, dict) and context["key"] in node:
        path, node = (*path, context["key"]), node[context["key"]]
    return Fault(path, frozenset(unions), kind, node, context, entry["msg"])


def _key(node: Any, step: str | int) -> tuple[str | int, Any] | None:
    """(key or index, value) that ``step`` means in ``node``, if any."""
    if isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
        return step, node[step]
    if isinstance(node, dict):
        if isinstance(step, str) and step in node:
            return step, node[step]
        # Pydantic writes keys that are neither text nor integer as text.
        for key, value in node.items():
            if key == step or str(key) == str(step):
                return (key if isinstance(key, str | int) else str(key)), value
    return None


def _without_rejected_alternatives(faults: Sequence[Fault]) -> list[Fault]:
    """Where one alternative of a union fits the value as a whole, what is wrong inside it is what matters."""
    deeper = {union for fault in faults for union in fault.unions if len(fault.path) > len(union)}
    return [fault for fault in faults if fault.path not in deeper or fault.path not in fault.unions]

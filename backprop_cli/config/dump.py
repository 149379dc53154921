"""A tree of plain values -> YAML text that reads back as the same tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backprop_cli.config import scalars

LINE = 120
"""Most characters of a collection on one line; a longer one takes several lines."""


def to_yaml(tree: Mapping[Any, Any]) -> str:
    """One top-level key after the other; each value takes one line if it fits.

    Text that would read as another type is quoted. Floats have the fewest digits that read as the same number.
    """
    return "".join(_entry(key, value, 0) for key, value in tree.items()) or "{}\n"


def _entry(key: Any, value: Any, indent: int) -> str:
    """``key: value`` and a line break, indented."""
    head = " " * indent + scalars.write(key) + ":"
    flow = _flow(value)
    if not _is_filled(value) or (len(head) + 1 + len(flow) <= LINE and not _holds_mappings(value)):
        return f"{head} {flow}\n"
    return head + "\n" + _block(value, indent + 2)


def _block(value: Any, indent: int) -> str:
    if isinstance(value, Mapping):
        return "".join(_entry(key, inner, indent) for key, inner in value.items())
    return "".join(_item(item, indent) for item in value)


def _item(item: Any, indent: int) -> str:
    """``- item``; a mapping that is too long for a line begins with its first key after the dash."""
    flow = _flow(item)
    if not _is_filled(item) or indent + 2 + len(flow) <= LINE:
        return f"{' ' * indent}- {flow}\n"
    return " " * indent + "- " + _block(item, indent + 2)[indent + 2 :]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalars.write(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalars.write(value)


def _is_filled(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _holds_mappings(value: Any) -> bool:
    """Whether it is a list with mappings, such as layers, which are easier to read one a line."""
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)

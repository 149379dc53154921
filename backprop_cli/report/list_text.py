"""``bp list`` as text."""

from __future__ import annotations

from collections.abc import Mapping

from backprop_cli.api.list_types import ListedKinds, ListedTypes
from backprop_cli.inspection.type_entry import TypeEntry
from backprop_cli.report.tables import table


def list_text(result: ListedKinds | ListedTypes) -> str:
    """The kinds with their counts, the types of a kind, or the page of one type."""
    if isinstance(result, ListedKinds):
        return table(["kind", "number"], [[kind.kind, kind.count] for kind in result.kinds])
    if len(result.entries) == 1 and result.entries[0].page is not None:
        return _page(result.kind, result.entries[0])
    return table([result.kind, ""], [[entry.name, entry.summary] for entry in result.entries])


def _page(kind: str, entry: TypeEntry) -> str:
    """The manual page of a type: its docstring, then its keys."""
    rows = [
        [field.name, field.type, "required" if field.required else _default(field.default), field.description]
        for field in entry.fields
    ]
    parts = [f"{entry.name} ({kind})", entry.page or ""]
    if rows:
        parts.append(table(["key", "value", "default", ""], rows))
    return "\n\n".join(parts)


def _default(value: object) -> str:
    """A default as YAML writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_default(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_default, value)) + "]"
    return str(value)

"""``bp list`` as text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

from backprop_cli.api.list_types import ListedKinds, ListedTypes
from backprop_cli.inspection.type_entry import TypeEntry
from backprop_cli.report.tables import table
from backprop_cli.visible import terminal_width


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
        [field.name, field.type, "required" if field.required else default_text(field.default), field.description]
        for field in entry.fields
    ]
    parts = [f"{entry.name} ({kind})", _readable(entry.page or "")]
    if rows:
        parts.append(table(["key", "value", "default", ""], rows))
    return "\n\n".join(parts)


def _readable(page: str) -> str:
    """A docstring for a terminal: one backtick as in the table; refilled, hanging under labels, if a line is too long.

    Indented lines, such as formulas, are not joined.
    """
    page, width = page.replace("``", "`"), terminal_width()
    if max(map(len, page.splitlines()), default=0) <= width:
        return page
    items: list[tuple[int, str]] = []
    for line in page.splitlines():
        indent, label = len(line) - len(line.lstrip()), _LABEL.match(line)
        if items and items[-1][1] and line and indent == items[-1][0] and not label:
            items[-1] = indent, f"{items[-1][1]} {line.strip()}"
        else:
            items.append((label.end() if label else -1 if indent else 0, line))  # -1: nothing continues it
    return "\n".join(
        textwrap.fill(text, width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False)
        for hanging, text in items
    )


_LABEL = re.compile(r"[A-Z][A-Za-z]*: +(?=\S)")
"""The beginning of a labelled part: ``Shapes: x (batch, units)``."""


def default_text(value: object) -> str:
    """A default as YAML writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {default_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(default_text, value)) + "]"
    return str(value) or '""'

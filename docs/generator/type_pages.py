"""A page for each registry: every type as ``bp list KIND NAME`` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from backprop_cli.api.list_types import ListedKinds, ListedTypes, list_types, registry_of
from backprop_cli.errors import joined
from backprop_cli.inspection.type_entry import TypeEntry, TypeField
from backprop_cli.registry import Registry
from backprop_cli.report.list_text import default_text
from generator import markdown
from generator.settings_keys import heading, holders, inside, places, sections

_ELSEWHERE = {
    "formats": "The suffix of a data file chooses its format. [`data.format`](configuration.md#data) overrides it.",
    "ops": "Ops are the primitives of every program. A configuration does not name them; `bp explain` and "
    "`bp gradcheck` do. Their derivative rules are in `backprop_cli/autodiff/ops/`.",
}
"""What a page says of a kind that no key of a configuration names."""


@cache
def kinds() -> tuple[str, ...]:
    """The kinds of types, in the plural."""
    listed = list_types()
    assert isinstance(listed, ListedKinds)
    return tuple(each.kind for each in listed.kinds)


def type_pages() -> dict[str, str]:
    """The pages by file name."""
    return {f"{kind}.md": _page(kind) for kind in kinds()}


def value_cell(text: str, info: FieldInfo | None) -> str:
    """The sort of value of a key, with links to the pages of kinds and to the sections of a configuration."""
    value = markdown.escaped(text)
    for kind in kinds():
        value = re.sub(rf"\b({registry_of(kind).kind}s?)\b", rf"[\1]({kind}.md)", value)
    if info is None:
        return value
    names = {section.cls: heading(section) for section in sections()}
    held = [each for each, _ in inside(info.annotation, tuple(info.metadata)) if isinstance(each, type)]
    links = (f"](configuration.md#{markdown.anchor(names[each])})" for each in held if each in names)
    return re.sub(r"mapping(?! of)", lambda word: f"[{word[0]}{link}" if (link := next(links, "")) else word[0], value)


def key_table(cls: type[Any], fields: Sequence[TypeField]) -> str:
    """The table of keys; without meanings if none has one, as with the attributes of ops."""
    infos: dict[str, FieldInfo] = getattr(cls, "model_fields", {})
    rows = [[f"`{each.name}`", value_cell(each.type, infos.get(each.name)), default_cell(each)] for each in fields]
    meanings = [markdown.escaped(field.description) for field in fields]
    if not any(meanings):
        return markdown.table(["attribute", "type", "default"], rows)
    full = [[*row, meaning] for row, meaning in zip(rows, meanings, strict=True)]
    return markdown.table(["key", "value", "default", "meaning"], full)


def default_cell(field: TypeField) -> str:
    """The default of a key, or that it has none."""
    return "required" if field.required else f"`{default_text(field.default)}`"


def _page(kind: str) -> str:
    registry = registry_of(kind)
    names = _entries(kind)
    entries = [_entry(kind, each.name) for each in names]
    common = _common(entries)
    overview = markdown.table(
        [registry.kind, ""],
        [[f"[`{each.name}`](#{each.name})", markdown.escaped(_first_sentence(each.page or ""))] for each in entries],
    )
    shared = f"## Keys of every {registry.kind}\n\n{key_table(registry[entries[0].name], common)}" if common else ""
    parts = [part for each in entries for part in _type(registry[each.name], each, common)]
    return markdown.page(kind.capitalize(), _used(kind, registry), overview, shared, *parts)


def _entries(kind: str, name: str | None = None) -> Sequence[TypeEntry]:
    listed = list_types(kind, name)
    assert isinstance(listed, ListedTypes)
    return listed.entries


def _entry(kind: str, name: str) -> TypeEntry:
    return _entries(kind, name)[0]


def _first_sentence(page: str) -> str:
    return " ".join(page.split("\n\n")[0].split())


def _common(entries: Sequence[TypeEntry]) -> list[TypeField]:
    """The keys that all types have alike."""
    return [field for field in entries[0].fields if all(field in entry.fields for entry in entries[1:])]


def _type(cls: type[Any], entry: TypeEntry, common: Sequence[TypeField]) -> Iterator[str]:
    own = [field for field in entry.fields if field not in common]
    yield f"## {entry.name}"
    yield markdown.docstring(entry.page or "")
    if own:
        yield key_table(cls, own)


def _used(kind: str, registry: Registry[Any]) -> str:
    """Where a configuration names one, and how."""
    if kind in _ELSEWHERE:
        return _ELSEWHERE[kind]
    keys = [f"`{place}`" for place in places(registry)]
    for other in kinds():
        for key, owners in holders(registry, registry_of(other)).items():
            few = [f"[{name}]({other}.md#{name})" for name in owners]
            noun = registry_of(other).kind if len(few) == 1 else other
            keys.append(f"`{key}` of the {noun} {joined(few, 'and')}")
    return (
        f"A configuration names {kind} in {joined(keys, 'and')}. "
        f"A bare name stands for the type with its defaults. In a terminal: `bp list {kind} NAME`."
    )

"""The graph of a network's operations as text that other programs draw: Graphviz's DOT, and Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def dot(nodes: Sequence[Json]) -> str:
    """For ``dot -Tsvg``: an arrow from operand to result with the structure of its local Jacobian."""
    lines = ["digraph network {", "  rankdir=BT;", '  node [shape=box, fontname="sans-serif"];']
    lines += [f"  {_quoted(name)} [shape=ellipse];" for name in _sources(nodes)]
    for node in nodes:
        label = f"{node['name']} [{', '.join(map(str, node['shape']))}]"
        lines.append(f"  {_quoted(node['name'])} [label={_quoted(label)}];")
    for by, name, structure in _arrows(nodes):
        lines.append(f"  {_quoted(by)} -> {_quoted(name)} [label={_quoted(structure)}];")
    return "\n".join([*lines, "}"])


def mermaid(nodes: Sequence[Json]) -> str:
    """For Markdown pages: a flowchart with the same arrows."""
    names = [*_sources(nodes), *(node["name"] for node in nodes)]
    number = {name: f"n{place}" for place, name in enumerate(names)}
    shapes = {node["name"]: f" [{', '.join(map(str, node['shape']))}]" for node in nodes}
    lines = ["flowchart BT"]
    for name in names:
        opening, closing = ("[", "]") if name in shapes else ("([", "])")
        lines.append(f'  {number[name]}{opening}"{name}{shapes.get(name, "")}"{closing}')
    lines += [f'  {number[by]} -- "{structure}" --> {number[name]}' for by, name, structure in _arrows(nodes)]
    return "\n".join(lines)


def _sources(nodes: Sequence[Json]) -> list[str]:
    """Inputs and parameters: what is read and computed by none."""
    made = {node["name"] for node in nodes}
    return list(
        dict.fromkeys(local["by"] for node in nodes for local in node["local_jacobians"] if local["by"] not in made)
    )


def _arrows(nodes: Sequence[Json]) -> Iterator[tuple[str, str, str]]:
    for node in nodes:
        yield from ((local["by"], node["name"], local["structure"]) for local in node["local_jacobians"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""The graph of a network's operations as text for other programs: Graphviz's DOT, and Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from backprop_cli.report.tables import shape_text

if TYPE_CHECKING:
    from backprop_cli.inspection.operations import Operation


def dot(nodes: Sequence[Operation]) -> str:
    """For ``dot -Tsvg``: arrows from operand to result, labelled with the structure of the local Jacobian."""
    lines = ["digraph network {", "  rankdir=BT;", '  node [shape=box, fontname="sans-serif"];']
    lines += [f"  {_quoted(name)} [shape=ellipse];" for name in _sources(nodes)]
    for node in nodes:
        label = f"{node.name} {shape_text(node.shape)}"
        lines.append(f"  {_quoted(node.name)} [label={_quoted(label)}];")
    for by, name, structure in _arrows(nodes):
        lines.append(f"  {_quoted(by)} -> {_quoted(name)} [label={_quoted(structure)}];")
    return "\n".join([*lines, "}"])


def mermaid(nodes: Sequence[Operation]) -> str:
    """A flowchart with the same arrows, for Markdown pages."""
    names = [*_sources(nodes), *(node.name for node in nodes)]
    number = {name: f"n{place}" for place, name in enumerate(names)}
    shapes = {node.name: f" {shape_text(node.shape)}" for node in nodes}
    lines = ["flowchart BT"]
    for name in names:
        opening, closing = ("[", "]") if name in shapes else ("([", "])")
        lines.append(f'  {number[name]}{opening}"{name}{shapes.get(name, "")}"{closing}')
    lines += [f'  {number[by]} -- "{structure}" --> {number[name]}' for by, name, structure in _arrows(nodes)]
    return "\n".join(lines)


def _sources(nodes: Sequence[Operation]) -> list[str]:
    """Names of inputs and parameters: operands that no operation computes."""
    made = {node.name for node in nodes}
    return list(dict.fromkeys(local.by for node in nodes for local in node.local_jacobians if local.by not in made))


def _arrows(nodes: Sequence[Operation]) -> Iterator[tuple[str, str, str]]:
    for node in nodes:
        yield from ((local.by, node.name, local.structure) for local in node.local_jacobians)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""The place of a value: ``("model", "layers", 0, "units")`` -> file, line, column, source line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import NamedTuple

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from backprop_cli.config.compose import children, width
from backprop_cli.errors import Problem, TreePath, path_text
from backprop_cli.structs import Struct


class Override(NamedTuple):
    """One KEY=VALUE of the command line: its words, and the path of the key."""

    words: str
    path: TreePath


class Source(Struct, eq=False):
    """The source of a tree: a text, and overrides.

    ``label`` names the file in messages. ``node`` is None without a text: an empty file, or a configuration stored in
    a checkpoint. ``overrides``: the override that set, or created, the value at each path.
    """

    label: str
    text: str = ""
    node: Node | None = None
    overrides: Mapping[TreePath, Override] = field(default_factory=dict)

    def placed(self, problem: Problem) -> Problem:
        """The problem with its place: the override that set the value, or the file, line and column.

        A value that is not in the text has the place of the nearest value around it.
        """
        if problem.line is not None:  # a problem with the text itself, whose reader knew the place
            return self._at(problem, problem.line - 1, (problem.column or 1) - 1, problem.width)
        override = self._override(problem.path)
        if override is not None:
            inside = "" if override.path == problem.path else f"{path_text(problem.path)}: "
            return problem._replace(reason=f"{inside}{problem.reason}", override=override.words)
        place = self._place(problem.path, problem.at_key)
        return problem._replace(file=self.label) if place is None else self._at(problem, *place)

    def _at(self, problem: Problem, line: int, column: int, width: int) -> Problem:
        source = self._lines[line] if line < len(self._lines) else ""
        return problem._replace(file=self.label, line=line + 1, column=column + 1, width=width, source=source or None)

    def _entries(self, node: Node) -> dict[str | int, tuple[Node | None, Node]]:
        """The entries of a collection by key or index; cached, because a collection may have many problems."""
        if id(node) not in self._known:
            self._known[id(node)] = {
                key if isinstance(key, str | int) else str(key): (key_node, value)
                for key, key_node, value in reversed(list(children(node)))
            }
        return self._known[id(node)]

    @cached_property
    def _known(self) -> dict[int, dict[str | int, tuple[Node | None, Node]]]:
        return {}

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()

    def _override(self, path: TreePath) -> Override | None:
        """The override that set the value at ``path`` or around it; of several, the innermost."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return self.overrides[path[:length]]
        return None

    def _place(self, path: TreePath, at_key: bool) -> tuple[int, int, int] | None:
        """(line, column, width), line and column from 0."""
        key_node, node = None, self.node
        if node is None:
            return None
        for step in path:
            entry = self._entries(node).get(step)
            if entry is None:
                at_key = False
                break
            key_node, node = entry
        shown = key_node if key_node is not None and (at_key or _is_shapeless(node)) else node
        return shown.start_mark.line, shown.start_mark.column, width(shown)


def _is_shapeless(node: Node) -> bool:
    """Whether to mark the key, because the value is empty or a block of several lines."""
    if isinstance(node, ScalarNode):
        return node.start_mark.index == node.end_mark.index
    if isinstance(node, MappingNode | SequenceNode):
        return not node.flow_style and node.end_mark.line != node.start_mark.line
    return False


def in_file_order(problems: Iterable[Problem], overrides: Sequence[str] = ()) -> list[Problem]:
    """Problems of the file by line and column, then those of the overrides in their order, without duplicates."""
    order = {words: place for place, words in reversed(list(enumerate(overrides)))}

    def place(problem: Problem) -> tuple[int, int, int]:
        if problem.override is None:
            return -1, problem.line or 0, problem.column or 0
        return order.get(problem.override, len(overrides)), 0, 0

    return sorted(dict.fromkeys(problems), key=place)

"""YAML text -> a graph of nodes that know their place -> a tree of plain values.

PyYAML scans and parses; what scalars mean, which tags exist, that keys are unique and how far aliases may
expand is decided here. The text is composed to nodes first because values have no place in a file, but nodes do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from backprop_cli.config import scalars
from backprop_cli.config.flaws import Flaw, UnreadableError, syntax_flaw
from backprop_cli.config.path import TreePath

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Values after aliases are expanded; a few lines of nested aliases can stand for billions."""

_LINE = re.compile("[^\n\r\x85\u2028\u2029]*")
_PLAIN = "plain"
_CORE = "tag:yaml.org,2002:"
_TAGS = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}


@dataclass
class Composed:
    """A text, read: its nodes, its tree of dict, list and scalars, and what was wrong on the way."""

    node: Node | None
    tree: Any
    flaws: list[Flaw] = field(default_factory=list)


def compose(text: str) -> Composed:
    """Read one YAML document. The empty text has no node and the tree None.

    Raises:
        UnreadableError: a syntax error, a text that is too long, too deep or expands too far.

    """
    if len(text) > MAX_CHARACTERS:
        reason = f"{len(text)} characters; a configuration has at most {MAX_CHARACTERS}: is this the right file?"
        raise UnreadableError(Flaw(reason, 0, 0))
    try:
        node = _Composer(text).single_node()
    except yaml.YAMLError as error:
        raise UnreadableError(syntax_flaw(error, text)) from None
    if node is None:
        return Composed(None, None)
    construction = _Construction()
    tree = construction.value(node, ())
    return Composed(node, tree, construction.flaws)


class _Composer(Reader, Scanner, Parser, Composer):
    """PyYAML up to nodes, without its YAML 1.1 resolver."""

    def __init__(self, text: str):
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        self.depth = 0

    def single_node(self) -> Node | None:
        """The document's top node, None for an empty text."""
        try:
            node: Node | None = self.get_single_node()
        except (ValueError, OverflowError):
            # PyYAML converts some escapes and directives without a look at their size: "\UFFFFFFFF".
            reason = "not valid YAML: a number in an escape or a directive is out of range"
            raise UnreadableError(Flaw(reason, self.line, self.column)) from None
        return node

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise UnreadableError(Flaw(f"nested deeper than {MAX_DEPTH} levels", mark.line, mark.column))
        node: Node | None = Composer.compose_node(self, parent, index)
        self.depth -= 1
        return node

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _CORE + "str"
        return _CORE + ("seq" if kind is SequenceNode else "map")

    def descend_resolver(self, parent: Any, index: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


class _Construction:
    """Values from nodes; goes on after a flaw, so that one reading finds them all."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []
        self.count = 0
        self.open: set[int] = set()

    def value(self, node: Node, path: TreePath) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise UnreadableError(
                _flaw(node, f"aliases expand to more than {MAX_VALUES} values; write fewer of them", path)
            )
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open:
            raise UnreadableError(_flaw(node, "contains itself through an alias", path))
        if len(path) >= MAX_DEPTH:
            raise UnreadableError(_flaw(node, f"nested deeper than {MAX_DEPTH} levels through aliases", path))
        self.open.add(id(node))
        try:
            return self.mapping(node, path) if isinstance(node, MappingNode) else self.sequence(node, path)
        finally:
            self.open.discard(id(node))

    def scalar(self, node: ScalarNode, path: TreePath) -> scalars.Scalar:
        text: str = node.value
        if node.tag == _CORE + "str":
            return text
        try:
            value = scalars.resolve(text)
        except ValueError as error:
            self.flaws.append(_flaw(node, str(error), path))
            return 0
        if node.tag != _PLAIN:
            expected = _TAGS.get(node.tag.removeprefix(_CORE))
            if expected is None:
                self.flaws.append(_flaw(node, _unknown_tag(node), path))
            elif type(value) not in expected:
                self.flaws.append(_flaw(node, f"{_shown_tag(node)} does not fit '{text}'", path))
        return value

    def sequence(self, node: Node, path: TreePath) -> list[Any]:
        if node.tag != _CORE + "seq":
            self.flaws.append(_flaw(node, _unknown_tag(node), path))
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: MappingNode, path: TreePath) -> dict[Any, Any]:
        if node.tag != _CORE + "map":
            self.flaws.append(_flaw(node, _unknown_tag(node), path))
        tree: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.flaws.append(
                    _flaw(key_node, "a key must be a single word or number, not a list or a mapping", path)
                )
                continue
            key = self.scalar(key_node, path)
            here = (*path, key if isinstance(key, str | int) else str(key))
            if key == "<<" and key_node.tag == _PLAIN:
                reason = (
                    "merge keys are not part of YAML 1.2; write the keys out, or use an alias for the whole mapping"
                )
                self.flaws.append(_flaw(key_node, reason, here))
                continue
            if key in tree:
                reason = f"duplicate key; first given on line {lines[key] + 1}"
                self.flaws.append(_flaw(key_node, reason, here))
                continue
            lines[key] = key_node.start_mark.line
            tree[key] = self.value(value_node, here)
        return tree


def _flaw(node: Node, reason: str, path: TreePath) -> Flaw:
    return Flaw(reason, node.start_mark.line, node.start_mark.column, width(node), path)


def width(node: Node) -> int:
    """Characters a node covers on its first line, at least 1; of a block that goes on, its first key."""
    start, end = node.start_mark, node.end_mark
    if end.line == start.line:
        return max(end.column - start.column, 1)
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return width(node.value[0][0])
    if isinstance(node, SequenceNode) and not node.flow_style:
        return 1
    rest = _LINE.match(str(start.buffer or ""), start.pointer)
    return max(len(rest[0].rstrip()), 1) if rest else 1


def children(node: Node) -> Iterator[tuple[Any, Node | None, Node]]:
    """(key or index, the key's node, the value's node) of a collection, first of equal keys only."""
    if isinstance(node, SequenceNode):
        yield from ((index, None, item) for index, item in enumerate(node.value))
    elif isinstance(node, MappingNode):
        quiet, seen = _Construction(), set()
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode):
                key = quiet.scalar(key_node, ())
                if key not in seen:
                    seen.add(key)
                    yield key, key_node, value_node


def _shown_tag(node: Node) -> str:
    tag: str = node.tag
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def _unknown_tag(node: Node) -> str:
    fitting = ", ".join("!!" + name for name in _TAGS)
    if not isinstance(node, ScalarNode):
        fitting = "!!map" if isinstance(node, MappingNode) else "!!seq"
    return f"unknown tag {_shown_tag(node)}; known here: {fitting}; leave it out"

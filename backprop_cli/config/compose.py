"""YAML text -> a graph of nodes with places -> a tree of plain values.

PyYAML scans and parses. This module decides the meaning of scalars, the known tags, unique keys and the limit of
aliases. The text becomes nodes first, because nodes have a place in the file and values have none.
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
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from backprop_cli.config import scalars
from backprop_cli.errors import Problem, TreePath

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Most values after the expansion of aliases: a few lines of nested aliases can stand for billions."""

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
    """A parsed text: its nodes, its tree of dicts, lists and scalars, and its problems."""

    node: Node | None
    tree: Any
    problems: list[Problem] = field(default_factory=list)


class UnreadableError(Exception):
    """The text is not YAML or too large, so nothing else in it can be checked."""

    def __init__(self, problem: Problem):
        self.problem = problem
        super().__init__(problem.message)


def _at(line: int, column: int, reason: str, way_out: str = "", path: TreePath = (), width: int = 1) -> Problem:
    """A problem with the text itself; ``line`` and ``column`` count from 0, as PyYAML's do."""
    return Problem(path, reason, way_out, line=line + 1, column=column + 1, width=width)


def compose(text: str) -> Composed:
    """Read one YAML document. The empty text has no node and the tree None.

    Raises:
        UnreadableError: a syntax error, or a text that is too long, nested too deeply or expands too far.

    """
    if len(text) > MAX_CHARACTERS:
        reason = f"{len(text)} characters; a configuration has at most {MAX_CHARACTERS}: is this the right file?"
        raise UnreadableError(_at(0, 0, reason))
    try:
        node = _Composer(text).single_node()
    except yaml.YAMLError as error:
        raise UnreadableError(_syntax_problem(error, text)) from None
    if node is None:
        return Composed(None, None)
    construction = _Construction()
    tree = construction.value(node, ())
    return Composed(node, tree, construction.problems)


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
            # PyYAML converts some escapes and directives without checking their range: "\UFFFFFFFF".
            reason = "not valid YAML: a number in an escape or a directive is out of range"
            raise UnreadableError(_at(self.line, self.column, reason)) from None
        return node

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise UnreadableError(_at(mark.line, mark.column, f"nested deeper than {MAX_DEPTH} levels"))
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
    """Makes values from nodes; continues after a problem, to find them all."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.count = 0
        self.open: set[int] = set()

    def value(self, node: Node, path: TreePath) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise UnreadableError(
                _problem(node, path, f"aliases expand to more than {MAX_VALUES} values", "write fewer of them")
            )
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open:
            raise UnreadableError(_problem(node, path, "contains itself through an alias"))
        if len(path) >= MAX_DEPTH:
            raise UnreadableError(_problem(node, path, f"nested deeper than {MAX_DEPTH} levels through aliases"))
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
            self.problems.append(_problem(node, path, str(error)))
            return 0
        if node.tag != _PLAIN:
            expected = _TAGS.get(node.tag.removeprefix(_CORE))
            if expected is None:
                self.problems.append(_unknown_tag(node, path))
            elif type(value) not in expected:
                self.problems.append(_problem(node, path, f"{_shown_tag(node)} does not fit '{text}'"))
        return value

    def sequence(self, node: Node, path: TreePath) -> list[Any]:
        if node.tag != _CORE + "seq":
            self.problems.append(_unknown_tag(node, path))
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: MappingNode, path: TreePath) -> dict[Any, Any]:
        if node.tag != _CORE + "map":
            self.problems.append(_unknown_tag(node, path))
        tree: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.problems.append(
                    _problem(key_node, path, "a key must be a single word or number, not a list or a mapping")
                )
                continue
            key = self.scalar(key_node, path)
            here = (*path, key if isinstance(key, str | int) else str(key))
            if key == "<<" and key_node.tag == _PLAIN:
                way_out = "write the keys out, or use an alias for the whole mapping"
                self.problems.append(_problem(key_node, here, "merge keys are not part of YAML 1.2", way_out))
                continue
            if key in tree:
                reason = f"duplicate key; first given on line {lines[key] + 1}"
                self.problems.append(_problem(key_node, here, reason))
                continue
            lines[key] = key_node.start_mark.line
            tree[key] = self.value(value_node, here)
        return tree


def _problem(node: Node, path: TreePath, reason: str, way_out: str = "") -> Problem:
    return _at(node.start_mark.line, node.start_mark.column, reason, way_out, path, width(node))


def width(node: Node) -> int:
    """Characters of a node on its first line, at least 1; for a block of several lines, those of its first key."""
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
    """(key or index, the key's node, the value's node) of a collection; of equal keys only the first."""
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


def _unknown_tag(node: Node, path: TreePath) -> Problem:
    fitting = ", ".join("!!" + name for name in _TAGS)
    if not isinstance(node, ScalarNode):
        fitting = "!!map" if isinstance(node, MappingNode) else "!!seq"
    return _problem(node, path, f"unknown tag {_shown_tag(node)}; known here: {fitting}", "leave it out")


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    """PyYAML's error as a problem, with the way out of common mistakes."""
    if isinstance(error, ReaderError):
        lines = (text[: error.position] + "^").splitlines()
        reason = f"not valid YAML: the character {_shown_character(error.character)} is not allowed"
        return _at(len(lines) - 1, len(lines[-1]) - 1, reason)
    assert isinstance(error, yaml.MarkedYAMLError)
    problem, mark, context = error.problem or error.context or "cannot be read", error.problem_mark, error.context or ""
    if "duplicate anchor" in context and error.context_mark is not None:
        problem = f"{context.partition(';')[0]}; first defined on line {error.context_mark.line + 1}"
    elif "quoted scalar" in context and "end of stream" in problem:
        problem, mark = "this quote is not closed", error.context_mark
    way_out = _missing_space(problem, mark, text) or _way_out(problem, context, error.context_mark, mark, text)
    reason = f"not valid YAML: {problem.removeprefix('but ')}"
    return _at(mark.line if mark else 0, mark.column if mark else 0, reason, way_out)


def _missing_space(problem: str, mark: yaml.Mark | None, text: str) -> str:
    """The hint at ``key:value`` above, which YAML reads as one text."""
    if mark is None or not any(words in problem for words in _AFTER_ONE_TEXT):
        return ""
    lines = text[: mark.index].split("\n")[:-1]
    above = next((number for number in range(len(lines), 0, -1) if _CONTENT.match(lines[number - 1])), 0)
    found = above and _NO_SPACE.match(lines[above - 1])
    return f"is a space missing after '{found[1]}:' in line {above}?" if found else ""


_AFTER_ONE_TEXT = ("mapping values are not allowed", "could not find expected ':'", "but found '<block mapping start>'")
_CONTENT = re.compile(r"\s*[^\s#]")
_NO_SPACE = re.compile(r"\s*(?:- )?([A-Za-z_]\w*):[^\s/]")
"""A key and a value without a space between them; not an address, ``https://...``."""


def _shown_character(character: str | int) -> str:
    code = character if isinstance(character, int) else ord(character)
    return f"U+{code:04X}"


_WAYS_OUT = {
    "mapping values are not allowed": "check the indentation, or put text that holds ': ' in quotes",
    "sequence entries are not allowed": "start the list on a line of its own",
    "undefined alias": "text that starts with '*' needs quotes",
    "another document": "a configuration is one document: remove the '---'",
    "unknown escape character": "write the backslash twice, or use single quotes",
    "cannot start any token": "text that starts with it needs quotes",
    "could not find expected ':'": "a key needs ': ' after it",
    "<block end>": "check the indentation and the quotes",
}
"""Ways out of common mistakes, by words in PyYAML's message."""


def _way_out(problem: str, context: str, opened: yaml.Mark | None, mark: yaml.Mark | None, text: str) -> str:
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "indent with spaces"
    if "flow" in context and opened is not None:
        bracket = text[opened.index : opened.index + 1]
        return f"is the '{bracket}' of line {opened.line + 1}, column {opened.column + 1} closed?"
    return next((way_out for words, way_out in _WAYS_OUT.items() if words in problem), "")

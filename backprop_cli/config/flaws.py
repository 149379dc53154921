"""What can be wrong with a YAML text itself, and PyYAML's words for it made into ours."""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from yaml.reader import ReaderError

from backprop_cli.config.path import TreePath


@dataclass(frozen=True)
class Flaw:
    """Something wrong in the text itself; ``line`` and ``column`` count from 0, ``path`` is the value it is in."""

    reason: str
    line: int
    column: int
    width: int = 1
    path: TreePath = ()


class UnreadableError(Exception):
    """The text is not YAML, or not a YAML that is read here; nothing can be said about the rest of it."""

    def __init__(self, flaw: Flaw):
        self.flaw = flaw
        super().__init__(flaw.reason)


def syntax_flaw(error: yaml.YAMLError, text: str) -> Flaw:
    """What PyYAML could not read, where, and the way out where it is known."""
    if isinstance(error, ReaderError):
        lines = (text[: error.position] + "^").splitlines()
        reason = f"not valid YAML: the character {_shown_character(error.character)} is not allowed"
        return Flaw(reason, len(lines) - 1, len(lines[-1]) - 1)
    assert isinstance(error, yaml.MarkedYAMLError)
    problem, mark, context = error.problem or error.context or "cannot be read", error.problem_mark, error.context or ""
    if "duplicate anchor" in context and error.context_mark is not None:
        problem = f"{context.partition(';')[0]}; first defined on line {error.context_mark.line + 1}"
    elif "quoted scalar" in context and "end of stream" in problem:
        problem, mark = "this quote is not closed", error.context_mark
    hint = _hint(problem, context, error.context_mark, mark, text)
    reason = f"not valid YAML: {problem.removeprefix('but ')}" + (f"; {hint}" if hint else "")
    return Flaw(reason, mark.line if mark else 0, mark.column if mark else 0)


def _shown_character(character: str | int) -> str:
    code = character if isinstance(character, int) else ord(character)
    return f"U+{code:04X}"


_HINTS = {
    "mapping values are not allowed": "check the indentation, or put text that holds ': ' in quotes",
    "sequence entries are not allowed": "start the list on a line of its own",
    "undefined alias": "text that starts with '*' needs quotes",
    "another document": "a configuration is one document: remove the '---'",
    "unknown escape character": "write the backslash twice, or use single quotes",
    "cannot start any token": "text that starts with it needs quotes",
    "could not find expected ':'": "a key needs ': ' after it",
    "<block end>": "check the indentation and the quotes",
}
"""The way out of the mistakes that people make most, by words of PyYAML's message."""


def _hint(problem: str, context: str, opened: yaml.Mark | None, mark: yaml.Mark | None, text: str) -> str:
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "indent with spaces"
    if "flow" in context and opened is not None:
        bracket = text[opened.index : opened.index + 1]
        return f"is the '{bracket}' of line {opened.line + 1}, column {opened.column + 1} closed?"
    return next((hint for words, hint in _HINTS.items() if words in problem), "")

"""KEY=VALUE on the command line: sets one value in the tree of a configuration, before the schema checks it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from backprop_cli.config.compose import MAX_DEPTH, UnreadableError, compose
from backprop_cli.config.locate import Override
from backprop_cli.errors import Problem, TreePath, path_text, plural
from backprop_cli.visible import shortened

_INTEGER = re.compile(r"-?[0-9]{1,9}")
_LINE = re.compile(r"(?P<key>[a-z_]+(?:\.\w+|\[-?[0-9]+\])*):(?:\s+(?P<value>.*))?", re.DOTALL)
_KEY = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[-?[0-9]+\])*")


class _RefusedError(Exception):
    """An override that cannot be applied; the message is the reason."""


def apply_overrides(tree: dict[Any, Any], overrides: Sequence[str]) -> tuple[dict[TreePath, Override], list[Problem]]:
    """Set each ``KEY=VALUE`` in ``tree``, in place and in order; a later one wins.

    Returns the override that set, or created, the value at each path, and the problems.
    """
    owners: dict[TreePath, Override] = {}
    problems = []
    for words in overrides:
        try:
            key, value = _parse(words)
            made, path = _set(tree, key, value)
        except _RefusedError as refused:
            problems.append(Problem((), str(refused), override=words))
            continue
        owners = {p: owner for p, owner in owners.items() if p[: len(path)] != path}
        owners |= {p: Override(words, path) for p in (*made, path)}
    return owners, problems


def _parse(words: str) -> tuple[list[str], Any]:
    """``model.layers[0].units=64`` -> (``["model", "layers", "0", "units"]``, 64)."""
    key, equals, text = words.partition("=")
    key = key.strip()
    if not equals:
        raise _RefusedError(_in_shell(words) or "expected KEY=VALUE, such as training.epochs=10")
    if not _KEY.fullmatch(key):
        raise _RefusedError(
            "expected a key before '=': names and list indexes with dots between, such as model.layers.0.units"
        )
    steps = key.replace("[", ".").replace("]", "").split(".")
    if len(steps) > MAX_DEPTH:
        raise _RefusedError(f"a key of {len(steps):,} steps; at most {MAX_DEPTH} are read")
    if text.strip() == "-":
        return steps, "-"  # standard input; YAML would take it for an empty list
    try:
        composed = compose(text)
    except UnreadableError as error:
        raise _RefusedError(error.problem.message) from None
    if composed.problems:
        raise _RefusedError("; ".join(problem.message for problem in composed.problems))
    return steps, composed.tree


def _in_shell(words: str) -> str:
    """The reason to refuse ``KEY: VALUE``, or ``KEY:`` if the shell cut it there; empty for other words."""
    found = _LINE.fullmatch(words)
    if found is None:
        return ""
    value = found["value"]
    if not value:
        return f"expected KEY=VALUE in one argument, such as '{found['key']}=VALUE'"
    if '"' not in value and "\\" not in value:
        value = value.replace("'", '"')  # single quotes surround the argument
    argument = shlex.quote(f"{found['key']}={value}")
    return f"expected KEY=VALUE; write {argument}"


def _set(tree: dict[Any, Any], steps: Sequence[str], value: Any) -> tuple[list[TreePath], TreePath]:
    """Put ``value`` at ``steps``; returns the paths of the mappings created for it, and its own path."""
    holder: Any = tree
    path: TreePath = ()
    made: list[TreePath] = []
    for step in steps[:-1]:
        key = _key(holder, step, path)
        path = (*path, key)
        inner = holder.get(key) if isinstance(holder, dict) else holder[key]
        if not isinstance(inner, dict | list):
            if inner is None or inner == "none":
                made.append(path)
            inner = holder[key] = _as_mapping(inner, path)
        holder = inner
    key = _key(holder, steps[-1], path)
    holder[key] = value
    return made, (*path, key)


def _as_mapping(value: Any, path: TreePath) -> dict[Any, Any]:
    """``value`` as a mapping: an empty one for null, and ``{type: ...}`` for a string."""
    if value is None or value == "none":
        return {}
    if isinstance(value, str):
        return {"type": value}
    raise _RefusedError(f"'{path_text(path)}' is {shortened(str(value), 40)}, which has no keys inside")


def _key(holder: dict[Any, Any] | list[Any], step: str, path: TreePath) -> str | int:
    """``step`` as a key of a mapping or as an index (negative: from the end) of a list."""
    if isinstance(holder, list):
        return _index(holder, step, path)
    if step in holder or not _INTEGER.fullmatch(step):
        return step
    return int(step)


def _index(items: list[Any], step: str, path: TreePath) -> int:
    count = len(items)
    valid = f"'{path_text(path)}' has {plural(count, 'item')}"
    if count:
        valid += ", 0 to " + str(count - 1) if count > 1 else ": 0"
    if not _INTEGER.fullmatch(step):
        raise _RefusedError(f"'{step}' is not a list index; {valid}")
    index = int(step)
    if not -count <= index < count:
        raise _RefusedError(f"no item {index}; {valid}")
    return index % count

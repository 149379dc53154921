"""Pydantic's errors as problems: the path of the wrong value, the reason and the way out.

Pydantic's locations have steps that are not in the file: the alternatives of a union.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from backprop_cli.config import scalars
from backprop_cli.config.fields import admits_none, description_at, field_at, fixed_length, settings_at
from backprop_cli.config.number_notation import is_number, respelled
from backprop_cli.config.unknown_keys import UNKNOWN_KEY, UnknownKeys
from backprop_cli.errors import Problem, TreePath, joined, nearest, plural
from backprop_cli.settings import EXPECTED, Settings
from backprop_cli.translations import translated_value


def schema_problems(error: ValidationError, top: type[Settings], tree: Any) -> list[Problem]:
    """The problems behind pydantic's errors, without a place.

    The alternatives of a union become one problem. A misspelt key is not also reported as missing.
    """
    problems: list[Problem] = []
    unknown = UnknownKeys(top, tree)
    for path, group in _by_value(_find_errors(error, tree)):
        if group[0].kind in _UNKNOWN_KEYS:
            problems.append(unknown.problem(path))
        else:
            problems.extend(_explain_value(path, group, top, tree))
    misspelt = {(each.path[:-1], _suggested(each.way_out)) for each in problems if each.at_key}
    return [
        each
        for each in dict.fromkeys(problems)
        if not (each.reason.startswith(_MISSING) and (each.path[:-1], each.path[-1]) in misspelt)
    ]


def got(value: Any, text_is_wrong: bool = False) -> str:
    """``value`` as a message shows it."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:37] + "..."
        return f"'{shown}'" + (" (text)" if text_is_wrong else "")
    return scalars.write(value) if isinstance(value, int | float) else str(value)


_CONSEQUENCES = ("default_factory_not_called",)
"""Errors that only follow from other errors."""

_UNKNOWN_KEYS = ("extra_forbidden", "invalid_key")

_MISSING = "required, but not given"


class _SchemaError(NamedTuple):
    """A pydantic error at its path in the tree. ``unions``: the paths at which it chose among alternatives."""

    path: TreePath
    unions: frozenset[TreePath]
    kind: str
    value: Any
    context: Mapping[str, Any]
    message: str


def _find_errors(error: ValidationError, tree: Any) -> list[_SchemaError]:
    """Every error at its path in ``tree``, without those of rejected alternatives."""
    entries = [entry for entry in error.errors(include_url=False) if entry["type"] not in _CONSEQUENCES]
    return _without_rejected_alternatives([_at_its_path(entry, tree) for entry in entries])


def _at_its_path(entry: Mapping[str, Any], tree: Any) -> _SchemaError:
    """Drop the steps of a pydantic location that name an alternative instead of a key or an index."""
    kind, node = entry["type"], tree
    path: TreePath = ()
    unions = set()
    steps = [step for step in entry["loc"] if step != "[key]"]
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        key = _key(node, step)
        if key is not None:
            path, node = (*path, key[0]), key[1]
        elif is_last and kind == "missing":
            path = (*path, step)
        else:
            unions.add(path)
    context = entry.get("ctx", {})
    if context.get("key") is not None and isinstance(node, dict) and context["key"] in node:
        path, node = (*path, context["key"]), node[context["key"]]
    return _SchemaError(path, frozenset(unions), kind, node, context, entry["msg"])


def _key(node: Any, step: str | int) -> tuple[str | int, Any] | None:
    """(key or index, value) that ``step`` means in ``node``, if any."""
    if isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
        return step, node[step]
    if isinstance(node, dict):
        if isinstance(step, str) and step in node:
            return step, node[step]
        # Pydantic writes keys that are neither text nor integer as text.
        for key, value in node.items():
            if key == step or str(key) == str(step):
                return (key if isinstance(key, str | int) else str(key)), value
    return None


def _without_rejected_alternatives(errors: Sequence[_SchemaError]) -> list[_SchemaError]:
    """If the value as a whole fits one alternative of a union, keep only the errors inside that alternative."""
    deeper = {union for error in errors for union in error.unions if len(error.path) > len(union)}
    return [error for error in errors if error.path not in deeper or error.path not in error.unions]


def _by_value(errors: Iterable[_SchemaError]) -> Iterable[tuple[TreePath, list[_SchemaError]]]:
    groups: dict[TreePath, list[_SchemaError]] = {}
    for error in errors:
        groups.setdefault(error.path, []).append(error)
    return groups.items()


def _explain_value(path: TreePath, errors: list[_SchemaError], top: type[Settings], tree: Any) -> list[Problem]:
    first = errors[0]
    if first.kind == "missing" and isinstance(path[-1], int):
        return [_missing_item(first, top, tree)]
    if first.kind == "missing":
        description = description_at(top, tree, path)
        return [Problem(path, f"{_MISSING}: {description}" if description else _MISSING)]
    if first.kind == "missing_type":
        return [_missing_type(path, first)]
    rules = [error for error in errors if not _is_wrong_sort(error)]
    if rules and all(_counts_rejected_items(error) for error in rules):
        return []
    if rules:
        return [Problem(path, reason) for reason in dict.fromkeys(map(_broken_rule, rules))]
    return [_wrong_sort(errors, path, top, tree)]


def _missing_item(error: _SchemaError, top: type[Settings], tree: Any) -> Problem:
    """A list that is too short; the same problem for each item that it lacks."""
    path, given = error.path[:-1], len(error.value)
    needed = fixed_length(field_at(top, tree, path)) or given + 1
    return Problem(path, f"needs {plural(needed, 'item')}, got {given}")


def _counts_rejected_items(error: _SchemaError) -> bool:
    """Whether a list is too short only because pydantic did not count its wrong items, which are reported anyway."""
    written = len(error.value) if isinstance(error.value, list | dict) else 0
    return error.kind == "too_short" and written >= error.context["min_length"]


def _is_wrong_sort(error: _SchemaError) -> bool:
    return error.kind in EXPECTED or error.kind == "literal_error"


def _missing_type(path: TreePath, error: _SchemaError) -> Problem:
    keys = [key for key in error.value if nearest(str(key), ["type"])] if isinstance(error.value, dict) else []
    if keys:
        return Problem((*path, keys[0]), UNKNOWN_KEY, "did you mean 'type'?", at_key=True)
    return Problem(path, str(error.context["reason"]))


def _suggested(way_out: str) -> str | None:
    found = re.fullmatch(r"did you mean '(.*)'\?", way_out)
    return found[1] if found else None


_BOUND: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda c: f"must be greater than {_number(c['gt'])}",
    "greater_than_equal": lambda c: f"must be at least {_number(c['ge'])}",
    "less_than": lambda c: f"must be less than {_number(c['lt'])}",
    "less_than_equal": lambda c: f"must be at most {_number(c['le'])}",
    "multiple_of": lambda c: f"must be a multiple of {_number(c['multiple_of'])}",
    "finite_number": lambda c: "must be finite",
    "string_too_short": lambda c: f"needs at least {plural(c['min_length'], 'character')}",
    "string_too_long": lambda c: f"may have at most {plural(c['max_length'], 'character')}",
}
"""Rules that a value of the right type can break; the message adds the value."""

_PATTERNS = {
    r"^\w+(\.\w+)+$": "must be a layer's name and its parameter's, such as dense_1.weight",
    r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$": "must be the name of a folder, without slashes and not starting with a dot",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "must be letters, digits and underscores, not starting with a digit",
}
"""Patterns of names in words."""


def _broken_rule(error: _SchemaError) -> str:
    kind, context = error.kind, error.context
    if kind in _BOUND:
        return f"{_BOUND[kind](context)}, got {got(error.value)}"
    if kind in ("too_short", "too_long"):
        bound = "at least" if kind == "too_short" else "at most"
        limit = context.get("min_length") if kind == "too_short" else context.get("max_length")
        return f"needs {bound} {plural(int(limit or 0), 'item')}, got {context.get('actual_length')}"
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"{_PATTERNS.get(pattern, f'must match the pattern {pattern}')}, got {got(error.value)}"
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if "reason" in context:
        return str(context["reason"])
    return f"{error.message[:1].lower()}{error.message[1:]}, got {got(error.value)}"


def _wrong_sort(errors: Sequence[_SchemaError], path: TreePath, top: type[Settings], tree: Any) -> Problem:
    """One problem that lists every expected type and word."""
    value = errors[0].value
    field = field_at(top, tree, path)
    words = [word for error in errors if error.kind == "literal_error" for word in _literals(error)]
    sorts = list(dict.fromkeys(EXPECTED[error.kind] for error in errors if error.kind in EXPECTED))
    none = ["none"] if field is not None and admits_none(field) and "none" not in sorts else []
    near = nearest(value, words) if isinstance(value, str) else None
    way_out = f"did you mean '{near}'?" if near else ""
    if not sorts:
        quoted = [f"'{word}'" for word in words] + none
        must = "must be " if len(quoted) == 1 else "must be one of "
        return Problem(path, f"{must}{', '.join(quoted)}, got {got(value)}", way_out)
    expected = joined([f"'{word}'" for word in words] + sorts + none, "or")
    way_out = way_out or _way_out(value, sorts, path[-1] if path else "", fixed_length(field))
    way_out = way_out or _as_mapping(value, sorts, settings_at(top, tree, path))
    return Problem(path, f"expected {expected}, got {got(value, 'text' not in sorts and not words)}", way_out)


def _as_mapping(value: Any, sorts: Sequence[str], classes: Sequence[type[Settings]]) -> str:
    """The mapping to write, if one is expected and ``value`` suits its first required key; else empty."""
    if "a mapping" not in sorts or len(classes) != 1 or not isinstance(value, str | int | float):
        return ""
    needed = [key for key, field in classes[0].model_fields.items() if field.is_required()]
    try:
        classes[0].model_validate(dict.fromkeys(needed[:1], value))
    except ValidationError:
        return ""
    return f"write {{{needed[0]}: {scalars.write(value)}}}" if needed else ""


def _literals(error: _SchemaError) -> list[str]:
    expected = str(error.context["expected"])
    return re.findall(r"'((?:[^'\\]|\\.)*)'", expected) or expected.replace(" or ", ", ").split(", ")


def _way_out(value: Any, sorts: Sequence[str], key: str | int, items: int | None = None) -> str:
    """How to write ``value`` as one of the expected ``sorts``; empty if unknown. ``items``: length of a list."""
    numeric = "a number" in sorts or "an integer" in sorts
    if isinstance(value, str) and numeric:
        if is_number(value):
            return "remove the quotes"
        ways = respelled(value, integer="a number" not in sorts)
        return f"write {' or '.join(ways)}" if ways else translated_value(key, value)
    if isinstance(value, str) and "true or false" in sorts:
        truth = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
        return f"write {truth[value.lower()]}" if value.lower() in truth else ""
    if isinstance(value, float) and "an integer" in sorts and value.is_integer():
        return f"write {int(value)}"
    if isinstance(value, bool | int | float) and "text" in sorts:
        return "put it in quotes"
    if isinstance(value, dict) and "a list" in sorts and value and all(isinstance(key, int) for key in value):
        # The override `metrics.0=f1` makes such a mapping if the file has no list there.
        scalar = all(isinstance(item, str | int | float) for item in value.values())
        return "write the whole list" + (f": [{', '.join(map(scalars.write, value.values()))}]" if scalar else "")
    if isinstance(value, str | int | float) and list(sorts) == ["a list"]:
        return f"write [{', '.join([scalars.write(value)] * (items or 1))}]"
    return ""


def _number(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)

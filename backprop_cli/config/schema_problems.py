"""What pydantic found, in the words of this project: which value, and one short sentence with the way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from backprop_cli.config import scalars
from backprop_cli.config.faults import UNKNOWN_KEY, Fault, find_faults
from backprop_cli.config.fields import admits_none, description_at, field_at, fixed_length, settings_at
from backprop_cli.config.number_text import is_number, respelled
from backprop_cli.config.path import TreePath
from backprop_cli.config.unknown_keys import UnknownKeys
from backprop_cli.errors import did_you_mean
from backprop_cli.settings import EXPECTED, Settings
from backprop_cli.translations import translated_value


@dataclass(frozen=True)
class Finding:
    """One mistake: the path of the value (with ``key``: it is the key that is wrong), and why."""

    path: TreePath
    reason: str
    key: bool = False


_BOUND: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda c: f"must be greater than {_number(c['gt'])}",
    "greater_than_equal": lambda c: f"must be at least {_number(c['ge'])}",
    "less_than": lambda c: f"must be less than {_number(c['lt'])}",
    "less_than_equal": lambda c: f"must be at most {_number(c['le'])}",
    "multiple_of": lambda c: f"must be a multiple of {_number(c['multiple_of'])}",
    "finite_number": lambda c: "must be finite",
    "string_too_short": lambda c: f"needs at least {_count(c['min_length'], 'character')}",
    "string_too_long": lambda c: f"may have at most {_count(c['max_length'], 'character')}",
}
"""The rule that a value of the right sort broke; the value is added to it."""

_PATTERNS = {
    r"^\w+(\.\w+)+$": "must be a layer's name and its parameter's, such as dense_1.weight",
    r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$": "must be the name of a folder, without slashes and not starting with a dot",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "must be letters, digits and underscores, not starting with a digit",
}
"""Patterns of names in words."""


def explain(error: ValidationError, top: type[Settings], tree: Any) -> list[Finding]:
    """Every mistake once: alternatives of a union become one sentence, a misspelt key is not also a missing one."""
    faults = find_faults(error, tree)
    findings: list[Finding] = []
    unknown = UnknownKeys(top, tree)
    for path, group in _by_value(faults):
        if group[0].kind in UNKNOWN_KEY:
            findings.append(Finding(path, unknown.reason(path), key=True))
        else:
            findings.extend(_explain_value(path, group, top, tree))
    misspelt = {(f.path[:-1], _suggested(f.reason)) for f in findings if f.key}
    return [
        f
        for f in dict.fromkeys(findings)
        if not (f.reason.startswith("required,") and (f.path[:-1], f.path[-1]) in misspelt)
    ]


def got(value: Any, text_is_wrong: bool = False) -> str:
    """``value`` as a message shows it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:37] + "..."
        return f"'{shown}'" + (" (text)" if text_is_wrong else "")
    return scalars.write(value) if isinstance(value, int | float) else str(value)


def _by_value(faults: Iterable[Fault]) -> Iterable[tuple[TreePath, list[Fault]]]:
    groups: dict[TreePath, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.path, []).append(fault)
    return groups.items()


def _explain_value(path: TreePath, faults: list[Fault], top: type[Settings], tree: Any) -> list[Finding]:
    first = faults[0]
    if first.kind == "missing" and isinstance(path[-1], int):
        return [_missing_item(first, top, tree)]
    if first.kind == "missing":
        return [Finding(path, _missing(path, top, tree))]
    if first.kind == "missing_type":
        return [_missing_type(path, first)]
    rules = [fault for fault in faults if not _is_wrong_sort(fault)]
    if rules and all(_counts_rejected_items(fault) for fault in rules):
        return []
    if rules:
        return [Finding(path, reason) for reason in dict.fromkeys(map(_broken_rule, rules))]
    return [Finding(path, _wrong_sort(faults, path, top, tree))]


def _missing_item(fault: Fault, top: type[Settings], tree: Any) -> Finding:
    """Of a list that has too few: the same for each that it lacks."""
    path, given = fault.path[:-1], len(fault.value)
    needed = fixed_length(field_at(top, tree, path)) or given + 1
    return Finding(path, f"needs {_count(needed, 'item')}, got {given}")


def _counts_rejected_items(fault: Fault) -> bool:
    """Whether a list is only too short because its wrong items, which are told one by one, were not counted."""
    written = len(fault.value) if isinstance(fault.value, list | dict) else 0
    return fault.kind == "too_short" and written >= fault.context["min_length"]


def _is_wrong_sort(fault: Fault) -> bool:
    return fault.kind in EXPECTED or fault.kind == "literal_error"


def _missing(path: TreePath, top: type[Settings], tree: Any) -> str:
    what = description_at(top, tree, path)
    return "required, but not given" + (f": {what}" if what else "")


def _missing_type(path: TreePath, fault: Fault) -> Finding:
    keys = [key for key in fault.value if did_you_mean(str(key), ["type"])] if isinstance(fault.value, dict) else []
    if keys:
        return Finding((*path, keys[0]), "unknown key; did you mean 'type'?", key=True)
    return Finding(path, str(fault.context["reason"]))


def _suggested(reason: str) -> str | None:
    found = re.search(r"did you mean '(.*)'\?$", reason)
    return found[1] if found else None


def _broken_rule(fault: Fault) -> str:
    kind, context = fault.kind, fault.context
    if kind in _BOUND:
        return f"{_BOUND[kind](context)}, got {got(fault.value)}"
    if kind in ("too_short", "too_long"):
        bound = "at least" if kind == "too_short" else "at most"
        limit = context.get("min_length") if kind == "too_short" else context.get("max_length")
        return f"needs {bound} {_count(int(limit or 0), 'item')}, got {context.get('actual_length')}"
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"{_PATTERNS.get(pattern, f'must match the pattern {pattern}')}, got {got(fault.value)}"
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if "reason" in context:
        return str(context["reason"])
    return f"{fault.message[:1].lower()}{fault.message[1:]}, got {got(fault.value)}"


def _wrong_sort(faults: Sequence[Fault], path: TreePath, top: type[Settings], tree: Any) -> str:
    """One sentence for all that the value might have been."""
    value = faults[0].value
    found = field_at(top, tree, path)
    words = [word for fault in faults if fault.kind == "literal_error" for word in _literals(fault)]
    sorts = list(dict.fromkeys(EXPECTED[fault.kind] for fault in faults if fault.kind in EXPECTED))
    none = ["none"] if found is not None and admits_none(found) and "none" not in sorts else []
    near = _near(value, words)
    if not sorts:
        quoted = [f"'{word}'" for word in words] + none
        must = "must be " if len(quoted) == 1 else "must be one of "
        return f"{must}{', '.join(quoted)}, got {got(value)}{near}"
    expected = _or([f"'{word}'" for word in words] + sorts + none)
    way_out = near or _way_out(value, sorts, path[-1] if path else "", fixed_length(found))
    way_out = way_out or _as_mapping(value, sorts, settings_at(top, tree, path))
    return f"expected {expected}, got {got(value, 'text' not in sorts and not words)}{way_out}"


def _as_mapping(value: Any, sorts: Sequence[str], classes: Sequence[type[Settings]]) -> str:
    """Where a mapping is wanted that has one key it needs, that key with the value."""
    if "a mapping" not in sorts or len(classes) != 1 or not isinstance(value, str | int | float):
        return ""
    needed = [key for key, field in classes[0].model_fields.items() if field.is_required()]
    try:
        classes[0].model_validate(dict.fromkeys(needed[:1], value))
    except ValidationError:
        return ""
    return f": write {{{needed[0]}: {scalars.write(value)}}}" if needed else ""


def _literals(fault: Fault) -> list[str]:
    expected = str(fault.context["expected"])
    return re.findall(r"'((?:[^'\\]|\\.)*)'", expected) or expected.replace(" or ", ", ").split(", ")


def _near(value: Any, words: Sequence[str]) -> str:
    return did_you_mean(value, words) if isinstance(value, str) else ""


def _way_out(value: Any, sorts: Sequence[str], key: str | int, items: int | None = None) -> str:
    """What to write instead, if the value of ``key`` shows it. ``items``: the length of a list."""
    numeric = "a number" in sorts or "an integer" in sorts
    if isinstance(value, str) and numeric:
        if is_number(value):
            return ": remove the quotes"
        ways = respelled(value, integer="a number" not in sorts)
        return f": write {' or '.join(ways)}" if ways else translated_value(key, value)
    if isinstance(value, str) and "true or false" in sorts:
        truth = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
        return f": write {truth[value.lower()]}" if value.lower() in truth else ""
    if isinstance(value, float) and "an integer" in sorts and value.is_integer():
        return f": write {int(value)}"
    if isinstance(value, bool | int | float) and "text" in sorts:
        return ": put it in quotes"
    if isinstance(value, dict) and "a list" in sorts and value and all(isinstance(key, int) for key in value):
        # As `metrics.0=f1` makes it where no list is written.
        scalar = all(isinstance(item, str | int | float) for item in value.values())
        whole = f" [{', '.join(map(scalars.write, value.values()))}]" if scalar else ""
        return f": write the whole list{whole and ':'}{whole}"
    if isinstance(value, str | int | float) and list(sorts) == ["a list"]:
        return f": write [{', '.join([scalars.write(value)] * (items or 1))}]"
    return ""


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _number(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

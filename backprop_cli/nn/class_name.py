"""Names of classes and categories: numbers, texts, true and false, matched by their spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Name = str | int | float | bool

_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_DECIMAL = re.compile(r"-?\d+\.\d+", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def spelled(name: object) -> str:
    """A name as files spell it: ``true`` and ``false`` for booleans."""
    return str(name).lower() if isinstance(name, bool) else str(name)


def named(text: str) -> str | int | float:
    """The number that a text spells as Python prints it (``7``, ``1.0``), else the text itself.

    ``007``, ``1.10`` and ``1e3`` stay texts: as numbers they would lose their spelling.
    """
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _LONGEST else text
    if _DECIMAL.fullmatch(text) and repr(float(text)) == text and text != "-0.0":
        return float(text)
    return text


_LONGEST = 300
"""Most digits of a text that becomes an integer: longer ones exceed float64."""


class Places:
    """Indices of distinct names, found by names from another file or from YAML.

    An equal name of the same kind comes first, then the text that spells it. Otherwise ``1``, ``1.0`` and the text
    ``'1'`` match, as do ``true``, ``True`` and the boolean, if only one of the names matches.
    """

    def __init__(self, names: Iterable[Name]):
        self._same: dict[Any, int] = {}
        alike: dict[Any, set[int]] = {}
        for place, name in enumerate(names):
            self._same.setdefault(exact(name), place)
            alike.setdefault(_alike(name), set()).add(place)
        self._alike = {key: min(places) for key, places in alike.items() if len(places) == 1}
        for kind, other in (("boolean", "number"), ("number", "boolean")):  # arrays spell booleans 0 and 1
            if self._same.keys() == {(kind, False), (kind, True)}:
                self._alike |= {(other, bit): self._same[kind, bit] for bit in (False, True)}

    def find(self, name: Name) -> int | None:
        """The index of ``name``; None if no name matches."""
        for key in (exact(name), ("text", spelled(name))):
            if key in self._same:
                return self._same[key]
        return self._alike.get(_alike(name))


def exact(name: Name) -> tuple[str, Any]:
    """A key that is equal for equal names of one kind; the number 1, the text ``'1'`` and true have different keys."""
    if isinstance(name, bool):
        return "boolean", name
    return ("text", name.strip()) if isinstance(name, str) else ("number", name)


def _alike(name: Name) -> tuple[str, Any]:
    """A key that is equal for names with the same spelling in files of different formats."""
    if not isinstance(name, str):
        return exact(name)
    text = name.strip()
    if text in _BOOLEANS:
        return "boolean", _BOOLEANS[text]
    return exact(named(text))

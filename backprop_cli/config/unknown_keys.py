"""Unknown keys, with the way out: our name for the key, or the section that has it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from backprop_cli.config.fields import choice_at, known_keys
from backprop_cli.config.number_notation import is_number
from backprop_cli.errors import Problem, TreePath, nearest
from backprop_cli.nn.layer import LAYERS
from backprop_cli.settings import Settings
from backprop_cli.translations import remark, translated_keys

UNKNOWN_KEY = "unknown key"

_DEEPEST = 3
"""Most steps to a key in another section: data.transform.numeric."""
_MOST_SEARCHED = 100
"""Most unknown keys that get a way out: looking for it compares names, and a file may have 100,000 keys."""


class UnknownKeys:
    """Explains keys of ``tree`` that its settings do not have."""

    def __init__(self, top: type[Settings], tree: Any):
        self._top, self._tree = top, tree
        self._searched = 0

    def problem(self, path: TreePath) -> Problem:
        """The problem of the key at ``path``. Its way out: our name, the section that has it, or the known keys."""
        self._searched += 1
        if self._searched > _MOST_SEARCHED:
            return Problem(path, UNKNOWN_KEY, at_key=True)
        known = known_keys(self._top, self._tree, path[:-1])
        way_out = self._translated(path, known) or self._misplaced(path, known)
        if not way_out and known:
            way_out = f"known: {', '.join(known)}"
        return Problem(path, UNKNOWN_KEY, way_out, at_key=True)

    def _translated(self, path: TreePath, known: list[str]) -> str:
        """For a key of another library: our key, a remark, or the section that has our key."""
        word = str(path[-1])
        ours = translated_keys(word)
        here = next((key for key in ours if key in known), None)
        if here is not None:
            return _did_you_mean(here)
        choice = choice_at(self._top, self._tree, path[:-1])
        found = remark((choice and choice[1]) or "", word, known.__contains__)
        if found is not None:
            return found
        if not ours or nearest(word, known):
            return ""
        return next(filter(None, (self._elsewhere(key, path) for key in (word, *ours))), "")

    def _misplaced(self, path: TreePath, known: list[str]) -> str:
        word = str(path[-1])
        near = nearest(word, known)
        hint = _did_you_mean(near) if near else ""
        if (near and len(path) > 1) or word in ("type", "name"):
            return hint
        other_number = word.removesuffix("s") if word.endswith("s") else f"{word}s"
        elsewhere = self._elsewhere(word, path) or hint or self._elsewhere(other_number, path)
        return elsewhere or self._of_other_types(path) or _cut_number(path, self._tree)

    def _elsewhere(self, word: str, path: TreePath) -> str:
        """The section that has the key, nearest to the top."""
        place = self._places.get(word)
        if place is None or place == path[:-1]:
            return ""
        if place:
            return _did_you_mean(".".join(map(str, (*place, word))))
        return f"{word} belongs at the top of the configuration, next to {path[0]}" if word == path[-1] else ""

    @cached_property
    def _places(self) -> dict[str, TreePath]:
        """The shortest path to a section with each key; items of lists are left out."""
        places: dict[str, TreePath] = {}
        level: list[TreePath] = [()]
        for _ in range(_DEEPEST):
            keys = [(place, key) for place in level for key in known_keys(self._top, self._tree, place)]
            for place, key in keys:
                places.setdefault(key, place)
            level = [(*place, key) for place, key in keys]
        return places

    def _of_other_types(self, path: TreePath) -> str:
        """A hint at other types that have the key; layers, if the section has no type."""
        choice = choice_at(self._top, self._tree, path[:-1])
        registry = LAYERS if choice is None else choice[0]
        owners = [name for name, cls in registry.items() if path[-1] in getattr(cls, "model_fields", ())]
        whose = "layers: " if choice is None else ""
        return f"it is a key of {whose}{', '.join(owners)}" if owners else ""


def _did_you_mean(name: str) -> str:
    return f"did you mean '{name}'?"


def _cut_number(path: TreePath, tree: Any) -> str:
    """A hint for a number that a comma cut in two: ``{learning_rate: 0,01}``."""
    holder: Any = tree
    for step in path[:-1]:
        holder = holder[step]
    if not isinstance(holder, dict) or not is_number(str(path[-1])):
        return ""
    before = None
    for key, value in holder.items():
        if str(key) == str(path[-1]):
            follows_number = isinstance(before, int | float) and not isinstance(before, bool)
            return "write decimals with a point: a comma ends the value" if value is None and follows_number else ""
        before = value
    return ""

"""Messages on unknown keys: the name used here, or the section that has the key."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from backprop_cli.config.fields import choice_at, known_keys
from backprop_cli.config.number_text import is_number
from backprop_cli.config.path import TreePath
from backprop_cli.errors import did_you_mean
from backprop_cli.nn.layer import LAYERS
from backprop_cli.settings import Settings
from backprop_cli.translations import remark, translated_keys

_DEEPEST = 3
"""Most steps to a key that is searched in other sections: data.transform.numeric."""
_MOST_HINTS = 100
"""Most unknown keys that get a hint, which compares names: a file may have 100,000 keys."""


class UnknownKeys:
    """The keys of ``tree`` that its settings do not have."""

    def __init__(self, top: type[Settings], tree: Any):
        self._top, self._tree = top, tree
        self._hints = 0

    def reason(self, path: TreePath) -> str:
        """``unknown key`` with a hint: the name used here, the section that has it, or the known keys."""
        self._hints += 1
        if self._hints > _MOST_HINTS:
            return "unknown key"
        known = known_keys(self._top, self._tree, path[:-1])
        way = self._translated(path, known) or self._way(path, known)
        return "unknown key" + (way or (f"; known: {', '.join(known)}" if known else ""))

    def _translated(self, path: TreePath, known: list[str]) -> str:
        """The hint for a key of another library: our key, a remark, or the key of another section."""
        word = str(path[-1])
        ours = translated_keys(word)
        here = next((key for key in ours if key in known), None)
        if here is not None:
            return f"; did you mean '{here}'?"
        found = choice_at(self._top, self._tree, path[:-1])
        said = remark((found and found[1]) or "", word, known.__contains__)
        if said is not None:
            return f"; {said}"
        if not ours or (len(path) > 1 and did_you_mean(word, known)):
            return ""
        return next(filter(None, (self._elsewhere(key, path) for key in (word, *ours))), "")

    def _way(self, path: TreePath, known: list[str]) -> str:
        word = str(path[-1])
        near = did_you_mean(word, known)
        if (near and len(path) > 1) or word in ("type", "name"):
            return near
        return self._elsewhere(word, path) or near or self._of_other_types(path) or _cut_number(path, self._tree)

    def _elsewhere(self, word: str, path: TreePath) -> str:
        """The hint on a section that has the key: the nearest to the top."""
        place = self._places.get(word)
        if place is None or place == path[:-1]:
            return ""
        if place:
            return f"; did you mean '{'.'.join(map(str, (*place, word)))}'?"
        return f"; {word} belongs at the top of the configuration, next to {path[0]}" if word == path[-1] else ""

    @cached_property
    def _places(self) -> dict[str, TreePath]:
        """The shortest path of a section with a key, by the key; items of lists are left out."""
        places: dict[str, TreePath] = {}
        level: list[TreePath] = [()]
        for _ in range(_DEEPEST):
            keys = [(place, key) for place in level for key in known_keys(self._top, self._tree, place)]
            for place, key in keys:
                places.setdefault(key, place)
            level = [(*place, key) for place, key in keys]
        return places

    def _of_other_types(self, path: TreePath) -> str:
        """The hint on other types that have the key; layers, if the section has no type."""
        found = choice_at(self._top, self._tree, path[:-1])
        registry = LAYERS if found is None else found[0]
        owners = [name for name, cls in registry.items() if path[-1] in getattr(cls, "model_fields", ())]
        whose = "layers: " if found is None else ""
        return f"; it is a key of {whose}{', '.join(owners)}" if owners else ""


def _cut_number(path: TreePath, tree: Any) -> str:
    """The hint on a number that a comma cut in two: ``{learning_rate: 0,01}``."""
    holder: Any = tree
    for step in path[:-1]:
        holder = holder[step]
    if not isinstance(holder, dict) or not is_number(str(path[-1])):
        return ""
    before = None
    for key, value in holder.items():
        if str(key) == str(path[-1]):
            follows_number = isinstance(before, int | float) and not isinstance(before, bool)
            return "; write decimals with a point: a comma ends the value" if value is None and follows_number else ""
        before = value
    return ""

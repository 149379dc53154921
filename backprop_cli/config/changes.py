"""Differences between two configurations, each with its rule for a resumed run: see ``settings.OnResume``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from backprop_cli.config import scalars
from backprop_cli.config.fields import has_marker
from backprop_cli.errors import TreePath
from backprop_cli.settings import REFUSED, IsPath, OnResume, Settings
from backprop_cli.visible import shortened


class Change(NamedTuple):
    """The value at ``path`` was ``before`` and is ``after``.

    ``is_file``: both values name a file, maybe the same one. ``what``: the name of the value if it is not at ``path``.
    """

    path: TreePath
    rule: OnResume
    before: Any
    after: Any
    is_file: bool = False
    what: str = ""

    def __str__(self) -> str:
        """``was tanh, would be relu: the numbers ... would mean something else``."""
        head = f"{self.what} " if self.what else ""
        return f"{head}was {_shown(self.before)}, would be {_shown(self.after)}: {self.rule.why}"


def changes(
    before: Any, after: Any, path: TreePath = (), rule: OnResume = REFUSED, is_file: bool = False
) -> Iterator[Change]:
    """The innermost values that differ, in the order of fields. Lists differ as a whole, unless they hold settings."""
    if isinstance(before, Settings) and isinstance(after, Settings):
        if type(before) is type(after):
            for key, field in type(after).model_fields.items():
                own = rule_of(field, rule), has_marker(field.annotation, tuple(field.metadata), IsPath)
                yield from changes(getattr(before, key), getattr(after, key), (*path, key), *own)
        elif "type" in type(before).model_fields and "type" in type(after).model_fields:
            own_rule = rule_of(type(after).model_fields["type"], rule)
            yield Change((*path, "type"), own_rule, before.type, after.type)  # type: ignore[attr-defined]
        else:
            yield Change(path, rule, before, after, is_file)
    elif _are_lists_of_settings(before, after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from changes(*pair, (*path, index), rule, is_file)
    elif before != after:
        yield Change(path, rule, before, after, is_file)


def rule_of(field: FieldInfo, around: OnResume) -> OnResume:
    """The field's own rule, else that of the section ``around`` it."""
    return next((mark for mark in field.metadata if isinstance(mark, OnResume)), around)


def _are_lists_of_settings(before: Any, after: Any) -> bool:
    both = isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after)
    return both and all(isinstance(item, Settings) for item in (*before, *after))


def _shown(value: Any) -> str:
    return shortened(_text(value))


def _text(value: Any) -> str:
    """The value as YAML; settings with a type as the name of the type alone."""
    if isinstance(value, Settings):
        keys = [key for key in type(value).model_fields if key in value.model_fields_set]
        return _text(getattr(value, "type", None) or {key: getattr(value, key) for key in keys})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "none" if value is None else scalars.write(value)

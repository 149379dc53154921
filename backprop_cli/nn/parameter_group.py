"""Parameters picked by name, and what an optimizer does otherwise with them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, create_model, model_serializer
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from backprop_cli.errors import did_you_mean
from backprop_cli.settings import Many, OneOrMany, Settings

Pattern = Annotated[str, Field(min_length=1)]
Patterns = Annotated[Many[Pattern], OneOrMany()]
"""Names of parameters, in which ``*`` stands for anything, dots included: ``*.bias``, ``embedding_*``."""


class ParameterGroup(Settings):
    """Some parameters, and the keys of the optimizer that are different for them."""

    parameters: Annotated[Many[Pattern], Field(min_length=1), OneOrMany()]
    """their names, with * for anything, as *.bias; a parameter is of the first group that has it"""

    def changes(self) -> dict[str, Any]:
        """The keys that are given."""
        return {key: getattr(self, key) for key in self.model_fields_set if key != "parameters"}

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = super().__get_pydantic_json_schema__(schema, handler)
        for key, described_key in handler.resolve_ref_schema(described).get("properties", {}).items():
            if key != "parameters":
                described_key.pop("default", None)  # what is not given is as the optimizer has it
        return described


def group_of(owner: type[Settings], but: Iterable[str]) -> type[ParameterGroup]:
    """The class of groups whose keys are those of ``owner``, none of them required; ``but``: without these."""
    fields = {key: _optional(field) for key, field in owner.model_fields.items() if key not in but}
    made: type[ParameterGroup] = create_model(
        f"{owner.__name__}Group",
        __base__=ParameterGroup,
        __module__=owner.__module__,
        **{key: (field.annotation, field) for key, field in fields.items()},  # type: ignore[call-overload]
    )
    made.like = owner
    return made


def _optional(field: FieldInfo) -> FieldInfo:
    """The same without a value of its own: None says that it is not given; it cannot be written."""
    found = copy.copy(field)
    found.default, found.default_factory = None, None
    return found


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns is that of a name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def near_pattern(pattern: str, names: Iterable[str]) -> str:
    """``"; did you mean '*.bias'?"`` for the nearest pattern that matches, else what the parameters are called."""
    names = list(names)
    known: Mapping[str, None] = dict.fromkeys(
        candidate for name in names for candidate in (name, *_patterns_of(*name.rsplit(".", 1)))
    )
    return did_you_mean(pattern, known) or f"; parameters: {first_names(names)}"


def first_names(names: Sequence[str], most: int = 8) -> str:
    """The names that a message has room for, and how many more there are."""
    return ", ".join(names[:most]) + (f", and {len(names) - most} more" if len(names) > most else "")


def _patterns_of(layer: str, parameter: str) -> tuple[str, ...]:
    return f"*.{parameter}", f"{layer}.*", f"{layer.rstrip('0123456789')}*"

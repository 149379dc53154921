"""Groups of parameters, chosen by name, with keys of the optimizer of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from backprop_cli.errors import did_you_mean, listing
from backprop_cli.settings import FREE, Many, OneOrMany, Positive, Settings, refusal

Pattern = Annotated[str, Field(min_length=1)]
Patterns = Annotated[Many[Pattern], OneOrMany()]
"""Names of parameters with ``*`` for any text, including dots: ``*.bias``, ``embedding_*``."""


class ParameterGroup(Settings):
    """Parameters, and the keys of the optimizer that differ for them."""

    parameters: Annotated[Many[Pattern], Field(min_length=1), OneOrMany()]
    """names of parameters, with * for any text, as *.bias; a parameter belongs to the first group that matches"""
    learning_rate_factor: Annotated[Positive, FREE] | None = None
    """learning rate as a multiple of the optimizer's, in place of a learning_rate of its own"""

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if {"learning_rate", "learning_rate_factor"} <= self.model_fields_set:
            raise refusal("sets the learning rate, and so does 'learning_rate'; leave one out", "learning_rate_factor")
        return self

    def changes(self, learning_rate: float) -> dict[str, Any]:
        """The keys that differ for its parameters, if ``learning_rate`` is the optimizer's."""
        given = {key: getattr(self, key) for key in self.model_fields_set if key != "parameters"}
        factor = given.pop("learning_rate_factor", None)
        return given if factor is None else {**given, "learning_rate": factor * learning_rate}

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = super().__get_pydantic_json_schema__(schema, handler)
        for key, described_key in handler.resolve_ref_schema(described).get("properties", {}).items():
            if key != "parameters":
                described_key.pop("default", None)  # a key that is not given has the optimizer's value
        return described


def group_of(owner: type[Settings], but: Iterable[str]) -> type[ParameterGroup]:
    """A class of groups with the keys of ``owner``, none of them required, without those in ``but``."""
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
    """The field with a default of None, which means that it is not given, and cannot be written."""
    found = copy.copy(field)
    found.default, found.default_factory = None, None
    return found


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def near_pattern(pattern: str, names: Iterable[str]) -> str:
    """``"; did you mean '*.bias'?"`` for the nearest pattern that matches, else the names of the parameters."""
    names = list(names)
    known: Mapping[str, None] = dict.fromkeys(
        candidate for name in names for candidate in (name, *_patterns_of(*name.rsplit(".", 1)))
    )
    return did_you_mean(pattern, known) or f"; parameters: {listing(names, 8)}"


def _patterns_of(layer: str, parameter: str) -> tuple[str, ...]:
    return f"*.{parameter}", f"{layer}.*", f"{layer.rstrip('0123456789')}*"

"""The pydantic base of everything that is written in YAML: its fields are its schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class Settings(BaseModel):
    """Immutable, hashable, strict (no text for a number), and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class NoneWord:
    """Pydantic marker: the word ``none`` means None, in the values that are read and in the JSON schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Any:
            return None if isinstance(value, str) and value == "none" else value

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"const": "none"}, handler(schema)]}


@dataclass(frozen=True)
class DefaultType:
    """Pydantic marker: the ``type`` of a mapping that names none, as in ``optimizer: {learning_rate: 1e-2}``."""

    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Any:
            return {"type": self.name, **value} if isinstance(value, dict) and "type" not in value else value

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        words, mapping = handler(schema)["anyOf"]
        # Without a type several alternatives may fit, so one of them is enough.
        return {"anyOf": [words, {"type": "object", "anyOf": mapping["oneOf"]}], "default": self.name}


Maybe = Annotated[T | None, NoneWord()]
"""``T``, or ``none`` (also YAML's null): the feature is off."""

Many = Annotated[tuple[T, ...], Strict(False)]
"""A YAML list, kept as a tuple so that settings stay hashable; its items stay strict."""


class IsPath:
    """Marker of a field that names a file: its text is relative to the configuration file, or absolute."""


FilePath = Annotated[str, IsPath(), Field(min_length=1)]
"""A file's path as written in the configuration."""

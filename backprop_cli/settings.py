"""The pydantic base of everything that is written in YAML: its fields are its schema."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict

T = TypeVar("T")


class Settings(BaseModel):
    """Immutable, hashable, strict (no text for a number), and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def _none(value: Any) -> Any:
    return None if isinstance(value, str) and value == "none" else value


Maybe = Annotated[T | None, BeforeValidator(_none)]
"""``T``, or ``none`` (also YAML's null): the feature is off."""

Many = Annotated[tuple[T, ...], Strict(False)]
"""A YAML list, kept as a tuple so that settings stay hashable; its items stay strict."""

"""Settings of the keys ``numbers`` and ``missing_values`` of ``data``: the meaning of texts in a source."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from backprop_cli.data.spelling import MINUS, tokens_of
from backprop_cli.settings import Maybe, Settings, refusal


def _mark(value: str) -> str:
    if value.isalnum() or value in f"+-(){MINUS}":
        raise refusal(f"must be a mark such as ',', not {value!r}")
    return value


Mark = Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_mark)]


class NumberSettings(Settings):
    """How texts spell numbers. U+2212, dashes, a trailing minus sign and parentheses also mean a minus: (5) is -5."""

    decimal: Mark = "."
    """mark before a fraction"""
    thousands: Maybe[Mark] = None
    """mark between groups of three digits, such as ",", "'" or " " (any space)"""
    strip: str = ""
    """currencies and units around a number, such as "$%"; those with letters are separated by spaces: "kg lbs" """

    @model_validator(mode="after")
    def _tell_marks_apart(self) -> NumberSettings:
        if self.decimal == self.thousands:
            raise refusal(f"'decimal' and 'thousands' are both {self.decimal!r}", "thousands")
        if any(token.isdigit() or token in "+-()" for token in tokens_of(self.strip)):
            raise refusal("names currencies and units, neither digits nor signs", "strip")
        return self


class NumbersByColumn(dict[str, NumberSettings]):
    """Spellings by column. Hashable, as settings must be; never modified."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def _spelling_kind(value: object) -> str:
    return "columns" if isinstance(value, dict) and value and _all_mappings(value) else "source"


def _all_mappings(value: dict[Any, Any]) -> bool:
    return all(isinstance(each, dict | NumberSettings) for each in value.values())


Spellings = Annotated[
    Annotated[NumberSettings, Tag("source")]
    | Annotated[dict[str, NumberSettings], AfterValidator(NumbersByColumn), Tag("columns")],
    Discriminator(_spelling_kind),
]
"""One spelling for the source, or a mapping from columns to theirs."""


def _as_text(value: object) -> object:
    """A value that YAML reads as a number or as null, as text: ``missing_values: [NA, -999, null]``."""
    if value is None:
        return "null"
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


MissingText = Annotated[str, BeforeValidator(_as_text)]

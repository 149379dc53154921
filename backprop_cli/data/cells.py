"""What a cell of text means: a number, a missing value, or a word."""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from backprop_cli.data.number_settings import NumbersByColumn, NumberSettings, Spellings
from backprop_cli.data.spelling import Spelling

MISSING = frozenset({"", "NA", "NaN", "nan", "null", "NULL", "None"})
"""Texts that mean a missing value in formats without null."""


def is_missing(cell: object, texts: Container[str] = MISSING) -> bool:
    """Whether a cell of text or a value of JSON is missing; ``texts`` mean a missing value."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip() in texts)


def number_of(cell: str) -> float | None:
    """The number that a cell spells, infinities included; None for other text.

    Unlike Python's ``float``, underscores are not allowed: ``2024_01`` is a word.
    """
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def is_finite(value: object) -> bool:
    """Whether a cell of text spells a finite number, or a value of JSON is one (within float64's range)."""
    number = number_of(value) if isinstance(value, str) else value
    try:
        return isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:
        return False


@dataclass(frozen=True)
class Reading:
    """The keys ``numbers`` and ``missing_values`` of a source; a network's further files are read like the first.

    ``is_first``: whether this is the first file, whose columns may turn out to have Python's spelling.
    """

    numbers: NumberSettings | dict[str, NumberSettings] | None = None
    missing_values: tuple[str, ...] | None = None
    is_first: bool = True

    def spelling(self, column: str) -> Spelling | None:
        """How the column's texts spell numbers; None: as Python does, in formats without numbers of their own."""
        own = self.numbers.get(column) if isinstance(self.numbers, dict) else self.numbers
        return None if own is None else Spelling(own.decimal, own.thousands, own.strip)

    def is_for_column(self, column: str) -> bool:
        """Whether a spelling is set for this column by name, which makes it a column of numbers."""
        return isinstance(self.numbers, dict) and column in self.numbers

    @property
    def is_for_source(self) -> bool:
        """Whether one spelling is set for all columns."""
        return isinstance(self.numbers, NumberSettings)

    def for_later(self, plain: Collection[str], columns: Iterable[str]) -> Reading:
        """How later files are read: each of ``columns`` as in the first file, where some were ``plain``."""
        numbers = self.numbers
        if plain and isinstance(numbers, NumberSettings):
            numbers = NumbersByColumn({column: numbers for column in columns if column not in plain})
        return replace(self, numbers=numbers, is_first=False)

    def missing(self, *, typed: bool) -> frozenset[str]:
        """Texts that mean a missing value, in formats with null (``typed``) or without."""
        if self.missing_values is None:
            return frozenset() if typed else MISSING
        return frozenset(text.strip() for text in self.missing_values)

    def to_json(self) -> dict[str, Any]:
        """Text and mappings only."""
        if isinstance(self.numbers, dict):
            numbers: Any = {column: own.model_dump() for column, own in self.numbers.items()}
        else:
            numbers = None if self.numbers is None else self.numbers.model_dump()
        missing = None if self.missing_values is None else list(self.missing_values)
        return {"numbers": numbers, "missing_values": missing}

    @staticmethod
    def from_json(tree: Mapping[str, Any]) -> Reading:
        """The inverse of ``to_json``, for later files of a trained network."""
        numbers, missing = tree.get("numbers"), tree.get("missing_values")
        return Reading(
            None if numbers is None else TypeAdapter(Spellings).validate_python(numbers),
            None if missing is None else tuple(map(str, missing)),
            is_first=False,
        )


PLAIN = Reading()
"""Numbers as Python spells them, and the usual texts for missing values."""

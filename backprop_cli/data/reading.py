"""How files are read: spellings of numbers, texts that mean a missing value, and images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Strict, Tag, TypeAdapter, model_validator

from backprop_cli.data.spelling import MINUS, MISSING, Spelling, tokens_of
from backprop_cli.settings import ByName, Maybe, PositiveInt, Settings, refusal


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
    """currencies and units around a number, such as "$%"; separate those with letters by spaces: "kg lbs" """

    @model_validator(mode="after")
    def _tell_marks_apart(self) -> NumberSettings:
        if self.decimal == self.thousands:
            raise refusal(f"'decimal' and 'thousands' are both {self.decimal!r}", "thousands")
        if any(token.isdigit() or token in "+-()" for token in tokens_of(self.strip)):
            raise refusal("names currencies and units, neither digits nor signs", "strip")
        return self


class NumbersByColumn(ByName[NumberSettings]):
    """Spellings by column."""


def _spelling_kind(value: object) -> str:
    return "columns" if isinstance(value, dict) and value and _all_mappings(value) else "source"


def _all_mappings(value: dict[Any, Any]) -> bool:
    return all(isinstance(each, dict | NumberSettings) for each in value.values())


Spellings = Annotated[
    Annotated[NumberSettings, Tag("source")]
    | Annotated[dict[str, NumberSettings], AfterValidator(NumbersByColumn), Tag("columns")],
    Discriminator(_spelling_kind),
]
"""One spelling for all columns, or a mapping from columns to spellings."""


def _as_text(value: object) -> object:
    """A value that YAML reads as a number or as null, as text: ``missing_values: [NA, -999, null]``."""
    if value is None:
        return "null"
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


MissingText = Annotated[str, BeforeValidator(_as_text)]


class ImageSettings(Settings):
    """How images are read."""

    size: Annotated[tuple[PositiveInt, PositiveInt], Strict(False)] | None = None
    """[height, width] in pixels to resize to; default: all images have one size"""
    mode: Literal["gray", "rgb"] | None = None
    """gray: one channel; rgb: three; default: the images' own mode, the same for all"""


class Reading(NamedTuple):
    """How files are read: the keys ``numbers``, ``missing_values`` and ``image`` of ``data``.

    ``is_first``: whether the transform is fitted on this file. Its columns may turn out to have Python's spelling.
    ``separator``: what separated the fields of the first file, if it is not its format's own; later files may differ.
    """

    numbers: NumberSettings | dict[str, NumberSettings] | None = None
    missing_values: tuple[str, ...] | None = None
    image: ImageSettings | None = None
    is_first: bool = True
    separator: str | None = None

    def spelling(self, column: str) -> Spelling | None:
        """The spelling of numbers in a column; None: Python's, or none for formats with numbers of their own."""
        own = self.numbers.get(column) if isinstance(self.numbers, dict) else self.numbers
        return None if own is None else Spelling(own.decimal, own.thousands, own.strip)

    def is_for_column(self, column: str) -> bool:
        """Whether a spelling is set for this column by name, which makes it a column of numbers."""
        return isinstance(self.numbers, dict) and column in self.numbers

    @property
    def is_for_source(self) -> bool:
        """Whether one spelling is set for all columns."""
        return isinstance(self.numbers, NumberSettings)

    def for_later(self, plain: Collection[str], columns: Iterable[str], image: ImageSettings | None) -> Reading:
        """How later files are read: like the first, whose ``plain`` columns have Python's spelling.

        ``columns``: all columns of the first file. ``image``: its images' mode, and the size to resize to.
        """
        numbers = self.numbers
        if plain and isinstance(numbers, NumberSettings):
            numbers = NumbersByColumn({column: numbers for column in columns if column not in plain})
        return self._replace(numbers=numbers, image=image, is_first=False)

    def missing(self, *, typed: bool) -> frozenset[str]:
        """Texts that mean a missing value, in formats with null (``typed``) or without."""
        if self.missing_values is None:
            return frozenset() if typed else MISSING
        return frozenset(text.strip() for text in self.missing_values)

    def to_json(self) -> dict[str, Any]:
        """All but ``image``, which the transform stores, as text and mappings."""
        if isinstance(self.numbers, dict):
            numbers: Any = {column: own.model_dump() for column, own in self.numbers.items()}
        else:
            numbers = None if self.numbers is None else self.numbers.model_dump()
        missing = None if self.missing_values is None else list(self.missing_values)
        separator = {} if self.separator is None else {"separator": self.separator}
        return {"numbers": numbers, "missing_values": missing, **separator}

    @staticmethod
    def from_json(tree: Mapping[str, Any], image: ImageSettings | None) -> Reading:
        """The inverse of ``to_json``, for later files of a trained network."""
        numbers, missing = tree.get("numbers"), tree.get("missing_values")
        return Reading(
            None if numbers is None else TypeAdapter(Spellings).validate_python(numbers),
            None if missing is None else tuple(map(str, missing)),
            image,
            is_first=False,
            separator=tree.get("separator"),
        )


PLAIN = Reading()
"""Numbers as Python spells them, and the usual texts for missing values."""

"""Messages on columns with unexpected numbers or categories, and the settings that read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from backprop_cli.data.reading import NumberSettings, Reading
from backprop_cli.data.spelling import ColumnSpelling, Spelling, find_spelling, number_of
from backprop_cli.data.table import show
from backprop_cli.errors import DataError, listing


class SpellingError(DataError):
    """Columns of numbers in a spelling that the settings do not read. The message is about the first.

    ``spellings``: for each column those that read all its texts, as in ``ColumnSpelling``.
    """

    def __init__(self, message: str, spellings: Mapping[str, tuple[Spelling, ...]]):
        self.spellings = spellings
        super().__init__(message)


def spelled_otherwise(place: str, found: ColumnSpelling, reading: Reading, column: str, kind: str) -> SpellingError:
    """The error for a column of numbers in a spelling that the settings do not read."""
    return SpellingError(_spelled_otherwise(place, found, reading, column, kind), {column: found.spellings})


def _spelled_otherwise(place: str, found: ColumnSpelling, reading: Reading, column: str, kind: str) -> str:
    names = f"; if they are names, write data.categories: [{in_yaml(column)}]" if kind == "auto" else ""
    head = f"{place}: expected {_expected(reading, column)}, got {show(found.example)}"
    if found.units:
        return f"{head}; the column has different units ({listing(found.units)}): convert its numbers to one{names}"
    if not found.spellings:
        return f"{head}; the column spells numbers in more than one way: spell them alike{names}"
    return f"{head}; {_way_out(found, reading, column)}{names}"


def no_number(place: str, cell: Any, reading: Reading, column: str) -> str:
    """The message for a value that is not a number, in a column that must be numeric."""
    head = f"{place}: expected {_expected(reading, column)}, got {show(cell)}"
    own = reading.spelling(column)
    reads = number_of if own is None else own.number
    found = find_spelling([cell], [1], reads) if isinstance(cell, str) else None
    if found is None or not found.spellings:
        if own is None:
            return _plainly(place, cell)
        return (
            f"{head}; correct it, or leave it empty if it is missing (or add it to data.missing_values)"
            if reading.is_first
            else head
        )
    if reading.is_first:
        return f"{head}; {_way_out(found, reading, column)}"
    return f"{head}; spell it as the training data does{_as_trained(found, reading, column, cell)}"


def mostly_numbers(place: str, cell: Any, numbers: int, values: int, column: str, kind: str) -> str:
    """The message for a value that is not a number, in a column where most values are numbers."""
    head = f"{_plainly(place, cell)} ({numbers:,} of the column's {values:,} values are numbers); correct it"
    if kind == "quantity":
        return f"{head}, or remove the row"
    return (
        f"{head}, leave it empty if it is missing (or add it to data.missing_values), or read the column as names "
        f"with data.categories: [{in_yaml(column)}]"
    )


def setting(spelling: Spelling) -> str:
    """The spelling as YAML: ``{thousands: ","}``."""
    default = NumberSettings()
    keys = ("decimal", "thousands", "strip")
    other = [key for key in keys if getattr(spelling, key) != getattr(default, key)] or ["decimal"]
    return "{" + ", ".join(f'{key}: "{getattr(spelling, key)}"' for key in other) + "}"


def _plainly(place: str, cell: Any) -> str:
    is_infinite = number_of(cell) in _INFINITE if isinstance(cell, str) else True
    return f"{place}: expected {'a finite number' if is_infinite else 'a number'}, got {show(cell)}"


_INFINITE = (math.inf, -math.inf)


def _expected(reading: Reading, column: str) -> str:
    own = reading.spelling(column)
    return "a plain number" if own is None else f"a number as data.numbers spells it, {setting(own)}"


def _way_out(found: ColumnSpelling, reading: Reading, column: str) -> str:
    """The settings that read the column, under its name if other spellings are set already."""
    ways = [setting(each) for each in found.spellings]
    if reading.numbers is not None:
        ways = [f"{{{in_yaml(column)}: {way}}}" for way in ways]
    first, *others = [f"data.numbers: {way}" for way in ways]
    return f"to read such numbers write {first}" + "".join(f", or {way} if that is its mark" for way in others)


def _as_trained(found: ColumnSpelling, reading: Reading, column: str, cell: str) -> str:
    own = reading.spelling(column)
    if own is not None or len(found.spellings) > 1:
        return ""
    number = found.spellings[0].number(cell)
    return "" if number is None else f": {repr(number).removesuffix('.0')}"


def in_yaml(name: str) -> str:
    """A name as written in a YAML list. Words with single spaces need no quotes there, which a shell would take."""
    return name if _PLAIN.fullmatch(name) else repr(name)


_PLAIN = re.compile(r"[^\W\d]\w*(?: \w+)*")


_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:1[6-9]|2[01])\d\d"
_NAME = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_CLOCK = r"(?:[T ,]+\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]\.?m\.?)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?(?:\d\d)?))?)?"
_FORMS = (
    rf"{_YEAR}([-/.]){_MONTH}\1{_DAY}",
    rf"{_DAY}([-/.]) ?{_MONTH}\1 ?{_YEAR}",
    rf"{_DAY}([-/]){_MONTH}\1\d\d",
    r"(?:0[1-9]|[12]\d|3[01])\.(?:0[1-9]|1[0-2])\.\d\d",  # 3.10.12 is a version
    rf"{_MONTH}([-/]){_DAY}\1(?:{_YEAR}|\d\d)",
    rf"{_YEAR}[-/]{_MONTH}",
    rf"{_DAY}(?:st|nd|rd|th)?\.?[- ]{_NAME}[-, ]+(?:{_YEAR}|\d\d)",
    rf"{_NAME}[- ]{_DAY}(?:st|nd|rd|th)?,? {_YEAR}",
    rf"{_NAME}[- ](?:{_YEAR}|\d\d)",
    rf"{_YEAR}[- ]{_NAME}[- ]{_DAY}",
    rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])T\d{{4,6}}Z?",
)


@cache
def _dates() -> tuple[re.Pattern[str], ...]:
    """Compiled on first use, to keep a start fast."""
    day = "(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
    return tuple(re.compile(f"{day}{form}{_CLOCK}", re.IGNORECASE) for form in _FORMS)


_SAMPLE = 1000


def look_like_dates(texts: Sequence[str]) -> bool:
    """Whether nearly all of these distinct texts look like dates: ``2024-01-31``, ``31.1.2024``, ``Jan 31, 2024``.

    Unlike ``times``, which must order dates and refuses ambiguous ones, this recognizes them in more spellings.
    """
    step = max(1, len(texts) // _SAMPLE)
    some = [text.strip() for text in texts[::step]]
    return bool(some) and sum(map(_is_date, some)) >= 0.9 * len(some)


def _is_date(text: str) -> bool:
    # Names of classes have no digits. Their columns need none of the patterns, which take 8 ms to compile.
    return any(map(str.isdigit, text)) and any(form.fullmatch(text) for form in _dates())

"""Recognition of columns of text that make poor categories: dates, identifiers, numbers that are names.

Unlike ``times``, which must order dates and refuses ambiguous ones, this only recognizes them, in more spellings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

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
    """Compiled when a text is looked at, which saves every start some milliseconds."""
    day = "(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
    return tuple(re.compile(f"{day}{form}{_CLOCK}", re.IGNORECASE) for form in _FORMS)


_SAMPLE = 1000


def look_like_dates(texts: Sequence[str]) -> bool:
    """Whether nearly all of these distinct texts look like dates: ``2024-01-31``, ``31.1.2024``, ``Jan 31, 2024``."""
    step = max(1, len(texts) // _SAMPLE)
    some = [text.strip() for text in texts[::step]]
    return bool(some) and sum(map(_is_date, some)) >= 0.9 * len(some)


def _is_date(text: str) -> bool:
    return any(form.fullmatch(text) for form in _dates())


def is_identifier(different: int, rows: int) -> bool:
    """Whether a column with this many ``different`` texts in ``rows`` rows identifies rows rather than groups them."""
    return rows >= _FEW and different >= 0.9 * rows


_FEW = 20
"""In fewer rows all texts may differ by chance."""

PADDED = re.compile(r"^[ \t]*0[0-9]+[ \t]*$", re.MULTILINE)
"""A whole number with leading zeros, which is a name: 007, 02116."""


def have_padding(texts: Sequence[str]) -> bool:
    """Whether these texts of numbers are names: all are whole, and some have leading zeros."""
    return any(map(PADDED.match, texts)) and all(text.isdigit() for text in texts)

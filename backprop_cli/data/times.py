"""Parsing of dates and times. They put the rows of a series in order, so they must be unambiguous."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache

from backprop_cli.data.spelling import number_of
from backprop_cli.data.table import alike, show
from backprop_cli.errors import DataError
from backprop_cli.structs import Struct

Key = int | float
"""Sort key of a time: the number itself, or nanoseconds since 1970."""

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_CLOCK = r"(?:[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9})\d*)?)?"
_CLOCK += r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|[+-]\d\d(?::?\d\d)?)?)?"
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
_PATTERNS: Mapping[str, Sequence[str]] = {
    "year first": (
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})(?:[-/.](?P<day>\d{1,2}))?",
        r"(?P<year>\d{4})-?Q(?P<quarter>[1-4])",
        r"(?P<year>\d{4})-?W(?P<week>\d\d)(?:-?(?P<weekday>[1-7]))?",
    ),
    "day first": (r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",),
    "day and month": (r"(?P<first>\d{1,2})(?P<mark>[-/])(?P<other>\d{1,2})(?P=mark)(?P<year>\d{4})",),
    "month's name": (
        rf"(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[- ])?{_NAME}[-, ]\s*(?P<year>\d{{4}})",
        rf"{_NAME}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})[- ]{_NAME}(?:[- ](?P<day>\d{{1,2}}))?",
    ),
}
_STYLES = {
    "year first": "a date with the year first",
    "day first": "a date with the day first",
    "day and month": "a date with day, month and year",
    "month's name": "a date with the month's name",
}
EXAMPLES = "2024-01-31, 2024-01-31 14:30, 31.01.2024, 31 Jan 2024, or a number"


@cache
def _compiled() -> list[tuple[str, re.Pattern[str]]]:
    """Compiled on first use, to keep a start fast."""
    return [(style, re.compile(text + _CLOCK)) for style, texts in _PATTERNS.items() for text in texts]


class _Parsed(Struct):
    style: str
    parts: Mapping[str, str | None]


class Times(Struct):
    """How a column spells times. ``day_first``: whether 1/2/2024 is in February; None if no time has that form."""

    day_first: bool | None = None

    @classmethod
    def of(cls, texts: Iterable[str], place: str) -> Times:
        """Infer the order of day and month from ``texts``. ``place`` names the column in messages.

        Raises: DataError if they are ambiguous or contradict each other.
        """
        pairs = {
            text: (int(str(found.parts["first"])), int(str(found.parts["other"])))
            for text in texts
            if (found := _match(text)) is not None and found.style == "day and month"
        }
        if not pairs:
            return cls()
        day = next((text for text, (first, _) in pairs.items() if first > 12), None)
        month = next((text for text, (_, other) in pairs.items() if other > 12), None)
        if day is not None and month is not None:
            raise DataError(
                f"{place}: {show(day)} begins with the day, {show(month)} with the month; write all dates alike, "
                f"best as 2024-01-31"
            )
        if day is None and month is None:
            text = next(iter(pairs))
            raise DataError(
                f"{place}: {show(text)} may begin with the day or with the month, and no other date decides it; write "
                "dates as 2024-01-31 (or 31.01.2024)"
            )
        return cls(day is not None)

    def keys(self, texts: Sequence[str | None], at: Callable[[int], str]) -> list[Key]:
        """The sort key of each row's text. ``at`` gives the place of a row for messages.

        Raises: DataError for a missing or malformed time, and for times spelled in several ways.
        """
        missing = [row for row, text in enumerate(texts) if text is None]
        if missing:
            raise DataError(f"{at(missing[0])}: the time is missing{alike(len(missing))}; fill it in or remove the row")
        distinct = dict.fromkeys(text for text in texts if text is not None)
        found = {text: self._key(text) for text in distinct}
        wrong = [row for row, text in enumerate(texts) if text is not None and found[text] is None]
        if wrong:
            got = show(texts[wrong[0]])
            raise DataError(f"{at(wrong[0])}: expected a time, got {got}{alike(len(wrong))}; times are {EXAMPLES}")
        self._check_alike(texts, at)
        return [key for text in texts if (key := found[str(text)]) is not None]

    @staticmethod
    def recognizes(text: str) -> bool:
        """Whether a text has the form of a date. Plain numbers have not."""
        return _kind(text) not in (None, _NUMBER)

    def date_key(self, text: str) -> Key | None:
        """Nanoseconds since 1970; None for a text that is no date, such as a number."""
        return self._key(text) if self.recognizes(text) else None

    def _key(self, text: str) -> Key | None:
        found = _match(text)
        try:
            return None if found is None else _value(found, self.day_first)
        except (ValueError, OverflowError):
            return None  # the 31st of June

    def _check_alike(self, texts: Sequence[str | None], at: Callable[[int], str]) -> None:
        kinds = {text: _kind(str(text)) for text in dict.fromkeys(texts)}
        counts = Counter(kinds[text] for text in texts)
        if len(counts) > 1:
            (usual, often), (other, seldom) = counts.most_common(2)
            row = next(row for row, text in enumerate(texts) if kinds[text] == other)
            like = next(text for text in texts if kinds[text] == usual)
            raise DataError(
                f"{at(row)}: {show(texts[row])} is spelled differently from {show(like)}: {seldom:,} of "
                f"{seldom + often:,} rows have {other}, not {usual}; write all times alike, best as "
                "2024-01-31 or 2024-01-31 14:30"
            )


def are_dates(texts: Sequence[str]) -> bool:
    """Whether all of these distinct texts are dates that ``Times`` may order. Plain numbers are not."""
    return bool(texts) and all(map(Times.recognizes, texts))


def are_numbers(texts: Sequence[str]) -> bool:
    """Whether all of these distinct texts are numbers."""
    return bool(texts) and all(number_of(text) is not None for text in texts)


_NUMBER = "a number"


def _kind(text: str) -> str | None:
    """The style of a time, which must be the same throughout a column; None for any other text."""
    found = _match(text)
    if found is None:
        return None
    if found.style == "number":
        return _NUMBER
    return f"{_STYLES[found.style]}{' and a time zone' if found.parts.get('zone') else ''}"


def _match(text: str) -> _Parsed | None:
    stripped = text.strip()
    if number_of(stripped) is not None:
        return _Parsed("number", {"number": stripped})
    for style, pattern in _compiled():
        found = pattern.fullmatch(stripped)
        if found is not None:
            return _Parsed(style, found.groupdict())
    return None


def _value(found: _Parsed, day_first: bool | None) -> Key:
    """The sort key. Raises: ValueError for a date that does not exist."""
    parts = found.parts
    if found.style == "number":
        text = str(parts["number"])
        number = float(text)
        if number - number != 0:
            raise ValueError(text)  # infinite or NaN
        return int(text) if text.lstrip("+-").isdigit() else number
    day = _day(found, day_first)
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    if parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if str(parts["half"]).lower().startswith("p") else 0)
    whole = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC) - _offset(parts.get("zone"))
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    nanoseconds = int((parts.get("fraction") or "0").ljust(9, "0"))
    return (since.days * 86_400 + since.seconds) * 10**9 + nanoseconds


def _day(found: _Parsed, day_first: bool | None) -> date:
    parts = found.parts
    year = int(str(parts["year"]))
    if parts.get("week"):
        return date.fromisocalendar(year, int(str(parts["week"])), int(parts.get("weekday") or 1))
    if parts.get("quarter"):
        return date(year, 3 * int(str(parts["quarter"])) - 2, 1)
    if found.style == "day and month":
        order = ("first", "other") if day_first else ("other", "first")
        if day_first is None:
            raise ValueError(year)
        return date(year, int(str(parts[order[1]])), int(str(parts[order[0]])))
    month = int(str(parts["month"])) if parts.get("month") else _month(str(parts["name"]))
    return date(year, month, int(parts.get("day") or 1))


def _month(name: str) -> int:
    """Raises: ValueError for another word."""
    numbers = {word: number for number, month in enumerate(_MONTHS, 1) for word in (month, month[:3])} | {"sept": 9}
    try:
        return numbers[name.lower()]
    except KeyError as error:
        raise ValueError(name) from error


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timedelta(minutes=minutes if zone[0] == "+" else -minutes)

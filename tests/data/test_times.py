"""Times as files spell them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backprop_cli.data.times import EXAMPLES, Times, are_dates
from backprop_cli.errors import DataError


def at(row: int) -> str:
    return f"x.csv:{row + 2}: column 'd'"


def keys(*texts: str | None, day_first: bool | None = None) -> list[int | float]:
    return Times(day_first).keys(texts, at)


def nanoseconds(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("2024-03-05", (2024, 3, 5)),
        ("2024-3-5", (2024, 3, 5)),
        ("2024/03/05", (2024, 3, 5)),
        ("2024.03.05", (2024, 3, 5)),
        (" 2024-03-05 ", (2024, 3, 5)),
        ("2024-03", (2024, 3, 1)),
        ("2024-Q3", (2024, 7, 1)),
        ("2024Q1", (2024, 1, 1)),
        ("2024-W10", (2024, 3, 4)),
        ("2024-W10-7", (2024, 3, 10)),
        ("2024-03-05 14:30", (2024, 3, 5, 14, 30)),
        ("2024-03-05T14:30:07", (2024, 3, 5, 14, 30, 7)),
        ("2024-03-05 02:30 PM", (2024, 3, 5, 14, 30)),
        ("2024-03-05 12:30 am", (2024, 3, 5, 0, 30)),
        ("2024-03-05T14:30:00Z", (2024, 3, 5, 14, 30)),
        ("2024-03-05 14:30:00+02:00", (2024, 3, 5, 12, 30)),
        ("2024-03-05T14:30-0530", (2024, 3, 5, 20, 0)),
        ("05.03.2024", (2024, 3, 5)),
        ("5.3.2024 14:30", (2024, 3, 5, 14, 30)),
        ("5 Mar 2024", (2024, 3, 5)),
        ("05-Mar-2024", (2024, 3, 5)),
        ("5 March 2024", (2024, 3, 5)),
        ("March 5, 2024", (2024, 3, 5)),
        ("Mar 5th 2024", (2024, 3, 5)),
        ("Mar 2024", (2024, 3, 1)),
        ("2024-Mar-05", (2024, 3, 5)),
        ("1850-01-01", (1850, 1, 1)),
    ],
)
def test_dates(text: str, parts: tuple[int, ...]) -> None:
    assert keys(text) == [nanoseconds(*parts)]


def test_fractions_of_seconds_and_numbers_are_exact() -> None:
    first, second = keys("2024-01-01 00:00:00.123456788", "2024-01-01 00:00:00.123456789")
    assert second - first == 1
    assert keys("20240105", "1.5", "-3", "1e3") == [20240105, 1.5, -3, 1000]
    assert keys("9007199254740993") == [9007199254740993]


def test_the_order_of_day_and_month_is_that_of_the_whole_column() -> None:
    place = "x.csv: column 'd'"
    days, months = Times.of(["01/02/2024", "13/02/2024"], place), Times.of(["01-02-2024", "02-13-2024"], place)
    assert (days.day_first, months.day_first) == (True, False)
    assert days.keys(["01/02/2024"], at) == [nanoseconds(2024, 2, 1)]
    assert months.keys(["01/02/2024 10:00"], at) == [nanoseconds(2024, 1, 2, 10)]
    assert Times.of(["2024-01-31", "31.01.2024"], place).day_first is None
    with pytest.raises(DataError) as caught:
        Times.of(["01/02/2024", "03/04/2024"], place)
    assert str(caught.value) == (
        "x.csv: column 'd': '01/02/2024' may begin with the day or with the month, and no other date decides it; write "
        "dates as 2024-01-31 (or 31.01.2024)"
    )
    with pytest.raises(DataError) as caught:
        Times.of(["13/02/2024", "02/14/2024"], place)
    assert str(caught.value) == (
        "x.csv: column 'd': '13/02/2024' begins with the day, '02/14/2024' with the month; write all dates alike, best "
        "as 2024-01-31"
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["2024-01-01", None], "x.csv:3: column 'd': the time is missing; fill it in or remove the row"),
        (
            [None, "2024-01-01", None],
            "x.csv:2: column 'd': the time is missing (2 rows like it); fill it in or remove the row",
        ),
        (["2024-01-01", "soon"], f"x.csv:3: column 'd': expected a time, got 'soon'; times are {EXAMPLES}"),
        (["2024-02-30"], f"x.csv:2: column 'd': expected a time, got '2024-02-30'; times are {EXAMPLES}"),
        (["2024-13-01"], f"x.csv:2: column 'd': expected a time, got '2024-13-01'; times are {EXAMPLES}"),
        (["5 Foo 2024"], f"x.csv:2: column 'd': expected a time, got '5 Foo 2024'; times are {EXAMPLES}"),
        (
            ["1/2/24", "1/3/24"],
            f"x.csv:2: column 'd': expected a time, got '1/2/24' (2 rows like it); times are {EXAMPLES}",
        ),
        (
            ["2024-01-01", "2024-01-02", "20240103"],
            "x.csv:4: column 'd': '20240103' is spelled differently from '2024-01-01': 1 of 3 rows have a number, "
            "not a date with the year first; write all times alike, best as 2024-01-31 or 2024-01-31 14:30",
        ),
        (
            ["2024-01-01 10:00", "2024-01-01 10:00Z", "2024-01-01 11:00"],
            "x.csv:3: column 'd': '2024-01-01 10:00Z' is spelled differently from '2024-01-01 10:00': 1 of 3 rows "
            "have a date with the year first and a time zone, not a date with the year first; write all times alike, "
            "best as 2024-01-31 or 2024-01-31 14:30",
        ),
    ],
)
def test_messages(texts: list[str | None], message: str) -> None:
    with pytest.raises(DataError) as caught:
        keys(*texts)
    assert str(caught.value) == message


def test_what_are_dates() -> None:
    assert are_dates(["2024-01-01", "2024-01-02"])
    assert are_dates(["01/02/2024"])
    for texts in ([], ["2024", "2025"], ["2024-01-01", "north"], ["north"], ["1.5"], ["may be"]):
        assert not are_dates(texts)

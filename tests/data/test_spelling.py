"""How texts spell numbers: what a setting reads, and which setting reads a column."""

from __future__ import annotations

import pytest

from backprop_cli.data.refusals import look_like_dates
from backprop_cli.data.spelling import Spelling, find_spelling, number_of
from backprop_cli.data.suspicious import is_identifier


@pytest.mark.parametrize(
    ("keys", "text", "number"),
    [
        ({}, "-1.5e3", -1500),
        ({}, ".5", 0.5),
        ({}, "5.", 5),
        ({}, "\u22125", -5),
        ({}, "12-", -12),
        ({}, "(12)", -12),
        ({}, "1e\u22122", 0.01),
        ({}, "(-5)", None),
        ({}, "--5", None),
        ({}, "(5", None),
        ({}, ".", None),
        ({}, "", None),
        ({}, "1e400", None),
        ({}, "1,234", None),
        ({"thousands": ","}, "1,234,567.5", 1234567.5),
        ({"thousands": ","}, "1,23,456", 123456),
        ({"thousands": ","}, "1234.5", 1234.5),
        ({"thousands": ","}, "12,5", None),
        ({"decimal": ","}, "-0,5", -0.5),
        ({"decimal": ","}, "1.5", None),
        ({"decimal": ",", "thousands": "."}, "1.234,5", 1234.5),
        ({"decimal": ",", "thousands": "."}, "0.100", None),
        ({"thousands": " "}, "1\u202f234\u00a0567", 1234567),
        ({"thousands": "'"}, "1\u2019234.50", 1234.5),
        ({"strip": "$"}, "-$5", -5),
        ({"strip": "$"}, "$-5", -5),
        ({"strip": "$"}, "($1200)", -1200),
        ({"strip": "$%"}, "12.5 %", 12.5),
        ({"strip": "$%"}, "5", 5),
        ({"strip": "kg"}, "5 KG", 5),
        ({"strip": "kg"}, "5 g", None),
        ({"strip": "m"}, "5 M", None),
        ({"strip": "mW"}, "5 MW", None),
        ({"strip": "km/h mph"}, "5mph", 5),
        ({"strip": "km/h"}, "5 km", None),
        ({"strip": "US$"}, "US$5", 5),
    ],
)
def test_numbers(keys: dict, text: str, number: float | None) -> None:
    assert Spelling(**keys).number(text) == number


def test_white_space_without_end_takes_no_time() -> None:
    for text in ("(" + " " * 100_000 + "x", "1" + " " * 100_000 + "x", "$ " * 50_000):
        assert Spelling(strip="$").number(text) is None
        assert find_spelling([text], [1], number_of) is None


@pytest.mark.parametrize(
    ("texts", "settings"),
    [
        (["1,000", "1,037"], [{"thousands": ","}, {"decimal": ","}]),
        (["0,125", "1,037"], [{"decimal": ","}]),
        (["1,000", "1,000,000"], [{"thousands": ","}]),
        (["12,5", "3"], [{"decimal": ","}]),
        (["1.234,5", "7"], [{"decimal": ",", "thousands": "."}]),
        (["1 234", "999"], [{"thousands": " "}]),
        (["1\u202f234,5", "999"], [{"decimal": ",", "thousands": " "}]),
        (["1'234.50", "12"], [{"thousands": "'"}]),
        (["$5", "$7.5", "6"], [{"strip": "$"}]),
        (["5 €", "1.000,50 €"], [{"decimal": ",", "thousands": ".", "strip": "€"}]),
        (["12.5%", "10 %", "0"], [{"strip": "%"}]),
        (["CHF 5", "CHF 6.50"], [{"strip": "CHF"}]),
        (["10 kg", "20kg", "7 KG"], [{"strip": "kg"}]),
        (["18 °C", "-2 °C"], [{"strip": "°C"}]),
        (["5 stars", "1 star"], [{"strip": "stars star"}]),
        (["\u22125", "3"], [{}]),
        (["\u20135", "\u2010.5", "\uff0d1e\u20132"], [{}]),
        (["1_000", "25_000_000"], [{"thousands": "_"}]),
        (["1,200 sq ft", "800 Sq Ft"], [{"thousands": ",", "strip": "sq ft"}, {"decimal": ",", "strip": "sq ft"}]),
        (["5 cubic m", "8 cubic m"], [{"strip": "cubic m"}]),
        (["5 ft.", "6.5 ft."], [{"strip": "ft."}]),
        (["(12)", "5"], [{}]),
        (["1.234.567", "5.5"], []),
    ],
)
def test_the_settings_that_read_a_column(texts: list[str], settings: list[dict]) -> None:
    found = find_spelling(texts, [1] * len(texts), number_of)
    assert found is not None
    assert found.spellings == tuple(Spelling(**keys) for keys in settings)
    for spelling in found.spellings:
        assert None not in map(spelling.number, texts)


@pytest.mark.parametrize(
    ("texts", "units"),
    [
        (["€5", "$7"], ("€", "$")),
        (["10 kg", "20 g"], ("kg", "g")),
        (["5 mW", "5 MW"], ("mW", "MW")),
        (["12.5%", "0.125"], ("%", "none")),
    ],
)
def test_different_units_have_no_setting(texts: list[str], units: tuple[str, ...]) -> None:
    found = find_spelling(texts, [1] * len(texts), number_of)
    assert found is not None
    assert (found.spellings, found.units) == ((), units)


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "2.5"],
        ["10 kg", "20 kg", "large"],
        ["12 Main St", "14 Main St"],
        ["2D", "3D"],
        ["5A", "5A"],
        ["2nd floor", "3rd floor"],
        ["4th", "5th"],
        ["12:30", "13:45"],
        ["5pm", "6pm"],
        ["1.2.3", "1.3.0"],
        ["192.168.0.1", "10.0.0.7"],
        ["555-1234", "555-4321"],
        ["+49 170 123 456", "+49 171 654 321"],
        ["612 345 678", "712 345 111", "655 444 333"],
        ["06 12 34 56 78", "06 11 22 33 44"],
        ["2024-01-31", "31.01.2024"],
        ["10-20", "20-30"],
        ["A 4", "A 5"],
        ["2024_01", "2024_02"],
        ["1_20", "2_35"],
        ["1\u20135", "6\u201310"],
        ["12 Square St", "14 Square St"],
        ["red", "blue"],
    ],
)
def test_texts_that_are_no_numbers(texts: list[str]) -> None:
    assert find_spelling(texts, [1] * len(texts), number_of) is None


def test_nearly_all_values_must_be_numbers() -> None:
    assert find_spelling(["$5", "call us"], [80, 20], number_of) is None
    assert find_spelling(["$5", "call us"], [81, 19], number_of) is not None


DATES = """2024-01-31|2024/1/5|1.2.2024|01/31/2024|31/01/24|2024-01-31 12:30:00.000|2024-01-31T12:30:00+01:00
Jan 5, 2024|5 Jan 2024|05-Jan-24|January 2024|Mon, 05 Jan 2024 10:00:00 GMT|2024-01|3/4/2021 5:06 PM|20240131T1200Z
5th March 1999"""
NO_DATES = "12:30|1.2.3|3.10.12|1.10|2024|555-1234|may|12 Main St|192.168.0.1|10-20|1-2-3|13/13/2024|2024-13-01|99"


@pytest.mark.parametrize("unknown", ["n/a", "N/A", "-", "?", "\u2014", "unknown", "#DIV/0!", "..."])
def test_placeholders_do_not_count(unknown: str) -> None:
    found = find_spelling(["$5", "$7", unknown], [3, 3, 20], number_of)
    assert found is not None
    assert found.spellings == (Spelling(strip="$"),)


def test_dates() -> None:
    assert [text for text in DATES.replace("\n", "|").split("|") if not look_like_dates([text])] == []
    assert [text for text in NO_DATES.split("|") if look_like_dates([text])] == []
    assert not look_like_dates([])


def test_identifiers() -> None:
    assert [is_identifier(*counts) for counts in ((80, 80), (72, 80), (71, 80), (10, 10))] == [True, True, False, False]

import math

import pytest

from backprop_cli.config.compose import compose
from backprop_cli.config.scalars import resolve, write

TABLE = [
    ("1e-3", 0.001),
    ("1E3", 1000.0),
    ("1.", 1.0),
    (".5", 0.5),
    ("-.5e+2", -50.0),
    ("+12", 12),
    ("0", 0),
    ("-0", 0),
    ("010", 10),
    ("0o10", 8),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("-0x1F", "-0x1F"),
    ("1_000", "1_000"),
    ("1:30", "1:30"),
    ("12e", "12e"),
    (".", "."),
    ("-", "-"),
    ("e3", "e3"),
    ("1e3.5", "1e3.5"),
    ("٣", "٣"),
    ("2026-01-31", "2026-01-31"),
    ("no", "no"),
    ("Yes", "Yes"),
    ("on", "on"),
    ("y", "y"),
    ("true", True),
    ("True", True),
    ("FALSE", False),
    ("tRue", "tRue"),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("~", None),
    ("", None),
    ("none", "none"),
    ("None", "None"),
    (".inf", math.inf),
    ("+.INF", math.inf),
    ("-.Inf", -math.inf),
    ("inf", "inf"),
    ("nan", "nan"),
    ("=", "="),
]


@pytest.mark.parametrize(("text", "value"), TABLE)
def test_unquoted_text_means_what_yaml_1_2_says(text, value):
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "value"), [row for row in TABLE if row[0] not in ("-", "=")])
def test_the_same_in_a_document(text, value):
    found = compose(f"key: {text}\n").tree["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text):
    assert math.isnan(resolve(text))


def test_quoted_text_is_text():
    for text, _ in TABLE:
        assert compose(f"key: '{text}'\n").tree == {"key": text}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "0.001"),
        (1e-08, "1e-08"),
        (1e16, "1e+16"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1.0, "1.0"),
        (math.inf, ".inf"),
        (-math.inf, "-.inf"),
        (math.nan, ".nan"),
        (True, "true"),
        (None, "null"),
        ("dense_1", "dense_1"),
        ("../data/digits.csv", "../data/digits.csv"),
        ("64", '"64"'),
        ("1e-3", '"1e-3"'),
        ("true", '"true"'),
        ("no", '"no"'),
        ("", '""'),
        ("~", '"~"'),
        ("a: b", '"a: b"'),
        ("# a", '"# a"'),
        ("x,y", '"x,y"'),
        ("étage", '"étage"'),
        ('"\\', '"\\"\\\\"'),
        ("a\nb\t\x00\x07\u2028\ud800", '"a\\nb\\t\\0\\x07\\u2028\\uD800"'),
    ],
)
def test_values_are_written_so_that_they_read_back(value, text):
    assert write(value) == text

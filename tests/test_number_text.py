"""Numbers and tables as text, by their whole text."""

import math

import pytest

from backprop_cli.errors import listing, plural
from backprop_cli.number_text import clock, duration, number, size
from backprop_cli.report.tables import confusion_table, pairs, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (12345, "12,345"),
        (0.123456, "0.1235"),
        (0.975, "0.975"),
        (3.2e-08, "3.2e-08"),
        (1.0, "1"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ("dense_1", "dense_1"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_size():
    assert [size(n) for n in (0, 999, 1000, 1_550_000, 2_300_000_000, 5_000_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.6 MB",
        "2.3 GB",
        "5000.0 GB",
    ]


def test_plural():
    assert [plural(n, "step") for n in (0, 1, 2, 1000)] == ["0 steps", "1 step", "2 steps", "1,000 steps"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00 s"), (0.534, "0.53 s"), (9.996, "10.0 s"), (59.94, "59.9 s"), (59.96, "1:00"), (7445, "2:04:05")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_clock():
    assert [clock(s) for s in (0, 12.4, 59.6, 3600)] == ["0:00", "0:12", "1:00", "1:00:00"]


def test_table_aligns_numbers_right():
    text = table(["name", "size", "error"], [["dense_1.weight", 640, 1e-8], ["b", 10, None]])
    assert text == (
        "name            size  error\n"  #
        "dense_1.weight   640  1e-08\n"
        "b                 10      -"
    )


def test_table_without_rows():
    assert table(["name", "size"], []) == "name  size"


def test_pairs_are_flat():
    assert pairs({"status": "finished", "metrics": {"test/loss": 0.5}, "shape": [1, 8, 8], "empty": []}) == (
        "status             finished\n"  #
        "metrics.test/loss  0.5\n"
        "shape              1, 8, 8\n"
        "empty              -"
    )
    assert pairs({}) == ""


def test_confusion():
    assert confusion_table(["cat", "dog"], [[18, 0], [2, 1000]]) == (
        "true \\ predicted  cat    dog\n"  #
        "cat                18      0\n"
        "dog                 2  1,000"
    )


def test_a_listing_counts_as_other_messages_do():
    assert listing(range(3759), 2) == "0, 1, ... (3,759 in all)"

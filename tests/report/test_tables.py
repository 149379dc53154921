"""Tables in the width of the terminal."""

import pytest

from backprop_cli.report.tables import confusion_table, pairs, table
from backprop_cli.visible import columns


def test_a_table_that_fits():
    assert table(["name", "count"], [["a b", 1], ["c", 1200]], 20) == "name  count\na b       1\nc     1,200"


def test_cells_wrap_between_words():
    assert table(["key", "value", ""], [["a", "one of several", "what it is for"], ["b", "x", "y"]], 24) == (
        "key  value    \na    one of    what it\n     several   is for\nb    x         y"
    ).replace("value    \n", "value\n")


def test_a_header_wraps_over_its_numbers():
    assert table(["name", "relative error"], [["a", 0.5]], 16) == "name    relative\n           error\na            0.5"


def test_columns_that_do_not_fit_stand_below():
    text = table(["name", "first", "second", "third"], [["one", 1111111, 2222222, 3333333]], 24)
    assert (
        text
        == "name      first\none   1,111,111\n\nname     second\none   2,222,222\n\nname      third\none   3,333,333"
    )


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_longer_than_the_terminal(width):
    rows = [[f"layer_{i}.weight", "a kind of it", [8, 8], "1/2", 1e-9, 2e-12, "PASS"] for i in range(3)]
    header = ["name", "kind", "shape", "checked", "relative error", "absolute error", "verdict"]
    text = table(header, rows, width)
    assert max(map(len, text.splitlines())) <= width
    classes = [f"class {i}" for i in range(40)]
    assert columns(max(confusion_table(classes, [[1] * 40] * 40).splitlines(), key=columns)) <= 80


def test_wide_and_obeyed_characters_keep_the_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert table(["c", "n"], [["漢字", "x"], ["e\u0301", "y"], ["\x1b[31m\n", "z"]]) == (
        "c           n\n漢字        x\ne\u0301           y\n\\x1b[31m\\n  z"
    )


def test_pairs_wrap_their_values():
    classes = [f"class_{i}" for i in range(8)]
    assert pairs({"classes": classes, "steps": 4}, 40) == (
        "classes  class_0, class_1, class_2,\n"
        "         class_3, class_4, class_5,\n"
        "         class_6, class_7\n"
        "steps    4"
    )

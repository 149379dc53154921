"""Control characters are printed as escapes; a source line is cut around its caret."""

import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backprop_cli.visible import columns, json_visible, marked, one_line, shortened, visible

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [red]text[/]", "plain [red]text[/]"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("over\rwritten", "over\\rwritten"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202egnp.exe\u2069", "\\u202egnp.exe\\u2069"),
        ("a\u2028b\ufeff", "a\\u2028b\\ufeff"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("é 漢字 👩\u200d🔬 \u0645\u06cc\u200c\u062e", "é 漢字 👩\u200d🔬 \u0645\u06cc\u200c\u062e"),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown


def test_every_control_and_every_bidirectional_character_is_escaped():
    for code in range(0x110000):
        char = chr(code)
        told = unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in (
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"),
        )
        if char not in "\t\n" and told:
            assert visible(char).startswith("\\"), hex(code)


def test_one_line():
    assert one_line("a\nwarning: b\t") == "a\\nwarning: b\\t"


@given(st.text())
def test_json_says_the_same_without_them(text):
    shown = json_visible(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(shown) == {"name": text}
    assert not OBEYED.search(shown)


def test_shortened():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("a" * 50 + "b" * 50, 20) == "a" * 12 + "..." + "b" * 5


@pytest.mark.parametrize(
    ("source", "column", "width", "room", "shown"),
    [
        ("units: 3", 7, 1, 20, ("units: 3", "       ^")),
        ("\tunits: 3", 1, 5, 20, ("\tunits: 3", "\t^^^^^")),
        ("漢字: x", 4, 1, 20, ("漢字: x", "      ^")),
        ("e\u0301: x", 4, 1, 20, ("e\u0301: x", "   ^")),
        ("\x1b: x", 3, 1, 20, ("\\x1b: x", "      ^")),
        ("a" * 100 + "X" + "b" * 100, 100, 1, 30, ("...aaaaaaaaXbbbbbbbbbbbbbbb...", "           ^")),
        ("X" + "b" * 100, 0, 1, 20, ("Xbbbbbbbbbbbbbbbb...", "^")),
        ("a" * 100 + "X", 100, 1, 20, ("...aaaaaaaaaaaaaaaaX", "                   ^")),
        ("X" * 100, 0, 100, 20, ("XXXXXXXXXXXXXXXXX...", "^^^^^^^^^^^^^^^^^")),
        ("", 0, 1, 20, ("", "^")),
    ],
)
def test_marked(source, column, width, room, shown):
    assert marked(source, column, width, room) == shown


lines = st.text("ab \t漢e\u0301\x1b\u202e", max_size=80)


@settings(max_examples=300)
@given(lines, lines, st.integers(1, 90), st.integers(20, 60))
def test_the_caret_is_below_its_character(before, after, width, room):
    shown, carets = marked(f"{before}X{after}", len(before), width, room)
    assert columns(shown.replace("\t", " " * 8)) <= room or columns(f"{before}X{after}") <= room
    padding = carets[: carets.index("^")]
    place = shown.index("X")
    assert columns(shown[:place]) == columns(padding)
    assert [c == "\t" for c in padding if c == "\t"] == [True] * shown[:place].count("\t")

"""JSON lines: types as JSON has them, keys that come and go, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backprop_cli.data.file import DataFile
from backprop_cli.data.formats import jsonl
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.table import Numbers, Table, Text
from backprop_cli.errors import DataError


def read(folder: Path, *lines: str, **options) -> Table:
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    return read_table(DataFile(folder / "data.jsonl"), Selection(**options))


def values(table: Table, name: str) -> list:
    column = table.columns[name]
    if isinstance(column, Numbers):
        return [None if x != x else x for x in column.values.tolist()]
    return [None if code < 0 else column.categories[code] for code in column.codes]


def test_numbers_text_and_missing_values(folder: Path) -> None:
    table = read(
        folder,
        '{"a": 1, "zip": "00501", "flag": true}',
        "",
        '{"zip": "10001", "a": null, "flag": false, "late": 2.5}',
        '{"a": NaN, "zip": "NA"}',
    )
    assert values(table, "a") == [1, None, None]
    assert values(table, "zip") == ["00501", "10001", "NA"]
    assert values(table, "flag") == [1, 0, None]
    assert values(table, "late") == [None, 2.5, None]
    assert table.lines is not None
    assert table.lines.tolist() == [1, 3, 4]


def test_labels_keep_their_types(folder: Path) -> None:
    table = read(folder, '{"k": true}', '{"k": 1}', '{"k": "1"}', '{"k": 1.5}', kinds={"k": "label"})
    column = table.columns["k"]
    assert isinstance(column, Text)
    assert [(type(c), c) for c in column.categories] == [(bool, True), (int, 1), (str, "1"), (float, 1.5)]


def test_text_that_comes_late(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "rows_per_chunk", lambda columns: 2 // columns)
    table = read(folder, '{"a": 1, "b": 1}', '{"a": "x", "b": 2}', '{"a": "y", "b": 3}')
    assert values(table, "a") == ["1", "x", "y"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1, "k"}', "data.jsonl:2: character 13: not JSON: Expecting ':' delimiter"),
        ("[1, 2]", 'data.jsonl:2: expected an object such as {"x": 1.5}, got [1, 2]'),
        (
            '{"a": [1, 2]}',
            "data.jsonl:2: column 'a': expected a number, text, true, false or null, got [1, 2]",
        ),
        ('{"a": 1, "a": 2}', "data.jsonl:2: key 'a' occurs twice in this object"),
        (
            '{"a": "5"}',
            "data.jsonl:2: column 'a': expected a number, got '5' (1 of the column's 2 values are numbers); "
            "correct it, leave it empty if it is missing (or add it to data.missing_values), or read the column as "
            "names with data.categories: [a]",
        ),
        (
            '{"a": Infinity}',
            "data.jsonl:2: column 'a': expected a finite number, got inf (1 of the column's 2 values are numbers); "
            "correct it, leave it empty if it is missing (or add it to data.missing_values), or read the column as "
            "names with data.categories: [a]",
        ),
        (
            '{"a": 1' + "0" * 400 + "}",
            "data.jsonl:2: column 'a': expected a finite number, got 1" + "0" * 56 + "... (1 of the column's 2 values "
            "are numbers); correct it, leave it empty if it is missing (or add it to data.missing_values), or read "
            "the column as names with data.categories: [a]",
        ),
    ],
)
def test_messages(folder: Path, line: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, '{"a": 1}', line)
    assert str(caught.value) == message


ARRAY = (
    "is a JSON array, expected JSON lines: one object per line, without enclosing brackets and commas; convert "
    "it with `jq -c '.[]' old > new`"
)
SPREAD = (
    "the object does not end on this line, expected JSON lines: one object per line; if it continues on the next line, "
    "convert the file with `jq -c . old > new`"
)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (['[{"x": 1},', '{"x": 2}]'], ARRAY),
        (['[{"x": 1}, {"x": 2}]'], ARRAY),
        (["[", '  {"x": 1}', "]"], ARRAY),
        (["{", '  "x": 1', "}"], SPREAD),
        (['{"x": 1,', '"y": 2}'], SPREAD),
        (["[" * 50_000], "lists or objects are nested too deeply"),
        (['{"x":' * 50_000], "lists or objects are nested too deeply"),
        ([r'{"x": "\ud83d"}'], r"\ud83d is half a character; write both halves or the character itself"),
        ([r'{"\udc00": 1}'], r"\udc00 is half a character; write both halves or the character itself"),
    ],
)
def test_json_that_is_no_json_lines(folder: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, *lines)
    assert str(caught.value) == f"data.jsonl:1: {reason}"


def test_both_halves_of_a_character(folder: Path) -> None:
    assert values(read(folder, r'{"x": "\ud83d\ude00"}', '{"x": "b"}'), "x") == ["😀", "b"]


def test_a_number_that_python_does_not_read(folder: Path) -> None:
    with pytest.raises(DataError, match=r":1: a number has more than 4,300 digits; if it is a name, write it as text$"):
        read(folder, '{"id": 1' + "0" * 5000 + "}")


def test_no_rows_and_no_such_key(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, "")
    assert str(caught.value) == "data.jsonl: has no rows"
    with pytest.raises(DataError) as caught:
        read(folder, '{"a": 1, "b": 2}', columns=["c"])
    assert str(caught.value) == "data.jsonl: no column 'c'; its columns: a, b"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"a": 1, "a": 2}'], "3: key 'a' occurs twice in this object"),
        ([r'{"a": "x\"y", "a": 2}'], "3: key 'a' occurs twice in this object"),
        ([r'{"a": "\\", "a": 2}'], "3: key 'a' occurs twice in this object"),
        (['{"a": 1}, {"a": 2}'], "3: character 9: not JSON: "),
        (['{"a": 1},{"a": 2}', '{"a": "b}', '{b"}'], "3: character 9: not JSON: "),
        (['{"a": 1},{"a": 2}', '{"a": [{}', '{"b": 1}]}'], "3: character 9: not JSON: "),
        (['{"a": 1', '"b": 2}', '{"a": 1},{"a": 2}'], "3: the object does not end on this line"),
        (['{"a": {}}'], "3: column 'a': expected a number, text, true, false or null, got {}"),
        (['{"a": "\\ud800"}'], "3: \\ud800 is half a character"),
        (['{"\\uDC00": 1}'], "3: \\udc00 is half a character"),
        (["[1]"], "3: expected an object"),
    ],
)
def test_lines_among_sound_ones_are_refused(folder: Path, lines: list[str], message: str) -> None:
    """However many lines are parsed together."""
    sound = ['{"a": 1}', '{"a": 2, "b": "x: \\"y\\""}']
    for more in ([], sound * 200):
        Path("d.jsonl").write_text("\n".join([*sound, *lines, *more]))
        with pytest.raises(DataError) as caught:
            read_table(DataFile(Path("d.jsonl")))
        assert str(caught.value).startswith(f"d.jsonl:{message}")


def test_characters_that_json_escapes(folder: Path) -> None:
    texts = ["é", "😀", 'x"y', "back\\slash", "\\", '\\"', "\\u0041", ":{}"]
    for escaped in (True, False):
        lines = [json.dumps({"a": text, text: "b"}, ensure_ascii=escaped) for text in texts]
        Path("d.jsonl").write_text("\n".join(lines * 3))
        table = read_table(DataFile(Path("d.jsonl")), Selection(["a"]))
        assert isinstance(table.columns["a"], Text)
        assert table.columns["a"].categories == tuple(texts)
        assert table.columns["a"].codes.tolist() == [*range(len(texts))] * 3

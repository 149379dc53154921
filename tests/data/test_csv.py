"""CSV and TSV: what a cell means, how lines are counted, and that numbers are those of ``float``."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS
from backprop_cli.data.formats import csv as csv_format
from backprop_cli.data.read import Selection, read_table, stream_tables
from backprop_cli.data.reading import PLAIN
from backprop_cli.data.table import Numbers, Table, Text
from backprop_cli.errors import DataError


def read(folder: Path, text: str | bytes, name: str = "data.csv", **options) -> Table:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(DataFile(folder / name), Selection(**options))


def plain(table: Table) -> dict[str, list]:
    """Columns as lists, None where a value is missing."""

    def cells(column):
        if isinstance(column, Numbers):
            return [None if math.isnan(x) else x for x in column.values.tolist()]
        return [None if code < 0 else column.categories[code] for code in column.codes]

    return {name: cells(column) for name, column in table.columns.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n3,4\n", {"a": [1, 3], "b": [2, 4]}),
        ("a,b\n1,x\n3,y", {"a": [1, 3], "b": ["x", "y"]}),
        ("\ufeffa,b\r\n1,x\r\n3,y\r\n", {"a": [1, 3], "b": ["x", "y"]}),
        ("\ufeffa,b\r\n1,2\r\n3,4\r\n", {"a": [1, 3], "b": [2, 4]}),
        ('a,b\n1,"x, y"\n3,"he said ""no"""\n', {"a": [1, 3], "b": ["x, y", 'he said "no"']}),
        ('"a","b c"\n1,"two\nlines"\n', {"a": [1], "b c": ["two\nlines"]}),
        ("a , b\n 1, 2\n3 ,4\n", {"a": [1, 3], "b": [2, 4]}),
        ("\n\na,b\n\n1,2\n\n   \n3,4\n\n", {"a": [1, 3], "b": [2, 4]}),
        # Of one column a blank line is an empty cell, but those at the end are none.
        ("a\n1\n\n2\n", {"a": [1, None, 2]}),
        ("\n\na\n\n1\n \n\n2\n\n\n", {"a": [None, 1, None, None, 2]}),
        ('a\r\n\r\n1\r\n""\r\n2\r\n""\r\n\r\n', {"a": [None, 1, None, 2, None]}),
        ("a\nx\n\ny\n\n", {"a": ["x", None, "y"]}),
        ('a\n"x\n\ny"\n\nz\n\n', {"a": ["x\n\ny", None, "z"]}),
        ("a,b\n,NA\nNaN,2\nnull,3\n4,\n", {"a": [None, None, None, 4], "b": [None, 2, 3, None]}),
        ("a,b\n,\n1,2\n", {"a": [None, 1], "b": [None, 2]}),
        ("a,b,c\n1,,\n,,3\n,2,\n", {"a": [1, None, None], "b": [None, None, 2], "c": [None, 3, None]}),
        ("a,b\nx,1\n,2\nNA,3\ny,4\n", {"a": ["x", None, None, "y"], "b": [1, 2, 3, 4]}),
        ("a,b\n,1\nNA,2\n", {"a": [None, None], "b": [1, 2]}),
        ("a,b\n1e3,-.5\n+2,1E-2\n", {"a": [1000, 2], "b": [-0.5, 0.01]}),
        ("a\n2024_01\n2024_02\n", {"a": ["2024_01", "2024_02"]}),
        ("0,1\n5,6\n", {"0": [5], "1": [6]}),
        ("a\n0012\nX7\nX8\n", {"a": ["0012", "X7", "X8"]}),
    ],
)
def test_what_cells_mean(folder: Path, text: str, expected: dict) -> None:
    assert plain(read(folder, text)) == expected


def test_tab_separated(folder: Path) -> None:
    table = read(folder, "a\tb\n1\tx, y\n\tz\n", "data.tsv")
    assert plain(table) == {"a": [1, None], "b": ["x, y", "z"]}
    assert plain(read(folder, "a\tb\n1\t2\n3\t4\n", "data.tab")) == {"a": [1, 3], "b": [2, 4]}


def test_lines_are_counted_as_an_editor_counts_them(folder: Path) -> None:
    table = read(folder, '\na,b\n1,"x\ny"\n\n2,z\n"3",w\n')
    assert table.lines is not None
    assert table.lines.tolist() == [3, 6, 7]


def test_a_number_read_as_label_text_or_number(folder: Path) -> None:
    text = "a\n1\n2.0\n007\n"
    assert plain(read(folder, text)) == {"a": [1, 2, 7]}
    assert plain(read(folder, text, kinds={"a": "text"})) == {"a": ["1", "2.0", "007"]}
    labels = read(folder, text, kinds={"a": "label"}).columns["a"]
    assert isinstance(labels, Text)
    assert [labels.categories[code] for code in labels.codes] == [1, 2.0, "007"]


@pytest.mark.parametrize("kind", ["auto", "label", "text", "number"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", [False, True])
def test_an_empty_cell_at_the_end_of_the_file_is_a_missing_value(
    folder: Path, kind: str, newline: str, end: bool
) -> None:
    lines = newline.join(["x,y", "1,2", "3,"]) + newline * end
    table = read(folder, lines, kinds={"y": kind})
    first = {"label": 2, "text": "2"}.get(kind, 2.0)
    assert plain(table) == {"x": [1.0, 3.0], "y": [first, None]}


def test_labels_too_large_for_a_float_stay_exact(folder: Path) -> None:
    labels = read(folder, f"a\n{2**53}\n{2**53 + 1}\n", kinds={"a": "label"}).columns["a"]
    assert isinstance(labels, Text)
    assert labels.categories == (2**53, 2**53 + 1)


def test_only_the_columns_asked_for_are_looked_at(folder: Path) -> None:
    text = "a,spoilt,b\n1,2,3\n4,oops,6\n7,8,9\n"
    assert plain(read(folder, text, columns=["b", "a"])) == {"b": [3, 6, 9], "a": [1, 4, 7]}
    assert plain(read(folder, text.replace("oops", "5"), columns=["b"])) == {"b": [3, 6, 9]}


def test_a_column_whose_text_comes_late_keeps_its_first_cells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "rows_per_chunk", lambda columns: 4 // columns)
    text = "a,b\n001,1\n2,2\nx,3\ny,4\nx,5\n"
    assert plain(read(folder, text)) == {"a": ["001", "2", "x", "y", "x"], "b": [1, 2, 3, 4, 5]}
    assert plain(read(folder, "a,b\nx,1\ny,2\n001,3\n2,4\nz,5\n"))["a"] == ["x", "y", "001", "2", "z"]


def test_a_wrong_number_after_many_chunks_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "rows_per_chunk", lambda columns: 4 // columns)
    with pytest.raises(DataError) as caught:
        read(folder, "a,b\n1,1\n2,2\n3,3\nx,4\n5,5\n6,\n7,7\n")
    assert str(caught.value) == (
        "data.csv:5: column 'a': expected a number, got 'x' (6 of the column's 7 values are numbers); "
        "correct it, leave it empty if it is missing (or add it to data.missing_values), or read the column as "
        "names with data.categories: [a]"
    )


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["", "NA", "NaN", "nan", "null", "1e5", "+.5", "5.", "1e-320", " 7", "1E+2"]),
)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=20), st.sampled_from(["\n", "\r\n"]))
def test_numbers_are_those_of_float(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], newline: str
) -> None:
    text = newline.join(["a,b,c", *(",".join(row) for row in rows)])
    table = read(tmp_path_factory.getbasetemp(), text, "numbers.csv", default="quantity")
    for name, cells in zip("abc", zip(*rows, strict=True), strict=True):
        expected = [math.nan if cell in ("", "NA", "null") else float(cell) for cell in cells]
        column = table.columns[name]
        assert isinstance(column, Numbers)
        np.testing.assert_array_equal(column.values, expected)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8).filter(
    lambda text: text == text.lstrip(" ")  # spaces after a comma do not count
)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12))
def test_text_survives_a_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("first", "second"), *rows])
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_bytes(buffer.getvalue().encode())
    table = read_table(DataFile(path), Selection(kinds={"first": "text", "second": "text"}))
    missing = {"", "NA", "NaN", "nan", "null", "NULL", "None"}
    for j, name in enumerate(("first", "second")):
        expected = [None if row[j].strip() in missing else row[j].strip() for row in rows]
        assert plain(table)[name] == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_survive_a_round_trip(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    text = "x\n" + "".join(f"{value!r}\n" for value in values)
    column = read(tmp_path_factory.getbasetemp(), text, "floats.csv").columns["x"]
    assert isinstance(column, Numbers)
    assert column.values.tolist() == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv: the file is empty"),
        ("\n \n", "data.csv: the file is empty; expected a header line and rows"),
        ("a,b\n", "data.csv: has no rows under the header"),
        ("a,b", "data.csv: has no rows under the header"),
        ("a,b,a\n1,2,3\n", "data.csv:1: columns 1 and 3 are both called 'a'; rename one"),
        (
            ",b\n1,2\n",
            "data.csv:1: column 1 has no name; name it in the header, or remove it (pandas: index=False)",
        ),
        (
            "\n5.1,3.5\n4.9,3.0\n",
            "data.csv:2: expected a header with the columns' names, got numbers (5.1, 3.5); "
            "add a first line with names",
        ),
        ("a,b,c\n1,2,3\n1,2\n", "data.csv:3: 2 fields, expected 3 as in the header; column 'c' has no value"),
        ("a,b\n1,2\n\n1,x\n1\n", "data.csv:5: 1 field, expected 2 as in the header; column 'b' has no value"),
        (
            'a,b\n1,"2\n3"\n1,2,3\n',
            "data.csv:4: 3 fields, expected 2 as in the header; the first extra field is '3'; "
            "a value with a comma must be quoted",
        ),
        ('a,b\n1,2\n"1,2\n3,4\n', "data.csv:3: a field opened with '\"' in this row is never closed"),
        (
            'a,b\n"1,2\n' + "3,4\n" * 40_000,
            "data.csv:2: a field in this row has more than 131,072 characters; is its quote closed?",
        ),
        (
            'a,b\n1,"x"y\n',
            "data.csv:2: text after a closing quote; write a quote inside a quoted field as '\"\"'",
        ),
        (
            "a,b\r1,2\r",
            "data.csv:1: a carriage return in a line; end lines with a newline (tr '\\r' '\\n' < old > new)",
        ),
        (
            "a,b\r\n1,x\ry\r\n",
            "data.csv:2: a carriage return in the middle of a line; remove it (tr -d '\\r' < old > new)",
        ),
        (
            "a,b\n1,é\n".encode("latin1"),
            "data.csv:2: not UTF-8 text (byte 0xe9 at character 3); "
            "convert the file, for example with `iconv -f latin1 -t utf-8 old > new`",
        ),
        (
            "a,b\n1,2\n".encode("utf-16"),
            "data.csv: is UTF-16 text, expected UTF-8; convert it, "
            "for example with `iconv -f utf-16 -t utf-8 old > new`",
        ),
        (
            b"\x89PNG\r\n\x1a\n",
            "data.csv: is not a text file; name a text file, or set the format "
            "(data.format, --input-format of predict)",
        ),
        (
            b"a,b\n1,\x01\xff\n",
            "data.csv:2: is not a text file; name a text file, or set the format "
            "(data.format, --input-format of predict)",
        ),
        (
            '{"a": 1, "b": 2}\n',
            "data.csv:1: begins like JSON lines, not like a header; "
            "set data.format, or --input-format of predict, to jsonl",
        ),
        (
            "a,b\n1,2\nabc,3\n4,5\n",
            "data.csv:3: column 'a': expected a number, got 'abc' (2 of the column's 3 values are numbers); "
            "correct it, leave it empty if it is missing (or add it to data.missing_values), or read the column as "
            "names with data.categories: [a]",
        ),
        (
            "a,b\n1,2\n-inf,3\n4,5\n",
            "data.csv:3: column 'a': expected a finite number, got '-inf' (2 of the column's 3 values are numbers); "
            "correct it, leave it empty if it is missing (or add it to data.missing_values), or read the column as "
            "names with data.categories: [a]",
        ),
        (
            "a,b\n1,2\n1e999,3\n4,5\n",
            "data.csv:3: column 'a': expected a finite number, got '1e999' (2 of the column's 3 values are numbers); "
            "correct it, leave it empty if it is missing (or add it to data.missing_values), or read the column as "
            "names with data.categories: [a]",
        ),
    ],
)
def test_messages(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, text)
    assert str(caught.value) == message


def test_a_column_that_must_be_numeric_says_so_at_the_first_word(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, "a\n1\nx\n", kinds={"a": "number"})
    assert str(caught.value) == "data.csv:3: column 'a': expected a number, got 'x'"


def test_columns_that_are_not_there_are_told_at_once(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, "sepal_width,petal_lenth\n1,2\n", columns=["petal_length", "sepal_width", "petal_width"])
    assert str(caught.value) == ("data.csv: no columns 'petal_length', 'petal_width'; did you mean 'petal_lenth'?")
    with pytest.raises(DataError) as caught:
        read(folder, "sepal_width,petal_length\n1,2\n", columns=["petal_length", "sepal_width", "petal_width"])
    assert str(caught.value) == "data.csv: no column 'petal_width'; its columns: sepal_width, petal_length"


def test_a_column_that_is_not_there(folder: Path) -> None:
    names = [f"pixel_{i}" for i in range(12)]
    text = ",".join(names) + "\n" + ",".join("1" * 12) + "\n"
    with pytest.raises(DataError) as caught:
        read(folder, text, columns=["label"])
    assert str(caught.value) == (
        "data.csv: no column 'label'; its columns: " + ", ".join(names[:10]) + ", ... (12 in all)"
    )
    with pytest.raises(DataError) as caught:
        read(folder, "species,b\n1,2\n", columns=["specie"])
    assert str(caught.value) == "data.csv: no column 'specie'; did you mean 'species'?"


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_blank_lines_of_one_column_keep_their_rows(size: int, name: str) -> None:
    """Whichever parser reads the lines around them, and wherever a chunk ends."""
    text = "a\n" + "".join("\n" if i % 3 == 1 or 5 < i < 12 else f"{i}\n" for i in range(2, 24)) + "\n\n"
    selection = Selection(kinds={"a": "quantity"})
    cells = {}
    for table in stream_tables(io.BytesIO(text.encode()), "x", FORMATS[name](), selection, PLAIN, rows=size):
        cells |= zip(table.numbers().tolist(), plain(table)["a"], strict=True)
    assert list(cells.items()) == [(i, None if i % 3 == 1 or 5 < i < 12 else i) for i in range(2, 24)]

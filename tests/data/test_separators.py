"""Files separated by something other than commas: read as they are, also where the header leaves it open."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.config.table_facts import read_spelled
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.table import Numbers, Table
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError


def read(text: str, name: str = "data.csv", **options) -> Table:
    Path(name).write_text(text)
    return read_table(DataFile(Path(name)), Selection(**options))


@pytest.mark.parametrize("name", ["data.csv", "data.tsv"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("header", "row"),
    [
        (["a", "b", "y"], ["1", "2", "3"]),
        (['"a"', '"b"', '"y"'], ["1", '"2"', "3"]),
        ([" a", "b ", "y"], ["1", "2 ", " 3"]),
        (["a"], ["1"]),
    ],
)
@pytest.mark.parametrize("start", ["", "\n", "\ufeff", "\r\n \r\n"])
def test_each_separator_is_read(
    folder: Path, name: str, mark: str, header: list[str], row: list[str], start: str
) -> None:
    table = read(f"{start}{mark.join(header)}\n{mark.join(row)}\n", name)
    assert list(table.columns) == [each.strip(' "') for each in header]
    assert [column.values.tolist() for column in table.columns.values() if isinstance(column, Numbers)] == [
        [float(each.strip('"'))] for each in row
    ]
    own = "," if name == "data.csv" else "\t"
    assert table.separator == (None if mark == own or len(header) == 1 else mark)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("x, in m;y\n1;2\n", ["x, in m", "y"]),  # the rows have no commas
        ("x, in m;y;z\n1,5;2;3\n", ["x, in m", "y", "z"]),
        ("x;unit,y\n1,2\n3,4\n", ["x;unit", "y"]),
        ("x;unit,y\n1,a;b\n3,a;b;c\n", ["x;unit", "y"]),
        ('x;unit,y\n1,"a;\nb"\n3,a;b;c\n', ["x;unit", "y"]),
        ("a,b;c,d\n1,2;3,4\n", ["a", "b;c", "d"]),  # more columns
        ("a,b\tc\n1,2\t3\n1,2,2\t4\n", ["a,b", "c"]),
        ('"a;b",c\n1,2\n', ["a;b", "c"]),
    ],
)
def test_rows_tell_where_the_header_has_several(folder: Path, text: str, columns: list[str]) -> None:
    assert list(read(text, default="text").columns) == columns


def test_both_readings_are_named_where_rows_fit_both(folder: Path) -> None:
    text = "x, in m;y\n1,5;2\n"
    with pytest.raises(DataError) as caught:
        read("\n" + text)
    assert str(caught.value) == (
        "data.csv:2: the fields may be separated by commas (columns 'x', 'in m;y') or by semicolons (columns "
        "'x, in m', 'y'); put quotes around names and values that have the other mark in them"
    )
    assert list(read(text.replace("x, in m", '"x, in m"').replace("1,5", '"1,5"'), default="text").columns) == [
        "x, in m",
        "y",
    ]
    assert list(read(text, columns=["y"], kinds={"y": "number"}).columns) == ["y"]


def test_a_format_may_have_a_separator_of_its_own(folder: Path) -> None:
    class Tilde(FORMATS["csv"]):  # type: ignore[misc, name-defined]
        delimiter = "~"

    chunks = Tilde().chunks(io.BytesIO(b"a~b\n1~x\n1~2~3\n"), "x", columns=None, rows=1, verbatim=False)
    assert list(next(chunks).columns) == ["a", "b"]


def test_a_column_that_is_asked_for_may_have_separators_in_its_name(folder: Path) -> None:
    assert list(read("a;b\n1\n2\n", columns=["a;b"]).columns) == ["a;b"]


def test_rows_of_another_length_are_counted_by_the_separator(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read("a;b\n1;2\n1;2;x\n")
    assert str(caught.value) == (
        "data.csv:3: 3 fields, expected 2 as in the header; the first extra field is 'x'; "
        "a value with a semicolon must be quoted"
    )


def test_decimal_commas_between_semicolons(folder: Path, load: Load) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 3)).round(5)
    lines = [";".join(repr(x).replace(".", ",") for x in row) for row in values.tolist()]
    Path("d.csv").write_text("\n".join(["a;b;y", *lines]))
    with pytest.raises(DataError, match=r"to read such numbers write data.numbers: \{decimal: \",\"\}"):
        load("regression", source="d.csv", target="y")
    data = load("regression", source="d.csv", target="y", numbers={"decimal": ","}, split="none")
    np.testing.assert_array_equal(data.train.targets[:, 0], values[:, 2])
    table, spelled = read_spelled(Path("d.csv"))
    assert set(spelled) == {"a", "b", "y"}
    assert isinstance(table.columns["a"], Numbers)
    np.testing.assert_array_equal(table.columns["a"].values, values[:, 0])


def test_a_trained_network_expects_the_separator_and_reads_others(folder: Path, load: Load) -> None:
    Path("d.csv").write_text("a;b;y\n" + "".join(f"{i},5;{i};{i}\n" for i in range(10)))
    data = load("regression", source="d.csv", target="y", numbers={"decimal": ","}, split="none")
    tree = json.loads(json.dumps(data.transform.to_json()))
    assert tree["reading"]["separator"] == ";"
    transform = Transform.from_json(tree)
    for text in ("a;b\n0,5;0\n", 'a,b\n"0,5",0\n', "b\ta\n0\t0,5\n", "z,z;a;b\n3,3;0,5;0\n"):
        (rows,) = stream_inputs(io.BytesIO(text.encode()), transform, dtype="float64")
        assert rows.tolist() == [data.train.inputs[0].tolist()]
    Path("e.csv").write_text("a,b,y\n1,2,3\n2,3,4\n")
    plain = load("regression", source="e.csv", target="y", split="none").transform.to_json()
    assert "separator" not in plain["reading"]

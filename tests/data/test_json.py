"""A JSON array of objects: the table of the same JSON lines, with the line of each object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.file import DataFile
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.table import Table
from backprop_cli.errors import DataError

ROWS: list[dict[str, Any]] = [{"a": i / 2, "c": "xyz"[i % 3], "é": None if i % 4 else "007"} for i in range(50)]


def read(text: str, **options: Any) -> Table:
    Path("d.json").write_text(text)
    return read_table(DataFile(Path("d.json")), Selection(**options))


def as_lists(table: Table) -> dict[str, Any]:
    """The parts of each column, arrays as lists."""
    columns = table.columns.items()
    return {
        name: [part.tolist() if isinstance(part, np.ndarray) else part for part in column] for name, column in columns
    }


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("escaped", [True, False])
def test_the_table_of_the_same_lines(folder: Path, indent: int | None, escaped: bool) -> None:
    Path("d.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    expected = read_table(DataFile(Path("d.jsonl")))
    text = json.dumps(ROWS, indent=indent, ensure_ascii=escaped)
    table = read(text)
    assert as_lists(table) == as_lists(expected)
    assert table.lines is not None
    step = 1 if indent is None else 5
    assert table.lines.tolist() == ([1] * 50 if indent is None else list(range(2, 2 + 50 * step, step)))
    assert as_lists(read("\ufeff " + text + "\n")) == as_lists(expected)


def test_json_lines_in_such_a_file(folder: Path) -> None:
    table = read('{"a": 1}\n\n{"a": 2}\n')
    assert table.lines is not None
    assert table.lines.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "d.json: has no rows"),
        ("[ ] 1", "d.json:1: character 5: not JSON: "),
        ('[{"a": 1},\n {"a": 2}', "d.json:2: character 10: not JSON: "),
        ('[{"a": 1}\n {"a": 2}]', "d.json:2: character 2: not JSON: "),
        ('[{"a": 1},]', "d.json:1: character 11: not JSON: "),
        ('[{"a": 1},\n\n{"a": 2, "a": 3}]', "d.json:3: key 'a' occurs twice in this object"),
        ('[{"a": 1},\n2]', "d.json:2: expected an object such as"),
        ('[{"a": 1},\n[1, 2]]', "d.json:2: expected an object such as"),
        ('[\n{"a": [1]}]', "d.json:2: column 'a': expected a number, text, true, false or null, got [1]"),
        ('[\n{"a": "\\ud800"}]', "d.json:2: \\ud800 is half a character"),
        ('[{"a": 1' + "0" * 5000 + "}]", "d.json:1: a number has more than 4,300 digits"),
        ('[{"a":' * 20_000, "d.json:1: lists or objects are nested too deeply"),
        ('{"a": [1, 2]}', "d.json:1: column 'a': expected a number"),
    ],
)
def test_messages(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_training_and_predicting(folder: Path, load: Load) -> None:
    Path("d.json").write_text(json.dumps(ROWS, indent=1))
    data = load("classes", source="d.json", target="c", features=["a"], split="none")
    parts = list(stream_inputs(Path("d.json"), data.transform, dtype="float64", chunk_rows=20))
    assert [len(part) for part in parts] == [20, 20, 10]

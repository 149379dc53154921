"""bp init with a table: what it says, writes and refuses."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from api_support import bp, write_flowers

import backprop_cli
from backprop_cli.api.init import init
from backprop_cli.data.split import split_rows
from backprop_cli.errors import BpWarning


def here():
    """The names in the working directory."""
    return sorted(path.name for path in Path().iterdir())


def test_a_table(capsys):
    write_flowers(Path("flowers.data.csv"))
    Path("configs").mkdir()
    assert bp("init", "flowers.data.csv") == 0
    assert capsys.readouterr().out == (
        "flowers.data.csv: 60 rows\n"
        "target   kind (classes), the last column; --target and --task set others\n"
        "classes  a: 19, b: 21, c: 20\n"
        "numbers  2: x, y\n"
        "network  preset strong; --preset writes another\n"
        "wrote flowers.yaml, and bp.schema.json for editors\n"
        "next: bp train flowers.yaml\n"
    )
    assert bp("init", "flowers.data.csv", "--target", "x", "-o", "configs/x.yaml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("seen") == {
        "source": "flowers.data.csv",
        "kind": "table",
        "rows": 60,
        "notes": {},
        "columns": {"numbers": ["y"], "dates": [], "categories": ["kind"]},
        "reason": "",
        "classes": {},
        "without_target": 0,
        "gaps": {},
        "left_out": {},
    }
    assert found == {
        "config": "configs/x.yaml",
        "template": None,
        "target": "x",
        "task": "regression",
        "preset": "strong",
        "schema": "configs/bp.schema.json",
        "missing": [],
        "download": None,
        "variable": None,
        "next": "bp train configs/x.yaml",
    }
    assert yaml.safe_load(Path("configs/x.yaml").read_text())["data"]["source"] == "../flowers.data.csv"
    assert bp("train", "configs/x.yaml", "training.epochs=2", "gradient_check=none", "--quiet") == 0


def test_a_table_with_an_absolute_path_and_a_name_to_quote(tmp_path):
    path = write_flowers(tmp_path / "my, flowers #1.csv")
    init(path, "a.yaml", task="classes")
    assert yaml.safe_load(Path("a.yaml").read_text())["data"]["source"] == str(path)
    assert backprop_cli.validate("a.yaml").classes == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("t.csv", "t.csv", "t.csv is the table itself; -o FILE writes another file"),
        ("t.csv", "link.csv", "link.csv is the table itself; -o FILE writes another file"),
        ("${X}.csv", "t.yaml", "${X}.csv: a configuration reads ${X} as an environment variable; rename the file"),
        ("\udcff.csv", "t.yaml", "\\udcff.csv: a name in a configuration must be UTF-8; rename it"),
        ("t.csv", "\udcff.yaml", "\\udcff.yaml: a name in a configuration must be UTF-8; rename it"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="links, and names that are not UTF-8")
def test_names_that_do_not_fit(name, output, message, capsys):
    write_flowers(Path(name))
    before = Path(name).read_bytes()
    Path("link.csv").symlink_to("t.csv")
    assert bp("init", name, "-o", output, "--force") == 2
    assert capsys.readouterr().err == f"{message}\n"
    assert sorted(here()) == sorted([name, "link.csv"])
    assert Path(name).read_bytes() == before


@pytest.mark.parametrize(
    ("name", "config", "line"),
    [("-x.csv", "-x.yaml", "bp train ./-x.yaml"), (".csv", "csv.yaml", "bp train csv.yaml")],
)
def test_names_that_begin_with_a_sign(name, config, line):
    write_flowers(Path(name))
    result = init(name)
    assert (result.config, result.next) == (Path(config), line)
    assert bp(*line.split()[1:], "training.epochs=1", "gradient_check=none", "--quiet") == 0


def test_columns_with_categories_that_only_held_out_rows_have():
    """With 60 rows some of the 15 names of a single row are held out, and read as other."""
    rows = [f"{k * k},{'a' if k % 4 else f'rare{k}'},{k % 7}\n" for k in range(60)]
    Path("t.csv").write_text(f"x,some,y\n{''.join(rows)}")
    assert init("t.csv").task == "regression"
    assert "exclude" not in yaml.safe_load(Path("t.yaml").read_text())["data"]
    assert bp("train", "t.yaml", "training.epochs=1", "gradient_check=none", "--quiet") == 0
    assert bp("validate", "t.yaml", "data.transform.unknown=error") == 6


def test_columns_that_cannot_be_fitted():
    """One has its only value in a held-out row, one too many categories, one a spread beyond float64."""
    held_out = set(range(3000)) - set(split_rows(3000, {"validation": 0.15, "test": 0.15}, **WHOLE)["train"].tolist())
    cells = {
        "x": [k * k for k in range(3000)],
        "alone": ["1.5" if k == min(held_out) else "" for k in range(3000)],
        "many": [f"n{k % 1500}" for k in range(3000)],
        "wide": [(1e308, -1e308)[k % 2] for k in range(3000)],
        "y": [k % 11 / 4 for k in range(3000)],
    }
    Path("t.csv").write_text("\n".join(",".join(map(str, row)) for row in [cells, *zip(*cells.values(), strict=True)]))
    init("t.csv")
    assert yaml.safe_load(Path("t.yaml").read_text())["data"]["exclude"] == ["alone", "many", "wide"]
    text = Path("t.yaml").read_text()
    assert "\n  # 'alone' cannot be used: " in text
    assert re.search(
        r"\n  # 'many' cannot be used: 1,\d{3} different texts, such as 'n1', are too many categories", text
    )
    assert "\n  # 'wide' cannot be used: its numbers are too large for numeric: standardize\n" in text
    assert bp("validate", "t.yaml") == 0


@pytest.mark.parametrize("name", ["line\u2028separator", "next\x85line", "hidden\u202e", "a: b"])
def test_a_name_to_quote_of_a_column_with_a_spelling(name):
    rows = "".join(f"{k},{k * k % 9}\t{k % 7}\n" for k in range(60))
    Path("t.tsv").write_text(f"{name}\ty\n{rows}", encoding="utf-8")
    init("t.tsv")
    data = yaml.safe_load(Path("t.yaml").read_text(encoding="utf-8"))["data"]
    assert data["numbers"] == {name: {"decimal": ","}}
    assert bp("validate", "t.yaml") == 0


def test_a_column_without_a_name(capsys):
    Path("t.jsonl").write_text('{"": 1, "y": 2}\n{"": 3, "y": 4}\n')
    assert bp("init", "t.jsonl") == 2
    message = "t.jsonl: a column has no name, and a configuration cannot hold an empty one; name it\n"
    assert capsys.readouterr().err == message


def test_a_target_too_large_to_standardize(capsys):
    Path("t.csv").write_text("x,y\n" + "".join(f"{k * k},{(1e308, -1e308)[k % 2]}\n" for k in range(40)))
    assert bp("init", "t.csv", "--task", "regression") == 6
    message = "t.csv: column 'y': its numbers are too large for target: standardize; divide them\n"
    assert capsys.readouterr().err == message


WHOLE = {"seed": 0, "labels": None, "name": "t.csv"}


@pytest.mark.parametrize(
    ("lines", "task"),
    [
        (["a,b,y", "0,0,0", "0,1,1", "1,0,1", "1,1,0"], "binary"),
        (["x,y", "1.5,2.5", "0.5,7.5"], "regression"),
        (["x,y", *(f"{k * k},{'abcdefghijklmnop'[k % 16]}" for k in range(21))], "classes"),
    ],
)
def test_too_few_rows_to_hold_some_out(lines, task):
    Path("t.csv").write_text("\n".join(lines))
    assert init("t.csv").task == task
    text = Path("t.yaml").read_text()
    assert "  split: none  # too few rows to hold some out for validation and test\n" in text
    assert "early_stopping" not in text
    assert bp("train", "t.yaml", "training.epochs=1", "gradient_check=none", "--quiet") == 0


def test_a_class_with_one_example():
    Path("t.csv").write_text("x,y\n" + "".join(f"{k * k},{'ab'[k == 7]}\n" for k in range(20)))
    with pytest.warns(BpWarning) as caught:
        init("t.csv")
    assert [str(each.message) for each in caught] == [
        "t.csv:9: column 'y': class 'b' has a single row, which cannot be in two splits; correct it, or remove the row"
    ]
    assert "split" not in yaml.safe_load(Path("t.yaml").read_text())["data"]
    assert bp("train", "t.yaml", "training.epochs=1", "gradient_check=none", "--quiet") == 0


@pytest.mark.parametrize(
    ("header", "value"),
    [("63,x,b", "b"), ("5.1,x,kind", "5.1"), ("-7,x,kind", "-7"), ("2024-01-31,x,kind", "2024-01-31")],
)
def test_a_first_line_of_values(header, value, capsys):
    first = "2024-02-{:02}" if value.startswith("2024") else "{}"
    rows = "".join(f"{first.format(1 + k * k % 23)},{k % 9},{'ab'[k % 2]}\n" for k in range(60))
    Path("t.csv").write_text(f"{header}\n{rows}")
    assert bp("init", "t.csv") == 0
    assert capsys.readouterr().err == (
        f"warning: t.csv: its first line should name the columns, and '{value}' looks like a value; add a line with "
        "names if the file has none\n"
    )


def test_times_are_names_of_columns(capsys):
    Path("t.csv").write_text(
        "2019,2020-01,kind\n" + "".join(f"{k * k % 97},{k % 9},{'ab'[k % 2]}\n" for k in range(60))
    )
    assert bp("init", "t.csv") == 0
    assert capsys.readouterr().err == ""


def test_names_that_differ_only_in_case(capsys):
    rows = "".join(
        f"{k * k % 97},{('p', 'q', 'P')[k % 3]},{'Yes' if k == 4 else ('no', 'yes')[k % 2]}\n" for k in range(60)
    )
    Path("t.csv").write_text(f"x,kind,sold\n{rows}")
    assert bp("init", "t.csv") == 0
    alike = "spell them alike if they mean the same\n"
    said = (
        f"warning: t.csv: column 'kind': different names that differ only in case: 'p', 'P'; {alike}"
        f"warning: t.csv: column 'sold': different names that differ only in case: 'yes', 'Yes'; {alike}"
        "warning: t.csv:6: column 'sold': class 'Yes' has a single row, which cannot be in two splits; correct it, or "
        "remove the row\n"
    )
    assert capsys.readouterr().err == said
    assert bp("validate", "t.yaml") == 0
    assert capsys.readouterr().err == said


def test_a_table_that_cannot_be_read(capsys):
    Path("bad.csv").write_text("x,y\n1,2\n1\n")
    assert bp("init", "bad.csv") == 6
    assert capsys.readouterr().err.startswith("bad.csv:3: ")
    assert here() == ["bad.csv"]


def test_a_way_out_that_is_a_key_needs_a_configuration(capsys):
    Path("costs.tsv").write_text("cost\tkind\n5 kg\ta\n7 lbs\tb\n")
    assert bp("init", "costs.tsv") == 6
    assert capsys.readouterr().err == (
        "costs.tsv:2: column 'cost': expected a plain number, got '5 kg'; the column has different units (kg, lbs): "
        "convert its numbers to one; if they are names, write data.categories: [cost]; bp init cannot decide this: "
        "correct the file, or write a configuration with that key\n"
    )


def test_numbers_in_other_spellings_get_their_settings():
    rows = "".join(
        f"{k * k % 97},5{k % 10} €\t{1 + k % 3},{k:03}\t{k % 9}.5\t{1000 + k:,}\t{'ab'[k % 2]}\n" for k in range(60)
    )
    Path("t.tsv").write_text(f"cost\tmass\tplain\tcount\tkind\n{rows}")
    assert init("t.tsv").task == "binary"
    lines = Path("t.yaml").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  numbers:"))
    assert lines[start - 2 : start + 2] == [
        "  # 'count' counts the rows",
        "  exclude: [count]",
        '  numbers: {cost: {decimal: ",", strip: "€"}, mass: {thousands: ","}}  # as the file spells them',
        '  # or mass: {decimal: ","} if that is its mark',
    ]
    found = backprop_cli.validate("t.yaml")
    assert (found.valid, found.input_shape) == (True, (3,))
    assert bp("train", "t.yaml", "training.epochs=1", "gradient_check=none", "--quiet") == 0


def test_a_column_that_does_not_keep_to_its_spelling(capsys):
    rows = "".join(f'"{k},5",{k % 2}\n' for k in range(30))
    Path("t.csv").write_text(f"cost,y\n{rows}none,1\n")
    assert bp("init", "t.csv") == 6
    assert capsys.readouterr().err == (
        "t.csv:32: column 'cost': expected a number as data.numbers spells it, {decimal: \",\"}, got 'none'; correct "
        "it, or leave it empty if it is missing (or add it to data.missing_values); bp init cannot decide this: "
        "correct the file, or write a configuration with that key\n"
    )

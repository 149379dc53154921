"""What a column is, as its texts and the settings numbers, categories, missing_values and exclude say."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_inputs, load_split
from backprop_cli.data.formats import csv as csv_format
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpWarning, DataError, SettingError

RAW = {"transform": {"numeric": "none"}, "split": None, "target": "y"}


def write(name: str, cells: list, targets: list | None = None, column: str = "c") -> str:
    """A file of two columns, the second of them numbers; the format is that of its name."""
    targets = list(range(len(cells))) if targets is None else targets
    if name.endswith(".jsonl"):
        rows = [json.dumps({column: cell, "y": y}) for cell, y in zip(cells, targets, strict=True)]
    else:
        mark = "\t" if name.endswith(".tsv") else ","
        rows = [f"{column}{mark}y"]
        for cell, y in zip(cells, targets, strict=True):
            rows.append(mark.join(f'"{each}"' if mark in str(each) else str(each) for each in (cell, y)))
    Path(name).write_text("\n".join(rows) + "\n")
    return name


def inputs(load: Load, name: str, **keys) -> list:
    return load("regression", source=name, **{**RAW, **keys}).train.inputs.tolist()


def refusal(load: Load, name: str, task: str = "regression", **keys) -> str:
    with pytest.raises(DataError) as caught:
        load(task, source=name, **{**RAW, **keys})
    return str(caught.value)


NAMES = "; if they are names, write data.categories: [c]"


@pytest.mark.parametrize(
    ("cells", "got", "way_out", "numbers"),
    [
        (["$5", "$1200"], "'$5'", 'to read such numbers write data.numbers: {strip: "$"}', {"strip": "$"}),
        (["7", "12,5"], "'12,5'", 'to read such numbers write data.numbers: {decimal: ","}', {"decimal": ","}),
        (
            ["999", "1,250"],
            "'1,250'",
            'to read such numbers write data.numbers: {thousands: ","}, or data.numbers: {decimal: ","} if that is its '
            "mark",
            {"thousands": ","},
        ),
        (["\u22125", "3"], "'\u22125'", 'to read such numbers write data.numbers: {decimal: "."}', {"decimal": "."}),
        (["12.5%", "3%"], "'12.5%'", 'to read such numbers write data.numbers: {strip: "%"}', {"strip": "%"}),
        (["5 kg", "7 kg"], "'5 kg'", 'to read such numbers write data.numbers: {strip: "kg"}', {"strip": "kg"}),
        (["€5", "$7"], "'€5'", "the column has different units (€, $): convert its numbers to one", None),
        (["1.000.000", "5.5"], "'1.000.000'", "the column spells numbers in more than one way: spell them alike", None),
    ],
)
@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl"])
def test_numbers_in_another_spelling_are_refused(load: Load, name, cells, got, way_out, numbers) -> None:
    row = 1 + (got != repr(cells[0])) + (name != "d.jsonl")
    head = f"{name}:{row}: column 'c': expected a plain number, got {got}; "
    assert refusal(load, write(name, cells)) == head + way_out + NAMES
    assert np.shape(inputs(load, name, categories=["c"])) == (2, 2)
    if numbers is not None:
        for setting in (numbers, {"c": numbers}):
            assert np.shape(inputs(load, name, numbers=setting)) == (2, 1)


def test_the_numbers_that_are_read(load: Load) -> None:
    name = write("d.csv", ["1.234,5 €", "-7 €", "(0,5 €)", ""])
    keys = {"numbers": {"decimal": ",", "thousands": ".", "strip": "€"}, "transform": {"missing": "mean"}}
    data = load("regression", source=name, **{**RAW, **keys})
    assert data.transform.features[0].shift.tolist() == [409]  # the mean of 1234.5, -7 and -0.5


@pytest.mark.parametrize(
    ("column", "keys"),
    [("y", {"features": ["x"]}), ("w", {"target": "x", "features": ["x"], "sample_weight": "w"})],
)
def test_targets_and_weights_in_another_spelling(load: Load, folder: Path, column: str, keys: dict) -> None:
    Path("d.csv").write_text('x,y,w\n1,"1,5","1,5"\n2,"2,5","2,5"\n')
    assert refusal(load, "d.csv", **keys) == (
        f"d.csv:2: column '{column}': expected a plain number, got '1,5'; to read such numbers write data.numbers: "
        '{decimal: ","}'
    )
    train = load("regression", source="d.csv", **{**RAW, **keys}, numbers={"decimal": ","}).train
    assert (train.weights if column == "w" else train.targets.ravel()).tolist() == [1.5, 2.5]


def test_a_column_with_points_in_a_source_with_decimal_commas(load: Load) -> None:
    name = write("d.tsv", ["1,5", "2,25"], ["0.125", "1.250"])
    for numbers in ({"decimal": ","}, {"decimal": ",", "thousands": "."}):
        data = load("regression", source=name, **RAW, numbers=numbers)
        assert (data.train.inputs.tolist(), data.train.targets.tolist()) == ([[1.5], [2.25]], [[0.125], [1.25]])
        again = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
        more = load_split(Path(write("more.tsv", ["1,500"], ["1.250"])), again, dtype="float64")
        assert (more.inputs.tolist(), more.targets.tolist()) == ([[1.5]], [[1.25]])  # not 1250


def test_later_files_are_spelled_as_the_first(load: Load) -> None:
    plain = load("regression", source=write("d.csv", [1000, 1500]), **RAW).transform
    marked = load("regression", source=write("d.csv", ["$1000", "$1500"]), **RAW, numbers={"strip": "$"}).transform
    assert load_inputs(Path(write("new.csv", ["$1200", "1300"])), marked, dtype="float64")[0].tolist() == [
        [1200],
        [1300],
    ]
    for transform, cell, reason in [
        (plain, "1,020", "expected a plain number, got '1,020'; spell it as the training data does"),
        (plain, "$1200", "expected a plain number, got '$1200'; spell it as the training data does: 1200"),
        (plain, "1342,57 €", "expected a plain number, got '1342,57 €'; spell it as the training data does: 1342.57"),
        (plain, "a", "expected a number, got 'a'"),
        (
            marked,
            "1200 €",
            "expected a number as data.numbers spells it, {strip: \"$\"}, got '1200 €'; spell it as the training data "
            "does",
        ),
    ]:
        for read in (load_inputs, load_split):
            with pytest.raises(DataError) as caught:
                read(Path(write("new.csv", [cell])), transform, dtype="float64")
            assert str(caught.value) == f"new.csv:2: column 'c': {reason}"


@pytest.mark.parametrize("chunk", [200_000, 4])
def test_zeros_before_whole_numbers_make_names(load: Load, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(csv_format, "rows_per_chunk", lambda columns: max(1, chunk // columns))
    names = load("regression", source=write("d.csv", ["11", "2", "30", "01"]), **RAW)
    assert names.feature_names == ["c=01", "c=11", "c=2", "c=30"]
    assert (
        load("regression", source=write("d.jsonl", ["11", "2", "30", "01"]), **RAW).feature_names == names.feature_names
    )
    for numbers in (["1", "2.5", "03"], ["0.5", "0.25"], ["00.5", "1"], ["-01", "2"], ["0", "10"]):
        assert inputs(load, write("d.csv", numbers)) == [[float(each)] for each in numbers]
    padded = write("d.csv", ["01", "02"], ["05", "10"])
    assert load("regression", source=padded, **RAW).train.targets.tolist() == [[5], [10]]
    assert inputs(load, padded, numbers={"c": {}}) == [[1], [2]]
    with pytest.raises(DataError) as caught:
        load_inputs(Path(write("new.csv", ["1"])), names.transform, dtype="float64")
    assert str(caught.value) == (
        "new.csv:2: column 'c': category '1' is not in the train split, which has 01, 11, 2, 30; remove the row, or "
        "train without the column (data.exclude: [c])"
    )


def test_codes_with_a_letter(load: Load) -> None:
    name = write("d.csv", ["1", "2", "1", "5A"])
    assert refusal(load, name) == (
        "d.csv:5: column 'c': expected a number, got '5A' (3 of the column's 4 values are numbers); correct it, leave "
        "it empty if it is missing (or add it to data.missing_values), or read the column as names with "
        "data.categories: [c]"
    )
    assert inputs(load, name, categories="c") == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    np.savez("d.npz", c=np.array([3, 1, 3]), y=np.arange(3.0))
    data = load("regression", source="d.npz", **RAW, categories=["c"])
    assert (data.feature_names, data.train.inputs.tolist()) == (["c=1", "c=3"], [[0, 1], [1, 0], [0, 1]])
    (again, _) = load_inputs(Path("d.npz"), data.transform, dtype="float64")
    assert again.tolist() == data.train.inputs.tolist()


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl"])
def test_spaces_around_a_value_do_not_count(load: Load, name: str) -> None:
    Path("q.csv").write_text('c,y\n"red ",1\n" red",2\nred,3\nblue ,4\n')
    for source in ("q.csv", write(name, ["red ", " red", "red", "blue"])):
        assert load("regression", source=source, **RAW).feature_names == ["c=blue", "c=red"]
    assert load("classes", source="q.csv", target="c", split=None).classes == ["blue", "red"]


def test_texts_that_mean_missing(load: Load) -> None:
    fill = {"transform": {"missing": "most_frequent"}}
    for cell in ("NA", "None", "null", "NaN", " NA "):
        name = write("d.csv", ["EU", "EU", cell])
        assert load("regression", source=name, **{**RAW, **fill}).feature_names == ["c=EU"]
        assert load("regression", source=name, **RAW, missing_values=["?"]).feature_names == [
            f"c={min('EU', cell.strip())}",
            f"c={max('EU', cell.strip())}",
        ]
        name = write("d.jsonl", ["EU", "EU", cell])
        assert len(load("regression", source=name, **RAW).feature_names) == 2
        assert load(
            "regression", source=name, **{**RAW, **fill}, missing_values=["NA", "None", None, "NaN"]
        ).feature_names == ["c=EU"]
    assert refusal(load, write("d.csv", ["EU", "NA"])) == (
        "d.csv:3: column 'c': the value is missing; fill it in, or train with data.transform.missing: mean, median, "
        "most_frequent or indicator (here 'NA' means missing: data.missing_values)"
    )
    assert refusal(load, write("d.csv", ["EU", "NA"]), "classes", target="c") == (
        "d.csv:3: column 'c': the target is missing; fill it in, or train with data.missing_target: drop (here "
        "'NA' means missing: data.missing_values)"
    )
    assert refusal(load, write("d.csv", ["1", "?", "3"]), missing_values=["?"]).startswith(
        "d.csv:3: column 'c': the value is missing"
    )
    fill = {"transform": {"missing": "mean", "numeric": "none"}}
    for name in (write("d.csv", ["1", "-999", "3"]), write("d.jsonl", [1, -999, 3])):
        assert inputs(load, name, missing_values=[-999], **fill) == [[1], [2], [3]]


def test_the_excluded_column_is_not_read(load: Load, folder: Path) -> None:
    Path("d.csv").write_text('id,x,y\nu1,1,2\n"7",2,3\n8,3,4\n9,4,5\n')
    assert "expected a number, got 'u1'" in refusal(load, "d.csv")
    data = load("regression", source="d.csv", **RAW, exclude="id")
    assert data.feature_names == ["x"]
    assert load("regression", source="d.csv", **RAW, exclude=["id", "y"]).train.targets.tolist() == [[2], [3], [4], [5]]
    with pytest.raises(SettingError) as caught:
        load("regression", source="d.csv", **RAW, exclude=["id", "idd"], categories=["z"])
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (("data", "exclude", 1), "no column 'idd' in d.csv; its columns: id, x, y"),
        (("data", "categories", 0), "no column 'z' in d.csv; its columns: id, x, y"),
    )
    with pytest.raises(SettingError) as caught:
        load("regression", source="d.csv", **RAW, exclude=["id"], numbers={"price": {"strip": "$"}})
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (("data", "numbers", "price"), "no column 'price' in d.csv; its columns: id, x, y"),
    )


def test_dates_and_identifiers_are_named(load: Load) -> None:
    for cells, what in [
        ([f"01/{1 + i % 28:02}/24" for i in range(40)], "holds dates, such as '01/01/24'"),
        ([f"user{i}" for i in range(40)], "is an identifier or free text, with 40 different texts in 40 rows"),
    ]:
        name = write("d.csv", cells)
        with pytest.warns(BpWarning) as caught:
            load("regression", source=name, **RAW)
        assert [str(each.message) for each in caught] == [
            f"d.csv: column 'c' {what}: as categories they are useless for other rows; leave them out with "
            f"data.exclude: [c]{'; data.transform.format can read dates' if 'dates' in what else ''}"
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load("regression", source=name, **RAW, categories=["c"])
        message = refusal(load, name, split={"validation": 0.3})
        why = "holds dates" if "dates" in what else what
        assert re.match(
            rf"d.csv:\d+: column 'c': category '[^']*' is not in the train split: the column {why}: train without it "
            r"\(data.exclude: \[c\]\)$",
            message,
        )


def test_one_message_names_all_columns_to_leave_out(load: Load) -> None:
    rows = "".join(f"u{i},01/{1 + i % 28:02}/24,{'ab'[i % 2]},{i}\n" for i in range(40))
    Path("d.csv").write_text(f"ad id,listed,kind,y\n{rows}")
    message = refusal(load, "d.csv", split={"validation": 0.3})
    assert re.match(
        r"d.csv:\d+: column 'ad id': category 'u\d+' is not in the train split: the column is an identifier or free "
        "text, with 40 different texts in 40 rows; column 'listed' holds dates, such as '01/01/24': train without "
        r"them \(data.exclude: \[ad id, listed\]\)$",
        message,
    )
    assert "column 'listed'" not in refusal(load, "d.csv", split={"validation": 0.3}, features=["ad id", "kind"])
    rows = "".join(f"u{i},01/{1 + i % 28:02}/24,{i}\n" for i in range(1001))
    Path("d.csv").write_text(f"ad id,listed,y\n{rows}")
    assert refusal(load, "d.csv") == (
        "d.csv: column 'ad id': 1,001 different texts, such as 'u0', are too many categories for one_hot (at most "
        "1,000): the column is an identifier or free text, with 1,001 different texts in 1,001 rows; column 'listed' "
        "holds dates, such as '01/01/24': train without them (data.exclude: [ad id, listed])"
    )


def test_excels_first_line(load: Load, folder: Path) -> None:
    for line in ("sep=,", "SEP=;", '"sep=,"'):
        Path("d.csv").write_text(f"{line}\na,y\n1,2\n")
        assert refusal(load, "d.csv") == (
            f"d.csv:1: {line.strip(chr(34))!r} is a note for Excel, not the header; remove the line, for example with "
            "`tail -n +2 old.csv > new.csv`"
        )


def test_zeros_before_numbers_make_names_whatever_the_source_spells(load: Load) -> None:
    rows = '02116,"1,000",1\n10001,"2,500",2\n94110,750,3\n'
    Path("a.csv").write_text("code,price,y\n" + rows * 4)
    spelling = {"thousands": ","}
    dataset = load("regression", source="a.csv", target="y", numbers=spelling)
    assert dataset.feature_names == ["code=02116", "code=10001", "code=94110", "price"]
    dataset = load("regression", source="a.csv", target="y", numbers={"code": {}, "price": spelling})
    assert dataset.feature_names == ["code", "price"]

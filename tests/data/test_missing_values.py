"""Rows without a target, and inputs without a value."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_split
from backprop_cli.data.fitted import check_fitted
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpWarning, DataError, DataProblemsError, SettingError

DROPPED = "d.csv:3: column 'y': the target is missing; 3 of 12 rows are left out"


def write_gaps(name: str = "d.csv") -> str:
    """Twelve rows; the target is missing in three of them, else it is the input."""
    Path(name).write_text("x,y\n" + "".join(f"{i},{'' if i % 4 == 1 else i}\n" for i in range(12)))
    return name


def test_rows_without_a_target_can_be_left_out(load: Load) -> None:
    keys = {"source": write_gaps(), "target": "y", "missing_target": "drop", "transform": {"numeric": "none"}}
    with pytest.warns(BpWarning) as caught:
        data = load("regression", **keys, split={"validation": 0.3, "test": 0})
    assert [str(each.message) for each in caught] == [DROPPED]
    assert sorted(x for split in data.splits.values() for x in split.targets[:, 0]) == [0, 2, 3, 4, 6, 7, 8, 10, 11]
    for split in data.splits.values():
        assert split.targets.tolist() == split.inputs.tolist()
        assert split.rows is not None
        assert split.rows.tolist() == [x + 2 for x in split.inputs[:, 0]]


def test_other_files_leave_such_rows_out_too(load: Load) -> None:
    keys = {"train": "train.csv", "test": write_gaps(), "target": "y", "transform": {"numeric": "none"}}
    Path("train.csv").write_text("x,y\n1,2\n2,3\n")
    with pytest.raises(DataError, match="the target is missing, here and in 2 other rows; fill it in, or train with"):
        load("regression", **keys)
    with pytest.warns(BpWarning, match="3 of 12 rows"):
        data = load("regression", **keys, missing_target="drop")
    assert data.test is not None
    assert len(data.test) == 9
    with pytest.warns(BpWarning, match="3 of 12 rows"):
        assert len(load_split(Path("d.csv"), data.transform, dtype="float64", missing_target="drop")) == 9


def test_a_row_needs_all_of_its_targets(load: Load) -> None:
    np.savez(
        "d.npz", x=np.arange(4.0), y=np.array([[1, 2], [np.nan, 3], [4, 5], [6, 7]]), z=np.array([1, 2, np.nan, 4])
    )
    with pytest.warns(BpWarning, match=r"array 'y', row 1 \(from 0\): the target is missing; 2 of 4 rows"):
        data = load("regression", source="d.npz", target=["y", "z"], missing_target="drop", split=None)
    assert data.train.targets.tolist() == [[1, 2, 1], [6, 7, 4]]


def test_no_row_with_a_target(load: Load) -> None:
    Path("d.csv").write_text("x,y\n1,\n2,\n")
    with pytest.raises(DataError) as caught:
        load("classes", source="d.csv", target="y", missing_target="drop")
    assert str(caught.value) == "d.csv: column 'y': no row has a target"


def test_a_series_cannot_lose_rows() -> None:
    with pytest.raises(ValueError, match="would leave holes in a series"):
        DataSettings.model_validate(
            {"source": "d.csv", "target": "y", "window": {"length": 2}, "missing_target": "drop"}
        )


INCOMPLETE = "x,c,y\n1,a,0\n,b,1\n3,,2\n8,a,3\n9,b,4\n"


def test_an_input_says_what_is_missing(load: Load) -> None:
    Path("d.csv").write_text(INCOMPLETE)
    keys = {"source": "d.csv", "target": "y", "split": None}
    for unknown, other, fill in (("other", [0.0], ["c=<other>"]), ("error", [], [])):
        transform = {"numeric": "none", "missing": "indicator", "unknown": unknown}
        data = load("regression", **keys, transform=transform)
        assert data.feature_names == ["x", "x=<missing>", "c=a", "c=b", *fill, "c=<missing>"]
        assert data.train.inputs.tolist() == [
            [1, 0, 1, 0, *other, 0],
            [5.5, 1, 0, 1, *other, 0],
            [3, 0, 0, 0, *other, 1],
            [8, 0, 1, 0, *other, 0],
            [9, 0, 0, 1, *other, 0],
        ]
        ordinal = load("regression", **keys, transform={**transform, "categorical": "ordinal"})
        assert ordinal.train.inputs[:, 2].tolist() == [0, 1, 2 + len(other), 0, 1]
        again = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
        check_fitted(again)
        assert again.to_json() == data.transform.to_json()


def test_an_input_that_no_train_row_would_train_is_not_made(load: Load) -> None:
    Path("d.csv").write_text(INCOMPLETE)
    Path("train.csv").write_text("x,c,y\n1,a,0\n4,a,1\n9,b,2\n")
    keys = {"train": "train.csv", "test": "d.csv", "target": "y"}
    for unknown, inputs, missing in (("other", 4, [0, 0, 1]), ("error", 3, [1, 0])):
        transform = {"numeric": "none", "missing": "indicator", "unknown": unknown}
        data = load("regression", **keys, transform=transform)
        assert len(data.feature_names) == inputs
        assert data.test is not None
        assert data.test.inputs[1].tolist()[:2] == [4, 0]
        assert data.test.inputs[2].tolist() == [3, *missing]


def test_all_problems_are_reported_at_once(load: Load) -> None:
    rows = "".join(f"{'' if i % 2 else i},{'' if i == 3 else 'ab'[i % 2]},{i},t{i},{i}\n" for i in range(1200))
    Path("d.csv").write_text(f"x,c,z,t,y\n{rows}")
    with pytest.raises(DataProblemsError) as caught:
        load("regression", source="d.csv", target="y", features=["x", "c", "z", "t"], split=None)
    way_out = "fill it in, or train with data.transform.missing: mean, median, most_frequent or indicator"
    assert caught.value.printed() == (
        "d.csv:3: column 'x': the value is missing, here and in 599 other rows (5, 7, 9, ...); " + way_out + "\n"
        "d.csv:5: column 'c': the value is missing; " + way_out + "\n"
        "d.csv: column 't': 1,200 different texts, such as 't0', are too many categories for one_hot (at most 1,000): "
        "the column is an identifier or free text, with 1,200 different texts in 1,200 rows: train without it "
        "(data.exclude: [t])\n"
        "3 problems of the data"
    )
    assert [each["message"] for each in caught.value.describe()] == caught.value.printed().splitlines()[:-1]


def test_columns_with_settings_of_their_own(load: Load) -> None:
    Path("d.csv").write_text(INCOMPLETE)
    keys = {"source": "d.csv", "target": "y", "split": None}
    own = {"x": {"missing": "mean", "numeric": "none"}, "c": {"missing": "most_frequent", "categorical": "ordinal"}}
    data = load("regression", **keys, transform={"columns": own})
    assert data.train.inputs.tolist() == [[1, 0], [5.25, 1], [3, 0], [8, 0], [9, 1]]
    with pytest.raises(SettingError) as caught:
        load("regression", **keys, transform={"columns": {"xx": {}, "zzz": {}}})
    assert [(each.path, each.reason) for each in caught.value.problems] == [
        (("data", "transform", "columns", "xx"), "no column 'xx' in d.csv; did you mean 'x'?"),
        (("data", "transform", "columns", "zzz"), "no column 'zzz' in d.csv; its columns: x, c, y"),
    ]
    with pytest.raises(ValueError, match="'y' is under 'target' too"):
        load("regression", **keys, transform={"columns": {"y": {}}})

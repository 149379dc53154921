"""Rows without a target, and inputs without a value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_split
from backprop_cli.data.settings import DataSettings
from backprop_cli.errors import BpWarning, DataError

DROPPED = "d.csv:3: column 'y': the target is missing; 3 of 12 rows without one are left out"


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
    with pytest.warns(BpWarning, match=r"array 'y', 'z', row 1 \(from 0\): the target is missing; 2 of 4 rows"):
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

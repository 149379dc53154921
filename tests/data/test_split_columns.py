"""Splits by groups and in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_support import Load
from hypothesis import given, settings
from hypothesis import strategies as st

from backprop_cli.data.split_columns import split_by_groups, split_by_time
from backprop_cli.data.table import Numbers, Table, Text
from backprop_cli.errors import DataError, SettingError, warnings_to

HELD_OUT = {"validation": 0.15, "test": 0.15}


def table_of(**columns: np.ndarray) -> Table:
    count = len(next(iter(columns.values())))
    return Table("x.csv", {name: Numbers(values) for name, values in columns.items()}, np.arange(2, count + 2))


@settings(deadline=None)
@given(st.integers(3, 40), st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([0.0, 0.15, 0.3]))
def test_no_group_is_in_two_splits(groups: int, seed: int, classes: int, validation: float) -> None:
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(groups), rng.integers(2, 9, groups))  # three rows are too few for three splits
    rng.shuffle(ids)
    labels = rng.integers(0, classes, len(ids))
    table = table_of(id=ids.astype(float))
    found = split_by_groups(table, ["id"], {"validation": validation, "test": 0.2}, seed, labels, warning=False)
    assert list(found) == ["train", *(["validation"] if validation else []), "test"]
    assert sorted(np.concatenate(list(found.values()))) == list(range(len(ids)))
    assert all(len(rows) and np.all(np.diff(rows) > 0) for rows in found.values())
    of_split = [set(ids[rows]) for rows in found.values()]
    assert sum(map(len, of_split)) == groups


def test_the_fractions_are_met_as_nearly_as_groups_of_equal_size_allow() -> None:
    table = table_of(id=np.repeat(np.arange(20.0), 5))
    found = split_by_groups(table, ["id"], HELD_OUT, 0, None)
    assert [len(rows) for rows in found.values()] == [70, 15, 15]


def test_classes_have_their_shares_where_groups_allow_it() -> None:
    """Each group has one class: 40 groups of the first and 20 of the second, four rows each."""
    ids, labels = np.repeat(np.arange(60.0), 4), np.repeat(np.arange(60) % 3 == 0, 4).astype(np.int64)
    found = split_by_groups(table_of(id=ids), ["id"], HELD_OUT, 1, labels)
    assert [np.bincount(labels[rows]).tolist() for rows in found.values()] == [[112, 56], [24, 12], [24, 12]]


def test_the_seed_decides_which_groups() -> None:
    table = table_of(id=np.repeat(np.arange(30.0), 3))
    found = [split_by_groups(table, ["id"], HELD_OUT, seed, None)["test"].tolist() for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_what_groups_do_not_allow_is_said() -> None:
    said: list[str] = []
    with warnings_to(said.append):
        split_by_groups(table_of(id=np.repeat([1.0, 2, 3], [20, 40, 40])), ["id"], HELD_OUT, 0, None)
        labels = np.repeat([0, 1, 1], [40, 40, 20])
        split_by_groups(
            table_of(id=np.repeat([1.0, 2, 3], [40, 40, 20])), ["id"], {"test": 0.2}, 0, labels, classes=["no", "yes"]
        )
    assert said == [
        "x.csv: the groups of 'id' leave the splits with other shares of the rows than train 70%, validation 15%, test "
        "15%: train 40%, validation 40%, test 20%",
        "x.csv: the groups of 'id' leave different shares of the class 'no' in the splits: train 50%, test 0%",
    ]


def test_fewer_groups_than_splits() -> None:
    with pytest.raises(DataError, match=r"x.csv: column 'id': has 2 groups, and 3 splits need one each; name another"):
        split_by_groups(table_of(id=np.repeat([1.0, 2], 20)), ["id"], HELD_OUT, 0, None)


@pytest.mark.parametrize(("key", "has"), [("by", "2 groups, and 3 parts"), ("time", "2 different times, and 4 parts")])
def test_fewer_groups_or_times_than_folds(load: Load, key: str, has: str) -> None:
    Path("d.csv").write_text("id,x,y\n" + "".join(f"{i % 2},{i},{i % 5}\n" for i in range(40)))
    with pytest.raises(DataError) as caught:
        load("regression", source="d.csv", target="y", split={key: "id", "fold": {"number": 1, "of": 3}})
    assert str(caught.value) == (
        f"d.csv: column 'id': has {has} need one each; name another column, or take fewer folds"
    )


@given(st.lists(st.integers(0, 12), min_size=20, max_size=200), st.sampled_from([0.1, 0.15, 0.4]))
def test_splits_in_time_do_not_overlap(times: list[int], fraction: float) -> None:
    table = table_of(t=np.array(times, float))
    if len(set(times)) < 3:
        with pytest.raises(DataError, match="different time"):
            split_by_time(table, "t", {"validation": fraction, "test": fraction})
        return
    found = split_by_time(table, "t", {"validation": fraction, "test": fraction})
    assert sorted(np.concatenate(list(found.values()))) == list(range(len(times)))
    of_split = [np.array(times)[rows] for rows in found.values()]
    assert of_split[0].max() < of_split[1].min()
    assert of_split[1].max() < of_split[2].min()


def test_boundaries_are_the_changes_of_time_nearest_to_the_fractions() -> None:
    times = np.repeat([5.0, 1, 2, 3, 4], [10, 30, 30, 10, 20])
    found = split_by_time(table_of(t=times), "t", {"validation": 0.15, "test": 0.15})
    assert {name: sorted(set(times[rows])) for name, rows in found.items()} == {
        "train": [1, 2, 3],
        "validation": [4],
        "test": [5],
    }


def test_dates_are_read_and_missing_ones_refused() -> None:
    codes = np.array([0, 1, 2, 0, -1])
    column = Text(codes, ("31.12.2023", "1.2.2024", "2.2.2024"))
    table = Table("x.csv", {"day": column.take(codes[:4] * 0 + np.arange(4))}, np.arange(2, 6))
    found = split_by_time(table, "day", {"validation": 0.25, "test": 0.25})
    assert {name: rows.tolist() for name, rows in found.items()} == {"train": [0, 3], "validation": [1], "test": [2]}
    with pytest.raises(DataError, match=r"x.csv:6: column 'day': the time is missing; fill it in or remove the row"):
        split_by_time(Table("x.csv", {"day": column}, np.arange(2, 7)), "day", {"test": 0.2})


@pytest.fixture
def visits(folder: Path) -> str:
    """40 rows of ten patients: numbers x, a date, a class."""
    rows = [f"p{i % 10},2024-01-{1 + i // 2:02},{i * 7 % 11},{'ab'[i % 2]}\n" for i in range(40)]
    (folder / "visits.csv").write_text("patient,day,x,k\n" + "".join(rows))
    return "visits.csv"


def test_the_column_is_no_input_unless_it_is_named(load: Load, visits: str) -> None:
    common = {"source": visits, "target": "k", "exclude": ["day"]}
    assert load("classes", **common, split={"by": "patient"}).feature_names == ["x"]
    named = load("classes", source=visits, target="k", split={"time": "day"}, features=["x", "patient"])
    assert named.feature_names[:2] == ["x", "patient=p0"]
    assert [len(split) for split in named.splits.values()] == [28, 6, 6]
    assert named.test.rows.tolist() == list(range(36, 42))


def test_the_same_splits_for_a_trained_network(load: Load, visits: str) -> None:
    keys = {"source": visits, "target": "k", "exclude": ["day"], "split": {"by": ["patient"]}}
    for split in load("classes", **keys).splits.values():
        assert len({(row - 2) % 10 for row in split.rows.tolist()}) * 4 == len(split)


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"split": {"by": "visitor"}}, ("data", "split", "by"), "no column 'visitor' in visits.csv"),
        ({"split": {"time": "d"}}, ("data", "split", "time"), "no column 'd' in visits.csv"),
    ],
)
def test_an_unknown_column(load: Load, visits: str, keys, path, message) -> None:
    with pytest.raises(SettingError) as caught:
        load("classes", source=visits, target="k", **keys)
    assert caught.value.problems[0][0] == path
    assert caught.value.problems[0][1].startswith(message)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"split": {"by": "patient", "time": "day"}}, "'by' and 'time' exclude each other; leave one of them out"),
        ({"split": {"by": ["day", "day"]}}, "names 'day' twice"),
        ({"split": {"by": "k"}}, "'k' is under 'split' too; it can be only one of them"),
        (
            {"split": {"time": "day"}, "window": {"length": 2}, "target": "x"},
            "'time' goes with single rows; windows are split in the order of time, each group on its own; leave it out",
        ),
        (
            {"source": "a.txt", "split": {"by": "k"}, "target": None},
            "'by' and 'time' go with columns, but a text has none; leave them out",
        ),
    ],
)
def test_keys_that_do_not_go_together(load: Load, visits: str, keys, message) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        load("classes", **{"source": visits, "target": "k", **keys})
    assert message in str(caught.value)

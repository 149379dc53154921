"""Files of several series, or in another order than that of time: sorted, kept apart, and warned of."""

from __future__ import annotations

import json
import warnings
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_inputs, load_split
from backprop_cli.data.stream import ordered_inputs
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpWarning, DataError, SettingError

START = date(2024, 1, 1)
WINDOW = {"length": 3, "horizon": 2, "time": "date", "group": "shop"}
PLAIN = {"transform": {"numeric": "none"}}
SHOPS = {"north": 30, "south": 20, "east": 12}


def rows(shops: dict[str, int] = SHOPS) -> list[str]:
    """A value says its shop and its day: 2007 is the seventh day of the second shop."""
    return [
        f"{START + timedelta(day)},{shop},{1000 * (k + 1) + day}"
        for k, (shop, days) in enumerate(shops.items())
        for day in range(days)
    ]


def write(folder: Path, lines: list[str], name: str = "panel.csv", header: str = "date,shop,v") -> str:
    (folder / name).write_text("\n".join([header, *lines]) + "\n")
    return name


def shuffled(lines: list[str], seed: int = 0) -> list[str]:
    return [lines[i] for i in np.random.default_rng(seed).permutation(len(lines))]


def panel(load: Load, source: str, window: dict | None = None, **keys: object):
    parts = {"validation": 0.2, "test": 0.2}
    return load("regression", source=source, target="v", window=window or WINDOW, split=parts, **{**PLAIN, **keys})


def by_series(values: np.ndarray) -> dict[int, np.ndarray]:
    return {k: values[values[:, 0] // 1000 == k] for k in (1, 2, 3)}


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_no_window_crosses_from_one_series_to_another_or_runs_backwards(
    load: Load, folder: Path, seed: int | None
) -> None:
    lines = rows() if seed is None else shuffled(rows(), seed)
    data = panel(load, write(folder, lines))
    held_out = {name: {1: count, 2: count2, 3: count3} for name, count, count2, count3 in (
        ("train", range(18), range(12), range(7)),
        ("validation", range(18, 24), range(12, 16), range(7, 10)),
        ("test", range(24, 30), range(16, 20), range(10, 12)),
    )}  # fmt: skip
    for name, split in data.splits.items():
        both = np.concatenate([np.asarray(split.inputs)[..., 0], np.asarray(split.targets)], axis=1)
        assert (np.diff(both, axis=1) == 1).all()
        for series, found in by_series(both).items():
            days = held_out[name][series]
            first = days.start if days.start else 3
            np.testing.assert_array_equal(found[:, 3] % 1000, np.arange(first, days.stop - 1))
        assert split.rows is not None
        assert [float(lines[row - 2].split(",")[2]) for row in split.rows] == both[:, 0].tolist()
        np.testing.assert_array_equal(split.baselines["last_value"], np.repeat(both[:, 2:3], 2, axis=1))


def test_a_season_does_not_reach_into_another_series(load: Load, folder: Path) -> None:
    data = panel(load, write(folder, rows()), {**WINDOW, "season": 5})
    for name, split in data.splits.items():
        found, after = split.baselines["seasonal"], np.asarray(split.targets)
        known = np.isfinite(found)
        np.testing.assert_array_equal(found[known], after[known] - 5)
        np.testing.assert_array_equal(known, after % 1000 >= 5, err_msg=name)
    with pytest.raises(SettingError) as caught:
        panel(load, "panel.csv", {**WINDOW, "season": 30})
    assert caught.value.problems[0].reason.startswith(
        "a season of 30 rows is at least as long as the longest series of panel.csv"
    )


def test_the_split_of_one_sorted_series_is_that_without_the_setting(load: Load, folder: Path) -> None:
    write(folder, rows({"north": 40}), "plain.csv")
    plain = panel(load, "plain.csv", {"length": 3}, features=["v"])
    data = panel(load, write(folder, rows({"north": 40})[::-1]), {"length": 3, "time": "date"}, features=["v"])
    for name in plain.splits:
        np.testing.assert_array_equal(plain.splits[name].inputs[:], data.splits[name].inputs[:])
        np.testing.assert_array_equal(plain.splits[name].targets, data.splits[name].targets)


def test_groups_without_times_keep_the_order_of_the_file(load: Load, folder: Path) -> None:
    lines = rows({"north": 20, "south": 20})
    mixed = [line for pair in zip(lines[:20], lines[20:], strict=True) for line in pair]
    window = {"length": 3, "horizon": 2, "group": ["shop"]}
    found, sorted_ = panel(load, write(folder, mixed), window, features=["v"]), panel(load, "panel.csv", features=["v"])
    for name in found.splits:
        np.testing.assert_array_equal(found.splits[name].inputs[:], sorted_.splits[name].inputs[:])


def test_several_columns_and_numbers_tell_series_apart(load: Load, folder: Path) -> None:
    lines = [f"{t},{k % 2},{k // 2},{1000 * (k + 1) + t}" for t in range(20) for k in range(4)]
    write(folder, lines, "n.csv", "t,a,b,v")
    data = panel(load, "n.csv", {"length": 2, "time": "t", "group": ["a", "b"]})
    assert data.feature_names == ["v-1", "v"]  # columns that order rows are no inputs unless they are named
    for split in data.splits.values():
        assert (np.diff(np.asarray(split.inputs)[..., 0], axis=1) == 1).all()
    both = panel(load, "n.csv", {"length": 2, "time": "t", "group": ["a", "b"]}, features=["v", "t", "a"])
    assert both.input_shape == (2, 3)


def test_arrays_are_sorted_too(load: Load, folder: Path) -> None:
    t = np.array([3, 1, 2, 0, 5, 4, 6, 9, 8, 7])
    np.savez("a.npz", t=t, v=100.0 + t)
    data = load("regression", source="a.npz", target="v", window={"length": 2, "time": "t"}, split="none", **PLAIN)
    np.testing.assert_array_equal(data.train.targets[:, 0], np.arange(102, 110))
    assert data.train.rows is not None
    np.testing.assert_array_equal(t[data.train.rows], np.arange(8))


def test_other_data_and_predictions_are_put_in_order(load: Load, folder: Path) -> None:
    transform = panel(load, write(folder, rows())).transform
    stored = Transform.from_json(json.loads(json.dumps(transform.to_json())))
    lines = shuffled(rows({"north": 6, "new": 5}), 3)
    source = Path(write(folder, lines, "new.csv"))
    split = load_split(source, stored, dtype="float64")
    both = np.concatenate([np.asarray(split.inputs)[..., 0], np.asarray(split.targets)], axis=1)
    assert sorted(both[:, 0].tolist()) == [1000, 1001, 2000]
    assert (np.diff(both, axis=1) == 1).all()
    inputs, numbers = load_inputs(source, stored, dtype="float64")
    assert [float(lines[number - 2].split(",")[2]) for number in numbers] == inputs[:, 0, 0].tolist()
    for chunk in (1, 2, 1000):
        batches, labels = ordered_inputs(source, stored, dtype="float64", chunk_rows=chunk)
        np.testing.assert_array_equal(np.concatenate(list(batches)), inputs)
        ends = [f"{day},{shop},{int(v)}" for day, shop, v in zip(*labels.values(), inputs[:, -1, 0], strict=True)]
        assert set(ends) <= set(lines)
        assert list(labels) == ["date", "shop"]


def test_the_order_of_day_and_month_is_remembered(load: Load, folder: Path) -> None:
    days = [START + timedelta(day) for day in range(40)]
    lines = [f"{day:%m/%d/%Y},{k}" for k, day in enumerate(days)]
    source = write(folder, lines[::-1], "us.csv", "date,v")
    transform = panel(load, source, {"length": 2, "time": "date"}).transform
    write(folder, ["03/02/2024,2", "02/03/2024,1", "01/04/2024,0"], "few.csv", "date,v")
    stored = Transform.from_json(json.loads(json.dumps(transform.to_json())))
    assert load_inputs(Path("few.csv"), stored, dtype="float64")[0][:, :, 0].tolist() == [[0, 1], [1, 2]]


def test_short_series_are_counted(load: Load, folder: Path) -> None:
    source = write(folder, rows({"north": 30, "tiny": 2, "small": 4}))
    with pytest.warns(BpWarning) as caught:
        panel(load, source)
    assert [str(each.message) for each in caught] == [
        f"the {name} split of panel.csv: 2 of 3 groups ('small', 'tiny') have too few rows for an example, and a "
        "window takes 5: length 3 and horizon 2"
        for name in ("train", "validation", "test")
    ]
    transform = panel(load, write(folder, rows())).transform
    with pytest.warns(
        BpWarning, match=r"^new.csv: 1 of 2 groups \('b'\) have too few rows for an example, and a window takes 3$"
    ):
        load_inputs(Path(write(folder, rows({"a": 3, "b": 2}), "new.csv")), transform, dtype="float64")
    with pytest.raises(
        DataError, match=r"^the longest group of new.csv has 2 rows, and a window takes 3; give more rows$"
    ):
        load_inputs(Path(write(folder, rows({"a": 2, "b": 2}), "new.csv")), transform, dtype="float64")
    with pytest.raises(SettingError) as error:
        panel(load, write(folder, rows({"a": 4, "b": 4, "c": 4})))
    assert error.value.problems[0].reason == (
        "each of the 3 groups in the train split of panel.csv has at most 2 rows, and a window takes 5: length 3 and "
        "horizon 2; give more rows, make windows shorter, or change data.split"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["2024-01-01,a,1", "2024-01-02,a,2", "2024-01-01,a,3"],
            "panel.csv:4: column 'date': the time '2024-01-01' occurs twice in group 'a', first on line 2; remove one "
            "of the rows, or add a column to data.window.group",
        ),
        (
            ["2024-01-01,a,1", "2024-01-02,,2"],
            "panel.csv:3: column 'shop': the row's group is missing; fill it in or remove the row",
        ),
        (
            ["2024-01-01,a,1", ",a,2"],
            "panel.csv:3: column 'date': the time is missing; fill it in or remove the row",
        ),
    ],
)
def test_rows_that_cannot_be_put_in_order(load: Load, folder: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        panel(load, write(folder, lines))
    assert str(caught.value) == message


def test_a_panel_without_its_group(load: Load, folder: Path) -> None:
    source = write(folder, rows())
    with pytest.raises(DataError) as caught, pytest.warns(BpWarning, match="set data.window.group: shop$"):
        panel(load, source, {"length": 3, "time": "date"}, features=["v"])
    assert str(caught.value) == (
        "panel.csv:32: column 'date': the time '2024-01-01' occurs twice, first on line 2 (32 rows like it); if the "
        "file has several series, name the column that separates them in data.window.group; else remove one of the rows"
    )


def test_columns_that_are_not_there(load: Load, folder: Path) -> None:
    for features in ("all", ["v"]):
        with pytest.raises(SettingError) as caught:
            panel(load, write(folder, rows()), {"length": 3, "time": "day", "group": "shops"}, features=features)
        paths = [each.path for each in caught.value.problems]
        assert paths == [("data", "window", "group"), ("data", "window", "time")]
    transform = panel(load, "panel.csv").transform
    write(folder, ["1,2"], "new.csv", "v,w")
    with pytest.raises(DataError) as error:
        load_inputs(Path("new.csv"), transform, dtype="float64")
    assert str(error.value) == "new.csv: no columns 'shop', 'date'; its columns: v, w"


# --- without the settings --------------------------------------------------------------------------------------


def warned(load: Load, source: str, window: dict, **keys: object) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        panel(load, source, window, **keys)
    return [str(each.message) for each in caught]


def test_a_file_that_runs_backwards(load: Load, folder: Path) -> None:
    source = write(
        folder, [f"{line.split(',')[0]},{k}" for k, line in enumerate(rows({"x": 40}))][::-1], header="date,v"
    )
    falls = (
        "panel.csv:3: column 'date': falls from row to row, 39 times (here '2024-02-08' after '2024-02-09'), and "
        "windows take the file's order as the order of time: set data.window.time: date; if the file has several "
        "series, name their column in data.window.group"
    )
    dropped = (
        "panel.csv: a series is predicted from its columns of numbers; 'date' is text and left out: set "
        "data.window.time: date to sort by it, or name the columns to predict from in data.features"
    )
    assert warned(load, source, {"length": 3}) == [falls, dropped]
    assert warned(load, source, {"length": 3}, features=["v"]) == [falls]
    assert warned(load, source, {"length": 3, "time": "date"}) == []
    assert load_split(Path(source), panel(load, source, {"length": 3, "time": "date"}).transform, dtype="float64")


def test_series_one_after_the_other(load: Load, folder: Path) -> None:
    source = write(folder, rows())
    found = warned(load, source, {"length": 3})
    assert found[0].startswith(
        "panel.csv:32: column 'date': goes back in time, 2 times (here '2024-01-01' after '2024-01-30'), "
    )
    assert found[1] == (
        "panel.csv:32: column 'shop': changes from 'north' to 'south' after 30 rows, and windows treat all rows as "
        "one series; if each value is a series of its own, set data.window.group: shop"
    )
    assert found[2] == (
        "panel.csv: a series is predicted from its columns of numbers; 'date', 'shop' are text and left out: set "
        "data.window.time: date to sort by it, or name the columns to predict from in data.features"
    )
    assert warned(load, source, {"length": 3}, features=["v"]) == found[:2]
    assert [text for text in warned(load, source, {"length": 3, "group": "shop"}) if "left out" not in text] == []
    assert warned(load, source, WINDOW) == []


def test_series_side_by_side(load: Load, folder: Path) -> None:
    lines = rows({"north": 20, "south": 20})
    source = write(folder, [line for pair in zip(lines[:20], lines[20:], strict=True) for line in pair])
    assert warned(load, source, {"length": 3})[0] == (
        "panel.csv: column 'date': several rows have the same time, and 'shop' distinguishes them: windows cross from "
        "one series to another; set data.window.time: date and data.window.group: shop"
    )


def test_numbers_that_are_called_a_time(load: Load, folder: Path) -> None:
    source = write(folder, [f"{2020 - k},{k}" for k in range(40)], header="year,v")
    assert warned(load, source, {"length": 3})[0].startswith(
        "panel.csv:3: column 'year': falls from row to row, 39 times"
    )
    source = write(folder, [f"{40 - k},{k}" for k in range(40)], header="left,v")
    assert warned(load, source, {"length": 3}) == []


def test_ordinary_series_are_not_warned_of(load: Load, folder: Path) -> None:
    kinds = ["sun", "rain", "sun", "snow"]
    lines = [f"{START + timedelta(k)},{kinds[k % 4]},{k % 3},{k}" for k in range(60)]
    source = write(folder, lines, header="date,sky,w,v")
    assert warned(load, source, {"length": 3}, features=["w", "v"]) == []
    assert warned(load, source, {"length": 3}, features=["w", "v", "sky"]) == []


def test_rows_that_are_missing_between_others(load: Load, folder: Path) -> None:
    lines = [
        line for line in rows() if not line.startswith(("2024-01-05,north", "2024-01-06,north", "2024-01-08,south"))
    ]
    source = write(folder, shuffled(lines))
    number = 2 + shuffled(lines).index("2024-01-07,north,1006")
    assert warned(load, source, WINDOW) == [
        f"panel.csv:{number}: column 'date': 2 of 56 steps in time are longer than the others (here from '2024-01-04' "
        "to '2024-01-07'), but windows treat all steps as equal; add the missing rows"
    ]


@pytest.mark.parametrize("step", [lambda k: k + 2 * (k // 5), lambda k: 30 * k + k // 2, lambda k: k * k])
def test_steps_that_are_not_all_the_same_by_nature(load: Load, folder: Path, step) -> None:
    """Working days, months, and times without any order."""
    source = write(folder, [f"{START + timedelta(step(k))},{k}" for k in range(40)], header="date,v")
    assert warned(load, source, {"length": 3, "time": "date"}) == []

"""A time series as examples: windows in the order of time, no leak between splits, and the baselines."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_inputs, load_split
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import known_input_shape
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError, SettingError

# The dates of these rows are text that no setting names, which is warned of: see test_panel.py.
pytestmark = pytest.mark.filterwarnings("ignore:.*is text and left out:backprop_cli.errors.BpWarning")

ROWS = 40
SALES = np.array([i * i % 37 + i / 2 for i in range(ROWS)])
PRICE = np.array([(i * 7) % 11 for i in range(ROWS)], float)
PLAIN = {"transform": {"numeric": "none"}}
PARTS = {"train": range(20), "validation": range(20, 30), "test": range(30, 40)}


@pytest.fixture
def sales(folder: Path) -> str:
    """Dates, sales and prices: 40 rows on lines 2 to 41."""
    lines = [f"2024-{i:02d},{s},{p:.0f}" for i, (s, p) in enumerate(zip(SALES, PRICE, strict=True))]
    (folder / "sales.csv").write_text("\n".join(["date,sales,price", *lines]) + "\n")
    return "sales.csv"


def series(load: Load, source: str, window: dict, target: object = "sales", **keys: object):
    parts = {"validation": 0.25, "test": 0.25}
    return load("regression", source=source, target=target, window=window, split=parts, **{**PLAIN, **keys})


def windows(name: str, length: int, horizon: int, stride: int = 1) -> np.ndarray:
    """Rows at which windows begin: the first target is the split's first row, but in train the first with a past."""
    part = PARTS[name]
    return np.arange(max(part.start - length, 0), part.stop - length - horizon + 1, stride)


def test_targets_are_the_rows_of_a_split_and_inputs_what_was_before(load: Load, sales: str) -> None:
    data = series(load, sales, {"length": 4, "horizon": 2})
    assert data.input_shape == (4, 2)
    both = np.stack([SALES, PRICE], axis=1)
    for name in PARTS:
        split = data.splits[name]
        starts = windows(name, 4, 2)
        np.testing.assert_array_equal(split.inputs[:], [both[s : s + 4] for s in starts])
        np.testing.assert_array_equal(split.targets, [SALES[s + 4 : s + 6] for s in starts])
        assert split.rows is not None
        assert split.rows.tolist() == [s + 2 for s in starts]
    assert data.feature_names == ["sales-3", "price-3", "sales-2", "price-2", "sales-1", "price-1", "sales", "price"]
    assert data.target_names == ["sales+1", "sales+2"]


def test_several_targets_stride_and_chosen_features(load: Load, sales: str) -> None:
    window = {"length": 3, "horizon": 2, "stride": 4}
    data = series(load, sales, window, target=["price", "sales"], features=["price"])
    both = np.stack([PRICE, SALES], axis=1)
    for name, starts in {"train": [0, 4, 8, 12], "validation": [17, 21, 25], "test": [27, 31, 35]}.items():
        np.testing.assert_array_equal(data.splits[name].inputs[:], [PRICE[s : s + 3, None] for s in starts])
        np.testing.assert_array_equal(data.splits[name].targets, [both[s + 3 : s + 5].ravel() for s in starts])
    assert data.target_names == ["price+1", "sales+1", "price+2", "sales+2"]


def test_the_transform_is_that_of_the_train_rows(load: Load, sales: str) -> None:
    transform = {"numeric": "standardize", "target": "standardize"}
    data = series(load, sales, {"length": 4, "horizon": 2}, target=["sales", "price"], transform=transform)
    rows = np.stack([SALES, PRICE], axis=1)
    scaled = (rows - rows[:20].mean(axis=0)) / rows[:20].std(axis=0)
    test = data.splits["test"]
    np.testing.assert_allclose(test.inputs[0], scaled[26:30], rtol=1e-12)
    np.testing.assert_allclose(np.asarray(test.targets)[0], scaled[30:32].ravel(), rtol=1e-12)
    np.testing.assert_allclose(data.transform.untransform_targets(np.asarray(test.targets))[0], rows[30:32].ravel())
    stored = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
    np.testing.assert_array_equal(stored.untransform_targets(np.asarray(test.targets)), rows_of(data, "test"))
    assert stored.window == data.transform.window


def rows_of(data, name: str) -> np.ndarray:
    return data.transform.untransform_targets(np.asarray(data.splits[name].targets))


@pytest.mark.parametrize(("first", "before"), [(20, ["train"]), (30, ["train", "validation"])])
def test_later_rows_change_nothing_before(load: Load, sales: str, folder: Path, first: int, before: list[str]) -> None:
    """Neither the examples, nor what is fitted on train, nor the baselines have seen a row of a later split."""
    transform = {"numeric": "standardize", "target": "standardize"}
    window = {"length": 3, "horizon": 2, "season": 5}
    found = series(load, sales, window, transform=transform)
    lines = (folder / sales).read_text().splitlines()
    changed = [f"{line.split(',')[0]},{900 + i},-{i}" for i, line in enumerate(lines[first + 1 :])]
    (folder / sales).write_text("\n".join([*lines[: first + 1], *changed]) + "\n")
    again = series(load, sales, window, transform=transform)
    assert found.transform.to_json() == again.transform.to_json()
    for name in before:
        np.testing.assert_array_equal(found.splits[name].inputs[:], again.splits[name].inputs[:])
        np.testing.assert_array_equal(found.splits[name].targets, again.splits[name].targets)
        assert [*found.splits[name].baselines] == ["last_value", "seasonal"]
        for baseline, predicted in found.splits[name].baselines.items():
            np.testing.assert_array_equal(predicted, again.splits[name].baselines[baseline])
    assert not np.array_equal(found.splits["test"].inputs[:], again.splits["test"].inputs[:])


@pytest.mark.parametrize(("length", "horizon"), [(1, 1), (4, 1), (4, 3), (12, 2), (15, 5)])
def test_no_held_out_row_is_trained_on_and_each_is_a_target_once(
    load: Load, folder: Path, length: int, horizon: int
) -> None:
    """Rows that are their own numbers say what is in a window; train is of 20, held-out splits may be shorter."""
    (folder / "count.csv").write_text("n\n" + "".join(f"{row}\n" for row in range(ROWS)))
    data = series(load, "count.csv", {"length": length, "horizon": horizon}, target="n")
    targets = {name: set(np.asarray(split.targets).ravel().tolist()) for name, split in data.splits.items()}
    assert targets == {**{name: set(map(float, part)) for name, part in PARTS.items()}, "train": {*range(length, 20)}}
    assert set(data.train.inputs[:].ravel().tolist()) == {*range(20 - horizon)}
    for name, part in PARTS.items():
        split = data.splits[name]
        ends, first = split.inputs[:][:, -1, 0], np.asarray(split.targets)[:, 0]
        np.testing.assert_array_equal(ends + 1, first)
        assert split.rows is not None
        np.testing.assert_array_equal(split.rows, first - length + 2)
        assert len(split) == len(part) - horizon + 1 - (length if name == "train" else 0)


def test_baselines(load: Load, sales: str) -> None:
    transform = {"numeric": "standardize", "target": "standardize"}
    data = series(load, sales, {"length": 3, "horizon": 4, "season": 2}, transform=transform)
    for name in PARTS:
        found, starts = data.splits[name].baselines, windows(name, 3, 4)
        np.testing.assert_array_equal(found["last_value"], np.repeat(SALES[starts + 2][:, None], 4, axis=1))
        # 1 and 2 rows ahead one season back; 3 and 4 rows ahead that is not known yet, and two seasons are.
        np.testing.assert_array_equal(found["seasonal"], np.stack([SALES[starts + k] for k in (1, 2, 1, 2)], axis=1))


def test_a_season_as_long_as_the_data(load: Load, sales: str) -> None:
    with pytest.raises(SettingError) as caught:
        series(load, sales, {"length": 2, "season": 40})
    reason = (
        "a season of 40 rows is at least as long as sales.csv, which has 40: no two rows are a season apart; leave it "
        "out"
    )
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (("data", "window", "season"), reason),
    )
    assert series(load, sales, {"length": 2, "season": 39}).splits["test"].baselines["seasonal"][-1, 0] == SALES[0]


def test_a_season_longer_than_a_window(load: Load, sales: str) -> None:
    data = series(load, sales, {"length": 2, "season": 6})
    found = data.train.baselines["seasonal"][:, 0]
    np.testing.assert_array_equal(np.isnan(found), np.arange(18) < 4)
    np.testing.assert_array_equal(found[4:], SALES[:14])
    np.testing.assert_array_equal(data.splits["validation"].baselines["seasonal"][:, 0], SALES[14:24])
    assert list(series(load, sales, {"length": 2}).train.baselines) == ["last_value"]


def test_the_model_may_say_the_shape(load: Load, sales: str) -> None:
    data = series(load, sales, {"length": 4}, features=["sales"], input_shape=(4,))
    np.testing.assert_array_equal(data.train.inputs[0], SALES[:4])
    assert series(load, sales, {"length": 4}, input_shape=(1, 8)).train.inputs.shape == (16, 1, 8)


def test_predictions_are_for_every_row_that_ends_a_window(load: Load, sales: str) -> None:
    transform = series(load, sales, {"length": 4, "horizon": 3, "stride": 5}).transform
    both = np.stack([SALES, PRICE], axis=1)
    expected = np.stack([both[s : s + 4] for s in range(ROWS - 3)])
    for chunk in (1, 3, 7, 1000):
        pieces = list(stream_inputs(Path(sales), transform, dtype="float64", chunk_rows=chunk))
        np.testing.assert_array_equal(np.concatenate(pieces), expected)
        assert max(map(len, pieces)) <= max(1, chunk // 4)
    text = Path(sales).read_text()
    np.testing.assert_array_equal(
        np.concatenate(list(stream_inputs(io.BytesIO(text.encode()), transform, dtype="float64"))), expected
    )
    inputs, rows = load_inputs(Path(sales), transform, dtype="float64")
    np.testing.assert_array_equal(inputs, expected)
    assert rows.tolist() == list(range(2, 39))


def test_other_data_are_windows_too(load: Load, sales: str) -> None:
    data = series(load, sales, {"length": 4, "season": 4})
    split = load_split(Path(sales), data.transform, dtype="float64")
    assert len(split) == ROWS - 4
    np.testing.assert_array_equal(split.targets[:, 0], SALES[4:])
    np.testing.assert_array_equal(split.baselines["seasonal"][:, 0], SALES[:-4])


def test_a_file_a_split_and_arrays(load: Load, folder: Path) -> None:
    np.savez(folder / "a.npz", x=np.arange(20.0).reshape(10, 2), y=np.arange(10.0))
    keys = {"train": "a.npz", "test": "a.npz", "target": "y", "features": ["x"], "window": {"length": 3}}
    data = load("regression", **keys, **PLAIN)
    assert data.input_shape == (3, 2)
    assert data.splits["test"].inputs[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert data.splits["test"].targets[:, 0].tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert known_input_shape(DataSettings.model_validate(keys), folder) is None


@pytest.mark.parametrize(
    ("task", "keys", "path", "reason"),
    [
        (
            "regression",
            {"window": {"length": 19, "horizon": 2}},
            ("data", "window"),
            "the train split of sales.csv has 20 rows, and a window takes 21: length 19 and horizon 2; give more "
            "rows, make windows shorter, or change data.split",
        ),
        (
            "regression",
            {"window": {"length": 9, "horizon": 11}},
            ("data", "window"),
            "the validation split of sales.csv has 10 rows and 9 before, and a window takes 20: length 9 and horizon "
            "11; give more rows, make windows shorter, or change data.split",
        ),
        (
            "classes",
            {"window": {"length": 2}},
            ("loss",),
            "data.window predicts numbers; use a loss for them: mean_squared_error",
        ),
        (
            "regression",
            {"window": {"length": 3}, "input_shape": (5,)},
            ("model", "input"),
            "[5] has 5 values, but an example of sales.csv has 6 in 3 rows of 2",
        ),
        (
            "regression",
            {"window": {"length": 3}, "input_shape": (2, 3)},
            ("model", "input"),
            "[2, 3] would mix up examples of sales.csv, which have the shape [3, 2]; write [3, 2]",
        ),
    ],
)
def test_mistakes_of_the_settings(load: Load, sales: str, task: str, keys: dict, path: tuple, reason: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(task, source=sales, target="sales", split={"validation": 0.25, "test": 0.25}, **PLAIN, **keys)
    (problem,) = caught.value.problems
    assert (problem.path, problem.reason) == (path, reason)


def test_messages(load: Load, sales: str, folder: Path) -> None:
    transform = series(load, sales, {"length": 4}).transform
    with pytest.raises(DataError) as caught:
        list(stream_inputs(io.BytesIO(b"sales,price\n1,2\n"), transform, dtype="float64"))
    assert str(caught.value) == "standard input has 1 row, and a window takes 4; give more rows"
    (folder / "few.csv").write_text("sales,price\n1,2\n")
    with pytest.raises(
        DataError, match=r"^few.csv has 1 row, and a window takes 5: length 4 and horizon 1; give more rows$"
    ):
        load_split("few.csv", transform, base=folder, dtype="float64")
    (folder / "gap.csv").write_text("sales,price\n1,2\n,3\n" + "1,2\n" * 9)
    with pytest.raises(DataError) as caught:
        load("regression", source="gap.csv", target="sales", window={"length": 2}, split="none", **PLAIN)
    assert str(caught.value).startswith("gap.csv:3: column 'sales': the value is missing; fill it in")

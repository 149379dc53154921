"""load_dataset: what it says about files, columns and rows that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_split
from backprop_cli.errors import DataError, SettingError


@pytest.mark.parametrize(
    ("task", "keys", "message"),
    [
        ("classes", {"target": "kk"}, "no column 'kk' in flowers.csv; did you mean 'k'?"),
        ("classes", {"target": "species"}, "no column 'species' in flowers.csv; its columns: a, b, c, k"),
        ("classes", {"target": "k", "features": ["a", "z"]}, "no column 'z' in flowers.csv; its columns: a, b, c, k"),
        (
            "regression",
            {"target": "k"},
            "flowers.csv:2: column 'k': expected a number as target, got 'x'; for classes use loss: cross_entropy",
        ),
        (
            "classes",
            {"target": ["a", "b", "c", "k"]},
            "flowers.csv: no columns are left to predict from; name them in data.features",
        ),
        (
            "classes",
            {"target": "features"},
            "flowers.csv: target: features goes with a loss for numbers or binary_cross_entropy, not with classes",
        ),
        (
            "binary",
            {"target": "features", "features": ["a"], "split": None},
            "flowers.csv: inputs that are binary targets must be from 0 to 1, got -1.675 to 1.675; "
            "use data.transform.numeric: min_max, or a loss for numbers",
        ),
        (
            "classes",
            {"target": "k", "split": {"validation": 0.01}},
            "flowers.csv: 30 rows cannot be split into train 0.84, validation 0.01, test 0.15: "
            "nothing is left for validation; give more rows or set data.split",
        ),
    ],
)
def test_messages(load: Load, flowers: str, task: str, keys: dict, message: str) -> None:
    with pytest.raises(DataError) as caught:
        load(task, source=flowers, **keys)
    assert str(caught.value) == message


def test_messages_about_other_splits(load: Load, folder: Path, flowers: str) -> None:
    for text, message in [
        ("a,b,k\n1,2,x\n", "test.csv: no column 'c'; its columns: a, b, k"),
        (
            "a,b,c,k\n1,2,r,x\n1,,r,x\n",
            "test.csv:3: column 'b': the value is missing; fill it in, or train with "
            "data.transform.missing: mean, median, most_frequent or indicator",
        ),
        ("a,b,c,k\n1,2,r,x\n1,q,r,x\n", "test.csv:3: column 'b': expected a number, got 'q'"),
        (
            "a,b,c,k\n1,2,m,x\n",
            "test.csv:2: column 'c': category 'm' is not in the train split, which has b, g, r; "
            "remove the row, or train without the column (data.exclude: [c])",
        ),
        (
            "a,b,c,k\n1,2,r,z\n",
            "test.csv:2: column 'k': class 'z' is not in the train split, which has x, y; "
            "train with rows that have it, or remove this row",
        ),
        (
            "a,b,c,k\n1,2,r,\n",
            "test.csv:2: column 'k': the target is missing; fill it in, or train with data.missing_target: drop",
        ),
    ]:
        (folder / "test.csv").write_text(text)
        with pytest.raises(DataError) as caught:
            load("classes", train=flowers, test="test.csv", target="k")
        assert str(caught.value) == message


def test_a_category_that_only_a_held_out_row_has(load: Load, folder: Path) -> None:
    (folder / "rare.csv").write_text("c,k\n" + "".join(f"{'r' if i else 'm'},{i % 2}\n" for i in range(20)))
    messages = set()
    for seed in range(20):
        try:
            load("classes", source="rare.csv", target="k", seed=seed)
        except DataError as error:
            messages.add(str(error))
    assert messages == {
        "rare.csv:2: column 'c': category 'm' is not in the train split, which has r; which rows are in the train "
        "split depends on seed and data.split; remove the row, or train without the column (data.exclude: [c])"
    }


def test_mistakes_of_the_settings_have_their_keys(load: Load, folder: Path, flowers: str) -> None:
    with pytest.raises(SettingError) as caught:
        load("classes", source=flowers, target="kk", features=["a", "bb", "zz"])
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (("data", "features", 1), "no column 'bb' in flowers.csv; did you mean 'b'?"),
        (("data", "features", 2), "no column 'zz' in flowers.csv; its columns: a, b, c, k"),
        (("data", "target"), "no column 'kk' in flowers.csv; did you mean 'k'?"),
    )
    with pytest.raises(SettingError) as caught:
        load("regression", generate={"type": "linear"}, target=["y", "z"])
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (("data", "target", 1), "no array 'z' in data.generate; its arrays: x1, x2, y"),
    )
    with pytest.raises(SettingError) as caught:
        load("classes", source=flowers, target="k", features=["a"], input_shape=(2, 2))
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (("model", "input"), "[2, 2] has 4 values, but an example of flowers.csv has 1"),
    )


@pytest.mark.parametrize(
    ("column", "stratify", "found"),
    [
        ("a", True, "30 different numbers with fractions"),
        ("a", False, "21 different numbers with fractions"),
        ("n", True, "30 different numbers"),
        ("t", True, "30 different texts"),
    ],
)
def test_measurements_and_names_are_no_classes(load: Load, folder: Path, column, stratify, found) -> None:
    (folder / "m.csv").write_text("a,n,t,x\n" + "".join(f"{i}.5,{i},name {i},{i}\n" for i in range(30)))
    with pytest.raises(SettingError) as caught:
        load("classes", source="m.csv", target=column, split={"stratify": stratify}, features=["x"])
    number = "" if column == "t" else "; to predict a number use a loss for numbers, such as mean_squared_error"
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (
            ("data", "target"),
            f"m.csv: column '{column}' has {found} in {30 if stratify else 21} rows, and the loss treats each as a "
            f"class{number}; for classes name their column",
        ),
    )


def test_a_few_fractions_and_many_rows_are_classes(load: Load, folder: Path) -> None:
    (folder / "stars.csv").write_text("x,k\n" + "".join(f"{i},{i % 10 / 2}\n" for i in range(40)))
    assert load("classes", source="stars.csv", target="k").classes == [i / 2 for i in range(10)]
    (folder / "many.csv").write_text("x,k\n" + "".join(f"{i},{i % 50}\n" for i in range(200)))
    assert len(load("classes", source="many.csv", target="k").classes or ()) == 50


def test_one_array_has_no_target(load: Load, folder: Path) -> None:
    np.save("x.npy", np.eye(4))
    with pytest.raises(DataError) as caught:
        load("classes", source="x.npy", target="y")
    assert str(caught.value) == (
        "x.npy: holds one array and no targets; write train: {inputs: ..., targets: ...} instead of source, "
        "or target: features"
    )


def test_a_network_of_arrays_reads_no_text(load: Load, folder: Path, flowers: str) -> None:
    np.save("x.npy", np.ones((4, 2, 2)))
    data = load("regression", source="x.npy", target="features", split=None)
    with pytest.raises(DataError) as caught:
        load_split(folder / flowers, data.transform, dtype="float32")
    assert str(caught.value) == (
        "flowers.csv: the network was trained on arrays of shape [2, 2] a row; give them as .npy, .npz, .idx or images"
    )


def test_a_class_of_two_rows_that_one_fold_holds(load: Load) -> None:
    Path("two.csv").write_text("x,y\n" + "".join(f"{i},{'c' if i < 2 else 'ab'[i % 2]}\n" for i in range(60)))
    found = set()
    for stratify in (True, False):
        for number in (1, 2, 3):
            split = {"fold": {"number": number, "of": 3}, "stratify": stratify}
            try:
                load("classes", source="two.csv", target="y", split=split)
            except DataError as error:
                assert str(error).startswith(
                    "two.csv:2: column 'y': class 'c' is not in the train split, which has a, b"
                )
                found.add((stratify, str(error).rpartition("; ")[2]))
    assert (True, "remove the row, or take fewer folds") in found
    assert not any(stratify and "stratify" in way_out for stratify, way_out in found)

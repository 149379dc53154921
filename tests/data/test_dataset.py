"""load_dataset: which files, columns and rows become which split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_dataset, load_inputs, load_split
from backprop_cli.data.examples import Dataset
from backprop_cli.data.fit import Demand
from backprop_cli.data.settings import DataSettings, FilePair
from backprop_cli.data.sources import known_input_shape
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError
from backprop_cli.nn.task import task_of

DATASETS = Path(__file__).parents[2] / "datasets"
WHOLE = {"split": {"validation": 0, "test": 0}, "transform": {"numeric": "none"}}


def test_one_source_is_split_and_standardized_by_the_train_split_alone(load: Load, flowers: str) -> None:
    data = load("classes", source=flowers, target="k", features=["a", "b"])
    assert [len(split) for split in data.splits.values()] == [21, 5, 4]
    assert data.classes == ["x", "y"]
    assert data.class_counts() in ([10, 11], [11, 10])
    assert data.target_names == ["k"]
    assert data.feature_names == ["a", "b"]
    assert data.input_shape == (2,)
    np.testing.assert_allclose(data.train.inputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.train.inputs.std(axis=0), 1, rtol=1e-12)
    everyone = np.concatenate([split.inputs[:, 0] for split in data.splits.values()])
    assert len(np.unique(everyone.round(9))) == 30
    for split in data.splits.values():
        assert np.all(np.diff(split.inputs[:, 0]) > 0)  # the file's order
        assert split.inputs.flags.c_contiguous
        assert split.targets.flags.c_contiguous


def test_same_seed_same_rows_other_seed_other_rows(load: Load, flowers: str) -> None:
    first, again, other = (load("classes", source=flowers, target="k", seed=seed).test for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)


def test_features_all_is_every_column_but_the_target(load: Load, flowers: str) -> None:
    data = load("classes", source=flowers, target="k")
    assert data.feature_names == ["a", "b", "c=b", "c=g", "c=r"]
    data = load("regression", source=flowers, target=["a", "b"])
    assert data.feature_names == ["c=b", "c=g", "c=r", "k=x", "k=y"]
    assert data.target_names == ["a", "b"]
    assert data.train.targets.shape == (21, 2)


@pytest.mark.parametrize("split", [None, "none", {"validation": 0, "test": 0}])
def test_no_split(load: Load, flowers: str, split: object) -> None:
    data = load("classes", source=flowers, target="k", split=split)
    assert list(data.splits) == ["train"]
    assert len(data.train) == 30


def test_targets_of_each_task(load: Load, flowers: str) -> None:
    data = load("classes", source=flowers, target="k", dtype="float32", **WHOLE)
    assert data.train.targets.dtype == np.int64
    assert data.train.targets[:3].tolist() == [0, 1, 0]
    data = load("binary", source=flowers, target="k", dtype="float32", **WHOLE)
    assert data.train.targets.dtype == np.float32
    assert data.train.targets[:3].tolist() == [[0], [1], [0]]
    assert data.classes == ["x", "y"]
    assert data.class_counts() == [15, 15]
    data = load("regression", source=flowers, target="a", dtype="float32", **WHOLE)
    assert data.train.targets.dtype == np.float32
    assert data.train.targets[:3].tolist() == [[0.5], [1.5], [2.5]]
    assert data.classes is None
    with pytest.raises(ValueError, match="these targets are not classes"):
        data.class_counts()


def test_targets_standardized_and_back(load: Load, flowers: str) -> None:
    data = load("regression", source=flowers, target="a", transform={"target": "standardize"})
    np.testing.assert_allclose(data.train.targets.mean(), 0, atol=1e-12)
    plain = load("regression", source=flowers, target="a")
    for name, split in data.splits.items():
        restored = data.transform.untransform_targets(split.targets)
        np.testing.assert_allclose(restored, plain.splits[name].targets, rtol=1e-12)


def test_an_autoencoder_by_word_and_by_names(load: Load, flowers: str) -> None:
    data = load("regression", source=flowers, target="features", features=["a", "b"])
    np.testing.assert_array_equal(data.train.targets, data.train.inputs)
    assert data.target_names == ["a", "b"]
    named = load("regression", source=flowers, target=["b", "a"], features=["a", "b"])
    np.testing.assert_array_equal(named.train.inputs, data.train.inputs)
    assert named.train.targets[0].tolist() == [0, 0.5] or named.train.targets[0, 1] % 1 == 0.5
    unit = load(
        "binary", source=flowers, target="features", features=["a"], transform={"numeric": "min_max"}, split=None
    )
    assert unit.train.targets.min() == 0
    assert unit.train.targets.max() == 1


def test_a_target_that_is_also_an_input(load: Load, flowers: str) -> None:
    data = load("classes", source=flowers, target="b", features=["a", "b"], **WHOLE)
    assert data.classes == [0, 1, 2, 4]
    assert data.train.inputs[:3].tolist() == [[0.5, 0], [1.5, 1], [2.5, 4]]


def test_a_file_a_split(load: Load, folder: Path) -> None:
    (folder / "train.csv").write_text("c,x,k\nr,1,p\ng,3,q\nr,5,p\n")
    (folder / "test.csv").write_text("extra,k,x,c\n?,q,3,g\n")
    data = load("classes", train="train.csv", test="test.csv", target="k")
    assert list(data.splits) == ["train", "test"]
    assert data.test is not None
    assert data.test.inputs.tolist() == [[1, 0, 0]]
    assert data.test.targets.tolist() == [1]
    assert [Path(path).name for path in data.files] == ["train.csv", "test.csv"]
    for path, digest in data.files.items():
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest


def test_split_beside_train_is_carved_out_of_it(load: Load, folder: Path, flowers: str) -> None:
    (folder / "test.csv").write_text("a,b,c,k\n1,2,r,x\n")
    data = load("classes", train=flowers, test="test.csv", target="k", split={"validation": 0.2})
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 24, "validation": 6, "test": 1}


def test_pairs_of_files(load: Load, write_idx: Callable[..., str]) -> None:
    images = np.arange(96, dtype=np.uint8).reshape(6, 4, 4)
    labels = np.array([0, 1, 2, 0, 1, 2], np.uint8)
    train = {"inputs": write_idx("train-images-idx3-ubyte", images), "targets": write_idx("train.idx", labels)}
    test = {"inputs": write_idx("t.idx", images[:2]), "targets": write_idx("u.idx", labels[:2])}
    data = load("classes", train=train, test=test, transform={"numeric": {"scale": 0.5}}, input_shape=(1, 4, 4))
    assert data.input_shape == (1, 4, 4)
    assert data.classes == [0, 1, 2]
    np.testing.assert_array_equal(data.train.inputs, images.reshape(6, 1, 4, 4) * 0.5)
    assert data.test is not None
    assert data.test.targets.tolist() == [0, 1]
    assert len(data.files) == 4


def test_a_pair_of_text_files(load: Load, folder: Path) -> None:
    (folder / "x.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "y.csv").write_text("u,v\n1,2\n3,5\n")
    data = load("regression", train={"inputs": "x.csv", "targets": "y.csv"})
    assert data.train.targets.tolist() == [[1, 2], [3, 5]]
    data = load("regression", train={"inputs": "x.csv", "targets": "y.csv"}, target="v", features=["b"])
    assert data.train.targets.tolist() == [[2], [5]]
    assert data.train.inputs.shape == (2, 1)


def test_npz_by_array_name(load: Load, folder: Path) -> None:
    x = np.arange(24.0).reshape(4, 2, 3)
    np.savez("data.npz", x=x, k=np.array(["n", "y", "n", "y"]), age=np.arange(4), job=np.array(["a", "b", "a", "b"]))
    data = load("classes", source="data.npz", target="k", features=["x"], **WHOLE)
    np.testing.assert_array_equal(data.train.inputs, x)
    assert data.classes == ["n", "y"]
    mixed = load("classes", source="data.npz", target="k", **WHOLE)
    assert mixed.input_shape == (9,)
    assert mixed.feature_names[5:] == ["x[1,2]", "age", "job=a", "job=b"]
    assert mixed.train.inputs[1].tolist() == [6, 7, 8, 9, 10, 11, 1, 0, 1]


def test_npy_is_its_own_target(load: Load, folder: Path) -> None:
    np.save("x.npy", np.arange(6.0).reshape(3, 2))
    data = load("regression", source="x.npy", target="features", split=None)
    np.testing.assert_array_equal(data.train.inputs, data.train.targets)


@pytest.mark.parametrize(
    ("kind", "classes"), [("xor", [0, 1]), ("spiral", [0, 1, 2]), ("moons", [0, 1]), ("circles", [0, 1])]
)
def test_generated_classes(load: Load, kind: str, classes: list[int]) -> None:
    data = load("classes", generate={"type": kind, "examples": 60})
    assert data.classes == classes
    assert data.feature_names == ["x1", "x2"]
    assert [len(split) for split in data.splits.values()] == [42, 9, 9]
    assert data.files == {}


def test_load_split_needs_nothing_but_the_stored_transform(load: Load, folder: Path, flowers: str) -> None:
    data = load("classes", source=flowers, target="k", split=None)
    transform = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
    split = load_split(folder / flowers, transform, dtype="float64")
    np.testing.assert_array_equal(split.inputs, data.train.inputs)
    np.testing.assert_array_equal(split.targets, data.train.targets)
    np.save("x.npy", np.ones((3, 4)))
    with pytest.raises(DataError) as caught:
        load_split(FilePair(inputs="x.npy", targets=flowers), transform, dtype="float64", base=folder)
    assert str(caught.value) == "x.npy has 3 rows, flowers.csv 30; they must have one row per example"


def test_rows_say_where_examples_are(load: Load, folder: Path, flowers: str) -> None:
    """The line of a text file, blank ones counted; of an array the row, from 0."""
    dataset = load(source=flowers, target="k")
    lines = (folder / flowers).read_text().splitlines()
    rows = [split.rows for split in dataset.splits.values()]
    assert sorted(np.concatenate(rows).tolist()) == list(range(2, len(lines) + 1))
    (folder / "few.csv").write_text("\n".join([lines[0], "", lines[1], "", "", lines[2]]) + "\n")
    few = load_split(folder / "few.csv", dataset.transform, dtype="float64")
    assert few.rows.tolist() == [3, 6]
    inputs, numbers = load_inputs(folder / "few.csv", dataset.transform, dtype="float64")
    np.testing.assert_array_equal(inputs, few.inputs)
    assert numbers.tolist() == [3, 6]
    np.savez(folder / "x.npz", x=np.arange(4.0), y=np.arange(4))
    arrays = load("regression", source="x.npz", target="y", **WHOLE)
    assert arrays.train.rows.tolist() == [0, 1, 2, 3]


def test_known_input_shape(folder: Path, flowers: str, write_idx: Callable[..., str]) -> None:
    write_idx("i.idx", np.zeros((2, 5, 6), np.uint8))
    np.savez("d.npz", x=np.ones((2, 3)), y=np.ones(2))

    def known(**keys: object) -> tuple[int, ...] | None:
        return known_input_shape(DataSettings.model_validate(keys), folder)

    assert known(generate={"type": "xor"}) == (2,)
    assert known(train={"inputs": "i.idx", "targets": "missing.idx"}) == (5, 6)
    assert known(source="d.npz", target="y") == (3,)
    assert known(source="d.npz", target="x") == (1,)
    assert known(source="d.npz", target="x", features=["x", "y"]) is None
    assert known(source=flowers, target="k") is None
    assert known(source="missing.npy", target="features") is None


REAL = [
    ("iris", "species", "classes", 150, 4, ["setosa", "versicolor", "virginica"]),
    ("digits", "digit", "classes", 1797, 64, list(range(10))),
    ("breast_cancer", "diagnosis", "binary", 569, 30, ["benign", "malignant"]),
    ("diabetes", "progression", "regression", 442, 10, None),
    ("penguins", "species", "classes", 344, 12, ["Adelie", "Chinstrap", "Gentoo"]),
    ("california_housing", "median_house_value", "regression", 20640, 14, None),
]


@pytest.mark.parametrize(("name", "target", "task", "rows", "width", "classes"), REAL)
def test_the_data_sets_that_come_with_it(name: str, target: str, task, rows: int, width: int, classes) -> None:
    settings = DataSettings.model_validate(
        {"source": f"{name}.csv", "target": target, "transform": {"missing": "most_frequent"}}
    )
    data: Dataset = load_dataset(settings, Demand(task_of(task), "float32"), base=DATASETS, seed=0)
    assert sum(map(len, data.splits.values())) == rows
    assert data.train.inputs.shape[1] == width
    assert data.classes == classes

"""Targets: the order of classes, what is binary, what is a number, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from backprop_cli.data.table import Numbers, Table, Text
from backprop_cli.data.target import FittedTarget, fit_target
from backprop_cli.errors import DataError
from backprop_cli.nn.task import task_of


def table_of(name: str = "data.csv", **columns: Any) -> Table:
    made: dict[str, Any] = {}
    for key, cells in columns.items():
        if isinstance(cells, np.ndarray):
            made[key] = Numbers(cells)
            continue
        names = list(dict.fromkeys((type(cell), cell) for cell in cells if cell is not None))
        codes = [-1 if cell is None else names.index((type(cell), cell)) for cell in cells]
        made[key] = Text(np.array(codes), tuple(cell for _, cell in names))
    rows = next(iter(made.values())).rows
    return Table(name, made, np.arange(2, rows + 2) if name.endswith(".csv") else None)


def fit(table: Table, task: Any, rows: Any = None, *, standardize: bool = False) -> FittedTarget:
    rows = None if rows is None else np.asarray(rows)
    return fit_target(table, list(table.columns), rows, task_of(task), standardize=standardize)


def encode(target: FittedTarget, table: Table) -> np.ndarray:
    return target.encode(table, None, np.dtype("float64"))


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a", "B"], ["B", "a", "b"]),
        ([10, 9, 1], [1, 9, 10]),
        (["b", 2, "a", 10], [2, 10, "a", "b"]),
        ([1, 2.5], [1, 2.5]),
        ([2, 1.0, 1], [1, 2]),
        ([True, False], [False, True]),
        (np.array([3.0, -1.0]), [-1, 3]),
        (np.array([7, 2], np.uint8), [2, 7]),
        (np.array([[7], [2]]), [2, 7]),
    ],
)
def test_classes_are_sorted_numbers_then_text(cells: Any, classes: list) -> None:
    table = table_of(k=cells)
    target = fit(table, "classes")
    assert [(type(c), c) for c in target.classes[0]] == [(type(c), c) for c in classes]
    labels = encode(target, table)
    assert labels.dtype == np.int64
    flat = cells.ravel().tolist() if isinstance(cells, np.ndarray) else cells
    assert [classes[label] for label in labels] == flat


@pytest.mark.parametrize(
    ("cells", "pair", "ones"),
    [
        ([0, 1, 1], (0, 1), [0, 1, 1]),
        (np.array([1.0, 0.0]), (0, 1), [1, 0]),
        (["yes", "no"], ("no", "yes"), [1, 0]),
        ([True, False], (False, True), [1, 0]),
    ],
)
def test_binary(cells: Any, pair: tuple, ones: list) -> None:
    table = table_of(k=cells)
    target = fit(table, "binary")
    assert target.classes == (pair,)
    out = encode(target, table)
    assert out.dtype == np.float64
    assert out.tolist() == [[x] for x in ones]


def test_many_binary_columns_of_which_one_may_be_constant() -> None:
    table = table_of(a=[0, 1, 1], b=[0, 0, 0], c=["n", "y", "n"])
    target = fit(table, "binary")
    assert target.names == ("a", "b", "c")
    assert encode(target, table).tolist() == [[0, 0, 0], [1, 0, 1], [1, 0, 0]]


def test_numbers_in_their_own_unit_and_standardized() -> None:
    table = table_of(y=np.array([1.0, 3.0, 100.0]), z=np.array([5.0, 5.0, 6.0]))
    assert encode(fit(table, "regression"), table).tolist() == [[1, 5], [3, 5], [100, 6]]
    target = fit(table, "regression", rows=[0, 1], standardize=True)
    assert encode(target, table).tolist() == [[-1, 0], [1, 0], [98, 1]]
    np.testing.assert_array_equal(target.restore(encode(target, table)), encode(fit(table, "regression"), table))


def test_an_array_of_targets_has_a_name_an_output() -> None:
    table = table_of("y.npy", y=np.arange(6.0).reshape(2, 3))
    target = fit(table, "regression")
    assert target.names == ("y[0]", "y[1]", "y[2]")
    assert encode(target, table).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError) as caught:
        encode(target, table_of("z.npy", y=np.ones((2, 2))))
    assert str(caught.value) == "z.npy: a row has 2 target values, expected 3"


@pytest.mark.parametrize("cells", [["a", 2, 1.5], [True, False], ["x", "y"]])
def test_json_round_trip(cells: list) -> None:
    target = fit(table_of(k=cells), "classes")
    again = FittedTarget.from_json(json.loads(json.dumps(target.to_json())))
    assert again.to_json() == target.to_json()
    assert [type(c) for c in again.classes[0]] == [type(c) for c in target.classes[0]]


@pytest.mark.parametrize(
    ("table", "task", "message"),
    [
        (
            table_of(k=["x", "x"]),
            "classes",
            "data.csv: column 'k': the train split has only one class, 'x'; at least two are needed",
        ),
        (
            table_of(k=[1, 1]),
            "binary",
            "data.csv: column 'k': the train split has only one class, 1; at least two are needed",
        ),
        (
            table_of(k=["x", "x"], j=[0, 1]),
            "binary",
            "data.csv: column 'k': the train split has only one class, 'x'; at least two are needed",
        ),
        (
            table_of(k=["x", None, "y"]),
            "classes",
            "data.csv:3: column 'k': the target is missing; fill it in, or train with data.missing_target: drop",
        ),
        (
            table_of("y.npz", y=np.array([0.0, 1.0, np.nan])),
            "classes",
            "y.npz: array 'y', row 2 (from 0): the target is missing; fill it in, or train with "
            "data.missing_target: drop",
        ),
        (
            table_of(y=np.array([0.0, np.nan])),
            "regression",
            "data.csv:3: column 'y': the target is missing; fill it in, or train with data.missing_target: drop",
        ),
        (
            table_of("y.npz", y=np.array([0.0, np.inf])),
            "regression",
            "y.npz: array 'y', row 1 (from 0): expected a finite number as target, got inf",
        ),
        (
            table_of(k=[None, "x", "y"]),
            "regression",
            "data.csv:3: column 'k': expected a number as target, got 'x'; for classes use loss: cross_entropy",
        ),
        (
            table_of(k=["x", "y"], j=["x", "y"]),
            "classes",
            "data.csv: class labels are one column, data.target names 2: k, j",
        ),
        (
            table_of("y.npz", y=np.eye(3)),
            "classes",
            "y.npz: array 'y': has shape [3, 3], expected one label per row: [3] (of one-hot rows, save "
            "argmax(axis=1))",
        ),
        (
            table_of(k=[1, 2]),
            "binary",
            "data.csv: column 'k': binary targets are 0 and 1, or two names; got 1, 2",
        ),
        (
            table_of(k=[0, "x"]),
            "binary",
            "data.csv: column 'k': binary targets are 0 and 1, or two names; got 0, 'x'",
        ),
        (
            table_of(k=list("gfedcba")),
            "binary",
            "data.csv: column 'k': binary targets are 0 and 1, or two names; "
            "got 'a', 'b', 'c', 'd', 'e', ... (7 in all); for more classes use loss: cross_entropy",
        ),
    ],
)
def test_messages(table: Table, task: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        encode(fit(table, task), table)
    assert str(caught.value) == message


def test_a_class_that_train_does_not_have() -> None:
    target = fit(table_of(k=["x", "y", "z"]), "classes", rows=[0, 1])
    with pytest.raises(DataError) as caught:
        encode(target, table_of("test.csv", k=["x", "z"]))
    assert str(caught.value) == (
        "test.csv:3: column 'k': class 'z' is not in the train split, which has x, y; "
        "train with rows that have it, or remove this row"
    )
    target = fit(table_of("y.npz", y=np.array([0, 1, 2])), "classes")
    with pytest.raises(DataError) as caught:
        encode(target, table_of("test.npz", y=np.array([0, 9])))
    assert str(caught.value) == (
        "test.npz: array 'y', row 1 (from 0): class 9 is not in the train split, which has 0, 1, 2; "
        "train with rows that have it, or remove this row"
    )

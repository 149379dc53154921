"""Transforms: their formulas, fitted on the train rows alone, and the same after a trip through JSON."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backprop_cli.data.fit import Demand, fit_transform
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import Tables
from backprop_cli.data.table import Numbers, Table, Text
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError
from backprop_cli.nn.task import REGRESSION


def text_column(*cells: str | None) -> Text:
    names = sorted({cell for cell in cells if cell is not None})
    return Text(np.array([-1 if cell is None else names.index(cell) for cell in cells]), tuple(names))


def table_of(name: str = "data.csv", **columns: Any) -> Table:
    made = {key: c if isinstance(c, Text) else Numbers(np.asarray(c)) for key, c in columns.items()}
    rows = next(iter(made.values())).rows
    return Table(name, made, np.arange(2, rows + 2) if name.endswith(".csv") else None)


def fit(table: Table, train: Any = None, input_shape: Any = None, **keys: Any) -> Transform:
    settings = DataSettings.model_validate({"generate": "linear", "transform": {"unknown": "error", **keys}})
    demand = Demand(REGRESSION, "float64", input_shape)
    rows = None if train is None else np.asarray(train)
    return fit_transform(Tables(table, list(table.columns), table, None), rows, settings, demand)


def inputs(table: Table, train: Any = None, **keys: Any) -> list:
    return fit(table, train, **keys).inputs(table, dtype="float64").tolist()


def test_standardize_is_mean_0_and_population_deviation_1_of_the_train_rows() -> None:
    column = np.array([1.0, 2.0, 3.0, 6.0, 100.0])
    out = np.array(inputs(table_of(x=column), train=[0, 1, 2, 3]))[:, 0]
    np.testing.assert_allclose(out, (column - 3) / np.sqrt(3.5), rtol=1e-15)


def test_min_max_none_and_scale() -> None:
    table = table_of(x=[10.0, 14.0, 59.0])
    assert inputs(table, numeric="min_max") == [[0], [4 / 49], [1]]
    assert inputs(table, train=[0, 1], numeric="min_max") == [[0], [1], [12.25]]
    assert inputs(table, numeric="none") == [[10], [14], [59]]
    assert inputs(table, numeric={"scale": 0.1}) == [[10 * 0.1], [14 * 0.1], [59 * 0.1]]


@pytest.mark.parametrize("numeric", ["standardize", "min_max"])
def test_a_constant_column_is_0_even_where_its_mean_is_rounded(numeric: str) -> None:
    table = table_of(x=[0.1] * 10 + [7.0])
    assert inputs(table, train=range(10), numeric=numeric) == [[0]] * 11


def test_categories_are_those_of_the_train_rows_by_code_point() -> None:
    table = table_of(c=text_column("b", "a", "Z", "b"))
    assert inputs(table) == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert inputs(table, categorical="ordinal") == [[2], [1], [0], [2]]
    assert fit(table, train=[0, 1, 3]).feature_names == ["c=a", "c=b"]


def test_what_stands_for_missing_values() -> None:
    nan = float("nan")
    table = table_of(x=[1.0, 1.0, 2.0, 8.0, nan], c=text_column("b", "a", "a", "b", None))
    for how, expected in {"mean": 3.0, "median": 1.5, "most_frequent": 1.0}.items():
        out = inputs(table, missing=how, numeric="none", categorical="ordinal")
        assert out[4] == [expected, 0]
    # Of the train rows alone, and before scaling: the filled column has deviation 1.
    out = np.array(inputs(table_of(x=table.columns["x"].values), train=[0, 3, 4], missing="mean"))
    np.testing.assert_allclose(out[[0, 3, 4], 0], [-np.sqrt(1.5), np.sqrt(1.5), 0], atol=1e-15)


def test_a_value_may_be_missing_later_though_none_is_in_training() -> None:
    nan = float("nan")
    transform = fit(table_of(x=[1.0, 3.0], c=text_column("a", "b")), missing="mean", numeric="none")
    later = table_of(x=[nan], c=text_column(None))
    assert transform.inputs(later, dtype="float64").tolist() == [[2, 1, 0]]


def test_arrays_keep_their_shape_and_standardize_each_feature(rng_array: np.ndarray) -> None:
    table = table_of("x.npy", x=rng_array)
    transform = fit(table, train=range(30))
    assert transform.input_shape == (3, 4)
    out = transform.inputs(table, dtype="float64")
    assert out.shape == (40, 3, 4)
    np.testing.assert_allclose(out[:30].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out[:30].std(axis=0), 1, rtol=1e-12)
    assert fit(table, input_shape=(1, 12)).inputs(table, dtype="float32").shape == (40, 1, 12)
    assert transform.feature_names[5] == "x[1,1]"


@pytest.fixture
def rng_array() -> np.ndarray:
    return np.random.default_rng(0).normal(5, 3, (40, 3, 4))


def test_bytes_go_straight_to_the_result() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5000, 28, 28), np.uint8)
    table = table_of("x.npy", x=pixels)
    transform = fit(table, numeric={"scale": 1 / 255})
    tracemalloc.start()
    out = transform.inputs(table, dtype="float32")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(out, (pixels * (1 / 255)).astype(np.float32))
    assert peak < out.nbytes + 8e6


def test_rows_are_picked_in_order_and_out_is_contiguous() -> None:
    table = table_of(x=[0.0, 1.0, 2.0, 3.0], y=[4.0, 5.0, 6.0, 7.0])
    out = fit(table, numeric="none").inputs(table, np.array([3, 1]), dtype="float32")
    assert out.tolist() == [[3, 7], [1, 5]]
    assert out.flags.c_contiguous
    assert out.dtype == np.float32


FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(
    arrays.arrays("f8", st.tuples(st.integers(2, 30), st.integers(1, 3)), elements=FINITE),
    st.sampled_from(["standardize", "min_max", "none"]),
    st.sampled_from(["error", "mean", "median", "most_frequent"]),
    st.sampled_from(["one_hot", "ordinal"]),
    st.sampled_from(["none", "standardize"]),
)
def test_json_round_trip_is_exact(block: np.ndarray, numeric: Any, missing: Any, categorical: Any, target: Any) -> None:
    table = table_of(x=block[:, 0], z=block, c=text_column(*("é\n,"[i % 3] for i in range(len(block)))))
    transform = fit(table, numeric=numeric, missing=missing, categorical=categorical, target=target)
    text = json.dumps(transform.to_json(), allow_nan=False)
    again = Transform.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    for dtype in ("float32", "float64"):
        np.testing.assert_array_equal(transform.inputs(table, dtype=dtype), again.inputs(table, dtype=dtype))
        np.testing.assert_array_equal(transform.targets(table, dtype=dtype), again.targets(table, dtype=dtype))
    outputs = np.linspace(-1, 1, len(transform.target.names))[None]
    np.testing.assert_array_equal(transform.untransform_targets(outputs), again.untransform_targets(outputs))


MISSING = (
    "the value is missing; fill it in, or train with data.transform.missing: mean, median, most_frequent or indicator"
)


@pytest.mark.parametrize(
    ("table", "keys", "message"),
    [
        (table_of(x=[1.0, np.nan]), {}, f"data.csv:3: column 'x': {MISSING}"),
        (table_of(c=text_column("a", None)), {}, f"data.csv:3: column 'c': {MISSING}"),
        (
            table_of("x.npy", x=np.array([[1.0, 2.0], [3.0, np.nan]])),
            {},
            f"x.npy: array 'x', row 1, column 1 (from 0): {MISSING}",
        ),
        (
            table_of("x.npy", x=np.array([[[1.0, 2.0]], [[-np.inf, 4.0]]])),
            {"missing": "mean"},
            "x.npy: array 'x', row 1, index [0, 0] (from 0): expected a finite number, got -inf",
        ),
        (
            table_of(x=[np.nan, np.nan]),
            {"missing": "mean"},
            "data.csv: column 'x': the train split has no value in it; leave the column out with data.features",
        ),
        (
            table_of(x=[1.0, 2.0], c=text_column(None, None)),
            {"missing": "mean"},
            "data.csv: column 'c': the train split has no value in it; leave the column out with data.features",
        ),
        (
            table_of(x=[1e300, -1e300]),
            {},
            "data.csv: column 'x': its numbers are too large for numeric: standardize",
        ),
        (
            table_of(x=[1.0, 1e300]),
            {"numeric": "none"},
            "data.csv:3: column 'x': 1e+300 becomes too large for float32; "
            "correct it, or use training.precision: float64",
        ),
        (
            table_of(c=text_column(*(f"name{i:04}" for i in range(1001)))),
            {},
            "data.csv: column 'c': 1,001 different texts, such as 'name0000', are too many categories for one_hot "
            "(at most 1,000); leave it out with data.exclude: [c], or use categorical: ordinal",
        ),
        (
            table_of(x=[1.0, 2.0]),
            {"input_shape": (1, 8, 8)},
            "[1, 8, 8] has 64 values, but an example of data.csv has 1",
        ),
        (
            table_of(x=[1.0, 2.0], c=text_column("a", "b")),
            {"input_shape": (2,)},
            "[2] has 2 values, but an example of data.csv has 3 (2 columns; one value per category of c)",
        ),
    ],
)
def test_messages(table: Table, keys: dict, message: str) -> None:
    with pytest.raises(DataError) as caught:
        fit(table, **keys).inputs(table, dtype="float32")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (
            table_of(x=[1.0, 2.0], c=text_column("a", "Q")),
            "data.csv:3: column 'c': category 'Q' is not in the train split, which has a, b; "
            "remove the row, or train without the column (data.exclude: [c])",
        ),
        (table_of(x=[1.0], c=[2.0]), "data.csv: column 'c': expected categories (a, b), got numbers"),
        (table_of(x=text_column("u"), c=text_column("a")), "data.csv: column 'x': expected numbers, got 'u'"),
        (table_of(c=text_column("a")), "data.csv: no column 'x'; its columns: c"),
        (table_of("x.npy", x=np.ones((2, 3))), "x.npy: a row has 3 values, expected 2: x, c"),
        (table_of("x.npy", x=np.ones((2, 2))), "x.npy: array 'c': expected categories (a, b), got numbers"),
    ],
)
def test_messages_about_later_data(later: Table, message: str) -> None:
    transform = fit(table_of(x=[1.0, 2.0], c=text_column("a", "b")))
    with pytest.raises(DataError) as caught:
        transform.inputs(later, dtype="float32")
    assert str(caught.value) == message


def test_an_array_stands_for_columns_of_numbers() -> None:
    transform = fit(table_of(x=[1.0, 2.0], y=[3.0, 4.0]), numeric="none")
    out = transform.inputs(table_of("x.npy", inputs=np.array([[5.0, 6.0]])), dtype="float64")
    assert out.tolist() == [[5, 6]]


def test_arrays_of_another_shape() -> None:
    transform = fit(table_of("x.npy", x=np.ones((3, 2, 2))), numeric="none")
    assert transform.inputs(table_of("y.npy", x=np.ones((5, 4))), dtype="float64").shape == (5, 2, 2)
    with pytest.raises(DataError) as caught:
        transform.inputs(table_of("y.npy", x=np.ones((5, 3))), dtype="float64")
    assert str(caught.value) == "y.npy: array 'x': an example has shape [3], expected [2, 2]"

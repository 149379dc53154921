"""When rounding to float32 hides the differences between numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.suspicious import lost
from backprop_cli.errors import BpWarning

RNG = np.random.default_rng(0)
DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            1.7e9 + np.arange(40.0),
            "float32 rounds values near 1.7e+09 to multiples of 128, and the standard deviation ",
        ),
        (
            1e9 + np.tile([0.0, 1.0], 20),
            "float32 rounds values near 1e+09 to multiples of 64, and the standard deviation ",
        ),
        (
            -2e7 - RNG.random(40),
            "float32 rounds values near 2e+07 to multiples of 2, and the standard deviation of these ",
        ),
        (1e-3 + 1e-9 * RNG.random(40), "float32 rounds values near 0.001 to multiples of 1.16e-10, and the standard "),
    ],
)
def test_values_that_float32_does_not_tell_apart(values: np.ndarray, text: str) -> None:
    assert str(lost(values, "float32")).startswith(text)
    assert lost(values, "float64") is None


@pytest.mark.parametrize(
    "values",
    [
        np.tile([0.1, 0.2], 9),
        np.full(9, 1 / 3 * 1e9),
        1.7e9 + 128 * np.arange(40.0),
        1.7e9 + 86400 * RNG.random(40),
        np.arange(1990.0, 2025.0),
        100_000 + 500 * RNG.standard_normal(1000),
        RNG.standard_normal(100_000),
        np.array([1e-30, 3e20, 0.1, 7.0]),
        np.array([1e300, 1.0]),
        np.array([16_777_217.0, 5.0, 3e7]),
    ],
)
def test_ordinary_rounding_is_no_matter(values: np.ndarray) -> None:
    assert lost(values, "float32") is None


def test_every_column_of_targets_and_inputs_is_looked_at(load: Load, folder: Path) -> None:
    rows = "".join(f"{i % 7},{1.6e9 + i % 5},{i / 3},{1.7e9 + i}\n" for i in range(40))
    (folder / "big.csv").write_text("a,t,y,z\n" + rows)
    keys = {"source": "big.csv", "target": ["y", "z"], "transform": {"numeric": "none"}, "split": "none"}
    with pytest.warns(BpWarning) as caught:
        load("regression", dtype="float32", **keys)
    assert [str(each.message) for each in caught] == [
        "big.csv: column 'z': float32 rounds values near 1.7e+09 to multiples of 128, and the standard deviation of "
        "these is 11.5; targets that differ look the same to the loss: set data.transform.target: standardize, or "
        "training.precision: float64",
        "big.csv: column 't': float32 rounds values near 1.6e+09 to multiples of 128, and the standard deviation of "
        "these is 1.41; inputs that differ look the same to the network: set data.transform.numeric: standardize, or "
        "training.precision: float64",
    ]
    load("regression", dtype="float64", **keys)
    load("regression", dtype="float32", **{**keys, "transform": {"target": "standardize"}})
    load("regression", dtype="float32", **{**keys, "transform": {"target": "standardize", "numeric": "min_max"}})


@pytest.mark.parametrize(
    ("name", "target", "features"),
    [
        ("diabetes", "progression", "all"),
        ("california_housing", "median_house_value", "all"),
        ("airline", "Passengers", ["Date"]),
        ("sunspots", "Sunspots", ["Month"]),
    ],
)
def test_no_false_alarm_of_ready_data(load: Load, name: str, target: str, features: Any) -> None:
    transform = {"numeric": "none", "missing": "mean", "categorical": "ordinal"}
    path = str(DATASETS / f"{name}.csv")
    data = {"source": path, "target": target, "features": features}
    load("regression", **data, transform=transform, split="none", dtype="float32")

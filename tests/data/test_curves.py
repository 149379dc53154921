"""Numbers bent before they are scaled: the formulas, another library's, and the same after a trip through JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import Load
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import ndtri
from sklearn.preprocessing import QuantileTransformer

from backprop_cli.data.curves import Logarithm, Quantiles, normal_quantile, smoothly_clipped
from backprop_cli.data.fitted import check_fitted
from backprop_cli.data.transform import Transform
from backprop_cli.errors import SettingError


def one(load: Load, cells: Any, numeric: str, **more: Any) -> np.ndarray:
    Path("d.csv").write_text("x,y\n" + "".join(f"{cell!r},{i}\n" for i, cell in enumerate(map(float, cells))))
    data = load("regression", source="d.csv", target="y", split=None, transform={"numeric": numeric, **more})
    again = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
    check_fitted(again)
    assert json.dumps(again.to_json()) == json.dumps(data.transform.to_json())
    return np.asarray(data.train.inputs)[:, 0]


def test_normal_quantiles() -> None:
    shares = np.concatenate([np.geomspace(1e-7, 0.5, 500), 1 - np.geomspace(1e-7, 0.5, 500)])
    np.testing.assert_allclose(normal_quantile(shares), ndtri(shares), rtol=1e-12, atol=1e-15)
    assert normal_quantile(np.array([0.0, 1.0])).round(3).tolist() == [-5.199, 5.199]


@pytest.mark.parametrize("rows", [7, 900, 3000])
def test_quantile_is_scikit_learns(load: Load, rows: int) -> None:
    cells = np.random.default_rng(0).lognormal(0, 2, rows).round(6)
    peer = QuantileTransformer(n_quantiles=min(1000, rows), output_distribution="normal", subsample=None)
    np.testing.assert_allclose(one(load, cells, "quantile"), peer.fit_transform(cells[:, None])[:, 0], rtol=1e-6)


def test_equal_values_have_the_middle_of_their_shares(load: Load) -> None:
    out = one(load, [0, 0, 0, 0, 5, 6, 7, 7, 7], "quantile")
    np.testing.assert_allclose(out[[0, 4, 8]], ndtri([1.5 / 8, 4 / 8, 7 / 8]), rtol=1e-12)


def test_robust_is_the_formula(load: Load) -> None:
    cells = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 1e6])
    z = (cells - 5) / 4
    np.testing.assert_allclose(one(load, cells, "robust"), z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-12)
    z = (np.array([3.0] * 8 + [7, 1]) - 3) / 3
    np.testing.assert_allclose(one(load, [3] * 8 + [7, 1], "robust"), z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-12)
    assert smoothly_clipped(np.array([-1e300, 1e300])).tolist() == [-3, 3]


def test_log_is_the_formula_and_standardized(load: Load) -> None:
    cells = np.random.default_rng(1).lognormal(5, 2, 400)
    cells[:20] = 0
    cells[20:40] *= -1
    unit = np.quantile(np.abs(cells[cells != 0]), 0.05)
    bent = np.sign(cells) * np.log1p(np.abs(cells) / unit)
    expected = (bent - bent.mean()) / bent.std()
    np.testing.assert_allclose(one(load, cells, "log"), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one(load, cells * 1e-9, "log"), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("numeric", ["robust", "quantile", "log"])
def test_a_constant_column_is_0(load: Load, numeric: str) -> None:
    assert one(load, [0.0] * 5, numeric).tolist() == [0] * 5
    assert one(load, [0.1] * 5, numeric).tolist() == [0] * 5


@pytest.mark.parametrize("numeric", ["robust", "quantile", "log"])
def test_missing_values(load: Load, numeric: str) -> None:
    cells = [1.0, 2, 4, 8, float("nan"), 16, 3]
    out = one(load, cells, numeric, missing="median")
    assert out[4] == pytest.approx(np.median(out), abs=0.2)
    assert np.isfinite(out).all()


FINITE = st.floats(-1e12, 1e12, allow_subnormal=False)


@given(arrays.arrays("f8", st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=FINITE))
def test_curves_rise_and_are_finite(values: np.ndarray) -> None:
    for kind in (Logarithm, Quantiles):
        curve = kind.fit(values)
        out = curve(values.copy())
        assert np.isfinite(out).all()
        for column in range(values.shape[1]):
            order = np.argsort(values[:, column])
            assert (np.diff(out[order, column]) >= -1e-12).all()
        for far in (-1e300, 0.0, 1e300):
            with np.errstate(over="ignore"):
                assert not np.isnan(curve(np.full_like(values, far))).any()


def test_a_key_that_means_nothing_for_a_column(load: Load) -> None:
    Path("d.csv").write_text("x,c,y\n1,a,0\n2,b,1\n")
    for own, reason in [
        ({"c": {"numeric": "log"}}, "means nothing for 'c', which holds categories; leave it out"),
        ({"x": {"unknown": "error"}}, "means nothing for 'x', which holds numbers; leave it out"),
    ]:
        with pytest.raises(SettingError) as caught:
            load("regression", source="d.csv", target="y", split=None, transform={"columns": own})
        ((column, key),) = ((name, key) for name, keys in own.items() for key in keys)
        (problem,) = caught.value.problems
        assert (problem.path, problem.reason) == (("data", "transform", "columns", column, key), reason)

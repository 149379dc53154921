"""Functions of compiled steps: within four units in the last place, with NumPy's infinities and NaN."""

import math

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.plan import Plan

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")

FUNCTIONS = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf, [np.float64]),
    "sin": np.sin,
    "cos": np.cos,
    "sqrt": np.sqrt,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def whole_range(dtype):
    """Numbers of every exponent and both signs, denormals, the largest, zeros, infinities and NaN."""
    kind = np.finfo(dtype)
    bits = np.uint32 if dtype == np.float32 else np.uint64
    last = int(np.array(kind.max, dtype).view(bits))
    spread = np.linspace(0, last, 40_000).astype(bits).view(dtype)
    near = np.linspace(-20, 20, 40_001).astype(dtype)
    special = np.array([0.0, kind.tiny, kind.smallest_subnormal, kind.max, np.inf, np.nan], dtype)
    return np.concatenate([spread, -spread, near, special, -special])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_within_four_units_in_the_last_place(name, dtype):
    numbers = whole_range(dtype)
    x = ad.input_("x", numbers.shape, dtype)
    plan = Plan(ad.Program({"x": x}, {"out": getattr(ad, name)(x)}), compiled=True)
    plan.inputs["x"][...] = numbers
    plan.run()
    out = plan.outputs["out"]
    with np.errstate(all="ignore"):
        wanted = FUNCTIONS[name](numbers.astype(np.float64 if dtype == np.float32 else np.longdouble))
        rounded = wanted.astype(dtype)
        finite = np.isfinite(rounded) & np.isfinite(out)
        if name == "sigmoid":  # 1 / (1 + e^-x), on NumPy too: exact to the smallest normal number
            finite &= np.abs(rounded) >= np.finfo(dtype).tiny
        error = np.abs(out - wanted)[finite] / np.spacing(np.abs(rounded[finite]))
    worst = numbers[finite][error.argmax()]
    assert error.max() <= 4, f"{name}({worst!r}): {error.max():.1f} units"
    beyond = np.abs(wanted) > np.finfo(dtype).max * (1 - 4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(rounded))
    np.testing.assert_array_equal(np.isinf(out)[~beyond], np.isinf(rounded)[~beyond])

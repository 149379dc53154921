"""Functions of compiled steps: within four units in the last place, with NumPy's infinities and NaN."""

import math
import shutil

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.execution import c_text
from backprop_cli.execution.compiler import find_compiler, load
from backprop_cli.execution.plan import Plan

_WORST = """
#define COUNT 4096
static union { float numbers[COUNT]; int32_t bits[COUNT]; } x, got, wanted;
int worst(uint32_t first)
{
    int worst = 0;
    for (int i = 0; i < COUNT; ++i) x.bits[i] = first + i;
    for (int i = 0; i < COUNT; ++i) got.numbers[i] = NAME_float32(x.numbers[i]);
    for (int i = 0; i < COUNT; ++i) wanted.numbers[i] = NAME_float64(x.numbers[i]);
    for (int i = 0; i < COUNT; ++i) {
        const float a = got.numbers[i], b = wanted.numbers[i];
        const int apart = got.bits[i] > wanted.bits[i] ? got.bits[i] - wanted.bits[i] : wanted.bits[i] - got.bits[i];
        const int units = (a == b) | ((a != a) & (b != b)) ? 0 : apart & 0x7fffffff;
        worst = units > worst ? units : worst;
    }
    return worst;
}
int worst_of_all(void)
{
    int most = 0;
    for (int64_t first = 0; first < 1LL << 32; first += COUNT) {
        const int units = worst(first);
        most = units > most ? units : most;
    }
    return most;
}
"""

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


@pytest.fixture(params=["gcc", "clang"], autouse=True)
def compiler(request, monkeypatch, tmp_path):
    if not shutil.which(request.param):
        pytest.skip(f"there is no {request.param}")
    monkeypatch.setenv("CC", request.param)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    find_compiler.cache_clear()
    yield find_compiler()
    find_compiler.cache_clear()


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


@pytest.mark.slow
@pytest.mark.parametrize("name", c_text.FUNCTIONS)
def test_every_number_of_single_precision(name, compiler):
    """The function of double precision is the reference, which the test above compares with NumPy's."""
    lines = "x = float32s[0]", "y = float64s[1]", f"x[0] = {name}(x[0])", f"y[0] = {name}(y[0])"
    run = "\n    ".join(["def run(float32s, float64s, int64s):", *lines])
    source = c_text.c_source([run], frozenset()).text + _WORST.replace("NAME", name)
    assert load(compiler.shared_library(source)).worst_of_all() <= 3

"""Loops that compilers may take apart: sums and maxima in lanes, and iterations that do not wait for each other."""

import pytest

from backprop_cli.execution.c_text import c_source

SUM = "#pragma omp simd reduction(+:part_s) simdlen(8)"


def pragmas(*body, before=("s = float64(0.0)",)):
    """The pragmas of a loop with this body."""
    head = ["x = float32s[0]", "k = int64s[1]", *before, "for i in range(100):", *(f"    {line}" for line in body)]
    text = "\n    ".join(["def run(float32s, float64s, int64s):", *head])
    return [line for line in c_source([text], frozenset()).text.splitlines() if line.startswith("#pragma")]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (["s = float64(s + x[i])"], [SUM]),
        (["v = float32(x[i] * x[i])", "s = float64(s + v)", "x[i] = v"], [SUM]),
        (["s = s if x[i] < s else x[i]"], []),  # no form of a maximum that ``codegen`` writes
        (["s = float64(x[i] if x[i] > s else s)"], ["#pragma omp simd reduction(max:s)"]),
        (["x[i] = float32(x[i] + x[i])"], ["#pragma GCC ivdep"]),
        (["s = float64(x[i] + s)"], []),
        (["s = float64(s + s)"], []),
        (["s = float64(sqrt(s + x[i]))"], []),
        (["s = float64(s * x[i])"], []),
        (["s = float64(s + x[i])", "x[i] = float32(s)"], []),  # what has been added so far is read
        (["n = k[i]", "x[n] = float32(2.0)"], []),  # two iterations may write the same element
        (["n = k[i]", "x[n] = float32(2.0)", "s = float64(s + x[i])"], []),
        (["x[0] = float32(2.0)"], []),
    ],
)
def test_what_an_iteration_hands_to_the_next(body, wanted):
    assert pragmas(*body) == wanted


def test_sums_and_maxima_in_one_loop():
    before = ("s = float64(0.0)", "t = float64(0.0)", "m = float32(-inf)")
    body = ("s = float64(s + x[i])", "t = float64(t + x[i] * x[i])", "m = float32(x[i] if x[i] > m else m)")
    assert pragmas(*body, before=before) == ["#pragma omp simd reduction(+:part_s,part_t) reduction(max:m) simdlen(8)"]

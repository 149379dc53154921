"""The small Python of loops as C99."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.exporting.c.c99 import C99, WIDTH, Place, literal, wrapped
from backprop_cli.exporting.c.c_names import comment, identifiers, quoted

PLACES = {"r0": Place("memory", 0, "float32"), "r1": Place("bias", 3, "float32"), "r2": Place("p", 0, "float32", "AT")}


def printed(text):
    return C99("float32", "BP_SUM", PLACES).statements(text.strip().splitlines(), "")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("r0[0] = r1[2] + float32(0.5)", ["memory[0] = bias[5] + 0.5f;"]),
        ("r0[0] = r2[0] * (r1[0] - (r0[1] - r1[1]))", ["memory[0] = p[AT] * (bias[3] - (memory[1] - bias[4]));"]),
        ("r0[0] = -(-r1[0])", ["memory[0] = -(-bias[3]);"]),
        ("r0[0] = float32(r0[0] + r1[0] * r1[1])", ["memory[0] += bias[3] * bias[4];"]),
        ("r0[0] = r0[0] + r1[0] + r1[1]", ["memory[0] = memory[0] + bias[3] + bias[4];"]),
        ("r0[0] = exp(r1[0]) if r1[0] > -inf else float32(1)", [
            "memory[0] = bias[3] > -INFINITY ? expf(bias[3]) : 1.0f;"]),
        ("x1 = r0[0]\nr0[0] = r1[0]\nr0[1] = x1", [
            "{", "    const float x1 = memory[0];", "    memory[0] = bias[3];", "    memory[1] = x1;", "}"]),
        ("x1 = r0[0]\nr0[1] = x1 * x1 + r1[0]", [
            "{", "    const float x1 = memory[0];", "    memory[1] = x1 * x1 + bias[3];", "}"]),
        ("x1 = r0[0]\nfor i in range(2):\n    r0[i] = r1[i]\nr0[5] = x1", [
            "{",
            "    const float x1 = memory[0];",
            "    for (int i = 0; i < 2; ++i) {",
            "        memory[i] = bias[i + 3];",
            "    }",
            "    memory[5] = x1;",
            "}",
        ]),
    ],
)  # fmt: skip
def test_statements(text, lines):
    assert printed(text) == lines


def test_what_has_no_meaning_in_c_is_an_error():
    with pytest.raises(SyntaxError, match="has no meaning in C"):
        printed("while True:\n    r0[0] = 1")
    with pytest.raises(SyntaxError, match="the function 'gamma' is unknown in C"):
        printed("r0[0] = gamma(r1[0])")


@given(st.floats(width=32))
def test_a_number_reads_back_in_single_precision(number):
    text = literal(number, "float32")
    assert text.endswith("f") or text in ("NAN", "INFINITY", "-INFINITY")
    if np.isfinite(number):
        assert np.float32(float(text.removesuffix("f"))).tobytes() == np.float32(number).tobytes()


@given(st.floats())
def test_a_number_reads_back_in_double_precision(number):
    text = literal(number, "float64")
    if np.isfinite(number):
        assert "." in text or "e" in text
        assert np.float64(text).tobytes() == np.float64(number).tobytes()


def test_a_long_line_breaks_outside_of_brackets():
    line = "    total = " + " + ".join(f"memory[i * 100 + {k}] * bias[{k}]" for k in range(8)) + ";"
    parts = wrapped(line)
    assert max(map(len, parts)) <= WIDTH
    assert all(part.strip().startswith("+ memory") for part in parts[1:])
    assert " ".join(part.strip() for part in parts) == line.strip()


def test_names_and_texts():
    assert identifiers(["a.b", "a_b", "1", "ü", "for"], ["_1"]) == ["a_b", "a_b_", "_1_", "_", "for_"]
    assert quoted('a"\\?é\n') == '"a\\"\\\\\\?\\303\\251\\012"'
    assert comment("a*/b\né") == "a* /b \\xe9"

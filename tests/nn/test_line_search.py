"""The line search: strong Wolfe conditions on hard functions, few evaluations on easy ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.nn.line_search import CURVATURE, DECREASE, WolfeSearch


def yanai(beta1, beta2):
    """Functions of Moré and Thuente (1994), section 5: slopes that change fast near both ends."""
    g1, g2 = (math.sqrt(1 + b * b) - b for b in (beta1, beta2))

    def f(a):
        one, two = math.hypot(1 - a, beta2), math.hypot(a, beta1)
        return g1 * one + g2 * two, -g1 * (1 - a) / one + g2 * a / two

    return f


def rational(a):
    """Moré and Thuente's first: no minimum but at the square root of 2, and a slope that dies far out."""
    return -a / (a * a + 2), (a * a - 2) / (a * a + 2) ** 2


def quartic(a):
    return (a - 2) ** 4, 4 * (a - 2) ** 3


def wall(a):
    """Infinite beyond 3, as an overflowing loss is."""
    return (math.inf, math.inf) if a >= 3 else (-math.log(3 - a) * 0.1 + (a - 2) ** 2, 0.1 / (3 - a) + 2 * (a - 2))


FUNCTIONS = {
    "rational": rational,
    "quartic": quartic,
    "wall": wall,
    "yanai 0.001 0.001": yanai(0.001, 0.001),
    "yanai 0.01 0.001": yanai(0.01, 0.001),
    "yanai 0.001 0.01": yanai(0.001, 0.01),
}


def assert_wolfe(f, found):
    value, slope = f(0.0)
    assert (found.value, found.slope) == f(found.length)
    assert found.value <= value + DECREASE * found.length * slope
    assert abs(found.slope) <= CURVATURE * abs(slope)


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_strong_wolfe_conditions(name, first):
    f = FUNCTIONS[name]
    search = WolfeSearch(f, *f(0.0), most=30)
    found = search.find(first)
    assert_wolfe(f, found)
    assert search.last is found


@given(st.floats(0.01, 100), st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_of_a_parabola_with_a_ripple(curvature, ripple, first):
    def f(a):
        return curvature * (a - 1) ** 2 + 0.01 * math.sin(ripple * a), 2 * curvature * (
            a - 1
        ) + 0.01 * ripple * math.cos(ripple * a)

    if f(0.0)[1] < 0:
        assert_wolfe(f, WolfeSearch(f, *f(0.0), most=60).find(first))


def test_a_good_first_length_is_taken_at_once():
    calls = []

    def f(a):
        calls.append(a)
        return (a - 1.1) ** 2, 2 * (a - 1.1)

    assert WolfeSearch(f, 1.21, -2.2, most=10).find(1.0).length == 1.0
    assert calls == [1.0]


def test_of_a_parabola_the_bottom_is_found_by_interpolation():
    calls = []

    def f(a):
        calls.append(a)
        return (a - 3) ** 2, 2 * (a - 3)

    assert WolfeSearch(f, 9.0, -6.0, most=10).find(100.0).length == pytest.approx(3.0)
    assert calls == pytest.approx([100.0, 10.0, 3.0])  # the second keeps clear of the bracket's end


@pytest.mark.parametrize("most", [1, 2, 3])
def test_without_evaluations_left_the_lowest_so_far(most):
    calls = []

    def f(a):
        calls.append(a)
        return -a, -1.0  # falls for ever

    found = WolfeSearch(f, 0.0, -1.0, most).find(1.0)
    assert len(calls) == most
    assert found.length == calls[-1]
    assert found.value < 0


def test_where_nothing_is_lower_there_is_none():
    assert WolfeSearch(lambda a: (1.0, -1.0), 1.0, -1.0, most=20).find(1.0) is None
    assert WolfeSearch(lambda a: (math.nan, math.nan), 1.0, -1.0, most=20).find(1.0) is None

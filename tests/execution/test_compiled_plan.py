"""Plans compiled to one function: what NumPy's plan computes, to the last bit where no rounding is involved."""

import numpy as np
import op_checks
import pytest
import random_programs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.ops.pooling import MaxPool
from backprop_cli.checks.promises import interpreted
from backprop_cli.execution import groups, native
from backprop_cli.execution.plan import Plan

EXACT = [ad.negative, ad.square, ad.relu, ad.absolute, ad.sign, ad.copy]
"""Ops that make integers of integers: sums in another order then have the same bits."""


SPECIAL = [
    ad.relu,
    ad.absolute,
    ad.sign,
    ad.sum,
    ad.amax,
    ad.exp,
    ad.sqrt,
    lambda x: ad.maximum(x, 0.0),
    lambda x: ad.minimum(0.0, x),
]


@pytest.fixture(autouse=True)
def in_python(monkeypatch):
    monkeypatch.setattr(native, "machine_code", interpreted.machine_code)


@pytest.fixture
def functions(monkeypatch):
    """The texts of all functions that are compiled."""
    texts = []
    monkeypatch.setattr(native, "machine_code", lambda given: texts.extend(given) or interpreted.machine_code(given))
    return texts


def run_both(program, feed, runs=2):
    """Outputs and states of both plans after some runs on the same input."""
    results = []
    for compiled in (False, True):
        plan = Plan(program, compiled=compiled)
        for name, array in feed.items():
            plan.inputs[name][...] = array
        with np.errstate(all="ignore"):
            for _ in range(runs):
                random_programs.poison(plan)
                plan.run()
        results.append({**plan.outputs, **{f"state {name}": plan.inputs[name] for name in program.updates}})
    return results


def go_by_rows(monkeypatch):
    """Loops go through rows of any length, one after the other."""
    monkeypatch.setattr(groups, "SHORTEST", 1)
    monkeypatch.setattr(groups, "LARGE", 1)


CASES = op_checks.cases()
FIRST = {case.name: case for case in reversed(CASES)}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_op_and_its_rules(case):
    check_case(case, np.float64, 1e-13)


@pytest.mark.parametrize("case", FIRST.values(), ids=str)
def test_every_op_and_its_rules_in_single_precision(case):
    check_case(case, np.float32, 2e-6)


def check_case(case, dtype, tolerance):
    arrays = case.arrays(dtype=dtype)
    inputs, out, _ = op_checks.traced(case.op, arrays)
    outputs = {"out": out}
    if out.spec.is_inexact:
        rng = np.random.default_rng(1)
        weights = ad.constant(rng.uniform(-1, 1, out.shape), out.dtype)
        gradients = ad.gradients(ad.sum(out * weights), op_checks.inexact(inputs))
        outputs |= {f"gradient {k}": g for k, g in enumerate(gradients)}
    program = ad.Program({value.name: value for value in inputs}, outputs)
    numpy, compiled = run_both(program, {value.name: array for value, array in zip(inputs, arrays, strict=True)})
    for name, wanted in numpy.items():
        scale = max(1.0, np.abs(wanted).max(initial=0.0))
        np.testing.assert_allclose(compiled[name], wanted, rtol=0, atol=tolerance * scale, err_msg=name)


SHAPING = [
    *random_programs.SHAPING,
    lambda x: ad.sum(x, 0) if x.ndim else x,
    lambda x: ad.sum(x, 0, keepdims=True) if x.ndim else x,
    lambda x: ad.amax(x, -1, keepdims=True) if x.ndim else x,
    lambda x: x - ad.sum(x, -1, keepdims=True) if x.ndim else x,
]
"""With more ops whose loops share rows or columns with others."""


@pytest.mark.parametrize("by_rows", [False, True])
@settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 1000))
def test_random_programs(monkeypatch, by_rows, data, seed):
    monkeypatch.setattr(random_programs, "UNARY", EXACT)
    monkeypatch.setattr(random_programs, "SHAPING", SHAPING)
    monkeypatch.setattr(random_programs, "SHAPES", [(3, 3), (3, 3), (9,), (1, 3), ()])
    if by_rows:
        go_by_rows(monkeypatch)
    check_exact(data.draw(random_programs.programs()), seed)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 1000))
def test_random_programs_of_cubes(monkeypatch, data, seed):
    monkeypatch.setattr(random_programs, "UNARY", EXACT)
    go_by_rows(monkeypatch)
    check_exact(data.draw(random_programs.of_cubes()), seed)


def check_exact(program, seed):
    """Compare integers, in which sums in another order have the same bits."""
    rng = np.random.default_rng(seed)
    feed = {name: rng.integers(-2, 3, value.shape).astype(float) for name, value in program.inputs.items()}
    _assume_exact(program, feed)
    numpy, compiled = run_both(program, feed, runs=1)
    for name, wanted in numpy.items():
        np.testing.assert_array_equal(compiled[name], wanted, err_msg=f"{name} of\n{program}")


def _assume_exact(program, feed):
    values = ad.evaluate(program.nodes, {program.inputs[name]: array for name, array in feed.items()})
    assume(all(np.abs(value).max(initial=0.0) < 2**40 for value in values))


def inputs(**shapes):
    return {name: ad.input_(name, shape) for name, shape in shapes.items()}


def check(given, outputs, updates=None):
    program = ad.Program(given, outputs, updates or {})
    feed = {name: np.random.default_rng(k).integers(-3, 4, v.shape) for k, (name, v) in enumerate(given.items())}
    numpy, compiled = run_both(program, feed)
    for name, wanted in numpy.items():
        np.testing.assert_array_equal(compiled[name], wanted, err_msg=name)
    return Plan(program, compiled=True)


def test_a_result_and_its_transpose_are_not_read_in_one_nest():
    given = inputs(x=(4, 4))
    doubled = given["x"] * 2.0
    check(given, {"out": doubled + doubled.T})


def test_a_state_read_turned_is_not_overwritten_while_it_is_read():
    given = inputs(x=(4, 4))
    x = given["x"]
    check(given, {}, {"x": x + x.T})
    check(given, {"turned": x.T * 2.0}, {"x": x * 3.0})


def test_rows_of_a_turned_array_are_not_read_before_all_rows_are_written(monkeypatch):
    """The mean of a channel is known after its row; the turned mask needs the rows of all channels."""
    go_by_rows(monkeypatch)
    given = inputs(x=(5, 3, 5, 4), noise=(4, 3, 5, 5))
    shifted = given["x"] + 1.0
    mask = ad.greater_equal(given["noise"], 0.0) * 2.0
    centered = shifted - ad.sum(shifted, (0, 2, 3), keepdims=True)
    check(given, {"out": centered * ad.transpose(mask, (2, 1, 3, 0))})


@pytest.mark.parametrize("columns", [512, 1029])
def test_a_transpose_in_tiles_and_without(columns, functions):
    given = inputs(x=(16, columns))
    check(given, {"out": given["x"].T * 2.0})
    assert functions[0].count("for ") == (3 if columns == 512 else 2)


def test_memory_given_back_inside_a_nest_is_not_taken_inside_it():
    given = inputs(row=(1, 4), m=(4, 4), x=(3, 4), y=(3, 4))
    row = given["row"] @ given["m"]
    check(given, {"sum": given["x"] + row, "double": given["y"] * 2.0})


def test_parts_of_a_concatenation_and_the_whole_are_not_read_in_one_nest():
    given = inputs(a=(3,), b=(3,))
    whole = ad.concat([given["a"] * 2.0, given["b"] * 3.0])
    check(given, {"out": ad.slice_(whole, 0, 1, 4) + given["a"]}, {"a": ad.slice_(whole, 0, 2, 5)})


def test_a_number_between_does_not_part_a_nest():
    given = inputs(x=(5,), t=())
    doubled = given["x"] * 2.0
    plan = check(given, {"out": doubled * (given["t"] * 3.0)})
    assert plan.peak_bytes == 128  # the result and the number, each with its cache line; none for `doubled`


def test_a_number_that_needs_an_array_waits_for_it():
    given = inputs(x=(1,), y=(1,))
    doubled = given["x"] * 2.0
    check(given, {"out": ad.reshape(doubled, ()) * 3.0, "other": doubled * given["y"]})


def test_a_normalized_row_takes_one_pass_and_no_memory_for_its_numbers(functions, monkeypatch):
    go_by_rows(monkeypatch)
    given = inputs(x=(3, 32))
    x = given["x"]
    centered = x - ad.sum(x, -1, keepdims=True)
    plan = check(given, {"out": centered / ad.sqrt(1.0 + ad.sum(ad.square(centered), -1, keepdims=True))})
    assert functions[0].count("range(3)") == 1
    assert plan.peak_bytes == 3 * 32 * 8


def test_an_embedding_and_its_gradient():
    table, rows = ad.input_("table", (5, 3)), ad.input_("rows", (2, 4), np.int64)
    taken = ad.take_rows(table, rows)
    program = ad.Program(
        {"table": table, "rows": rows}, {"out": taken, "gradient": ad.gradients(ad.sum(taken * taken), [table])[0]}
    )
    feed = {"table": np.arange(15.0).reshape(5, 3), "rows": [[0, 4, 4, 2], [2, 2, 0, 1]]}
    numpy, compiled = run_both(program, feed)
    for name, wanted in numpy.items():
        np.testing.assert_array_equal(compiled[name], wanted)


def test_a_number_that_is_a_state_is_not_overwritten_before_it_is_read():
    given = inputs(x=(5,), t=())
    check(given, {"out": given["x"] * given["t"]}, {"t": -given["t"]})


@pytest.mark.parametrize("wanted", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("function", SPECIAL)
def test_infinity_and_nan_are_those_of_numpy(function, wanted):
    x = ad.input_("x", (5,))
    numpy, compiled = run_both(ad.Program({"x": x}, {"out": function(x)}), {"x": [1.0, wanted, -2.0, 0.0, 3.0]})
    np.testing.assert_array_equal(compiled["out"], numpy["out"])


@pytest.mark.parametrize("axes", [(0, 2, 3), (2, 3), (1, 3), (0, 1, 2, 3)])
def test_a_sum_of_single_precision_is_rounded_once(axes):
    x = ad.input_("x", (8, 4, 8, 32), np.float32)
    numbers = np.random.default_rng(0).random(x.shape, np.float32)
    _, compiled = run_both(ad.Program({"x": x}, {"out": ad.sum(x, axes)}), {"x": numbers})
    exact = numbers.sum(axes, np.float64)
    np.testing.assert_array_equal(compiled["out"], exact.astype(np.float32))


def test_a_product_with_a_vector_is_added_up_in_double_precision():
    x, y = ad.input_("x", (3, 1000), np.float32), ad.input_("y", (1000, 1), np.float32)
    feed = {
        name: np.random.default_rng(k).random(v.shape, np.float32)
        for k, (name, v) in enumerate({"x": x, "y": y}.items())
    }
    _, compiled = run_both(ad.Program({"x": x, "y": y}, {"out": x @ y}), feed)
    np.testing.assert_allclose(compiled["out"], feed["x"].astype(float) @ feed["y"], rtol=1e-7)


def test_what_only_a_nest_reads_needs_no_memory():
    x = ad.input_("x", (1000, 1000))
    program = ad.Program({"x": x}, {}, {"x": x - 0.1 * ad.square(x * 2.0 + 1.0)})
    plan = Plan(program, compiled=True)
    assert plan.peak_bytes == 0
    assert plan.calls == 1


def test_product_that_blas_cannot_take_stays_numpys():
    x = ad.input_("x", (2, 3, 4))
    y = ad.input_("y", (2, 4, 3))
    program = ad.Program({"x": x, "y": y}, {"out": (x @ y) * 2.0})
    feed = {"x": np.arange(24.0).reshape(2, 3, 4), "y": np.arange(24.0).reshape(2, 4, 3)}
    numpy, compiled = run_both(program, feed)
    np.testing.assert_array_equal(compiled["out"], numpy["out"])


def test_what_is_repeated_is_compiled_once(functions):
    given = inputs(x=(4, 4), w=(40, 4, 4), b=(40, 4))
    out = given["x"] - 1.0
    for k in range(40):
        w, b = (ad.reshape(ad.slice_(given[name], 0, k, k + 1), given[name].shape[1:]) for name in "wb")
        out = ad.sign(out @ w + b)
    assert check(given, {"out": out, "sum": ad.sum(out)}).calls == 1
    # To subtract, the product, the bias with its sign, and the last of these with the sum.
    assert len(set(functions)) == 4


@pytest.mark.parametrize("kernel", [2, 5, 12])
@pytest.mark.parametrize("before", [0, 1])
def test_the_gradient_of_a_window_with_nan_goes_where_numpy_sends_it(kernel, before):
    x = ad.input_("x", (24, 40))
    largest = MaxPool(0, kernel, 2, before=before)(x)
    numbers = np.random.default_rng(0).normal(size=x.shape)
    numbers[np.random.default_rng(1).random(x.shape) < 0.05] = np.nan
    numbers[:, 0], numbers[:, 1] = np.nan, -np.inf
    (gradient,) = ad.gradients(ad.sum(largest * 2.0), [x])
    numpy, compiled = run_both(ad.Program({"x": x}, {"out": largest, "gradient": gradient}), {"x": numbers})
    for name, wanted in numpy.items():
        np.testing.assert_array_equal(compiled[name], wanted, err_msg=name)

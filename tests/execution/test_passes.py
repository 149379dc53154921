"""Simplification: nothing dead, nothing twice, nothing known; the same values, gradients and shapes."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.execution.passes import simplified, simplify


def ops(*outputs):
    """The ops that simplified outputs need, in order."""
    return [str(node.op) for node in ad.toposort(simplified(outputs)) if node.op is not None]


@pytest.fixture
def x():
    return ad.input_("x", (3, 4))


def test_dead_nodes_are_dropped(x):
    live, _ = ad.exp(x), ad.log(x)
    program = simplify(ad.Program({"x": x, "unused": ad.input_("unused", ())}, {"out": live}))
    assert [str(node.op) for node in program.nodes if node.op is not None] == ["exp"]
    assert list(program.inputs) == ["x", "unused"]


def test_unasked_gradients_are_dropped(x):
    w = ad.input_("w", (4, 2))
    loss = ad.sum(x @ w)
    assert sum(op == "matmul" for op in ops(*ad.gradients(loss, [w]))) == 1
    assert sum(op == "matmul" for op in ops(*ad.gradients(loss, [x, w]))) == 2


def test_equal_nodes_are_merged(x):
    assert ops(ad.exp(x) + ad.exp(x)) == ["exp", "add"]
    assert ops(ad.sum(x, 0) * ad.sum(x, 0)) == ["sum(axes=(0,), keepdims=False)", "multiply"]
    assert len(ops(ad.sum(x, 0), ad.sum(x, 1))) == 2


def test_pieces_of_one_value_are_not_compared_with_each_other(monkeypatch):
    x, compared = ad.input_("x", (300,)), []
    pieces = [x[k : k + 1] for k in range(300)]
    equal = type(pieces[0].op).__eq__
    monkeypatch.setattr(type(pieces[0].op), "__eq__", lambda one, other: compared.append(1) or equal(one, other))
    assert len(ops(*pieces, *pieces)) == 300
    assert len(compared) < 3000


def test_equal_constants_are_merged(x):
    first, second = ad.constant(np.array([1.0, 2.0, 3.0, 4.0])), ad.constant(np.array([1.0, 2.0, 3.0, 4.0]))
    assert ops(ad.exp(x * first) - ad.exp(x * second)) == ["multiply", "exp", "subtract"]


@pytest.mark.parametrize("other", [np.array([1.0, 2.0, 3.0, 5.0]), np.array([-0.0, 2.0, 3.0, 4.0])])
def test_different_constants_stay(x, other):
    first = ad.constant(np.array([0.0, 2.0, 3.0, 4.0]))
    assert len(ops((x * first) - (x * ad.constant(other)))) == 3


def test_constants_of_two_dtypes_stay_two():
    out = simplified([ad.constant(1, np.float32), ad.constant(1, np.float64)])
    assert [value.dtype for value in out] == [np.float32, np.float64]


def test_constants_are_folded(x):
    two = ad.constant(2.0)
    (out,) = simplified([ad.exp(two) * ad.sqrt(two)])
    assert out.array == np.exp(2.0) * np.sqrt(2.0)
    assert ops(x * (ad.constant(2.0) * 3.0 + 1.0)) == ["multiply"]
    assert ops(2.0 * (0.5 / x)) == ["divide"]


def test_folding_is_quiet_and_right_about_infinity():
    (out,) = simplified([ad.log(ad.constant(0.0)) / 0.0])
    assert out.array == -np.inf


def test_large_constants_are_not_made():
    (out,) = simplified([ad.exp(ad.broadcast_to(ad.constant(1.0), (1000,)))])
    assert not out.is_constant


def test_inputs_stay_the_same_values(x):
    assert simplified([x]) == [x]


def test_layers_are_kept(x):
    with ad.in_layer("dense_1"):
        out = ad.exp(x) * 2.0 * 3.0
    (simpler,) = simplified([out])
    assert simpler.layer == "dense_1"
    assert simpler.inputs[0].layer == "dense_1"


def test_no_product_is_made_twice():
    """(x y)^T is y^T x^T for free, but not where x y is there already: then its transpose is a view."""
    x, y = ad.input_("x", (3, 4)), ad.input_("y", (4, 3))
    product = x @ y
    assert sum(op == "matmul" for op in ops(product @ product.T)) == 2
    assert ops(product.T)[-1] == "matmul"


def test_depth_is_no_limit():
    out = x = ad.input_("x", ())
    for _ in range(1500):
        out = ad.sin(out) + x
    (gradient,) = ad.gradients(out, [x])
    (tangent,) = ad.jvp([out], [x], [ad.constant(1.0)])
    same = ad.evaluate(simplified([gradient, tangent]), {x: np.array(0.3)})
    plain = ad.evaluate([gradient, tangent], {x: np.array(0.3)})
    np.testing.assert_allclose(same, plain, rtol=1e-12)


A, B = (3, 4), (4,)
PADDED = ad.OPS["pad"](2, 1, 0)


def rules(x, y, s):
    """Programs that each ask for one rule of simplification, with the number of calls that are left."""
    one, zero, two = ad.constant(1.0), ad.constant(0.0), ad.constant(2.0)
    stacked = ad.broadcast_to(y, A)
    image = ad.reshape(x, (1, 2, 2, 3))  # height, channels, width, batch
    first = ad.transpose(image, (3, 1, 0, 2))
    last = (2, 1, 3, 0)
    return {
        "x + 0": (x + zero, 0),
        "0 + x": (zero + x, 0),
        "y + zeros of another shape": (y + ad.constant(np.zeros((1, 1))), 1),
        "x * 1": (x * one, 0),
        "1 * x": (one * x, 0),
        "1 * scalar": (one * s, 0),
        "x * ones of another shape": (s * ad.constant(np.ones((1, 1))), 1),
        "(x * 2) * 2": ((x * two) * two, 1),
        "2 * (2 * x)": (two * (two * x), 1),
        "x * (1 / y)": (x * (one / y), 1),
        "(1 / y) * x": ((one / y) * x, 1),
        "x * (ones / y)": (s * (ad.constant(np.ones((1, 1))) / y), 2),
        "x * (2 / y)": (x * (two / y), 2),
        "x * (2 / y) in another shape": (x * ad.reshape(two / ad.sum(x, 1), (3, 1)), 4),
        "(x * s) * s": ((x * s) * s, 2),
        "x * 2 - y * 2": (x * two - y * two, 2),
        "x - y": (x - y, 1),
        "x + y * (-2)": (x + y * ad.constant(-2.0), 2),
        "y * (-2) + x": (y * ad.constant(-2.0) + x, 2),
        "-broadcast": (-stacked, 2),
        "-(-x)": (ad.negative(ad.negative(x)), 0),
        "-(x * 2)": (-(x * two), 1),
        "x ** 1": (x**1.0, 0),
        "x ** 2": (x**2.0, 1),
        "x ** 3": (x**3.0, 1),
        "broadcast + x": (x + stacked, 1),
        "broadcast * broadcast": (stacked * ad.broadcast_to(s, A), 2),
        "where of broadcasts": (ad.where(x, stacked, ad.broadcast_to(s, A)), 1),
        "reshape to its own shape": (ad.reshape(x, A), 0),
        "reshape of reshape": (ad.reshape(ad.reshape(x, (2, 6)), (12,)), 1),
        "reshape of a broadcast scalar": (ad.reshape(ad.broadcast_to(s, A), (12,)), 1),
        "transpose to its own order": (ad.transpose(x, (0, 1)), 0),
        "transpose of transpose": (x.T.T, 0),
        "transposed product": ((x @ x.T).T, 2),
        "broadcast to its own shape": (ad.broadcast_to(x, A), 0),
        "broadcast of broadcast": (ad.broadcast_to(ad.broadcast_to(y, A), (2, *A)), 1),
        "whole slice": (ad.slice_(x, 0, 0, 3), 0),
        "concat of one": (ad.concat([x], 1), 0),
        "cast to its own dtype": (ad.cast(x, np.float64), 0),
        "sum over one": (ad.sum(ad.reshape(x, (1, 3, 4)), 0, keepdims=True), 1),
        "sum of a sum": (ad.sum(ad.sum(ad.reshape(x, (3, 2, 2)), 1), 1), 2),
        "sum that keeps its axis": (ad.sum(x, 1, keepdims=True), 2),
        "sum over none": (ad.sum(x, ()), 0),
        "between two transposes": (ad.transpose(ad.exp(first), last), 2),
        "of two transposes": (ad.transpose(ad.exp(first) * first, last), 3),
        "with a scalar": (ad.transpose(ad.exp(first * s), last), 3),
        "with what is broadcast": (ad.transpose(first + ad.reshape(ad.sum(y), (1, 1, 1, 1)), last), 5),
        "with numbers of every channel": (ad.transpose(first + ad.reshape(ad.slice_(y, 0, 0, 2), (2, 1, 1)), last), 5),
        "with what is not transposed": (ad.transpose(first * ad.reshape(x, (3, 2, 1, 2)), last), 4),
        "back to front": (ad.transpose(image * ad.transpose(ad.reshape(x, (3, 2, 1, 2)), last), (3, 1, 0, 2)), 5),
        "matrices, one transposed": (ad.reshape(x, (4, 3)).T * x, 3),
        "sum of what is transposed": (ad.transpose(ad.sum(first, (0, 3))), 2),
        "sum over all of it": (ad.sum(first), 2),
        "part of what is transposed": (ad.transpose(ad.slice_(first, 1, 0, 1), last), 2),
        "joined transposes": (ad.transpose(ad.concat([first, ad.exp(first)], 1), last), 3),
        "transposes of two orders, joined": (ad.concat([first, ad.transpose(image, (3, 2, 0, 1))], 0), 4),
        "zeros around what is transposed": (ad.transpose(PADDED(first), last), 2),
        "no zeros around": (ad.OPS["pad"](1, 0, 0)(x), 0),
        "flattened": (ad.reshape(first, (3, 4)).T, 3),
        "flattened in another order": (ad.reshape(ad.transpose(image, (3, 0, 2, 1)), (3, 4)), 4),
        "parted product": (ad.transpose(ad.reshape(x @ x.T @ x, (3, 2, 1, 2)), last), 5),
        "parted and put in another order": (ad.transpose(ad.reshape(x @ x.T, (3, 3, 1)), (2, 1, 0)), 4),
    }


@pytest.mark.parametrize("name", rules(ad.input_("x", A), ad.input_("y", B), ad.input_("s", ())))
def test_rule_keeps_value_and_gradients(name):
    inputs = ad.input_("x", A), ad.input_("y", B), ad.input_("s", ())
    out, calls = rules(*inputs)[name]
    rng = np.random.default_rng(0)
    feed = {value: np.asarray(rng.uniform(0.5, 2.0, value.shape)) for value in inputs}
    (simpler,) = simplified([out])
    assert simpler.spec == out.spec
    assert len(ops(out)) == calls
    weights = ad.constant(rng.standard_normal(out.shape))
    before = [out, *ad.gradients(ad.sum(out * weights), inputs)]
    after = [simpler, *ad.gradients(ad.sum(simpler * weights), inputs)]
    for results in (simplified(before), after):
        for got, wanted in zip(ad.evaluate(results, feed), ad.evaluate(before, feed), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-14, atol=1e-14)


def test_every_simplifying_op_has_a_rule_above():
    """An op that overrides ``simplify`` is the last op of some program above, before it is simplified."""
    inputs = ad.input_("x", A), ad.input_("y", B), ad.input_("s", ())
    asked = {type(out.op) for out, _ in rules(*inputs).values()}
    own = {cls for _, cls in ad.OPS.items() if "simplify" in vars(cls)}
    assert own <= asked


def test_neutral_numbers_do_not_change_the_dtype():
    labels = ad.input_("labels", (3,), np.int64)
    for out in (ad.multiply(labels, ad.constant(1.0)), ad.add(ad.constant(0.0), labels)):
        assert simplified([out])[0].spec == out.spec


def tiny_step():
    """One step of linear regression by gradient descent."""
    w, x, y = ad.input_("w", (2, 3), np.float32), ad.input_("x", (8, 3), np.float32), ad.input_("y", (8, 2), np.float32)
    with ad.in_layer("dense_1"):
        out = x @ w.T
    loss = ad.mean(ad.square(out - y))
    (gradient,) = ad.gradients(loss, [w])
    return ad.Program({"w": w, "x": x, "y": y}, {"loss": loss}, {"w": w - 0.1 * gradient})


def test_printout_of_a_program():
    assert str(tiny_step()) == GOLDEN


def test_printout_of_a_simplified_program():
    assert str(simplify(tiny_step())) == GOLDEN_SIMPLE


FORWARD = """\
%0 f4[3,2] = transpose(w, perm=(1, 0))  # dense_1
%1 f4[8,2] = matmul(x, %0)  # dense_1
%2 f4[8,2] = subtract(%1, y)
%3 f4[8,2] = square(%2)
%4 f4[] = sum(%3, axes=(0, 1), keepdims=False)
%5 f4[] = multiply(%4, 0.0625)
"""

GOLDEN = f"""\
{FORWARD}%6 f4[] = multiply(1, 0.0625)
%7 f4[8,2] = broadcast_to(%6, to=(8, 2))
%8 f4[8,2] = multiply(2, %2)
%9 f4[8,2] = multiply(%7, %8)
%10 f4[3,8] = transpose(x, perm=(1, 0))  # dense_1
%11 f4[3,2] = matmul(%10, %9)  # dense_1
%12 f4[2,3] = transpose(%11, perm=(1, 0))  # dense_1
%13 f4[2,3] = multiply(0.1, %12)
%14 f4[2,3] = subtract(w, %13)
return loss = %5
update w <- %14"""

GOLDEN_SIMPLE = f"""\
{FORWARD}%6 f4[8,2] = multiply(%2, 0.125)
%7 f4[2,8] = transpose(%6, perm=(1, 0))  # dense_1
%8 f4[2,3] = matmul(%7, x)  # dense_1
%9 f4[2,3] = multiply(0.1, %8)
%10 f4[2,3] = subtract(w, %9)
return loss = %5
update w <- %10"""


@pytest.mark.parametrize("shape", [(), (3,)])
def test_numbers_on_both_sides_of_a_quotient_are_gathered_once(shape):
    x = ad.input_("x", shape)
    (found,) = simplified([ad.constant(0.5) * (3.0 / x)])
    assert [str(node.op) for node in ad.toposort([found]) if node.op] == ["divide"]
    np.testing.assert_array_equal(ad.evaluate([found], {x: np.full(shape, 2.0)})[0], np.full(shape, 0.75))


def test_a_transpose_that_does_nothing_is_dropped_from_a_shared_product(x):
    """It was kept, to spare a second product, and elementwise ops moved it around for ever."""
    row = ad.input_("row", (1, 4)) @ x.T
    assert ops(ad.equal(row.T, ad.sum(row, (1,), keepdims=True)))[-2:] == ["equal", "transpose(perm=(1, 0))"]

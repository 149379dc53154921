"""Jacobians in any elimination order are the same; what an order costs is what its matrices say."""

import math
import time
from itertools import pairwise

import numpy as np
import pytest
from op_checks import jacobian
from threadpoolctl import threadpool_limits

from backprop_cli import autodiff as ad
from backprop_cli.accumulation.bracketing import best_bracketing
from backprop_cli.accumulation.elimination import best_order, elimination_cost
from backprop_cli.accumulation.jacobians import (
    MOST_BRACKETED,
    accumulate,
    accumulation,
    gradient_costs,
    jacobians,
)
from backprop_cli.errors import ShapeError
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan

ORDERS = ("auto", "forward", "reverse")
AUTOENCODER = (784, 256, 64, 16, 64, 256, 784)


def network(widths, batch=1, activation=ad.tanh, seed=0):
    """A dense network with an activation on hidden layers: input, output, parameters, feed."""
    rng = np.random.default_rng(seed)
    x = out = ad.input_("x", (batch, widths[0]))
    feed = {x: rng.standard_normal(x.shape)}
    params = []
    for number, (fan_in, units) in enumerate(pairwise(widths)):
        weight, bias = ad.input_(f"w{number}", (units, fan_in)), ad.input_(f"b{number}", (units,))
        feed |= {weight: rng.standard_normal(weight.shape) / np.sqrt(fan_in), bias: rng.standard_normal(units)}
        params += [weight, bias]
        out = out @ weight.T + bias
        out = activation(out) if number < len(widths) - 2 else out
    return x, out, params, feed


def assert_all_orders(outputs, wrt, feed, tolerance=1e-12):
    for order in ORDERS:
        rows = accumulate(outputs, wrt, feed, order)
        for out, row in zip(outputs, rows, strict=True):
            for w, got, wanted in zip(wrt, row, ad.evaluate(jacobian(out, wrt), feed), strict=True):
                assert got.shape == (*out.shape, *w.shape)
                assert got.dtype == w.dtype
                np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance, err_msg=order)


def test_a_dense_network():
    x, out, params, feed = network((5, 7, 2, 6, 3), batch=2)
    assert_all_orders([out], [x, *params], feed)


def test_skips_softmax_and_two_outputs():
    x, hidden, params, feed = network((4, 6, 4), batch=2, activation=ad.relu)
    joined = ad.tanh(hidden + x) * x
    out = ad.concat([ad.softmax(joined), ad.logsumexp(joined, keepdims=True), x], 1)
    assert_all_orders([out, ad.sum(hidden, 1), hidden], [x, *params], feed)


def test_every_activation():
    x = ad.input_("x", (2, 3))
    feed = {x: np.random.default_rng(0).uniform(0.3, 2.0, (2, 3))}
    for function in (ad.exp, ad.log, ad.sqrt, ad.sigmoid, ad.softplus, ad.erf, ad.square, ad.absolute, ad.amax):
        assert_all_orders([function(x * 2.0)], [x], feed)


def test_values_between_inputs_and_outputs():
    """By a value of the middle, by one that another of them acts on, by the same one twice."""
    x, out, (first, *_), feed = network((3, 4, 2))
    middle = ad.square(x)
    out = ad.sin(middle) * x
    assert_all_orders([out, middle], [middle, x, middle], feed)
    assert_all_orders([ad.tanh(out)], [first], feed)


def test_outputs_that_are_inputs_or_depend_on_none():
    x, other = ad.input_("x", (3,)), ad.input_("other", (2,), np.float32)
    feed = {x: np.array([1.0, 2.0, 3.0]), other: np.zeros(2, np.float32)}
    assert_all_orders([x, ad.square(x), ad.stop_gradient(x), ad.sign(x)], [x, other], feed)
    assert accumulate([ad.square(x)], [], feed) == [[]]


def test_integers_are_refused():
    labels = ad.input_("labels", (3,), np.int64)
    with pytest.raises(ShapeError) as error:
        jacobians([ad.one_hot(labels, 2)], [labels])
    assert str(error.value) == "<labels i8[3]>: integers have no derivative (given wrt: i8[3])"


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_a_jacobian_is_a_program(order):
    """It can be differentiated again: the Jacobian of a gradient is the Hessian."""
    x = ad.input_("x", (3,))
    point = {x: np.array([0.5, -1.0, 2.0])}
    ((hessian,),) = accumulate(ad.gradients(ad.sum(ad.sin(x) * ad.square(x)), [x]), [x], point, order)
    (again,) = ad.evaluate([jacobians([jacobians([ad.sin(x)], [x], order)[0][0]], [x])[0][0]], point)
    (wanted,) = ad.evaluate(jacobian(ad.gradients(ad.sum(ad.sin(x) * ad.square(x)), [x])[0], [x]), point)
    np.testing.assert_allclose(hessian, wanted, rtol=1e-12, atol=1e-12)
    for i in range(3):
        assert again[i, i, i] == pytest.approx(-np.sin(point[x][i]))


def test_costs_of_a_chain_of_matrices_are_those_of_the_textbook():
    """30x35, 35x15, 15x5, 5x10, 10x20, 20x25: 15,125 multiplications (Cormen et al., 15.2)."""
    widths = (25, 20, 10, 5, 15, 35, 30)
    x = out = ad.input_("x", (1, widths[0]))
    for fan_in, units in pairwise(widths):
        out = out @ ad.input_("w", (fan_in, units))
    found = accumulation([out], [x])
    assert (found.best.cost, found.best.proved_optimal) == (15125, True)
    assert found.forward.cost == 25 * sum(a * b for a, b in pairwise(widths[1:]))
    assert found.reverse.cost == 30 * sum(a * b for a, b in pairwise(widths[:-1]))


def test_costs_of_scalars_are_those_of_the_graph():
    """Where no entry is 1 or -1 the two models are one: the lighthouse with products for its sums."""
    nu, gamma, omega, t = (ad.input_(name, ()) for name in ("nu", "gamma", "omega", "t"))
    z = ad.tanh(omega * t)
    d = gamma * z
    first = (nu * z) / d
    found = accumulation([first, gamma * first], [nu, gamma, omega, t])
    graph = ([[], [], [], [], [2, 3], [4], [0, 5], [1, 5], [6, 7], [1, 8]], [8, 9])
    assert found.best.cost == best_order(graph).cost == 11
    assert found.best.proved_optimal
    assert found.forward.cost == elimination_cost(graph, [4, 5, 6, 7, 8]) == 16


def test_the_waist_of_an_autoencoder():
    x, out, _, _ = network(AUTOENCODER)
    found = accumulation([out], [x])
    products = [(784, 256, 64), (784, 64, 16), (784, 16, 64), (784, 64, 256), (784, 256, 784)]
    diagonals = 784 * (256 + 64 + 16 + 64 + 256)
    assert found.forward.cost == found.reverse.cost == sum(a * b * c for a, b, c in products) + diagonals
    assert found.best.proved_optimal
    # The decoder's Jacobian by the 16 of the waist, the encoder's of them, and one product.
    half = 16 * (64 * 256 + 256 * 784) + 16 * (64 + 256)
    assert found.best.cost == 2 * half + 16 * 64 + 784 * 16 * 784


def test_the_executed_order_of_an_autoencoder_is_the_fastest():
    """Three times faster than forward and reverse, on one thread: it is seven times on an idle processor."""
    x, out, _, feed = network(AUTOENCODER)
    plans = {}
    for order in ORDERS:
        ((jacobian,),) = jacobians([out], [x], order)
        program = simplify(ad.Program({v.name: v for v in feed}, {"jacobian": jacobian}))
        plans[order] = Plan(program, {v.name: array for v, array in feed.items()})
    seconds = dict.fromkeys(ORDERS, math.inf)
    with threadpool_limits(1):
        for _ in range(12):  # in turn, so that another process slows all of them
            for order, plan in plans.items():
                started = time.perf_counter()
                plan.run()
                seconds[order] = min(seconds[order], time.perf_counter() - started)
    results = {order: plan.outputs["jacobian"] for order, plan in plans.items()}
    scale = np.abs(results["reverse"]).max()
    assert np.abs(results["auto"] - results["reverse"]).max() <= 1e-10 * scale
    assert np.abs(results["auto"] - results["forward"]).max() <= 1e-10 * scale
    assert 3.0 * seconds["auto"] <= min(seconds["forward"], seconds["reverse"]), seconds


def test_a_deep_chain_and_a_graph_too_large_for_all_orders():
    x, out, _, feed = network((6,) * 20)
    found = accumulation([out], [x])
    assert found.best.proved_optimal
    assert found.best.cost == found.forward.cost
    joined = x
    for _ in range(12):
        joined = ad.tanh(joined) * joined + ad.softmax(joined)
    found = accumulation([joined], [x])
    assert not found.best.proved_optimal
    assert found.best.cost <= min(found.forward.cost, found.reverse.cost)
    assert_all_orders([joined], [x], feed)


def test_gradient_costs():
    """Reverse is an outer product a weight and a product a layer but the first; forward that for every parameter."""
    widths = (5, 7, 3)
    _, out, params, _ = network(widths)
    forward, reverse = gradient_costs(ad.sum(ad.square(out)), params)
    square, second, tanh, first = 3, 7 * 3, 7, 5 * 7
    assert reverse == first + tanh + 2 * second + square
    behind = tanh + second + square
    assert forward == 35 * (first + behind) + 7 * behind + 21 * (second + square) + 3 * square


def test_jacobians_too_large_for_patterns(monkeypatch):
    monkeypatch.setattr("backprop_cli.accumulation.jacobian_graph._MOST_BITS", 0)
    x, out, params, feed = network((3, 4, 2), batch=2)
    assert_all_orders([out], [x, *params], feed)


def product_of(widths):
    """Matrices one after the other: input and output."""
    x = out = ad.input_("x", (1, widths[0]))
    for fan_in, units in pairwise(widths):
        out = out @ ad.input_("w", (fan_in, units))
    return x, out


@pytest.mark.parametrize("count", [2, 3, 20, 120])
def test_chains_are_bracketed_as_by_the_textbook(count):
    """Against the search over numbers, which shares no code."""
    widths = np.random.default_rng(count).integers(1, 30, count + 1).tolist()
    x, out = product_of(widths)
    found = accumulation([out], [x])
    wanted = best_bracketing([(rows, columns, 0) for columns, rows in pairwise(widths)])
    assert (found.best.cost, found.best.proved_optimal) == (wanted.cost, True)


def test_a_chain_at_the_limit_is_solved_and_a_longer_one_says_so():
    for beyond in (False, True):
        widths = np.random.default_rng(0).integers(1, 30, MOST_BRACKETED + 2 + beyond).tolist()
        x, out = product_of(widths)
        found = accumulation([out], [x])
        assert len(found.graph.blocks().vertices) == MOST_BRACKETED + beyond
        assert found.limit == (MOST_BRACKETED if beyond else None)
        assert found.best.proved_optimal is not beyond
        one_way = min(found.forward.cost, found.reverse.cost)
        assert found.best.cost == one_way if beyond else found.best.cost < one_way


def test_a_graph_beyond_the_limit_says_so(monkeypatch):
    x = ad.input_("x", (3,))
    out = ad.tanh(x) * x + ad.softmax(ad.exp(x))
    assert accumulation([out], [x]).limit is None
    monkeypatch.setattr("backprop_cli.accumulation.jacobians.MOST_SEARCHED", 2)
    found = accumulation([out], [x])
    assert (found.limit, found.best.proved_optimal) == (2, False)
    assert found.best.cost == min(found.forward.cost, found.reverse.cost)


def test_the_gradient_costs_are_the_sum_of_those_by_each_parameter():
    """Also with skips, a weight of two readers and one that the loss does not depend on."""
    x, hidden, params, _ = network((4, 6, 4))
    tied = ad.tanh(ad.tanh(hidden + x) @ params[0].T) @ params[0]
    scalar = ad.sum(ad.square(tied * hidden + hidden))
    wrt = [*params, ad.input_("unused", (5,)), x]
    forward, _ = gradient_costs(scalar, wrt)
    assert forward == sum(gradient_costs(scalar, [w])[0] for w in wrt)

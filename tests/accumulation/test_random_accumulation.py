"""Jacobians of random programs: the same in every elimination order, and no order costs less than the best."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from op_checks import jacobian
from random_programs import programs

from backprop_cli import autodiff as ad
from backprop_cli.accumulation.jacobians import accumulate, accumulation
from backprop_cli.accumulation.orders import order_cost


@settings(max_examples=100)
@given(programs(), st.integers(0, 1000))
def test_every_order_gives_the_jacobian(program, seed):
    outputs = [out for out in program.outputs.values() if out.spec.is_inexact and out.size <= 12]
    assume(outputs)
    rng = np.random.default_rng(seed)
    feed = {value: rng.uniform(-1.0, 1.0, value.shape) for value in program.inputs.values()}
    wrt = list(program.inputs.values())[:5]
    with np.errstate(all="ignore"):
        wanted = [ad.evaluate(jacobian(out, wrt), feed) for out in outputs]
        assume(
            all(np.isfinite(array).all() and np.abs(array).max(initial=0.0) < 1e6 for row in wanted for array in row)
        )
        for order in ("auto", "forward", "reverse"):
            for row, expected in zip(accumulate(outputs, wrt, feed, order), wanted, strict=True):
                for got, array in zip(row, expected, strict=True):
                    scale = max(np.abs(array).max(initial=0.0), 1.0)
                    np.testing.assert_allclose(got, array, rtol=0, atol=1e-10 * scale, err_msg=order)


@settings(max_examples=60)
@given(programs(), st.randoms(use_true_random=False))
def test_no_order_is_cheaper_than_a_proved_one(program, random):
    outputs = [out for out in program.outputs.values() if out.spec.is_inexact]
    assume(outputs)
    found = accumulation(outputs, list(program.inputs.values())[:3], budget=50)
    start = found.graph.blocks()
    assert sum(start.eliminate(vertex) for vertex in found.free) == 0
    assert found.best.cost == order_cost(start, found.best.order) <= min(found.forward.cost, found.reverse.cost)
    if found.best.proved_optimal:
        for _ in range(5):
            order = list(start.vertices)
            random.shuffle(order)
            assert order_cost(start, order) >= found.best.cost

"""Random programs: the plan gives the evaluator's bits, whatever is shared, joined, viewed or updated."""

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import differentiated, poison, programs

from backprop_cli import autodiff as ad
from backprop_cli.execution import placement
from backprop_cli.execution import tiling as chains
from backprop_cli.execution.kernels import elementwise_kernels
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan


def check(program, seed):
    """Two runs with new inputs, the arena poisoned before each."""
    plan = Plan(program)
    assert plan.peak_bytes >= plan.lower_bound_bytes
    for run in range(2):
        rng = np.random.default_rng([seed, run])
        before = {value: np.asarray(rng.uniform(-2, 2, value.shape)) for value in program.inputs.values()}
        for name, value in program.inputs.items():
            plan.inputs[name][...] = before[value]
        with np.errstate(all="ignore"):
            wanted = ad.evaluate([*program.outputs.values(), *program.updates.values()], before)
            poison(plan)
            plan.run()
        for k, name in enumerate(program.outputs):
            np.testing.assert_array_equal(plan.outputs[name], wanted[k], err_msg=f"{name} of\n{program}")
        after = {
            program.inputs[name]: new for name, new in zip(program.updates, wanted[len(program.outputs) :], strict=True)
        }
        for name, value in program.inputs.items():
            np.testing.assert_array_equal(
                plan.inputs[name], after.get(value, before[value]), err_msg=f"{name} after\n{program}"
            )


@settings(max_examples=120)
@given(programs(), st.integers(0, 1000))
def test_plan_is_evaluate(program, seed):
    check(program, seed)


@settings(max_examples=50)
@given(differentiated(), st.integers(0, 1000))
def test_plan_of_gradients_is_evaluate(program, seed):
    check(program, seed)
    check(simplify(program), seed)


@settings(max_examples=50)
@given(differentiated(), st.integers(0, 1000))
def test_plan_of_long_arrays_is_evaluate(program, seed):
    """As if three numbers were a block and no result small: what is long goes block by block and is never repeated."""
    block, room = patch.object(chains, "BLOCK", 3), patch.object(chains.Chain, "room", 3)
    with block, room, patch.object(elementwise_kernels, "_SMALL", 0):
        check(program, seed)


@settings(max_examples=50)
@given(differentiated(), st.integers(0, 1000))
def test_simplified_is_equal(program, seed):
    rng = np.random.default_rng(seed)
    feed = {value: np.asarray(rng.uniform(-2, 2, value.shape)) for value in program.inputs.values()}
    simpler = simplify(program)
    before, after = (
        [*program.outputs.values(), *program.updates.values()],
        [*simpler.outputs.values(), *simpler.updates.values()],
    )
    with np.errstate(all="ignore"):
        for got, wanted in zip(ad.evaluate(after, feed), ad.evaluate(before, feed), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=50)
@given(differentiated())
def test_values_alive_at_once_do_not_overlap(program):
    storages = []

    def watched(given):
        storages.extend(given)
        return original(given)

    original, placement.pack = placement.pack, watched
    try:
        Plan(program)
    finally:
        placement.pack = original
    for i, one in enumerate(storages):
        for other in storages[:i]:
            together = one.birth <= other.death and other.birth <= one.death
            if together:
                assert one.offset + one.room <= other.offset or other.offset + other.room <= one.offset

"""Random programs: the plan gives the evaluator's bits, whatever is shared, joined, viewed or updated."""

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backprop_cli import autodiff as ad
from backprop_cli.autodiff import families
from backprop_cli.execution import plan as planning
from backprop_cli.execution import tiling as chains
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan

SHAPES = [(3, 4), (4, 3), (12,), (1, 4), ()]

UNARY = [
    ad.negative,
    ad.square,
    ad.tanh,
    ad.sigmoid,
    ad.softplus,
    ad.relu,
    ad.sin,
    ad.erf,
    ad.absolute,
    ad.sign,
    ad.copy,
]
BINARY = [ad.add, ad.subtract, ad.multiply, ad.maximum, ad.minimum, ad.greater, ad.equal]
SHAPING = [
    lambda x: x.T,
    lambda x: ad.reshape(x, (x.size,)),
    lambda x: ad.reshape(x, tuple(reversed(x.shape))),
    lambda x: ad.sum(x),
    lambda x: ad.sum(x, -1, keepdims=True) if x.ndim else x,
    lambda x: ad.amax(x, 0) if x.ndim else x,
    lambda x: ad.broadcast_to(x, (3, 4)) if x.shape in ((), (1, 4), (4,), (3, 1), (3, 4)) else x,
    lambda x: ad.slice_(x, 0, 1, x.shape[0]) if x.ndim and x.shape[0] > 1 else x,
    ad.stop_gradient,
]


def joined(values):
    """All of them in one vector."""
    return ad.concat([ad.reshape(value, (value.size,)) for value in values])


def broadcasting(x, y):
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


@st.composite
def programs(draw):
    """Inputs of several shapes, up to 15 ops on anything made before, outputs and updates at random."""
    inputs = {f"x{k}": ad.input_(f"x{k}", shape) for k, shape in enumerate((*SHAPES, (3, 4), (12,)))}
    values = list(inputs.values())

    def one():
        # The newest values more often: chains, in which memory is taken over.
        return draw(st.sampled_from(values) | st.sampled_from(values[-4:]))

    for _ in range(draw(st.integers(1, 15))):
        kind = draw(st.sampled_from(["unary", "binary", "shape", "matmul", "concat", "where"]))
        x, y = one(), one()
        if kind == "unary":
            values.append(draw(st.sampled_from(UNARY))(x))
        elif kind == "binary" and broadcasting(x, y) and x.size * y.size <= 2000:
            values.append(draw(st.sampled_from(BINARY))(x, y))
        elif kind == "shape":
            values.append(draw(st.sampled_from(SHAPING))(x))
        elif kind == "matmul" and x.ndim == y.ndim == 2:
            values.append(x @ (y if x.shape[1] == y.shape[0] else y.T if x.shape[1] == y.shape[1] else x.T))
        elif kind == "concat" and x.size + y.size < 200:
            values.append(joined([x, y, *([one()] if draw(st.booleans()) else [])]))
        elif kind == "where" and broadcasting(x, y):
            values.append(ad.where(ad.greater(x, y), x, y))
    outputs = {f"out{k}": one() for k in range(draw(st.integers(0, 3)))}
    updates = {}
    for name, state in inputs.items():
        fitting = [value for value in values if value.spec == state.spec]
        if draw(st.booleans()):
            updates[name] = draw(st.sampled_from(fitting) | st.sampled_from(fitting[-2:]))
    return ad.Program(inputs, outputs, updates)


@st.composite
def differentiated(draw):
    """A random program with the gradient of one of its values, joined in one vector and used to update the states."""
    program = draw(programs())
    values = [*program.outputs.values(), *program.updates.values()]
    if not values:
        return program
    scalar = ad.sum(ad.tanh(draw(st.sampled_from(values))))
    states = {name: program.inputs[name] for name in program.updates}
    gradients = ad.gradients(scalar, list(states.values()))
    stepped = {name: x - 0.1 * g for (name, x), g in zip(states.items(), gradients, strict=True)}
    flat = {"flat": joined(gradients)} if gradients else {}
    return ad.Program(program.inputs, {**program.outputs, **flat, "loss": scalar}, stepped)


def poison(plan):
    """Fill the arena with bytes that are NaN for floats: nothing may rest on what an earlier run left there."""
    plan._arena[...] = 0xFF


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


@settings(max_examples=200, deadline=None)
@given(programs(), st.integers(0, 1000))
def test_plan_is_evaluate(program, seed):
    check(program, seed)


@settings(max_examples=100, deadline=None)
@given(differentiated(), st.integers(0, 1000))
def test_plan_of_gradients_is_evaluate(program, seed):
    check(program, seed)
    check(simplify(program), seed)


@settings(max_examples=200, deadline=None)
@given(differentiated(), st.integers(0, 1000))
def test_plan_of_long_arrays_is_evaluate(program, seed):
    """As if three numbers were a block and no result small: what is long goes block by block and is never repeated."""
    block, room = patch.object(chains, "BLOCK", 3), patch.object(chains.Chain, "room", 3)
    with block, room, patch.object(families, "_SMALL", 0):
        check(program, seed)


@settings(max_examples=100, deadline=None)
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


@settings(max_examples=100, deadline=None)
@given(differentiated())
def test_values_alive_at_once_do_not_overlap(program):
    storages = []

    def watched(given):
        storages.extend(given)
        return original(given)

    original, planning.pack = planning.pack, watched
    try:
        Plan(program)
    finally:
        planning.pack = original
    for i, one in enumerate(storages):
        for other in storages[:i]:
            together = one.birth <= other.death and other.birth <= one.death
            if together:
                assert one.offset + one.room <= other.offset or other.offset + other.room <= one.offset

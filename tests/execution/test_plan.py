"""The plan: the evaluator's bits from shared memory, states updated in place, nothing allocated."""

import tracemalloc

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError, UsageError
from backprop_cli.execution.arena import aligned
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan


def run_and_compare(program, feed, runs=2):
    """Run a plan of the program; its outputs and states are the evaluator's, bit for bit, each time."""
    plan = Plan(program)
    for name, array in feed.items():
        plan.inputs[name][...] = array
    for _ in range(runs):
        before = {program.inputs[name]: array.copy() for name, array in plan.inputs.items()}
        outputs = ad.evaluate(list(program.outputs.values()), before)
        states = ad.evaluate(list(program.updates.values()), before)
        plan.run()
        for name, wanted in zip(program.outputs, outputs, strict=True):
            np.testing.assert_array_equal(plan.outputs[name], wanted, err_msg=f"output {name}")
        for name, wanted in zip(program.updates, states, strict=True):
            np.testing.assert_array_equal(plan.inputs[name], wanted, err_msg=f"state {name}")
    return plan


A, B = np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, 11.0])


@pytest.fixture
def a():
    return ad.input_("a", (3,))


@pytest.fixture
def b():
    return ad.input_("b", (3,))


def check(a, b, outputs, updates, runs=3):
    return run_and_compare(ad.Program({"a": a, "b": b}, outputs, updates), {"a": A, "b": B}, runs)


def test_elementwise_update_costs_one_call(a, b):
    plan = check(a, b, {}, {"a": a - b})
    assert plan.calls == 1
    assert plan.peak_bytes == 0


def test_old_value_of_a_state_makes_room_for_what_the_new_one_is_made_of(a, b):
    plan = check(a, b, {}, {"a": 0.9 * a + b})
    assert plan.calls == 2
    assert plan.peak_bytes == 0


def test_what_a_new_value_is_made_of_is_read_after_it(a, b):
    part = 0.9 * a
    check(a, b, {"late": ad.exp(part + b) * part}, {"a": part + b})


def test_old_value_of_a_state_is_read_after_what_the_new_one_is_made_of(a, b):
    part = 0.9 * a
    check(a, b, {"late": ad.exp(part + b) * a}, {"a": part + b})


def test_arrays_begin_at_a_cache_line(a, b):
    for count in range(1, 9):
        plan = Plan(ad.Program({"a": a, "b": b}, {"c": ad.exp(a + b)}))
        assert all(array.ctypes.data % 64 == 0 for array in plan.inputs.values())
        assert aligned(ad.Spec((count,), np.dtype(np.float32))).ctypes.data % 64 == 0


def test_state_read_after_its_new_value_is_known(a, b):
    new = a + b
    check(a, b, {"late": ad.exp(new) * a}, {"a": new})


def test_state_read_through_a_view_by_its_own_update(a, b):
    matrix = ad.input_("m", (3, 3))
    program = ad.Program({"m": matrix}, {}, {"m": matrix + matrix.T})
    run_and_compare(program, {"m": np.arange(9.0).reshape(3, 3)})


def test_swapped_states(a, b):
    check(a, b, {}, {"a": b, "b": a})


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_state_that_takes_anothers_old_value(a, b, order):
    updates = {"a": b, "b": b + 1.0}
    check(a, b, {}, {name: updates[name] for name in order})


def test_state_that_takes_a_view_of_anothers_old_value(a, b):
    check(a, b, {}, {"a": ad.reshape(ad.reshape(b, (3, 1)), (3,)), "b": b * 2.0})


def test_one_value_for_two_states(a, b):
    new = a + b
    check(a, b, {"out": new}, {"a": new, "b": new})


def test_states_that_need_each_other(a, b):
    check(a, b, {}, {"a": a + b, "b": a - b})


def test_state_that_keeps_its_value(a, b):
    plan = check(a, b, {"out": a}, {"a": a})
    assert plan.calls == 0


def test_state_that_becomes_a_constant(a, b):
    check(a, b, {}, {"a": ad.constant(B)})


def test_output_shows_a_state_as_it_was(a, b):
    plan = check(a, b, {"whole": a, "part": ad.slice_(a, 0, 1, 3), "turned": a.T}, {"a": a + b})
    np.testing.assert_array_equal(plan.inputs["a"], A + 3 * B)
    np.testing.assert_array_equal(plan.outputs["part"], (A + 2 * B)[1:])


def test_output_that_is_the_new_state(a, b):
    new = a * b
    check(a, b, {"new": new, "part": ad.slice_(new, 0, 0, 2)}, {"a": new})


def test_output_of_an_input_that_stays_is_that_input(a, b):
    plan = check(a, b, {"out": b}, {"a": a + b})
    assert plan.outputs["out"] is plan.inputs["b"]


def test_update_by_an_op_that_cannot_work_in_place(a, b):
    matrix = ad.input_("m", (3, 3))
    program = ad.Program({"m": matrix}, {}, {"m": matrix @ matrix})
    run_and_compare(program, {"m": np.arange(9.0).reshape(3, 3) / 10})


def test_update_that_is_a_concatenation(a, b):
    new = ad.concat([ad.exp(ad.slice_(a, 0, 2, 3)), ad.sin(ad.slice_(a, 0, 0, 2))])
    check(a, b, {}, {"a": new})


def test_concatenation_inside_a_concatenation(a, b):
    inner = ad.concat([ad.exp(a), ad.sin(b)])
    check(a, b, {"out": ad.concat([inner, ad.cos(a), ad.reshape(inner, (6,))]), "inner": inner * 2.0}, {})


def test_concatenation_of_one_value_twice(a, b):
    made = ad.exp(a)
    check(a, b, {"twice": ad.concat([made, b, made]), "other": ad.concat([made, a])}, {})


def test_concatenation_along_another_axis(a, b):
    column, other = ad.reshape(ad.exp(a), (3, 1)), ad.reshape(ad.exp(b), (3, 1))
    check(a, b, {"out": ad.concat([column, other], 1)}, {})


def test_concatenation_whose_part_is_needed_later(a, b):
    made = ad.exp(a)
    joined = ad.concat([made, ad.sin(b)])
    check(a, b, {"out": ad.sum(joined * 2.0) * made}, {"a": ad.slice_(joined, 0, 3, 6)})


@pytest.mark.filterwarnings("ignore:overflow")
def test_in_place_chain_does_not_touch_what_is_read_later(a, b):
    start = ad.exp(a)
    chain = ad.sqrt(ad.square(start) + 1.0)
    view = ad.reshape(start, (3, 1))
    check(a, b, {"out": ad.sum(chain * 2.0) + ad.sum(view)}, {})


def test_gradients_joined_in_a_vector_are_not_copied():
    """A flat gradient costs the calls of its parts."""
    w, v, x = ad.input_("w", (4, 3)), ad.input_("v", (2, 4)), ad.input_("x", (8, 3))
    out = ad.tanh(x @ w.T) @ v.T
    gradients = ad.gradients(ad.mean(ad.square(out)), [w, v])
    inputs = {"w": w, "v": v, "x": x}
    parts = Plan(simplify(ad.Program(inputs, {"w": gradients[0], "v": gradients[1]})))
    flat = ad.concat([ad.reshape(gradient, (gradient.size,)) for gradient in gradients])
    program = simplify(ad.Program(inputs, {"flat": flat}))
    rng = np.random.default_rng(0)
    joined = run_and_compare(program, {name: rng.standard_normal(value.shape) for name, value in inputs.items()})
    assert joined.calls == parts.calls


def test_views_cost_no_calls(a, b):
    turned = ad.reshape(ad.transpose(ad.reshape(a, (3, 1))), (1, 3, 1))
    plan = check(a, b, {"out": ad.broadcast_to(turned, (2, 3, 4))}, {})
    assert plan.calls == 0


def test_reshape_of_a_transposed_array_is_copied():
    x = ad.input_("x", (3, 4))
    plan = run_and_compare(ad.Program({"x": x}, {"out": ad.reshape(x.T, (12,))}), {"x": np.arange(12.0).reshape(3, 4)})
    assert plan.calls == 1


def test_arrays_bound_from_outside(a, b):
    """Two plans share a state; one of them is bound to memory that is not contiguous."""
    program = ad.Program({"a": a, "b": b}, {"sum": ad.sum(a)}, {"a": a + b})
    for memory in (np.zeros(3), np.zeros((3, 2))[:, 0]):
        first, second = Plan(program, {"a": memory}), Plan(program, {"a": memory})
        assert first.inputs["a"] is memory
        first.inputs["b"][:], second.inputs["b"][:] = 1.0, 10.0
        first.run()
        second.run()
        assert memory.tolist() == [11.0, 11.0, 11.0]
        assert second.outputs["sum"] == 3.0


def test_bound_array_of_another_spec(a, b):
    with pytest.raises(ShapeError) as caught:
        Plan(ad.Program({"a": a}, {"out": a}), {"a": np.zeros(3, np.float32)})
    assert str(caught.value) == "input 'a': bound to another spec (given expected: f8[3], given: f4[3])"


def test_program_with_an_input_that_it_does_not_name(a, b):
    with pytest.raises(UsageError) as caught:
        ad.Program({"a": a}, {"out": a + b})
    assert str(caught.value) == "input 'b' is needed, but is not among the program's inputs"


def test_program_with_one_input_under_two_names(a):
    with pytest.raises(UsageError) as caught:
        ad.Program({"a": a, "again": a}, {"out": a})
    assert str(caught.value) == "a program's inputs must be different values"


def test_update_of_what_is_no_input(a, b):
    with pytest.raises(UsageError) as caught:
        ad.Program({"a": a}, {}, {"c": a})
    assert str(caught.value) == "update of 'c', which is not among the program's inputs"


def test_update_of_another_spec(a):
    with pytest.raises(UsageError) as caught:
        ad.Program({"a": a}, {}, {"a": ad.sum(a)})
    assert str(caught.value) == "update of 'a' is f8[], the input is f8[3]"


def training_step(depth, width=16, batch=8):
    """A step of Adam for a network of ``depth`` layers, all parameters in one vector."""
    dtype, size = np.float32, width * width + width
    theta, m, v = (ad.input_(name, (depth * size,), dtype) for name in ("theta", "m", "v"))
    x, labels = ad.input_("x", (batch, width), dtype), ad.input_("labels", (batch,), np.int64)
    h, params = x, []
    for layer in range(depth):
        own = ad.slice_(theta, 0, layer * size, (layer + 1) * size)
        weight = ad.reshape(ad.slice_(own, 0, 0, width * width), (width, width))
        bias = ad.slice_(own, 0, width * width, size)
        params += [weight, bias]
        h = ad.relu(h @ weight.T + bias) if layer + 1 < depth else h @ weight.T + bias
    loss = -ad.mean(ad.sum(ad.one_hot(labels, width, dtype) * ad.log_softmax(h), 1))
    flat = ad.concat([ad.reshape(part, (part.size,)) for part in ad.gradients(loss, params)])
    new_m, new_v = 0.9 * m + 0.1 * flat, 0.999 * v + 0.001 * ad.square(flat)
    new_theta = theta - 1e-3 * new_m / (ad.sqrt(new_v) + 1e-8)
    inputs = {"theta": theta, "m": m, "v": v, "x": x, "labels": labels}
    return simplify(ad.Program(inputs, {"loss": loss}, {"theta": new_theta, "m": new_m, "v": new_v}))


def filled(program, seed=0):
    rng = np.random.default_rng(seed)
    feed = {name: 0.1 * rng.standard_normal(value.shape) for name, value in program.inputs.items()}
    return feed | {"labels": rng.integers(0, 16, program.inputs["labels"].shape), "v": feed["v"] ** 2}


def test_training_step_is_the_evaluators():
    program = training_step(3)
    run_and_compare(program, filled(program), runs=5)


def test_training_step_reaches_the_lower_bound():
    plan = Plan(training_step(6))
    assert plan.peak_bytes == plan.lower_bound_bytes


def test_no_run_leaves_memory_behind():
    program = training_step(3)
    plan = Plan(program)
    for name, array in filled(program).items():
        plan.inputs[name][...] = array
    for _ in range(3):
        plan.run()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(100):
            plan.run()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_000
    # NumPy converts booleans to floats through a buffer of its own, of 8192 elements at most.
    assert peak - before < 8192 * 4 + 4_000


def test_deep_network():
    """Nothing recurses: depth 500 is far over Python's limit in any walk that would."""
    program = training_step(500, width=2, batch=1)
    run_and_compare(program, {**filled(program), "labels": np.array([1])}, runs=1)


def test_a_run_is_silent():
    x = ad.input_("x", ())
    plan = Plan(ad.Program({"x": x}, {"out": ad.exp(x)}))
    plan.inputs["x"][...] = 1e4
    with np.errstate(all="raise"):
        plan.run()
        with pytest.raises(FloatingPointError):
            np.exp(plan.inputs["x"])
    assert plan.outputs["out"] == np.inf

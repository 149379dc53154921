"""Row blocks: what goes by blocks of rows has the numbers and bits of all rows at once, in any order of the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backprop_cli import autodiff as ad
from backprop_cli.checks.promises import interpreted
from backprop_cli.execution import native, row_blocks
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan

STEPS = {
    "product": lambda h, x, w: h @ w,
    "transposed product": lambda h, x, w: h @ w.T,
    "gate": lambda h, x, w: ad.concat([ad.slice_(h, 1, 0, 2), ad.relu(ad.slice_(h, 1, 2, 4))], axis=1),
    "input": lambda h, x, w: h + x,
    "sign": lambda h, x, w: ad.sign(h - 1.0),
    "row": lambda h, x, w: h - ad.amax(h, -1, keepdims=True),
    "sum of the batch": lambda h, x, w: ad.sign(h + ad.sum(h, 0, keepdims=True)),
    "next row": lambda h, x, w: ad.concat([ad.slice_(h, 0, 1, h.shape[0]), ad.slice_(h, 0, 0, 1)]),
    "columns as rows": lambda h, x, w: ad.sign(ad.reshape(ad.transpose(h, (1, 0)), h.shape)),
    "half a row": lambda h, x, w: ad.reshape(
        ad.relu(ad.slice_(ad.reshape(h, (2 * h.shape[0], 2)), 0, 0, 2 * h.shape[0])), h.shape
    ),
}


@pytest.fixture
def all_shared(monkeypatch):
    """Blocks of any amount of work go together; the list of those that are found."""
    found, find = [], row_blocks.find_blocks

    def find_and_note(*given):
        new = find(*given)
        found.extend(new)
        return new

    monkeypatch.setattr(row_blocks, "WORTH_SHARING", 0)
    monkeypatch.setattr(row_blocks, "find_blocks", find_and_note)
    return found


def recurrence(names, rows, dtype=np.float64, units=4, gradient=True):
    """A program of steps on a state (rows, units)."""
    inputs = [ad.input_("x", (rows, units), dtype), ad.input_("w", (units, units), dtype)]
    h, states = inputs[0] * 2.0, []
    for name in names:
        h = STEPS[name](h, *inputs)
        states.append(ad.sum(h * h))
    outputs = {"h": h}
    if gradient:
        outputs |= {f"sum {k}": state for k, state in enumerate(states)}
        outputs["gradient"] = ad.gradients(ad.sum(h), [inputs[1]])[0]
    return simplify(ad.Program({value.name: value for value in inputs}, outputs))


def bits(program, runs=2, **how):
    plan = Plan(program, **how)
    for name, array in plan.inputs.items():
        array[...] = np.random.default_rng(len(name)).integers(-2, 3, array.shape)
    for _ in range(runs):
        plan.run()
    return {name: out.copy() for name, out in plan.outputs.items()}


@settings(max_examples=60)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=12), st.integers(2, 9))
def test_integers_are_exact_whatever_the_order_of_blocks(names, rows):
    program = recurrence(names, rows)
    wanted = bits(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "machine_code", interpreted.machine_code)
        patch.setattr(row_blocks, "WORTH_SHARING", 0)
        for name, out in bits(program, compiled=True).items():
            np.testing.assert_array_equal(out, wanted[name], name)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["product", "sign", "product", "input", "product"], 3),
        (["product", "sign", "next row", "sign", "product"], 0),
        (["product", "columns as rows", "product"], 0),
        (["transposed product", "row", "transposed product"], 2),
    ],
)
def test_what_is_independent_goes_together(all_shared, names, expected):
    Plan(recurrence(names, 8, gradient=False), compiled=True)
    assert sum(each.products for each in all_shared) == expected


def test_products_that_wait_for_no_other_are_shared_alone(all_shared):
    x, w, v = ad.input_("x", (8, 4)), ad.input_("w", (4, 4)), ad.input_("v", (4, 4))
    Plan(ad.Program({"x": x, "w": w, "v": v}, {"one": x @ w, "other": x @ v}), compiled=True)
    assert not all_shared


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("units", [48, 50])
def test_threads_do_not_change_the_bits(dtype, units):
    x, w = ad.input_("x", (37, units), dtype), ad.input_("w", (units, units), dtype)
    h, states = x, []
    for _ in range(8):
        h = ad.tanh(h @ w.T + x) * ad.sigmoid(h)
        states.append(h)
    outputs = {"h": h, "gradient": ad.gradients(ad.sum(ad.concat(states)), [w])[0]}
    program, found = simplify(ad.Program({"x": x, "w": w}, outputs)), set()
    for threads in (1, 2, 3):
        for _ in range(5):
            found.add(b"".join(out.tobytes() for out in bits(program, compiled=True, threads=threads).values()))
    assert len(found) == 1


def test_values_of_steps_share_memory(all_shared):
    """Twenty steps need no more memory than three, but for the state of each that the gradient reads."""
    few, many = (recurrence(["product", "sign"] * n, 8, gradient=False) for n in (3, 20))
    assert Plan(many, compiled=True).peak_bytes - Plan(few, compiled=True).peak_bytes <= 17 * 2 * 64
    assert len(all_shared) == 2

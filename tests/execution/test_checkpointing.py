"""Recomputing what the reverse sweep reads: the schedule's counts, the memory it saves, and the same bits."""

from functools import cache

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.errors import UsageError
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.execution.recomputation import grad_recomputed, read_again, revolve_steps, segmented, stages

LAYERS, WIDTH, BATCH = 64, 32, 128
BUFFER = BATCH * WIDTH * 4


@pytest.mark.parametrize(
    ("checkpoints", "steps"),
    [
        (1, (10, 45, 190, 1225, 4950, 11175)),
        (2, (6, 20, 65, 285, 845, 1584)),
        (3, (5, 15, 45, 180, 490, 870)),
        (5, (4, 13, 33, 122, 316, 540)),
        (10, (4, 9, 28, 88, 222, 372)),
    ],
)
def test_revolve_counts(checkpoints, steps):
    assert tuple(revolve_steps(stages, checkpoints) for stages in (5, 10, 20, 50, 100, 150)) == steps


def test_revolve_is_its_recursion():
    """``t(l, c) = min_k k + t(k, c) + t(l - k, c - 1)``."""

    @cache
    def fewest(length, room):
        if length == 1:
            return 0
        if room == 1:
            return length * (length - 1) // 2
        return min(k + fewest(k, room) + fewest(length - k, room - 1) for k in range(1, length))

    for length in range(1, 50):
        for room in range(1, 12):
            assert revolve_steps(length, room) == fewest(length, room)


def test_revolve_needs_a_stage_and_a_checkpoint():
    with pytest.raises(UsageError) as error:
        revolve_steps(3, 0)
    assert str(error.value) == "revolve needs a stage and a checkpoint, got 3 and 0"


def deep(activation=ad.tanh, skip=False, dropout=False, softmax=False, layers=LAYERS):
    """A deep network on a flat vector of parameters, as training has it: inputs, loss, parameters."""
    size = WIDTH * WIDTH + WIDTH
    x, y = ad.input_("x", (BATCH, WIDTH), np.float32), ad.input_("y", (BATCH, WIDTH), np.float32)
    vector = ad.input_("parameters", (layers * size,), np.float32)
    inputs = {"x": x, "y": y, "parameters": vector}
    starts = [number * size for number in range(layers)]
    weights = [ad.reshape(ad.slice_(vector, 0, a, a + size - WIDTH), (WIDTH, WIDTH)) for a in starts]
    biases = [ad.slice_(vector, 0, a + size - WIDTH, a + size) for a in starts]
    out = before = x
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        with ad.in_layer(f"dense_{number}"):
            new = activation(out @ weight.T + bias)
            if dropout:
                noise = inputs[f"noise_{number}"] = ad.input_(f"noise_{number}", new.shape, np.float32)
                new = new * (ad.greater_equal(noise, 0.3) * (1 / 0.7))
            before, out = out, new + before if skip and number % 3 == 2 else new
    out = ad.log_softmax(out) if softmax else out
    return inputs, ad.mean(ad.square(out - y)), [*weights, *biases]


def planned(inputs, loss, gradients):
    """A plan of loss and gradients that has been run once."""
    flat = ad.concat([ad.reshape(g, (g.size,)) for g in gradients])
    plan = Plan(simplify(ad.Program(inputs, {"loss": loss, "gradient": flat})))
    rng = np.random.default_rng(0)
    for name, array in plan.inputs.items():
        scale = 0.2 if name == "parameters" else 1.0
        array[...] = rng.random(array.shape) if name.startswith("noise") else scale * rng.standard_normal(array.shape)
    plan.run()
    return plan


NETWORKS = [
    {},
    {"activation": ad.relu},
    {"skip": True},
    {"dropout": True},
    {"activation": ad.softplus, "softmax": True},
]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("count", [None, 64])
def test_the_same_bits_in_the_memory_that_is_predicted(network, count):
    inputs, loss, params = deep(**network)
    whole, less = (
        planned(inputs, loss, found) for found in (ad.gradients(loss, params), grad_recomputed(loss, params, count))
    )
    assert np.any(whole.outputs["gradient"])
    np.testing.assert_array_equal(less.outputs["gradient"], whole.outputs["gradient"])
    np.testing.assert_array_equal(less.outputs["loss"], whole.outputs["loss"])
    parts = stages(loss, params)
    predicted = segmented(parts, 1).bytes - segmented(parts, count).bytes
    assert predicted > 0
    # A buffer or two that only one of the two programs needs at its widest place.
    assert abs(whole.peak_bytes - less.peak_bytes - predicted) <= 2 * BUFFER


def test_memory_grows_with_the_root_of_the_depth():
    """``2 sqrt(n)`` of n equal results: 16 of 64, where all were kept."""
    inputs, loss, params = deep()
    parts = stages(loss, params)
    best = segmented(parts)
    assert segmented(parts, 1).bytes == pytest.approx(LAYERS * BUFFER, rel=0.05)
    assert best.bytes == pytest.approx(2 * LAYERS**0.5 * BUFFER, rel=0.15)
    assert best.repeated < len(parts)
    gradients = LAYERS * (WIDTH * WIDTH + WIDTH) * 4
    assert planned(inputs, loss, grad_recomputed(loss, params)).peak_bytes < gradients + 20 * BUFFER


def test_one_segment_is_reverse_mode():
    _, loss, params = deep(layers=3)
    once = [str(node.op) for node in ad.toposort(grad_recomputed(loss, params, 1))]
    assert once == [str(node.op) for node in ad.toposort(ad.gradients(loss, params))]


def test_what_the_reverse_sweep_reads():
    """Of ``tanh(x W^T + b)`` the result alone: the derivative is written with it."""
    _, loss, params = deep(layers=2)
    assert [str(value.op) for value in read_again(loss, params)] == ["tanh", "tanh", "subtract"]
    assert [stage.layer for stage in stages(loss, params)] == [None, "dense_0", "dense_1", None]


def test_segments_of_unequal_stages():
    """The largest is as small as it can be."""
    x = ad.input_("x", (4, 64))
    value = x
    for number, width in enumerate((64, 8, 8, 8, 64)):
        with ad.in_layer(f"layer_{number}"):
            value = ad.tanh(value @ ad.input_(f"w{number}", (value.shape[1], width)))
    loss = ad.sum(value)
    weights = [v for v in ad.toposort([loss]) if v.is_input and v is not x]
    parts = segmented(stages(loss, weights), 3).segments
    assert [[stage.layer for stage in segment] for segment in parts] == [
        ["layer_0"],
        ["layer_1", "layer_2", "layer_3"],
        ["layer_4", None],
    ]


@pytest.mark.parametrize("seed", range(8))
def test_no_number_of_segments_takes_less(seed):
    """Results of random sizes, some of them read much later."""
    rng = np.random.default_rng(seed)
    out = ad.input_("x", (int(rng.integers(1, 50)), 1))
    params, earlier = [], [out]
    for number in range(int(rng.integers(1, 40))):
        with ad.in_layer(f"layer_{number}"):
            weight = ad.input_(f"w{number}", (out.shape[1], int(rng.integers(1, 30))))
            out = ad.tanh(out @ weight)
            if rng.random() < 0.3:
                out = out * ad.sum(earlier[rng.integers(len(earlier))], 1, keepdims=True)
        params.append(weight)
        earlier.append(out)
    parts = stages(ad.sum(ad.square(out)), params)
    assert segmented(parts).bytes == min(segmented(parts, count).bytes for count in range(1, len(parts) + 1))
    for count in range(1, len(parts) + 1):
        found = segmented(parts, count)
        assert [stage for segment in found.segments for stage in segment] == parts
        rest = [sum(v.spec.nbytes for s in part for v in s.read if v not in found.kept) for part in found.segments]
        assert found.bytes == sum(v.spec.nbytes for v in found.kept) + max(rest)

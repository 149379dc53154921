"""Recurrent layers: PyTorch's stored numbers, parameters, and what becomes of their programs."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from nn_support import build, distance, evaluate, inputs, label
from pydantic import ValidationError

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError, UsageError
from backprop_cli.execution.passes import simplified, simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.execution.recomputation import grad_recomputed
from backprop_cli.nn.layer import LAYERS

CASES = json.loads(Path(__file__).with_name("torch_recurrent.json").read_text())
KINDS = ("rnn", "gru", "lstm")
BATCH, TIME, FEATURES = 2, 3, 2
SAME = 1e-12


def waves(shape, start):
    """The numbers that the stored ones are made of."""
    return np.sin(start + 1.7 * np.arange(np.prod(shape))).reshape(shape)


def traced(settings, batch=BATCH, time=TIME, features=FEATURES, training=False):
    """Layer, its output, and what feeds it: (layer, out, values by name, feed)."""
    layer = build(LAYERS, settings)
    x = waves((batch, time, features), 0.5)
    spec = ad.spec_of(x)
    params = {name: waves(p.shape, place) for place, (name, p) in enumerate(layer.params(spec).items())}
    noise = {name: np.random.default_rng(0).random(s.shape) for name, s in layer.noise(spec).items()}
    values, feed = inputs(x=x, **params, **(noise if training else {}))
    with ad.in_layer("recurrent"):
        out = layer.apply({name: value for name, value in values.items() if name != "x"}, values["x"])
    return layer, out, values, feed


@pytest.mark.parametrize("case", CASES, ids=[label(case["settings"]) for case in CASES])
@pytest.mark.parametrize("prepare", [list, simplified], ids=["traced", "simplified"])
def test_numbers_of_pytorch(case, prepare):
    _, out, values, feed = traced(case["settings"])
    assert list(values) == ["x", *case["gradients"]]
    gradients = ad.gradients(ad.sum(out * ad.constant(waves(out.shape, 0.25))), list(values.values()))
    found, *slopes = evaluate(prepare([out, *gradients]), feed)
    assert distance(found.reshape(-1), case["out"]) < SAME
    for name, slope, expected in zip(values, slopes, [case["x_bar"], *case["gradients"].values()], strict=True):
        assert distance(slope.reshape(-1), expected) < SAME, name


@pytest.mark.parametrize(("kind", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_parameters_start_as_pytorchs(kind, gates):
    layer = build(LAYERS, {"type": kind, "units": 4, "layers": 2})
    params = layer.params(ad.Spec((1, 5, 3), np.dtype("float32")))
    assert {key: (param.shape, param.regularized) for key, param in params.items()} == {
        "weight_ih_l0": ((4 * gates, 3), True),
        "weight_hh_l0": ((4 * gates, 4), True),
        "bias_ih_l0": ((4 * gates,), False),
        "bias_hh_l0": ((4 * gates,), False),
        "weight_ih_l1": ((4 * gates, 4), True),
        "weight_hh_l1": ((4 * gates, 4), True),
        "bias_ih_l1": ((4 * gates,), False),
        "bias_hh_l1": ((4 * gates,), False),
    }
    assert {(p.initializer.type, p.initializer.low, p.initializer.high) for p in params.values()} == {
        ("uniform", -0.5, 0.5)
    }


def test_each_kind_of_parameter_has_its_initializer():
    settings = {"initializer": "he_normal", "recurrent_initializer": "orthogonal", "bias_initializer": "zeros"}
    layer = build(LAYERS, {"type": "gru", "units": 4, **settings})
    params = layer.params(ad.Spec((1, 5, 3), np.dtype("float32")))
    assert {key: (p.initializer.type, p.fan_in, p.fan_out) for key, p in params.items()} == {
        "weight_ih": ("he_normal", 3, 4),
        "weight_hh": ("orthogonal", 4, 4),
        "bias_ih": ("zeros", 3, 4),
        "bias_hh": ("zeros", 3, 4),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5), (2, 0, 3)])
def test_examples_must_be_sequences(kind, shape):
    layer = build(LAYERS, {"type": kind, "units": 4})
    with pytest.raises(ShapeError) as caught:
        layer.params(ad.Spec(shape, np.dtype("float32")))
    given = ",".join(map(str, shape))
    assert str(caught.value) == (
        f"{kind}: needs a sequence of vectors per example: (time, features), with at least one time step "
        f"(given x: f4[{given}])"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_last_is_the_end_of_the_sequence(kind):
    settings = {"type": kind, "units": 3, "bidirectional": True}
    _, last, _, feed = traced(settings)
    _, every, _, other = traced({**settings, "output": "sequence"})
    (found,), (sequence,) = ad.evaluate([last], feed), ad.evaluate([every], other)
    np.testing.assert_array_equal(found, np.hstack([sequence[:, -1, :3], sequence[:, 0, 3:]]))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_between_layers_and_in_training_alone(kind):
    settings = {"type": kind, "units": 3, "layers": 2, "bidirectional": True}
    _, dropped, values, feed = traced({**settings, "dropout": 0.5}, training=True)
    assert {name: value.shape for name, value in values.items() if "noise" in name} == {"noise_l0": (BATCH, TIME, 6)}
    (found,) = ad.evaluate([dropped], feed)
    feed[values["noise_l0"]] = np.full((BATCH, TIME, 6), 0.5)  # all are kept, and doubled
    (kept,) = ad.evaluate([dropped], feed)
    _, plain, _, feed = traced(settings)
    (expected,) = ad.evaluate([plain], feed)
    assert np.abs(found - kept).max() > 0.01
    assert np.abs(kept - expected).max() > 0.01
    _, evaluated, _, feed = traced({**settings, "dropout": 0.5})
    np.testing.assert_array_equal(ad.evaluate([evaluated], feed)[0], expected)


def test_dropout_of_one_layer_has_no_place():
    with pytest.raises(ValidationError) as caught:
        build(LAYERS, {"type": "gru", "units": 3, "dropout": 0.5})
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == (
        ("dropout",),
        "is between layers, and this is one; put {type: dropout} behind it, or set layers",
    )


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(("kind", "bias"), [("rnn", 0), ("gru", 1), ("lstm", 0)])
def test_gradients_of_all_times_are_one_product(kind, bias, both):
    """A product a step each way, and for each direction one for x, and two, or three with x's, for gradients."""
    time = 7
    settings = {"type": kind, "units": 3, "bidirectional": both, "output": "sequence"}
    _, out, values, _ = traced(settings, time=time)
    loss = ad.sum(ad.square(out))
    program = simplify(ad.Program({v.name: v for v in values.values()}, dict(zip(
        values, ad.gradients(loss, list(values.values())), strict=True
    ))))  # fmt: skip
    counts = Counter(node.op.kind for node in program.nodes if node.op is not None)
    directions = 1 + both
    assert counts["matmul"] == directions * (time + (time - 1) + 4)
    assert counts["sum"] == directions * (1 + bias)
    # Joined over time: outputs, with the states that steps read as a part, and the gradient of what steps are given;
    # of gru also that of what they recall, and its part that has a bias.
    joined = [node for node in program.nodes if node.op is not None and node.op.kind == "concat" and node.op.axis == 0]
    assert sum(len(node.inputs) >= time for node in joined) == directions * (2 + bias + bias)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_copied_for_them(kind):
    """Calls of the plan beside products, elementwise ops and the gates' concatenations do not grow with time."""

    def copies(time):
        _, out, values, _ = traced({"type": kind, "units": 3}, time=time)
        gradients = ad.gradients(ad.sum(ad.square(out)), list(values.values()))
        program = ad.Program({v.name: v for v in values.values()}, dict(zip(values, gradients, strict=True)))
        plan = Plan(simplify(program))
        computed = [node for node in plan.program.nodes if node.op is not None and not node.op.is_view]
        return plan.calls - len(computed)

    assert copies(12) - copies(6) == (6 if kind == "gru" else 0)  # its gates are joined by one more call a step


@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_gradients_are_the_same(kind):
    _, out, values, feed = traced({"type": kind, "units": 3, "layers": 2})
    loss = ad.sum(ad.square(out))
    wanted = list(values.values())
    plain, again = ad.gradients(loss, wanted), grad_recomputed(loss, wanted, 2)
    for one, other in zip(ad.evaluate(plain, feed), ad.evaluate(simplified(again), feed), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("output", ["last", "sequence"])
def test_position_by_position_is_the_whole_sequence(kind, layers, output):
    layer, out, values, feed = traced({"type": kind, "units": 3, "layers": layers, "output": output}, time=5)
    (expected,) = ad.evaluate([out], feed)
    x = feed.pop(values["x"])
    params = {name: value for name, value in values.items() if name != "x"}
    one = ad.input_("x", (BATCH, 1, FEATURES))
    memory = {name: ad.input_(name, spec.shape) for name, spec in layer.memory(one.spec, context=5).items()}
    assert list(memory) == [
        f"{name}{f'_l{level}' if layers > 1 else ''}"
        for level in range(layers)
        for name in (("h", "c") if kind == "lstm" else ("h",))
    ]
    step, after = layer.advance(params, memory, one)
    assert after.keys() == memory.keys()
    kept, outputs = {name: np.zeros(value.shape) for name, value in memory.items()}, []
    for position in range(5):
        given = {**feed, one: x[:, position : position + 1], **{memory[name]: kept[name] for name in memory}}
        found, *states = ad.evaluate([step, *after.values()], given)
        kept = dict(zip(after, states, strict=True))
        outputs.append(found)
    assert distance(outputs[-1] if output == "last" else np.concatenate(outputs, axis=1), expected) < SAME


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_do_not_go_position_by_position(kind):
    layer, _, values, _ = traced({"type": kind, "units": 3, "bidirectional": True})
    with pytest.raises(UsageError) as caught:
        layer.advance(values, {}, ad.input_("x", (BATCH, 1, FEATURES)))
    assert str(caught.value) == (
        f"{kind} reads the sequence from its end, too: it cannot advance position by position; set bidirectional: false"
    )


def test_a_layer_of_whole_examples_does_not_go_position_by_position():
    with pytest.raises(UsageError) as caught:
        build(LAYERS, "flatten").advance({}, {}, ad.input_("x", (BATCH, 1, FEATURES)))
    assert str(caught.value) == "flatten needs all positions at once: it cannot advance position by position"


def test_long_sequences_are_traced_and_planned_in_proportion():
    """Nodes grow by as many a step, and the arena stays close to what is alive at once."""
    nodes = []
    for time in (12, 24, 36):
        _, out, values, _ = traced({"type": "lstm", "units": 3, "output": "sequence"}, time=time)
        gradients = ad.gradients(ad.sum(ad.square(out)), list(values.values()))
        program = ad.Program({v.name: v for v in values.values()}, dict(zip(values, gradients, strict=True)))
        plan = Plan(simplify(program))
        nodes.append(len(plan.program.nodes))
        assert plan.peak_bytes <= 1.01 * plan.lower_bound_bytes
    assert nodes[2] - nodes[1] == nodes[1] - nodes[0]

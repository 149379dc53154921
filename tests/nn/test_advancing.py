"""Sequences read position by position: the same as read whole, for every layer that says it can."""

import numpy as np
import pytest
from nn_support import build, evaluate, inputs, label

from backprop_cli import autodiff as ad
from backprop_cli.nn.advancing import advance, is_bounded, memory_of
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.model import Model

BATCH = 2


def _is_sequence(cls, sample):
    fewest = 1 if build(LAYERS, {"type": cls, **sample.settings}).vocabulary else 2
    return all(len(shape) >= fewest for shape in sample.inputs)


CASES = [(name, sample) for name, cls in LAYERS.items() for sample in cls.samples if _is_sequence(name, sample)]
IDS = [f"{name}({label(sample.settings)})" for name, sample in CASES]


def _example(layer, rng, shape):
    return rng.normal(size=shape) if layer.vocabulary is None else rng.integers(0, layer.vocabulary, shape)


def _step(layer, arrays, memory, x):
    """One position: its output, and the memory after it."""
    values, feed = inputs(**{f"x{k}": each for k, each in enumerate(x)}, **arrays)
    kept, more = inputs(**memory)
    params = {name: values[name] for name in arrays}
    out, new = layer.advance(params, kept, *(values[f"x{k}"] for k in range(len(x))))
    assert {name: value.spec for name, value in new.items()} == {name: value.spec for name, value in kept.items()}
    found, *after = evaluate([out, *new.values()], {**feed, **more})
    return found, dict(zip(new, after, strict=True))


@pytest.mark.parametrize(("name", "sample"), CASES, ids=IDS)
def test_position_by_position_is_the_whole_sequence(name, sample):
    layer, rng = build(LAYERS, {"type": name, **sample.settings}), np.random.default_rng(0)
    x = [_example(layer, rng, (BATCH, *shape)) for shape in sample.inputs]
    time = x[0].shape[1]
    one = [ad.spec_of(each[:, :1]) for each in x]
    if len({each.shape[1] for each in x}) > 1 or layer.memory(*one, context=time) is None:
        pytest.skip("needs all positions at once")
    specs = [ad.spec_of(each) for each in x]
    arrays = {key: rng.normal(size=param.shape) for key, param in layer.params(*specs).items()}
    arrays |= {key: buffer.start + rng.random(buffer.shape) for key, buffer in layer.buffers(*specs).items()}
    values, feed = inputs(**{f"x{k}": each for k, each in enumerate(x)}, **arrays)
    whole = layer.apply({key: values[key] for key in arrays}, *(values[f"x{k}"] for k in range(len(x))))
    if whole.shape[:2] != (BATCH, time):
        pytest.skip("makes no sequence")
    (wanted,) = evaluate([whole], feed)
    memory = {key: np.zeros(spec.shape, spec.dtype) for key, spec in layer.memory(*one, context=time).items()}
    for t in range(time):
        found, memory = _step(layer, arrays, memory, [each[:, t : t + 1] for each in x])
        np.testing.assert_allclose(found, wanted[:, t : t + 1], rtol=1e-12, atol=1e-14)


def test_which_layers_can():
    able = set()
    for name, sample in CASES:
        layer = build(LAYERS, {"type": name, **sample.settings})
        x = [ad.Spec((1, 1, *shape[1:]), np.dtype("float64")) for shape in sample.inputs]
        able |= {name} if layer.memory(*x, context=4) is not None else set()
    assert {"activation", "add", "attention", "concat", "dense", "embedding", "gru", "layer_norm", "lstm"} <= able
    assert {"dropout", "multiply", "positional_embedding", "rms_norm", "rnn", "spatial_dropout"} <= able
    assert not {"batch_norm", "flatten", "group_norm", "reshape"} & able


NETWORK = [
    {"type": "embedding", "tokens": 7, "width": 6},
    {"type": "positional_embedding", "name": "place"},
    "layer_norm",
    {"type": "attention", "heads": 2, "causal": True},
    {"type": "add", "inputs": ["place", "attention_1"]},
    {"type": "gru", "units": 5, "output": "sequence"},
    {"type": "dense", "units": 7},
]


def _model(trees, time=6, dtype="float64"):
    return Model.build([build(LAYERS, tree) for tree in trees], (time,), dtype)


def test_a_network_advances_as_it_reads_a_whole_sequence():
    model, rng = _model(NETWORK), np.random.default_rng(0)
    arrays = {name: array + 0.1 * rng.normal(size=array.shape) for name, array in model.init(rng).items()}
    tokens = rng.integers(0, 7, (1, 6))
    values, feed = inputs(x=tokens, **arrays)
    (wanted,) = evaluate([model.apply({name: values[name] for name in arrays}, values["x"])], feed)
    memory = memory_of(model)
    assert {name: str(spec) for name, spec in memory.items()} == {
        "place.position": "i8[1]",
        "attention_1.keys": "f8[1,2,6,3]",
        "attention_1.values": "f8[1,2,6,3]",
        "attention_1.position": "i8[1]",
        "gru_1.h": "f8[1,5]",
    }
    assert is_bounded(model)
    kept = {name: np.zeros(spec.shape, spec.dtype) for name, spec in memory.items()}
    for t in range(6):
        values, feed = inputs(x=tokens[:, t : t + 1], **arrays)
        held, more = inputs(**kept)
        out, new = advance(model, {name: values[name] for name in arrays}, held, values["x"])
        found, *after = evaluate([out, *new.values()], {**feed, **more})
        kept = dict(zip(new, after, strict=True))
        np.testing.assert_allclose(found, wanted[:, t : t + 1], rtol=1e-12, atol=1e-14)


JOINED = {"type": "concat", "inputs": ["a", "b"]}


@pytest.mark.parametrize(
    "trees",
    [
        [NETWORK[0], "flatten", {"type": "dense", "units": 3}],
        [NETWORK[0], {"type": "gru", "units": 3}],
        [NETWORK[0], {"type": "gru", "units": 3, "output": "sequence", "bidirectional": True}],
        [NETWORK[0], "attention"],
        [NETWORK[0], {"type": "layer_norm", "axes": 2}],
        [NETWORK[0] | {"name": "a"}, NETWORK[0] | {"name": "b", "inputs": ["input"]}, JOINED],
    ],
)
def test_what_needs_all_positions_at_once(trees):
    assert memory_of(_model(trees)) is None


def test_recurrent_networks_go_on_for_ever():
    assert not is_bounded(_model([NETWORK[0], *NETWORK[-2:]]))
    assert not is_bounded(_model([NETWORK[0], {"type": "positional_embedding", "kind": "sinusoidal"}, *NETWORK[-2:]]))

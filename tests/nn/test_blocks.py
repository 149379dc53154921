"""Blocks: names, arrows, residual connections, nesting, sharing; and everything that does not connect."""

import numpy as np
import pytest
from nn_support import build, evaluate, inputs

from backprop_cli import autodiff as ad
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.model import Model
from backprop_cli.nn.node import LayerShapeError
from backprop_cli.nn.scopes import WiringError
from backprop_cli.nn.wiring import wire, wiring_errors, written_out

D = {"type": "dense", "units": 3}
TANH = {**D, "activation": "tanh"}


def block(*layers, **more):
    return {"type": "block", "layers": list(layers), **more}


def _layers(trees):
    return [build(LAYERS, tree) for tree in trees]


def _model(*trees, shape=(3,)):
    return Model.build(_layers(trees), shape)


def _computed(model, x, seed=0):
    """The output for x, and the parameters that it was computed with."""
    arrays = model.init(np.random.default_rng(seed))
    values, feed = inputs(x=x, **arrays)
    (out,) = evaluate([model.apply({name: values[name] for name in arrays}, values["x"])], feed)
    return out, arrays


def test_members_are_named_by_their_block_and_repeat():
    model = _model(D, block("layer_norm", TANH, repeat=2, residual=True), {**D, "units": 2})
    assert [(node.name, node.layer.type, node.inputs, node.path) for node in model.nodes] == [
        ("dense_1", "dense", ("input",), ("layers", 0)),
        ("block_1.1.layer_norm_1", "layer_norm", ("dense_1",), ("layers", 1, "layers", 0)),
        ("block_1.1.dense_1", "dense", ("block_1.1.layer_norm_1",), ("layers", 1, "layers", 1)),
        ("block_1.1", "add", ("block_1.1.dense_1", "dense_1"), ("layers", 1)),
        ("block_1.2.layer_norm_1", "layer_norm", ("block_1.1",), ("layers", 1, "layers", 0)),
        ("block_1.2.dense_1", "dense", ("block_1.2.layer_norm_1",), ("layers", 1, "layers", 1)),
        ("block_1.2", "add", ("block_1.2.dense_1", "block_1.1"), ("layers", 1)),
        ("dense_2", "dense", ("block_1.2",), ("layers", 2)),
    ]
    assert list(model.params)[2:5] == [
        "block_1.1.layer_norm_1.weight",
        "block_1.1.layer_norm_1.bias",
        "block_1.1.dense_1.weight",
    ]


def test_a_block_alone_is_its_layers():
    """The repeat has its number, also where there is one."""
    model = _model(block(TANH, D, name="body"), D)
    assert [(node.name, node.inputs) for node in model.nodes] == [
        ("body.1.dense_1", ("input",)),
        ("body.1.dense_2", ("body.1.dense_1",)),
        ("dense_1", ("body.1.dense_2",)),
    ]


def test_a_residual_block_adds_what_it_reads():
    model = _model(block(TANH, {**D, "name": "out"}, repeat=2, residual=True))
    x = np.random.default_rng(1).normal(size=(4, 3))
    found, p = _computed(model, x)
    expected = x
    for turn in (1, 2):
        hidden = np.tanh(expected @ p[f"block_1.{turn}.dense_1.weight"].T)
        expected = expected + hidden @ p[f"block_1.{turn}.out.weight"].T
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_members_read_siblings_their_blocks_input_and_layers_above():
    inner = block({**D, "inputs": "first"}, {"type": "add", "inputs": ["dense_1", "input", "stem"]}, name="inner")
    outer = block({**D, "name": "first"}, inner, {"type": "add", "inputs": ["inner", "input"]}, repeat=2, name="outer")
    model = _model({**D, "name": "stem"}, outer, {"type": "concat", "inputs": ["outer", "stem"]})
    assert [(node.name, node.inputs) for node in model.nodes] == [
        ("stem", ("input",)),
        ("outer.1.first", ("stem",)),
        ("outer.1.inner.1.dense_1", ("outer.1.first",)),
        ("outer.1.inner.1.add_1", ("outer.1.inner.1.dense_1", "outer.1.first", "stem")),
        ("outer.1.add_1", ("outer.1.inner.1.add_1", "stem")),
        ("outer.2.first", ("outer.1.add_1",)),
        ("outer.2.inner.1.dense_1", ("outer.2.first",)),
        ("outer.2.inner.1.add_1", ("outer.2.inner.1.dense_1", "outer.2.first", "stem")),
        ("outer.2.add_1", ("outer.2.inner.1.add_1", "outer.1.add_1")),
        ("concat_1", ("outer.2.add_1", "stem")),
    ]


def test_the_nearest_of_equal_names_is_meant():
    trees = [
        D,
        block(D, {"type": "add", "inputs": ["dense_1", "input"]}),
        {"type": "add", "inputs": ["block_1", "dense_1"]},
    ]
    assert wire(_layers(trees))[2].inputs == ("block_1.1.dense_1", "dense_1")


def test_several_outputs_are_joined_again():
    trees = [
        D,
        {**D, "name": "left"},
        {**D, "name": "right", "inputs": "dense_1"},
        {**D, "name": "middle", "inputs": "dense_1"},
        {"type": "concat", "inputs": ["left", "middle", "right"]},
    ]
    assert _model(*trees).output_shape == (9,)


def test_written_out_it_means_the_same():
    trees = [D, block("layer_norm", block(TANH, residual=True, repeat=2), residual=True, repeat=2), D]
    layers = _layers(trees)
    written = written_out(layers)
    assert [layer.name for layer in written[1].layers] == ["layer_norm_1", "block_1"]
    assert [layer.inputs for layer in written[1].layers] == [("input",), ("layer_norm_1",)]
    assert [each[:1] + each[2:4] for each in wire(written)] == [each[:1] + each[2:4] for each in wire(layers)]


def test_a_frozen_block_freezes_what_is_in_it():
    model = _model(block(TANH, block("batch_norm"), trainable=False), D)
    assert list(model.params) == ["dense_1.weight", "dense_1.bias"]
    assert len(model.buffers) == 6


def test_noise_of_a_residual_block_goes_to_its_layer():
    model = _model(block("dropout", D, residual=True))
    assert list(model.noise(2)) == ["block_1.1.dropout_1.noise"]
    values = {name: ad.input_(name, p.shape) for name, p in model.params.items()}
    noise = {name: ad.input_(name, spec.shape) for name, spec in model.noise(2).items()}
    out = model.apply(values, ad.input_("x", (2, 3)), noise)
    assert noise["block_1.1.dropout_1.noise"] in ad.toposort([out])


# ------------------------------------------------------------------------------------------------ sharing


def test_a_shared_parameter_is_the_owners():
    model = _model({**TANH, "bias": False}, {**D, "bias": False, "share": "dense_1.weight"})
    assert list(model.params) == ["dense_1.weight"]
    x = np.random.default_rng(1).normal(size=(4, 3))
    found, p = _computed(model, x)
    np.testing.assert_allclose(found, np.tanh(x @ p["dense_1.weight"].T) @ p["dense_1.weight"].T, rtol=1e-14)


def test_its_gradient_is_the_sum_over_the_layers():
    tied, free = ([{**TANH, "bias": False}, {**D, "bias": False, **more}] for more in ({"share": "dense_1.weight"}, {}))
    x = np.random.default_rng(1).normal(size=(4, 3))
    weight = np.random.default_rng(2).normal(size=(3, 3))
    gradients = []
    for trees in (tied, free):
        model = _model(*trees)
        values, feed = inputs(x=x, **dict.fromkeys(model.params, weight))
        out = model.apply({name: values[name] for name in model.params}, values["x"])
        slopes = ad.grad(ad.sum(ad.square(out)), [values[name] for name in model.params])
        gradients.append(sum(evaluate(slopes, feed)))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-13)


def test_sharing_several_and_of_what_is_shared():
    shares = {"weight": "dense_1.weight", "bias": "dense_1.bias"}
    model = _model(D, {**D, "share": shares}, {**D, "share": "dense_2.bias"})
    assert list(model.params) == ["dense_1.weight", "dense_1.bias", "dense_3.weight"]
    assert model.nodes[2].shares == {"bias": "dense_1.bias"}


def test_repeats_share_with_the_first():
    """The first names its own parameter, and so owns it."""
    model = _model(block({**D, "share": {"weight": "block_1.1.dense_1.weight"}}, repeat=3))
    assert list(model.params) == [
        "block_1.1.dense_1.weight",
        "block_1.1.dense_1.bias",
        "block_1.2.dense_1.bias",
        "block_1.3.dense_1.bias",
    ]


def test_the_name_of_a_layer_around_is_not_its_own():
    model = _model(D, block({**D, "share": "dense_1.weight"}))
    assert model.nodes[1].shares == {"weight": "dense_1.weight"}


def test_sharing_within_a_repeat_is_by_the_members_name():
    model = _model(block(D, {**D, "share": "dense_1.weight"}, repeat=2))
    assert [node.shares for node in model.nodes] == [
        {},
        {"weight": "block_1.1.dense_1.weight"},
        {},
        {"weight": "block_1.2.dense_1.weight"},
    ]


@pytest.mark.parametrize(
    ("trees", "path", "text"),
    [
        (
            [D, {**D, "share": "dens_1.weight"}],
            ("layers", 1),
            "layer dense_2: share: unknown layer 'dens_1' of 'dens_1.weight'; did you mean 'dense_1'?",
        ),
        (
            [{**D, "share": "dense_1.weight"}],
            ("layers", 0),
            "layer dense_1: share: 'dense_1.weight' is its own; leave share out",
        ),
        (
            [{**D, "share": "dense_2.weight"}, D],
            ("layers", 0),
            "layer dense_1: share: 'dense_2' is below it; let dense_2 share that of dense_1",
        ),
        (
            [D, {**D, "share": "embedding.weight"}],
            ("layers", 1),
            "layer dense_2: share: unknown layer 'embedding' of 'embedding.weight'; it is the name of a layer above, "
            "and its parameter's",
        ),
        (
            [{"type": "block", "repeat": 2, "layers": [{**D, "share": "dense_1.weight"}]}],
            ("layers", 0, "layers", 0),
            "layer block_1.1.dense_1: share: 'dense_1.weight' is its own; to share it among repeats name that of the "
            "first, block_1.1.dense_1.weight",
        ),
    ],
)
def test_layers_that_cannot_be_shared_with(trees, path, text):
    with pytest.raises(WiringError) as caught:
        _model(*trees)
    assert (str(caught.value), caught.value.path, caught.value.key) == (text, path, "share")


def test_a_layer_of_all_repeats_is_told_once():
    errors = wiring_errors(_layers([block({**D, "share": "dens_1.weight"}, D, repeat=3, name="b")]))
    assert [str(error) for error in errors] == [
        "layer b.1.dense_1: share: unknown layer 'dens_1' of 'dens_1.weight'; it is the name of a layer above, and its "
        "parameter's"
    ]


@pytest.mark.parametrize(
    ("trees", "path", "text"),
    [
        (
            [D, {**D, "share": {"weights": "dense_1.weight"}}],
            ("layers", 1, "share"),
            "layer dense_2: share: it has no parameter 'weights'; it has weight, bias",
        ),
        (
            [D, {**D, "share": {"weight": "dense_1.wieght"}}],
            ("layers", 1, "share"),
            "layer dense_2: share: dense_1 has no parameter 'wieght'; did you mean 'weight'?",
        ),
        (
            [{**D, "units": 2}, {**D, "share": "dense_1.weight"}],
            ("layers", 1, "share"),
            "layer dense_2: share: its weight is [3, 2], and dense_1.weight is [2, 3]; only equal shapes can be shared",
        ),
        (
            [{"type": "batch_norm", "regularization": {"l2": 0.1}}],
            ("layers", 0, "regularization"),
            "layer batch_norm_1: regularization: penalties are on weights, not on biases or norms; it has no "
            "such weights",
        ),
        (
            [D, {**D, "share": "dense_1.weight", "regularization": {"l2": 0.1}}],
            ("layers", 1, "regularization"),
            "layer dense_2: regularization: penalties are on weights of its own, and it has dense_1.weight; set it "
            "there",
        ),
    ],
)
def test_parameters_that_cannot_be_shared_or_penalized(trees, path, text):
    with pytest.raises(LayerShapeError) as caught:
        _model(*trees)
    assert (str(caught.value), caught.value.path) == (text, path)


def test_repeats_that_share_have_one_penalty():
    first = {**D, "share": "b.1.dense_1.weight", "regularization": {"l2": 0.1}}
    model = _model(block(first, repeat=2, name="b"))
    assert [[*node.params] for node in model.nodes] == [["weight", "bias"], ["bias"]]


# ------------------------------------------------------------------------------------------------ what does not connect


@pytest.mark.parametrize(
    ("trees", "path", "key", "text"),
    [
        (
            [block(D, {**D, "inputs": "dens_1"}, name="b")],
            ("layers", 0, "layers", 1),
            "inputs",
            "layer b.dense_2: inputs: unknown layer 'dens_1'; did you mean 'dense_1'?",
        ),
        (
            [D, block(D, {**D, "inputs": "after"}, name="b"), {**D, "name": "after"}],
            ("layers", 1, "layers", 1),
            "inputs",
            "layer b.dense_2: inputs: unknown layer 'after'; known: input, dense_1",
        ),
        (
            [block(D, block({**D, "inputs": "b"}, name="c"), name="b")],
            ("layers", 0, "layers", 1, "layers", 0),
            "inputs",
            "layer b.c.dense_1: inputs: 'b' is a block that it is in; what the block reads is called 'input' here",
        ),
        (
            [block(D, D, D, name="b"), {"type": "add", "inputs": ["b", "dense_2"]}],
            ("layers", 1),
            "inputs",
            "layer add_1: inputs: 'dense_2' is inside b; what b puts out is read by its name: b",
        ),
        (
            [block(block(D, name="c"), repeat=2, name="b"), {"type": "add", "inputs": ["b", "b.2.c.1.dense_1"]}],
            ("layers", 1),
            "inputs",
            "layer add_1: inputs: 'b.2.c.1.dense_1' is inside b; what b puts out is read by its name: b",
        ),
        (
            [block(D, repeat=2, name="b"), block(D, name="c"), {"type": "add", "inputs": ["b.1", "c"]}],
            ("layers", 2),
            "inputs",
            "layer add_1: inputs: 'b.1' is inside b; what b puts out is read by its name: b",
        ),
        (
            [block(D, {"type": "add", "inputs": ["dense_1", "dense_2"]}, {**D, "inputs": "add_1"}, name="b")],
            ("layers", 0, "layers", 1),
            "inputs",
            "layer b.add_1: inputs: the layers read each other in a circle: add_1 -> dense_2 -> add_1; a layer "
            "reads the "
            "layers above it",
        ),
        (
            [{"type": "add", "inputs": ["input", "b"]}, block({**D, "inputs": "add_1"}, name="b")],
            ("layers", 0),
            "inputs",
            "layer add_1: inputs: the layers read each other in a circle: add_1 -> b -> add_1; a layer reads the "
            "layers "
            "above it",
        ),
        (
            [block({**D, "name": "x"}, {**D, "name": "x"}, name="b")],
            ("layers", 0, "layers", 1),
            "name",
            "layer name 'x' is used twice, by layers[0] and layers[1] of b; choose another",
        ),
        (
            [block({**D, "name": "input"}, name="b")],
            ("layers", 0, "layers", 0),
            "name",
            "layer name 'input' is that of what b reads; choose another",
        ),
        (
            [block(D, {**D, "inputs": "input"}, name="b")],
            ("layers", 0, "layers", 0),
            "inputs",
            "layer b.dense_1: no layer reads it; name it in the inputs of a layer below, or remove it",
        ),
        (
            [{**D, "name": "stem"}, block({**D, "inputs": "stem"}, name="b", inputs="input")],
            ("layers", 1),
            "layers",
            "layer b: none of its layers reads 'input', which is what the block reads",
        ),
        (
            [D, block(D, inputs=["dense_1", "input"])],
            ("layers", 1),
            "inputs",
            "layer block_1: needs 1 input, has 2 (dense_1, input)",
        ),
        (
            [D, block(block(D, repeat=200), repeat=200)],
            ("layers", 1),
            "repeat",
            "layer block_1: unrolled, the network has 40,001 layers up to here; at most 10,000 are built",
        ),
    ],
)
def test_what_does_not_connect(trees, path, key, text):
    (error,) = wiring_errors(_layers(trees))
    assert (str(error), error.path, error.key) == (text, path, key)


PROJECT = "a residual block adds what it reads to what its layers make, and {} makes another shape; "


@pytest.mark.parametrize(
    ("trees", "shape", "text"),
    [
        (
            [D, block(TANH, {**D, "units": 4}, residual=True)],
            (3,),
            "layer block_1.1: "
            + PROJECT.format("block_1.1.dense_2")
            + "end its layers with {type: dense, units: 3}, or "
            "put {type: dense, units: 4} before the block (given dense_1: [3], block_1.1.dense_2: [4])",
        ),
        (
            [block({"type": "reshape", "shape": [3, 2, 4]}, residual=True)],
            (2, 3, 4),
            "layer block_1.1: "
            + PROJECT.format("block_1.1.reshape_1")
            + "make it of one shape, or set residual: false "
            "(given input: [2, 3, 4], block_1.1.reshape_1: [3, 2, 4])",
        ),
    ],
)
def test_a_residual_branch_that_changes_the_shape(trees, shape, text):
    with pytest.raises(LayerShapeError) as caught:
        _model(*trees, shape=shape)
    assert str(caught.value) == text
    assert caught.value.path == ("layers", len(trees) - 1)


def test_a_layer_of_a_block_names_its_repeat_and_its_place():
    trees = [block(D, {"type": "reshape", "shape": [3, -1, 1]}, repeat=2)]
    with pytest.raises(LayerShapeError) as caught:
        _model(*trees)
    assert str(caught.value) == (
        "layer block_1.2.dense_1: needs one vector an example; put {type: flatten} before it "
        "(given block_1.1.reshape_1: [3, 1, 1])"
    )
    assert caught.value.path == ("layers", 0, "layers", 0)

"""Blocks: names, arrows, residual connections, nesting; and everything that does not connect."""

import numpy as np
import pytest
from blocks_support import TANH, D, block, computed, layers_of, model_of

from backprop_cli import autodiff as ad
from backprop_cli.nn.graph import graph_of, wiring_errors, written_out
from backprop_cli.nn.layer_shapes import LayerShapeError


def test_members_are_named_by_their_block_and_repeat():
    model = model_of(D, block("layer_norm", TANH, repeat=2, residual=True), {**D, "units": 2})
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
    model = model_of(block(TANH, D, name="body"), D)
    assert [(node.name, node.inputs) for node in model.nodes] == [
        ("body.1.dense_1", ("input",)),
        ("body.1.dense_2", ("body.1.dense_1",)),
        ("dense_1", ("body.1.dense_2",)),
    ]


def test_a_residual_block_adds_what_it_reads():
    model = model_of(block(TANH, {**D, "name": "out"}, repeat=2, residual=True))
    x = np.random.default_rng(1).normal(size=(4, 3))
    found, p = computed(model, x)
    expected = x
    for turn in (1, 2):
        hidden = np.tanh(expected @ p[f"block_1.{turn}.dense_1.weight"].T)
        expected = expected + hidden @ p[f"block_1.{turn}.out.weight"].T
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_members_read_siblings_their_blocks_input_and_layers_above():
    inner = block({**D, "inputs": "first"}, {"type": "add", "inputs": ["dense_1", "input", "stem"]}, name="inner")
    outer = block({**D, "name": "first"}, inner, {"type": "add", "inputs": ["inner", "input"]}, repeat=2, name="outer")
    model = model_of({**D, "name": "stem"}, outer, {"type": "concat", "inputs": ["outer", "stem"]})
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
    assert graph_of(layers_of(trees))[2].inputs == ("block_1.1.dense_1", "dense_1")


def test_several_outputs_are_joined_again():
    trees = [
        D,
        {**D, "name": "left"},
        {**D, "name": "right", "inputs": "dense_1"},
        {**D, "name": "middle", "inputs": "dense_1"},
        {"type": "concat", "inputs": ["left", "middle", "right"]},
    ]
    assert model_of(*trees).output_shape == (9,)


def test_written_out_it_means_the_same():
    trees = [D, block("layer_norm", block(TANH, residual=True, repeat=2), residual=True, repeat=2), D]
    layers = layers_of(trees)
    written = written_out(layers)
    assert [layer.name for layer in written[1].layers] == ["layer_norm_1", "block_1"]
    assert [layer.inputs for layer in written[1].layers] == [("input",), ("layer_norm_1",)]
    places = [[(node.name, node.inputs, node.path) for node in graph_of(each)] for each in (written, layers)]
    assert places[0] == places[1]


def test_a_frozen_block_freezes_what_is_in_it():
    model = model_of(block(TANH, block("batch_norm"), trainable=False), D)
    assert list(model.params) == ["dense_1.weight", "dense_1.bias"]
    assert len(model.buffers) == 6


def test_noise_of_a_residual_block_goes_to_its_layer():
    model = model_of(block("dropout", D, residual=True))
    assert list(model.noise(2)) == ["block_1.1.dropout_1.noise"]
    values = {name: ad.input_(name, p.shape) for name, p in model.params.items()}
    noise = {name: ad.input_(name, spec.shape) for name, spec in model.noise(2).items()}
    out = model.apply(values, ad.input_("x", (2, 3)), noise)
    assert noise["block_1.1.dropout_1.noise"] in set(ad.toposort([out]))


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
            "layer b.c.dense_1: inputs: 'b' is a block that it is in; the input of the block is called 'input' here",
        ),
        (
            [block(D, D, D, name="b"), {"type": "add", "inputs": ["b", "dense_2"]}],
            ("layers", 1),
            "inputs",
            "layer add_1: inputs: 'dense_2' is inside b; to read the output of b, use its name: b",
        ),
        (
            [block(block(D, name="c"), repeat=2, name="b"), {"type": "add", "inputs": ["b", "b.2.c.1.dense_1"]}],
            ("layers", 1),
            "inputs",
            "layer add_1: inputs: 'b.2.c.1.dense_1' is inside b; to read the output of b, use its name: b",
        ),
        (
            [block(D, repeat=2, name="b"), block(D, name="c"), {"type": "add", "inputs": ["b.1", "c"]}],
            ("layers", 2),
            "inputs",
            "layer add_1: inputs: 'b.1' is inside b; to read the output of b, use its name: b",
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
            "layer name 'input' stands for the input of b; choose another",
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
            "layer b: none of its layers reads 'input', the input of the block",
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
    (error,) = wiring_errors(layers_of(trees))
    assert (str(error), error.path, error.key) == (text, path, key)


PROJECT = "a residual block adds its input to the output of its layers, and {} has another shape; "


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
            + "keep height and width (convolutions: padding: same, stride: 1), or set residual: false "
            "(given input: [2, 3, 4], block_1.1.reshape_1: [3, 2, 4])",
        ),
        (
            [block("flatten", residual=True)],
            (2, 3, 4),
            "layer block_1.1: "
            + PROJECT.format("block_1.1.flatten_1")
            + "keep the shape, or set residual: false (given input: [2, 3, 4], block_1.1.flatten_1: [24])",
        ),
    ],
)
def test_a_residual_branch_that_changes_the_shape(trees, shape, text):
    with pytest.raises(LayerShapeError) as caught:
        model_of(*trees, shape=shape)
    assert str(caught.value) == text
    assert caught.value.path == ("layers", len(trees) - 1)


def test_a_layer_of_a_block_names_its_repeat_and_its_place():
    trees = [block(D, {"type": "reshape", "shape": [3, -1, 1]}, repeat=2)]
    with pytest.raises(LayerShapeError) as caught:
        model_of(*trees)
    assert str(caught.value) == (
        "layer block_1.2.dense_1: needs one vector per example; put {type: flatten} before it "
        "(given block_1.1.reshape_1: [3, 1, 1])"
    )
    assert caught.value.path == ("layers", 0, "layers", 0)

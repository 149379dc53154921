"""Model: names, shapes, arrows that skip, gradients of whole networks, what does not connect."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad as hips_grad
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_support import build, distance, evaluate, inputs

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError, UsageError
from backprop_cli.nn.graph import wiring_errors
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.layer_shapes import LayerShapeError
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.model import Model
from backprop_cli.nn.scopes import WiringError

PLAIN = [
    {"type": "dense", "units": 5, "activation": "tanh"},
    {"type": "dropout", "rate": 0.25},
    {"type": "dense", "units": 3},
]
SKIPPING = [
    {"type": "dense", "units": 4, "activation": "tanh"},
    {"type": "dense", "units": 4, "name": "inner"},
    {"type": "add", "inputs": ["dense_1", "inner"]},
    {"type": "activation", "function": "tanh"},
    {"type": "concat", "inputs": ["activation_1", "input", "dense_1"]},
    {"type": "dense", "units": 2},
]


def _layers(trees):
    return [build(LAYERS, tree) for tree in trees]


def _model(trees, shape=(3,), dtype="float64"):
    return Model.build(_layers(trees), shape, dtype)


def _started(model, seed=0):
    return {name: a.astype(model.dtype) for name, a in model.init(np.random.default_rng(seed)).items()}


def test_names_and_shapes():
    model = _model(SKIPPING)
    assert [node.name for node in model.nodes] == ["dense_1", "inner", "add_1", "activation_1", "concat_1", "dense_3"]
    assert {name: param.shape for name, param in model.params.items()} == {
        "dense_1.weight": (4, 3),
        "dense_1.bias": (4,),
        "inner.weight": (4, 4),
        "inner.bias": (4,),
        "dense_3.weight": (2, 11),
        "dense_3.bias": (2,),
    }
    assert [(node.inputs, node.input_shapes, node.output_shape) for node in model.nodes[:3]] == [
        (("input",), ((3,),), (4,)),
        (("dense_1",), ((4,),), (4,)),
        (("dense_1", "inner"), ((4,), (4,)), (4,)),
    ]
    assert (model.input_shape, model.output_shape, model.nodes[4].output_shape) == ((3,), (2,), (11,))


def test_image_through_reshape_and_flatten():
    model = _model([{"type": "reshape", "shape": [2, -1]}, "flatten", {"type": "dense", "units": 3}], (1, 4, 4))
    assert [node.output_shape for node in model.nodes] == [(2, 8), (16,), (3,)]


def test_multiplications_are_those_of_the_matrix_products():
    assert _model(SKIPPING).multiplications() == {
        "dense_1": 12,
        "inner": 16,
        "add_1": 0,
        "activation_1": 0,
        "concat_1": 0,
        "dense_3": 22,
    }


def test_starting_values_follow_the_seed_and_the_initializers():
    model = _model([{"type": "dense", "units": 2, "initializer": "ones", "bias_initializer": "ones"}, *PLAIN])
    first, again, other = _started(model), _started(model), _started(model, 1)
    assert list(first) == list(model.params)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert np.all(first["dense_1.weight"] == 1)
    assert np.all(first["dense_1.bias"] == 1)
    assert np.all(first["dense_2.bias"] == 0)
    assert not np.array_equal(first["dense_2.weight"], other["dense_2.weight"])


def test_noise_is_for_training_only():
    model = _model(PLAIN, dtype="float32")
    assert {name: str(spec) for name, spec in model.noise(7).items()} == {"dropout_1.noise": "f4[7,5]"}
    rng = np.random.default_rng(0)
    arrays = _started(model) | {"dropout_1.noise": rng.random((7, 5), "float32")}
    values, feed = inputs(x=rng.normal(size=(7, 3)).astype("float32"), **arrays)
    params = {name: values[name] for name in model.params}
    trained = model.apply(params, values["x"], {"dropout_1.noise": values["dropout_1.noise"]})
    plain = model.apply(params, values["x"])
    one, two = evaluate([trained, plain], feed)
    assert one.shape == two.shape == (7, 3)
    assert not np.allclose(one, two)
    assert values["dropout_1.noise"] not in set(ad.toposort([plain]))


def test_every_node_knows_its_layer():
    model = _model(SKIPPING)
    params = {name: ad.input_(name, param.shape) for name, param in model.params.items()}
    nodes = ad.toposort([model.apply(params, ad.input_("input", (2, 3)))])
    assert {node.layer for node in nodes if node.op is not None} == {node.name for node in model.nodes}


def test_examples_are_tokens_where_an_embedding_reads_them():
    trees = [
        {"type": "embedding", "tokens": 9, "width": 2, "name": "wide"},
        {"type": "embedding", "tokens": 5, "width": 2, "inputs": ["input"]},
        {"type": "add", "inputs": ["wide", "embedding_2"]},
        "flatten",
    ]
    model = _model(trees, (3,), "float32")
    assert (model.vocabulary, str(model.input_dtype), model.output_shape) == (5, "int64", (6,))
    plain = _model(PLAIN, (3,), "float32")
    assert (plain.vocabulary, str(plain.input_dtype)) == (None, "float32")


@pytest.mark.parametrize("trees", [PLAIN, SKIPPING])
def test_float32_stays_float32(trees):
    model = _model(trees, dtype="float32")
    params = {name: ad.input_(name, param.shape, "float32") for name, param in model.params.items()}
    out = model.apply(params, ad.input_("input", (2, 3), "float32"))
    gradients = ad.gradients(ad.mean(ad.square(out)), list(params.values()))
    assert {v.dtype for v in ad.toposort([out, *gradients])} == {np.dtype("float32")}


# ------------------------------------------------------------------------------------------------ gradients


def _skipping(p, x):
    first = anp.tanh(anp.dot(x, p["dense_1.weight"].T) + p["dense_1.bias"])
    joined = anp.tanh(first + anp.dot(first, p["inner.weight"].T) + p["inner.bias"])
    return anp.dot(anp.concatenate([joined, x, first], axis=1), p["dense_3.weight"].T) + p["dense_3.bias"]


def test_gradients_where_arrows_skip_and_join_are_those_of_hips_autograd():
    model, rng = _model(SKIPPING), np.random.default_rng(7)
    arrays, x, labels = _started(model), rng.normal(size=(6, 3)), rng.integers(0, 2, 6)
    values, feed = inputs(x=x, labels=labels, **arrays)
    out = model.apply({name: values[name] for name in arrays}, values["x"])
    loss = build(LOSSES, "cross_entropy").apply(out, values["labels"])
    found, *gradients = evaluate([loss, *ad.gradients(loss, [values[name] for name in arrays])], feed)

    def reference(p):
        logits = _skipping(p, x)
        return anp.mean(anp.log(anp.sum(anp.exp(logits), axis=1)) - logits[np.arange(6), labels])

    expected = hips_grad(reference)(arrays)
    assert distance(found, reference(arrays)) < 1e-14
    for name, gradient in zip(arrays, gradients, strict=True):
        assert distance(gradient, expected[name]) < 1e-10, name


OF_VECTORS = [name for name, cls in LOSSES.items() if cls.task != "tokens"]


@settings(max_examples=20)
@given(batch=st.integers(1, 6), seed=st.integers(0, 1000), loss=st.sampled_from(OF_VECTORS))
def test_the_gradient_of_a_batch_is_the_mean_of_its_examples(batch, seed, loss):
    model, rng, cost = _model(SKIPPING), np.random.default_rng(seed), build(LOSSES, loss)
    arrays, x = _started(model, seed), rng.normal(size=(batch, 3))
    targets = rng.integers(0, 2, batch) if cost.task == "classes" else rng.integers(0, 2, (batch, 2)).astype(float)

    def gradients(rows):
        values, feed = inputs(x=x[rows], targets=targets[rows], **arrays)
        out = model.apply({name: values[name] for name in arrays}, values["x"])
        slopes = ad.gradients(cost.apply(out, values["targets"]), [values[name] for name in arrays])
        return evaluate(slopes, feed)

    each = [gradients(slice(i, i + 1)) for i in range(batch)]
    for place, whole in enumerate(gradients(slice(None))):
        np.testing.assert_allclose(whole, np.mean([g[place] for g in each], axis=0), rtol=1e-10, atol=1e-14)


# ------------------------------------------------------------------------------------------------ what does not fit

D = {"type": "dense", "units": 2}


@pytest.mark.parametrize(
    ("trees", "index", "key", "text"),
    [
        ([], 0, "layers", "the model has no layers"),
        (
            [D, D, {"type": "add", "inputs": ["dense_1", "dens_2"]}],
            2,
            "inputs",
            "layer add_1: inputs: unknown layer 'dens_2'; did you mean 'dense_2'?",
        ),
        (
            [D, {"type": "add", "inputs": ["dense_1", "x"]}],
            1,
            "inputs",
            "layer add_1: inputs: unknown layer 'x'; known: input, dense_1",
        ),
        (
            [D, {"type": "add", "inputs": ["dense_1", "dense_2"]}, D],
            1,
            "inputs",
            "layer add_1: inputs: the layers read each other in a circle: add_1 -> dense_2 -> add_1; a layer reads the "
            "layers above it",
        ),
        (
            [D, {"type": "add", "inputs": ["dense_1", "dense_2"]}, {**D, "inputs": "dense_1"}],
            1,
            "inputs",
            "layer add_1: inputs: 'dense_2' is below it; a layer reads the layers above it",
        ),
        (
            [{**D, "inputs": "add_1"}, "dropout", D, {"type": "add", "inputs": ["input", "dense_2"]}],
            0,
            "inputs",
            "layer dense_1: inputs: the layers read each other in a circle: dense_1 -> dropout_1 -> dense_2 -> add_1 "
            "-> dense_1; a layer reads the layers above it",
        ),
        ([{**D, "inputs": ["dense_1"]}], 0, "inputs", "layer dense_1: inputs: a layer cannot read itself"),
        (
            [D, "add"],
            1,
            "inputs",
            "layer add_1: needs 2 or more inputs, has 1 (dense_1); name them: inputs: [..., ...]",
        ),
        (
            [D, {**D, "inputs": ["dense_1", "input"]}],
            1,
            "inputs",
            "layer dense_2: needs 1 input, has 2 (dense_1, input)",
        ),
        (
            [{**D, "name": "dense_2"}, D],
            1,
            "name",
            "layer name 'dense_2' is used twice, by layers[0] and layers[1]; choose another",
        ),
        ([{**D, "name": "input"}], 0, "name", "layer name 'input' stands for the example; choose another"),
        (
            [D, {**D, "inputs": "input"}],
            0,
            "inputs",
            "layer dense_1: no layer reads it; name it in the inputs of a layer below, or remove it",
        ),
    ],
)
def test_layers_that_do_not_connect(trees, index, key, text):
    with pytest.raises(WiringError) as caught:
        _model(trees)
    assert str(caught.value) == text
    assert (caught.value.path, caught.value.key) == (("layers", index), key)
    assert isinstance(caught.value, UsageError)


def test_all_wiring_errors_at_once():
    trees = [D, {**D, "inputs": ["x"]}, {"type": "add", "inputs": ["dense_1", "y"]}]
    assert [str(error) for error in wiring_errors(_layers(trees))] == [
        "layer dense_2: inputs: unknown layer 'x'; known: input, dense_1",
        "layer add_1: inputs: unknown layer 'y'; known: input, dense_1, dense_2",
    ]


@pytest.mark.parametrize(
    ("trees", "shape", "index", "text"),
    [
        (
            ["flatten", D, {"type": "reshape", "shape": [1, 1, 2]}, D],
            (3, 4),
            3,
            "layer dense_2: needs one vector per example; put {type: flatten} before it (given reshape_1: [1, 1, 2])",
        ),
        (
            [D, {"type": "add", "inputs": ["dense_1", "input"], "name": "skip"}],
            (3,),
            1,
            "layer skip: inputs must have the same shape (given dense_1: [2], input: [3])",
        ),
        (
            [{**D, "bias_initializer": "orthogonal"}],
            (3,),
            0,
            "layer dense_1: initializer orthogonal: needs at least two axes, bias has shape [2] (given input: [3])",
        ),
        (
            [{"type": "reshape", "shape": [4, -1]}],
            (6,),
            0,
            "layer reshape_1: 6 entries per example do not fit [4, -1] (given input: [6])",
        ),
        (
            [{"type": "dense", "units": 3}, {"type": "embedding", "tokens": 5, "width": 2}],
            (6,),
            1,
            "layer embedding_1: reads tokens, but only 'input' is tokens; put it first, or set inputs: input",
        ),
        (
            [
                {"type": "embedding", "tokens": 5, "width": 2},
                "flatten",
                {"type": "concat", "inputs": ["input", "flatten_1"]},
            ],
            (6,),
            2,
            "layer concat_1: reads numbers, but 'input' is tokens, because embedding_1 reads it; "
            "read embedding_1 instead",
        ),
    ],
)
def test_shapes_that_do_not_fit_name_the_layer(trees, shape, index, text):
    with pytest.raises(LayerShapeError) as caught:
        _model(trees, shape)
    assert str(caught.value) == text
    assert caught.value.path == ("layers", index)
    assert isinstance(caught.value, ShapeError)

"""Ensembles in one network: the same numbers as of as many networks, one after the other."""

import numpy as np
import pytest
from nn_support import build

from backprop_cli import autodiff as ad
from backprop_cli.nn.ensembled import ensembled
from backprop_cli.nn.input_columns import InputColumn
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.layer_shapes import LayerShapeError
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.training.step_program import Recipe

MEMBERS, BATCH = 3, 5
DENSE = [
    {"type": "dense", "units": 4, "activation": "tanh"},
    {"type": "layer_norm"},
    {"type": "dense", "units": 3},
]


def _layers(settings):
    return [build(LAYERS, each) for each in settings]


def _recipe(layers, loss):
    return Recipe(Model.build(layers, (2,)), build(LOSSES, loss), build(OPTIMIZERS, "adam"))


def _numbers(model):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=param.shape) for name, param in model.params.items()}


def _run(recipe, numbers, x, targets, wanted=()):
    """Loss, predictions, and the gradient of the loss by the wanted parameters."""
    params = {name: ad.input_(name, array.shape) for name, array in numbers.items()}
    examples, labels = ad.input_("x", x.shape), ad.input_("targets", targets.shape, targets.dtype)
    outputs = recipe.model.apply(params, examples)
    loss = recipe.cost(outputs, labels)
    gradients = ad.gradients(loss, [params[name] for name in wanted])
    feed = {examples: x, labels: targets, **{params[name]: array for name, array in numbers.items()}}
    return ad.evaluate([loss, recipe.predictions(outputs), *gradients], feed)


def _member(numbers, i):
    """The parameters of member i as a network of its own."""
    return {
        "dense_1.weight": numbers["dense_1.s"][i][:, None] * numbers["dense_1.weight"] * numbers["dense_1.r"][i],
        "dense_1.bias": numbers["dense_1.bias"][i],
        "layer_norm_1.weight": numbers["layer_norm_1.weight"],
        "layer_norm_1.bias": numbers["layer_norm_1.bias"],
        "dense_2.weight": numbers["dense_2.weight"][i],
        "dense_2.bias": numbers["dense_2.bias"][i],
    }


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
def test_members_are_networks_of_their_own(loss):
    one, many = _recipe(_layers(DENSE), loss), _recipe(ensembled(_layers(DENSE), MEMBERS), loss)
    numbers, rng = _numbers(many.model), np.random.default_rng(1)
    x = rng.normal(size=(BATCH, 2))
    targets = one.loss.draw(rng, (BATCH, 3))
    names = ["dense_1.weight", "dense_1.bias", "dense_2.weight", "layer_norm_1.bias"]
    found = _run(many, numbers, x, targets, names)
    each = [_run(one, _member(numbers, i), x, targets, names) for i in range(MEMBERS)]
    losses, predictions, shared, biases, heads, norms = zip(*each, strict=True)
    scales = [numbers["dense_1.s"][i][:, None] * numbers["dense_1.r"][i] for i in range(MEMBERS)]
    expected = [
        np.mean(losses),
        np.mean(predictions, axis=0),
        np.mean([scale * gradient for scale, gradient in zip(scales, shared, strict=True)], axis=0),
        np.array(biases) / MEMBERS,
        np.array(heads) / MEMBERS,
        np.mean(norms, axis=0),
    ]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_dense_layers_become_layers_of_an_ensemble():
    block = {"type": "block", "repeat": 2, "residual": True, "layers": [{"type": "dense", "units": 2}]}
    found = ensembled(_layers([block, "dropout", {"type": "dense", "units": 1, "bias": False, "name": "head"}]), 4)
    model = Model.build(found, (2,))
    assert {name: param.shape for name, param in model.params.items()} == {
        "block_1.1.dense_1.weight": (2, 2),
        "block_1.1.dense_1.r": (4, 2),
        "block_1.1.dense_1.s": (4, 2),
        "block_1.1.dense_1.bias": (4, 2),
        "block_1.2.dense_1.weight": (2, 2),
        "block_1.2.dense_1.r": (4, 2),
        "block_1.2.dense_1.s": (4, 2),
        "block_1.2.dense_1.bias": (4, 2),
        "head.weight": (4, 1, 2),
    }
    assert {node.name: node.output_shape for node in model.nodes} == {
        "block_1.1.dense_1": (4, 2),
        "block_1.1": (4, 2),
        "block_1.2.dense_1": (4, 2),
        "block_1.2": (4, 2),
        "dropout_1": (4, 2),
        "head": (4, 1),
    }
    assert (model.output_shape, model.members) == ((1,), 4)
    assert model.noise(3)["dropout_1.noise"].shape == (12, 2)


def test_only_the_first_layer_tells_members_apart():
    starts = Model.build(ensembled(_layers(DENSE), 16), (6,)).init(np.random.default_rng(0))
    assert set(np.unique(starts["dense_1.r"])) == {-1.0, 1.0}
    assert (starts["dense_1.s"] == 1).all()
    inner = Model.build(ensembled(_layers([*DENSE, {"type": "dense", "units": 2}]), 16), (6,))
    assert (inner.init(np.random.default_rng(0))["dense_2.r"] == 1).all()


def test_the_inputs_of_a_column_keep_together():
    """Random signs within a column's bins would take its encoding apart."""
    columns = (InputColumn("a"), InputColumn("color", 3, 3), InputColumn("b"))
    bins = {"type": "piecewise_linear", "inputs": "numeric", "count": 4, "name": "bins"}
    both = {"type": "concat", "inputs": ["bins", "categories"], "name": "both"}
    head = {"type": "dense", "units": 2}
    layers = ensembled(_layers([bins, both, {"type": "dropout"}, head, head]), 20)
    model = Model.build(layers, (5,), columns=columns)
    r = model.init(np.random.default_rng(0))["dense_1.r"]
    assert [node.input_chunks for node in model.nodes] == [((1, 1),), ((4, 4), (3,)), ((4, 4, 3),), ((4, 4, 3),), ((),)]
    parts = np.split(r, [4, 8], axis=1)
    assert all((part == part[:, :1]).all() for part in parts)
    assert len({tuple(part[:, 0]) for part in parts}) == 3
    assert len({tuple(row) for row in r}) > 5


def test_the_mini_ensemble_shares_its_dense_layers():
    head = {"type": "ensemble_dense", "units": 1, "members": 4, "shared": False}
    model = Model.build(_layers([{"type": "scale", "members": 4}, {"type": "dense", "units": 3}, head]), (2,))
    assert {name: param.shape for name, param in model.params.items()} == {
        "scale_1.weight": (4, 2),
        "dense_1.weight": (3, 2),
        "dense_1.bias": (3,),
        "ensemble_dense_1.weight": (4, 1, 3),
        "ensemble_dense_1.bias": (4, 1),
    }


def test_an_input_without_members_is_every_members():
    member = {"type": "scale", "members": 4, "name": "members"}
    model = Model.build(_layers([member, {"type": "concat", "inputs": ["members", "input"]}]), (2,))
    x, weight = ad.input_("x", (3, 2)), ad.input_("weight", (4, 2))
    values, factors = np.arange(6.0).reshape(3, 2), np.arange(8.0).reshape(4, 2)
    (found,) = ad.evaluate([model.apply({"members.weight": weight}, x)], {x: values, weight: factors})
    alike = np.broadcast_to(values[:, None], (3, 4, 2))
    np.testing.assert_array_equal(found, np.concatenate([alike * factors, alike], axis=2))


def test_numbers_of_members_that_differ():
    layers = [
        {"type": "scale", "members": 4},
        {"type": "ensemble_dense", "units": 1, "members": 8},
    ]
    with pytest.raises(LayerShapeError) as caught:
        Model.build(_layers(layers), (2,))
    text = "layer ensemble_dense_1: reads 4 members, and has 8; all must have the same number"
    assert str(caught.value) == text

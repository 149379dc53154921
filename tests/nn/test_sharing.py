"""Parameters that are other layers': in sequence, in blocks and their repeats; and those that cannot be."""

import numpy as np
import pytest
from blocks_support import TANH, D, block, computed, layers_of, model_of
from nn_support import evaluate, inputs

from backprop_cli import autodiff as ad
from backprop_cli.nn.graph import wiring_errors
from backprop_cli.nn.layer_shapes import LayerShapeError
from backprop_cli.nn.scopes import WiringError


def test_a_shared_parameter_is_the_owners():
    model = model_of({**TANH, "bias": False}, {**D, "bias": False, "share": "dense_1.weight"})
    assert list(model.params) == ["dense_1.weight"]
    x = np.random.default_rng(1).normal(size=(4, 3))
    found, p = computed(model, x)
    np.testing.assert_allclose(found, np.tanh(x @ p["dense_1.weight"].T) @ p["dense_1.weight"].T, rtol=1e-14)


def test_its_gradient_is_the_sum_over_the_layers():
    tied, free = ([{**TANH, "bias": False}, {**D, "bias": False, **more}] for more in ({"share": "dense_1.weight"}, {}))
    x = np.random.default_rng(1).normal(size=(4, 3))
    weight = np.random.default_rng(2).normal(size=(3, 3))
    gradients = []
    for trees in (tied, free):
        model = model_of(*trees)
        values, feed = inputs(x=x, **dict.fromkeys(model.params, weight))
        out = model.apply({name: values[name] for name in model.params}, values["x"])
        slopes = ad.gradients(ad.sum(ad.square(out)), [values[name] for name in model.params])
        gradients.append(sum(evaluate(slopes, feed)))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-13)


def test_sharing_several_and_of_what_is_shared():
    shares = {"weight": "dense_1.weight", "bias": "dense_1.bias"}
    model = model_of(D, {**D, "share": shares}, {**D, "share": "dense_2.bias"})
    assert list(model.params) == ["dense_1.weight", "dense_1.bias", "dense_3.weight"]
    assert model.nodes[2].shares == {"bias": "dense_1.bias"}


def test_repeats_share_with_the_first():
    """The first names its own parameter, and so owns it."""
    model = model_of(block({**D, "share": {"weight": "block_1.1.dense_1.weight"}}, repeat=3))
    assert list(model.params) == [
        "block_1.1.dense_1.weight",
        "block_1.1.dense_1.bias",
        "block_1.2.dense_1.bias",
        "block_1.3.dense_1.bias",
    ]


def test_the_name_of_a_layer_around_is_not_its_own():
    model = model_of(D, block({**D, "share": "dense_1.weight"}))
    assert model.nodes[1].shares == {"weight": "dense_1.weight"}


def test_parameters_whose_own_names_have_dots():
    """As attention has them: out_proj.weight."""
    attention = {"type": "attention", "heads": 3}
    first = "b.1.attention_1"
    shares = {
        name: f"{first}.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    }
    model = model_of(block({**attention, "share": shares}, repeat=2, name="b"), attention, shape=(4, 3))
    assert [name for name in model.params if not name.startswith("attention_1.")] == list(shares.values())
    assert model.nodes[1].shares == shares
    one = model_of(attention, {**attention, "share": "attention_1.out_proj.weight"}, shape=(4, 3))
    assert one.nodes[1].shares == {"out_proj.weight": "attention_1.out_proj.weight"}
    with pytest.raises(LayerShapeError) as caught:
        model_of(attention, {**attention, "share": {"out_proj.weight": "attention_1.out_proj.wieght"}}, shape=(4, 3))
    assert str(caught.value) == (
        "layer attention_2: share: attention_1 has no parameter 'out_proj.wieght'; did you mean 'out_proj.weight'?"
    )


def test_sharing_within_a_repeat_is_by_the_members_name():
    model = model_of(block(D, {**D, "share": "dense_1.weight"}, repeat=2))
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
            "layer dense_1: share: 'dense_2' is below it; let dense_2 share the parameter of dense_1",
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
            "layer block_1.1.dense_1: share: 'dense_1.weight' is its own; to share it among repeats, name the first "
            "one's: block_1.1.dense_1.weight",
        ),
    ],
)
def test_layers_that_cannot_be_shared_with(trees, path, text):
    with pytest.raises(WiringError) as caught:
        model_of(*trees)
    assert (str(caught.value), caught.value.path, caught.value.key) == (text, path, "share")


def test_a_layer_of_all_repeats_is_told_once():
    errors = wiring_errors(layers_of([block({**D, "share": "dens_1.weight"}, D, repeat=3, name="b")]))
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
            "layer batch_norm_1: regularization: penalties apply to weights, not to biases or norms; it has "
            "no such weights",
        ),
        (
            [D, {**D, "share": "dense_1.weight", "regularization": {"l2": 0.1}}],
            ("layers", 1, "regularization"),
            "layer dense_2: regularization: penalties apply to its own weights, but it shares dense_1.weight; "
            "set it there",
        ),
    ],
)
def test_parameters_that_cannot_be_shared_or_penalized(trees, path, text):
    with pytest.raises(LayerShapeError) as caught:
        model_of(*trees)
    assert (str(caught.value), caught.value.path) == (text, path)


def test_repeats_that_share_have_one_penalty():
    first = {**D, "share": "b.1.dense_1.weight", "regularization": {"l2": 0.1}}
    model = model_of(block(first, repeat=2, name="b"))
    assert [[*node.params] for node in model.nodes] == [["weight", "bias"], ["bias"]]

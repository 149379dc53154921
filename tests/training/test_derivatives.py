"""Jacobians, Hessians and gradients of single examples: against HIPS autograd, and against each other."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import erf, logsumexp
from training_support import DROPOUT, examples, recipe

from backprop_cli import autodiff as ad
from backprop_cli.accumulation import batched
from backprop_cli.errors import UsageError
from backprop_cli.inspection import curvature as curvature_module
from backprop_cli.inspection import network_jacobian as derivatives_module
from backprop_cli.inspection.curvature import Curvature, example_gradients
from backprop_cli.inspection.network_jacobian import accumulate_jacobian
from backprop_cli.inspection.point import Named, Point, by_names, check_names, of_names, shape_of
from backprop_cli.training.state import State

TOLERANCE = 1e-10
MODES = ("auto", "forward", "reverse", "best")
SKIPPING = (
    {"type": "dense", "units": 5, "activation": "tanh", "name": "first"},
    {"type": "dense", "units": 5, "activation": "softplus"},
    {"type": "add", "inputs": ["first", "dense_2"]},
    {"type": "concat", "inputs": ["add_1", "input"]},
    {"type": "dense", "units": 3},
)


# Relu is smooth but at its kink, where no random point is.
ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x / np.sqrt(2.0))),
    "relu": lambda x: anp.where(x > 0, x, 0.0 * x),
    "softmax": lambda x: anp.exp(x) / anp.sum(anp.exp(x), axis=1, keepdims=True),
    "tanh": anp.tanh,
}


def skipping(activation):
    """A dense layer and another, whose sum and the input are read by the last."""
    return tuple({**layer, "activation": activation} if "activation" in layer else layer for layer in SKIPPING)


def point(made, count=3, seed=0) -> Point:
    some = examples(count, made, seed)
    return Point(made, State.start(made, seed).network, some.inputs, some.targets)


def reference(activation, at: Point):
    """The network of ``skipping`` as functions of (inputs, flat parameters), for HIPS autograd."""
    layout = at.recipe.layout

    def logits(x, flat):
        own = {name: flat[slice(*layout.span(name))].reshape(shape) for name, shape in layout.shapes.items()}
        first = activation(x @ own["first.weight"].T + own["first.bias"])
        second = activation(first @ own["dense_2.weight"].T + own["dense_2.bias"])
        joined = anp.concatenate([first + second, x], axis=1)
        return joined @ own["dense_3.weight"].T + own["dense_3.bias"]

    def predictions(x, flat):
        return anp.exp(logits(x, flat) - logsumexp(logits(x, flat), axis=1, keepdims=True))

    def objective(x, flat):
        outputs = logits(x, flat)
        loss = anp.mean(logsumexp(outputs, axis=1) - outputs[np.arange(len(x)), at.targets])
        weights = [flat[slice(*layout.span(name))] for name in layout.shapes if name.endswith("weight")]
        return loss + 0.5 * at.recipe.regularization.l2 * sum(anp.sum(w * w) for w in weights)

    return predictions, objective


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_against_hips_autograd(activation):
    """A network with skips, softmax and the activation: Jacobians, gradient, Hessian, and its products."""
    at = point(recipe(skipping(activation), l2=0.1))
    predictions, objective = reference(ACTIVATIONS[activation], at)
    x, flat = at.inputs, at.network["parameters"]
    of_inputs = autograd.jacobian(lambda x: predictions(x, flat))(x).reshape(9, 12)
    of_parameters = autograd.jacobian(lambda flat: predictions(x, flat))(flat).reshape(9, -1)
    for mode in MODES:
        close(accumulate_jacobian(at, "predictions", "inputs", mode).matrix, of_inputs)
        close(accumulate_jacobian(at, "predictions", "parameters", mode).matrix, of_parameters)
    curvature = Curvature(at, "objective", "parameters")
    gradient = autograd.grad(lambda flat: objective(x, flat))
    close(curvature.gradient(), gradient(flat))
    expected = autograd.jacobian(gradient)(flat)
    close(curvature.hessian(), expected)
    vectors = np.random.default_rng(1).standard_normal((4, curvature.size))
    close(curvature.products(vectors), vectors @ expected)
    by_inputs = autograd.hessian(lambda x: objective(x, flat))(x).reshape(12, 12)
    close(Curvature(at, "objective", "inputs").hessian(), by_inputs)


@pytest.mark.parametrize(
    ("of", "by"),
    [
        ("predictions", "inputs"),
        ("outputs", "first"),
        ("concat_1", "first.weight"),
        ("loss", "dense_2.bias"),
        ("objective", "parameters"),
        ("predictions", "concat_1"),
        ("first", "first"),
    ],
)
def test_columns_are_jvps_and_rows_vjps(of, by):
    at = point(recipe(SKIPPING, l1=0.1, l2=0.2), count=2)
    named = Named(at)
    out, wrt = named.of(of), named.by(by)
    sizes = [w.size for w in wrt]
    starts = np.cumsum([0, *sizes])
    columns = []
    for k in range(starts[-1]):
        unit = np.eye(starts[-1])[k]
        parts = [ad.constant(unit[a:b].reshape(w.shape)) for a, b, w in zip(starts, starts[1:], wrt, strict=False)]
        columns.append(ad.jvp([out], wrt, parts)[0])
    expected = np.stack([c.ravel() for c in ad.evaluate(columns, named.feed)], axis=1)
    rows = []
    for unit in np.eye(out.size):
        parts = ad.evaluate(ad.vjp([out], wrt, [ad.constant(unit.reshape(out.shape))]), named.feed)
        rows.append(np.concatenate([part.ravel() for part in parts]))
    np.testing.assert_allclose(np.stack(rows), expected, rtol=0, atol=1e-14)
    for mode in MODES:
        found = accumulate_jacobian(at, of, by, mode)
        assert found.executed in (mode, *(("forward", "reverse", "best") if mode == "auto" else ()))
        np.testing.assert_allclose(found.matrix, expected, rtol=0, atol=1e-13)


def test_directions_go_some_at_a_time(monkeypatch):
    """Pieces of directions, and of examples, of no common size."""
    at = point(recipe(SKIPPING, l2=0.1), count=11)
    whole = [accumulate_jacobian(at, "predictions", "parameters", mode).matrix for mode in ("forward", "reverse")]
    hessian, gradient = (
        Curvature(at, "objective", "parameters").hessian(),
        Curvature(at, "loss", "parameters").gradient(),
    )
    singles = example_gradients(at, "objective", "parameters", keep=True)
    monkeypatch.setattr(batched, "MOST_NUMBERS", 9000)
    monkeypatch.setattr(curvature_module, "BATCH", 4)
    monkeypatch.setattr(curvature_module, "_MOST_NUMBERS", 400)
    for mode, expected in zip(("forward", "reverse"), whole, strict=True):
        np.testing.assert_allclose(
            accumulate_jacobian(at, "predictions", "parameters", mode).matrix, expected, atol=1e-14
        )
    np.testing.assert_allclose(Curvature(at, "objective", "parameters").hessian(), hessian, atol=1e-14)
    np.testing.assert_allclose(Curvature(at, "loss", "parameters").gradient(), gradient, atol=1e-14)
    again = example_gradients(at, "objective", "parameters", keep=True)
    np.testing.assert_allclose(again.gradients, singles.gradients, atol=1e-14)
    np.testing.assert_allclose(again.cosines, singles.cosines, atol=1e-12)


LOSSES = [
    "cross_entropy",
    {"type": "cross_entropy", "label_smoothing": 0.1},
    "binary_cross_entropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_gradients_of_examples_add_up_to_that_of_the_batch(loss):
    weights = np.array([0.5, 1.0, 2.0]) if loss == "cross_entropy" else None
    at = point(recipe(SKIPPING, loss=loss, l2=0.3, class_weights=weights), count=6)
    found = example_gradients(at, "objective", "parameters", keep=True)
    batch = accumulate_jacobian(at, "objective", "parameters", "reverse").matrix[0]
    scale = np.abs(batch).max()
    np.testing.assert_allclose(found.gradients.mean(axis=0), batch, rtol=0, atol=1e-14 * scale)
    np.testing.assert_allclose(found.mean, batch, rtol=0, atol=1e-14 * scale)
    for k in range(6):
        alone = accumulate_jacobian(at.part(k, k + 1), "objective", "parameters", "reverse").matrix[0]
        np.testing.assert_allclose(found.gradients[k], alone, rtol=0, atol=1e-13)
        assert found.norms[k] == pytest.approx(np.linalg.norm(alone), rel=1e-12)
        cosine = alone @ batch / np.linalg.norm(alone) / np.linalg.norm(batch)
        assert found.cosines[k] == pytest.approx(cosine, abs=1e-12)
    assert example_gradients(at, "objective", "parameters").gradients is None


def test_nothing_is_dropped():
    """With dropout and without it the derivatives are the same."""
    plain = point(recipe())
    dropped = point(recipe(DROPOUT))
    dropped.network["parameters"][...] = plain.network["parameters"]
    for of in ("predictions", "loss"):
        np.testing.assert_array_equal(
            accumulate_jacobian(dropped, of, "parameters").matrix, accumulate_jacobian(plain, of, "parameters").matrix
        )


def test_what_does_not_depend_is_0():
    found = accumulate_jacobian(point(recipe(SKIPPING)), "first", "dense_3.weight")
    assert (found.executed, found.costs) == ("none", None)
    np.testing.assert_array_equal(found.matrix, np.zeros((15, 27)))
    assert accumulate_jacobian(point(recipe(SKIPPING)), "first", "dense_3").executed == "none"


def test_auto_executes_the_cheapest():
    deep = [{"type": "dense", "units": units, "activation": "tanh"} for units in (20, 3, 20)]
    at = point(recipe(deep, inputs=(20,), loss="mean_squared_error"), count=1)
    costs = accumulate_jacobian(at, "outputs", "inputs").costs
    assert costs.best.cost < min(costs.forward.cost, costs.reverse.cost)
    assert accumulate_jacobian(at, "outputs", "inputs").executed == "best"
    for wide, expected in (((3, 5, 9), "forward"), ((9, 5, 3), "reverse")):
        chain = [{"type": "dense", "units": units, "activation": "tanh"} for units in wide[1:]]
        at = point(recipe(chain, inputs=wide[:1], loss="mean_squared_error"), count=1)
        found = accumulate_jacobian(at, "outputs", "inputs")
        assert found.executed == expected
        assert found.costs.best.cost == getattr(found.costs, expected).cost


def test_networks_too_large_to_compare_orders(monkeypatch):
    monkeypatch.setattr("backprop_cli.accumulation.jacobian_graph._MOST_BITS", 10)
    at = point(recipe(), count=1)
    found = accumulate_jacobian(at, "predictions", "inputs")
    assert (found.executed, found.costs) == ("reverse", None)
    assert accumulate_jacobian(at, "dense_1", "inputs").executed == "forward"
    with pytest.raises(UsageError) as caught:
        accumulate_jacobian(at, "predictions", "inputs", "best")
    assert str(caught.value) == (
        "--order best: the Jacobian of predictions by inputs is too large on the way; use --order auto, fewer rows "
        "(--row) or another --by"
    )


def test_arrays_too_large_on_the_way(monkeypatch):
    """Of two orders auto takes the one that needs no such array."""
    deep = [{"type": "dense", "units": units, "activation": "tanh"} for units in (20, 3, 20)]
    at = point(recipe(deep, inputs=(20,), loss="mean_squared_error"), count=1)
    expected = accumulate_jacobian(at, "outputs", "inputs", "best").matrix
    monkeypatch.setattr(derivatives_module, "_MOST_NUMBERS", 10)
    found = accumulate_jacobian(at, "outputs", "inputs")
    assert found.executed in ("forward", "reverse")
    np.testing.assert_allclose(found.matrix, expected, atol=1e-14)
    with pytest.raises(UsageError, match="--order best"):
        accumulate_jacobian(at, "outputs", "inputs", "best")


def test_names_and_shapes():
    made = recipe(SKIPPING)
    named = Named(point(made, count=2))
    for name in of_names(made):
        assert named.of(name).shape == shape_of(made, name, 2)
    for name in by_names(made):
        assert sum(value.size for value in named.by(name)) == np.prod(shape_of(made, name, 2))
    assert shape_of(made, "first", None) == (5,)
    for of, by, expected in (
        ("prediction", "inputs", "--of prediction: no such name; did you mean 'predictions'?"),
        (
            "zzz",
            "inputs",
            "--of zzz: no such name; known: predictions, outputs, loss, objective, first, dense_2, add_1, concat_1, "
            "dense_3",
        ),
        ("loss", "dense_2.wieght", "--by dense_2.wieght: no such name; did you mean 'dense_2.weight'?"),
    ):
        with pytest.raises(UsageError) as caught:
            check_names(made, of, by)
        assert str(caught.value) == expected

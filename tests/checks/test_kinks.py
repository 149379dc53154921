"""Kinks beside large curvature: no right gradient fails there, and one that is 0.1 % wrong does."""

import math
from typing import ClassVar, get_args

import numpy as np
import pytest
from numeric_derivatives import check_scalar

from backprop_cli import autodiff as ad
from backprop_cli.autodiff import OPS
from backprop_cli.autodiff.families import Elementwise
from backprop_cli.checks.continuation import eval_complex
from backprop_cli.checks.gradients import check_gradients
from backprop_cli.checks.method import Options
from backprop_cli.checks.methods.central import Stencil, extrapolated
from backprop_cli.checks.objective import Objective, tensors_of, unit
from backprop_cli.config.configuration import GradientCheckSettings
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.training.state import State
from backprop_cli.training.step_program import INPUTS, TARGETS, Recipe

ALL = get_args(GradientCheckSettings.model_fields["method"].annotation)


def dense(units, **more):
    return {"type": "dense", "units": units, **more}


def normed(kind, function, epsilon=1e-12):
    return [dense(8), {"type": kind, "epsilon": epsilon}, {"type": "activation", "function": function}, dense(1)]


NETWORKS = {
    "layer_norm and relu": (normed("layer_norm", "relu"), "mean_squared_error"),
    "layer_norm and tanh": (normed("layer_norm", "tanh"), "mean_squared_error"),
    "layer_norm and gelu": (normed("layer_norm", "gelu"), "mean_squared_error"),
    "batch_norm and elu": (normed("batch_norm", "elu"), "mean_squared_error"),
    "relu twice and huber": (
        [*normed("layer_norm", "relu", 1e-10)[:3], dense(5, activation="relu"), dense(1)],
        "huber",
    ),
    "steep": (
        [
            dense(6, activation="relu", initializer={"type": "normal", "std": 300.0}),
            dense(4, activation="softplus", initializer={"type": "normal", "std": 30.0}),
            dense(1),
        ],
        "mean_absolute_error",
    ),
}


def case(name, rows):
    """A network, and a batch with some rows that are 0, tiny, or equal."""
    layers, loss = NETWORKS[name]
    recipe = Recipe(
        model=Model.build([LAYERS[layer["type"]].model_validate(layer) for layer in layers], (2,)),
        loss=LOSSES[loss].model_validate({"type": loss}),
        optimizer=OPTIMIZERS["sgd"].model_validate({}),
        regularization=RegularizationSettings(),
    )
    rng = np.random.default_rng(7)
    x = rng.standard_normal((8, 2))
    x[:4] *= {"zero": 0.0, "tiny": 1e-6, "all zero": 0.0}[rows]
    if rows == "all zero":
        x[:] = 0.0
    return recipe, {**State.start(recipe, 0).network, INPUTS: x, TARGETS: rng.standard_normal((8, 1))}


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["zero", "tiny", "all zero"])
@pytest.mark.parametrize("name", NETWORKS)
def test_right_gradients_do_not_fail(name, rows):
    for method in ALL:
        for order in (1, 2):
            assert_passes(name, rows, method, order)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("method", ALL)
def test_on_a_kink_beside_large_curvature_nothing_fails(method, order):
    assert_passes("layer_norm and relu", "zero", method, order)


@pytest.mark.parametrize("name", NETWORKS)
def test_where_all_rows_are_equal_nothing_fails(name):
    assert_passes(name, "all zero", "auto", 1)


def assert_passes(name, rows, method, order):
    recipe, arrays = case(name, rows)
    report = check_gradients(recipe, arrays, target="it", method=method, order=order, options=Options(8))
    assert report.passed, report.checks[0]


WRONG = [
    ("layer_norm and relu", "relu"),
    ("layer_norm and relu", "divide"),
    ("layer_norm and tanh", "tanh"),
    ("relu twice and huber", "relu"),
    ("steep", "relu"),
    ("steep", "softplus"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "method"), [("zero", "auto"), ("tiny", "central")])
@pytest.mark.parametrize(("name", "op"), WRONG)
def test_rules_wrong_by_a_thousandth_fail(monkeypatch, name, op, rows, method):
    right = OPS[op].partials
    wrong = lambda self, *x, out: tuple(None if p is None else 1.001 * p for p in right(self, *x, out=out))  # noqa: E731
    monkeypatch.setattr(OPS[op], "partials", wrong)
    recipe, arrays = case(name, rows)
    report = check_gradients(recipe, arrays, target="it", method=method, options=Options("all"))
    assert not report.passed


class HardSigmoid(Elementwise):
    """``out = min(max(x / 6 + 1/2, 0), 1)``, and a slope of 0.2 where it is 1/6, in both places it is stated."""

    is_smooth: ClassVar = False

    def eval(self, x, *, out):
        np.clip(x / 6.0 + 0.5, 0.0, 1.0, out=out)

    def partials(self, x, *, out):
        return (ad.where(ad.greater(3.0, ad.absolute(x)), 0.2, 0.0),)


@eval_complex.register(HardSigmoid)
def _(op, x, *, out):
    slope = np.where(np.abs(x.real) < 3.0, 0.2 * x.imag, 0.0)
    np.copyto(out, np.clip(x.real / 6.0 + 0.5, 0.0, 1.0) + 1j * slope)


@pytest.mark.parametrize("method", ["auto", "central", "taylor", "projection"])
def test_a_complex_step_that_is_wrong_the_way_the_rule_is_vouches_for_nothing(method):
    x = ad.input_("x", (4,))
    at = {"x": np.array([-1.0, 0.3, 5.0, 0.0])}
    (found, *_) = check_scalar(ad.sum(HardSigmoid()(x)), {"x": x}, at, name="f", kind="op", method=method)
    assert found.verdict == "FAIL"


def objective(traced, at) -> Objective:
    x = ad.input_("x", ())
    return Objective({"x": x}, traced(x), tensors_of({"x": x}, "f", "op"), {"x": np.array(at)})


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_an_extrapolated_difference_says_how_far_it_is_off(scale):
    """x / sqrt(x^2 + 1/scale^2) at 0 and near it: slopes of ``scale``, over a distance of 1 / scale."""

    def bent(x):
        return x / ad.sqrt(x * x + 1.0 / scale**2)

    for at in (0.0, 0.7 / scale, 3.0 / scale):
        of = objective(bent, at)
        exact = scale / (1.0 + (at * scale) ** 2) ** 1.5
        found, error = extrapolated(of, unit(of.tensors[0], 0), Stencil(2.0**-15, of.branches), of.rounding.of_scalar)
        assert abs(found - exact) <= error <= 1e-4 * exact


def test_a_bend_within_the_smallest_step_cannot_be_told():
    """Over 1e-13 no difference of numbers near 1 sees a slope of 1e12."""
    of = objective(lambda x: 1.0 + ad.tanh((x - 0.5) * 1e13) * 0.1, 0.5)
    _, error = extrapolated(of, unit(of.tensors[0], 0), Stencil(2.0**-15, of.branches), of.rounding.of_scalar)
    assert error == math.inf

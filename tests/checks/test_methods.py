"""The methods: each passes what is right, and finds what it says it finds."""

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from numeric_derivatives import check_scalar

from backprop_cli import autodiff as ad
from backprop_cli.autodiff import OPS
from backprop_cli.checks.gradients import check_gradients, network_objectives
from backprop_cli.checks.method import METHODS, Options, locate, random_direction
from backprop_cli.checks.methods.taylor import by_remainder
from backprop_cli.checks.objective import Objective, Tensor, norm
from backprop_cli.config.configuration import GradientCheckSettings
from backprop_cli.errors import UsageError
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.training.state import State
from backprop_cli.training.step_program import INPUTS, PARAMETERS, TARGETS, Recipe

SMOOTH = ["tanh", "sigmoid", "softplus", "gelu", "silu", "softmax", "log_softmax"]
KINKED = ["relu", "leaky_relu", "elu", "selu"]


def dense(units, **more):
    return {"type": "dense", "units": units, **more}


def network(*layers, loss="cross_entropy", width=4, **regularization) -> Recipe:
    return Recipe(
        model=Model.build([LAYERS[layer["type"]].model_validate(layer) for layer in layers], (width,)),
        loss=LOSSES[loss].model_validate({"type": loss}),
        optimizer=OPTIMIZERS["sgd"].model_validate({}),
        regularization=RegularizationSettings(**regularization),
    )


def batch(recipe: Recipe, count=6, seed=0):
    rng = np.random.default_rng(seed)
    width, classes = recipe.model.input_shape[0], recipe.model.output_shape[0]
    targets = (
        rng.integers(0, classes, count) if recipe.loss.task == "classes" else rng.standard_normal((count, classes))
    )
    noise = {name: rng.random(spec.shape) for name, spec in recipe.model.noise(count).items()}
    return {
        PARAMETERS: State.start(recipe, seed).parameters,
        INPUTS: rng.standard_normal((count, width)),
        TARGETS: targets,
        **noise,
    }


def two_layers(activation, **more):
    return network(dense(5, activation=activation), {"type": "dropout", "rate": 0.2}, dense(3), **more)


def check(recipe, method, arrays=None, **more):
    return check_gradients(recipe, arrays or batch(recipe), target="it", method=method, options=Options("all"), **more)


def found(report):
    return {check.verdict for check in report.checks}


def wrong(monkeypatch, op, factor=1.001, rule="partials"):
    """Multiply what a rule says by a factor."""
    right = getattr(OPS[op], rule)

    def broken(self, *x, **more):
        parts = right(self, *x, **more)
        if isinstance(parts, tuple):
            return tuple(None if part is None else part * factor for part in parts)
        return None if parts is None else parts * factor

    monkeypatch.setattr(OPS[op], rule, broken)


def test_the_configuration_names_the_methods_there_are():
    assert set(get_args(GradientCheckSettings.model_fields["method"].annotation)) == set(METHODS)


def test_a_method_that_there_is_not():
    with pytest.raises(UsageError, match=r"^unknown method 'centrall'; did you mean 'central'\?$"):
        check(two_layers("tanh"), "centrall")


# --- what is right passes ----------------------------------------------------------------------------------------


def each_method_and_each(activations):
    """(activation, method): every method on the first activation, and `auto` on every activation."""
    return [*((activations[0], method) for method in METHODS), *((each, "auto") for each in activations[1:])]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("activation", "method"), each_method_and_each(SMOOTH))
def test_smooth_networks_pass(activation, method, order):
    report = check(two_layers(activation, l2=0.1), method, order=order)
    assert found(report) == {"PASS"}
    assert (report.method, report.rules) == (method, ())


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("activation", "method"), each_method_and_each(KINKED))
def test_kinked_networks_pass(activation, method, order):
    report = check(two_layers(activation, l1=0.1), method, order=order)
    assert report.passed
    assert found(report) <= {"PASS", "KINK"}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("zeros", ["inputs", "weights", "both"])
def test_exactly_at_kinks_nothing_fails(method, order, zeros):
    recipe = network(dense(5, activation="relu"), dense(4, activation="leaky_relu"), dense(3), l1=0.1)
    arrays = batch(recipe)
    if zeros != "weights":
        arrays[INPUTS][:] = 0.0
    if zeros != "inputs":
        arrays[PARAMETERS][: recipe.layout.span("dense_1.bias")[1]] = 0.0
    report = check(recipe, method, arrays, order=order)
    assert report.passed
    assert found(report) <= {"PASS", "KINK"}


@pytest.mark.parametrize("activation", SMOOTH)
def test_the_complex_step_agrees_to_1e_12(activation):
    for objective in network_objectives(two_layers(activation, l2=0.1), batch(two_layers(activation))):
        for of in (objective, objective.curvature(np.random.default_rng(0))):
            largest = max(np.abs(gradient).max() for gradient in of.gradient.values())
            for found in METHODS["complex"]().check(of, Options("all")):
                assert max(entry.absolute_error for entry in found.entries) <= 1e-12 * largest


@pytest.mark.parametrize("activation", SMOOTH + KINKED)
def test_the_adjoint_identity_holds_to_1e_12(activation):
    (objective,) = network_objectives(two_layers(activation), batch(two_layers(activation)))
    for of, kind in itertools.product(
        (objective, objective.curvature(np.random.default_rng(0))), ("rademacher", "gaussian")
    ):
        direction = random_direction(of.tensors, np.random.default_rng(1), kind)
        size = math.sqrt(sum(np.sum(gradient**2) for gradient in of.gradient.values())) * norm(direction)
        assert abs(of.forward(direction) - of.slope(direction)) <= 1e-12 * size


@pytest.mark.parametrize("activation", SMOOTH)
def test_taylor_rates(activation):
    (objective,) = network_objectives(two_layers(activation), batch(two_layers(activation)))
    curvature = objective.curvature(np.random.default_rng(0))
    for tensor in objective.tensors:
        v = random_direction([tensor], np.random.default_rng(2), "gaussian")
        v = [part._replace(vector=part.vector / norm(v)) for part in v]
        first, second = by_remainder(objective, v), by_remainder(curvature, v)
        assert (first.analytic, second.analytic) == (2.0, 3.0)
        assert first.numeric > 1.95
        assert second.numeric > 2.9


# --- what is wrong is found --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in METHODS if name != "adjoint"])
@pytest.mark.parametrize(("activation", "factor"), [("tanh", 1.001), ("relu", 1.001), ("relu", 0.0), ("sigmoid", -1.0)])
def test_a_rule_that_both_modes_share(monkeypatch, activation, factor, method):
    wrong(monkeypatch, activation, factor)
    report = check(two_layers(activation), method)
    assert not report.passed
    failed = {check.name for check in report.checks if check.verdict == "FAIL"}
    assert failed & {"dense_1.weight", "dense_1.bias"}
    assert not failed & {"dense_2.weight", "dense_2.bias"}
    names = {check.name for check in report.rules}
    assert names == {f"dense_1: {activation} by operand 0"}


def test_the_adjoint_method_is_blind_to_it(monkeypatch):
    wrong(monkeypatch, "tanh")
    assert check(two_layers("tanh"), "adjoint").passed


@pytest.mark.parametrize("method", ["auto", "adjoint"])
def test_a_forward_rule_by_itself(monkeypatch, method):
    wrong(monkeypatch, "tanh", rule="jvp")
    report = check(two_layers("tanh"), method)
    assert not report.passed
    failed = {(check.name, check.kind) for check in report.checks if check.verdict == "FAIL"}
    kind = "forward mode" if method == "auto" else "parameter"
    assert failed == {("dense_1.weight", kind), ("dense_1.bias", kind)}
    (rule,) = report.rules
    assert (rule.name, rule.kind, rule.verdict) == ("dense_1: tanh by operand 0", "forward mode", "FAIL")
    assert rule.worst.relative_error == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("method", ["auto", "central", "complex", "taylor", "projection", "adjoint"])
def test_a_rule_of_matrices(monkeypatch, method):
    wrong(monkeypatch, "matmul", rule="transpose_right")
    report = check(two_layers("tanh"), method)
    assert not report.passed
    assert {rule.name for rule in report.rules} == {
        "dense_1: matmul by operand 1",
        "dense_2: matmul by operand 1",
    }


def test_rules_of_the_regularization(monkeypatch):
    wrong(monkeypatch, "square")
    report = check(two_layers("tanh", l2=0.1), "auto")
    assert {(check.name, check.kind) for check in report.checks if check.verdict == "FAIL"} == {
        ("dense_1.weight", "regularization"),
        ("dense_2.weight", "regularization"),
    }
    assert {rule.name for rule in report.rules} == {"loss: square by operand 0"}


@pytest.mark.parametrize("method", ["auto", "central", "complex", "adjoint", "taylor", "projection"])
def test_a_rule_that_is_right_once_only(monkeypatch, method):
    """Its value is right, what is made of it is a constant: the second order is wrong in reverse mode."""
    right = OPS["tanh"].partials
    monkeypatch.setattr(
        OPS["tanh"], "partials", lambda self, x, *, out: tuple(map(ad.stop_gradient, right(self, x, out=out)))
    )
    assert check(two_layers("tanh"), method).passed
    if method != "adjoint":  # both modes share it
        report = check(two_layers("tanh"), method, order=2)
        assert not report.passed
        assert {rule.name for rule in report.rules} == {"dense_1: tanh by operand 0"}


def test_a_derivative_that_a_program_hides_is_found():
    """A stop_gradient that does not cancel: no rule is wrong, the gradient is."""
    x = ad.input_("x", (3,))
    scalar = ad.sum(x * ad.stop_gradient(x))
    for method in ("auto", "central", "complex", "projection", "taylor"):
        (found, *_) = check_scalar(scalar, {"x": x}, {"x": np.ones(3)}, name="f", kind="op", method=method)
        assert found.verdict == "FAIL"


# --- small, large and undefined ----------------------------------------------------------------------------------


def scalar_check(traced, at, method, **more):
    x = ad.input_("x", np.shape(at))
    (found, *_) = check_scalar(
        ad.sum(traced(x)), {"x": x}, {"x": np.asarray(at, float)}, name="f", kind="op", method=method, **more
    )
    return found


def test_a_small_derivative_is_rescaled_before_it_is_tiny():
    """1e-9 beside 1: a step of 6e-6 has rounding of 1e-10, one of 3e-3 sees it."""
    assert scalar_check(lambda x: 1e-8 * x + 1.0, [0.5], "central").verdict == "PASS"
    assert scalar_check(lambda x: 1e-14 * x + 1.0, [0.5], "central").verdict == "TINY"
    assert scalar_check(lambda x: 1e-14 * x + 1.0, [0.5], "complex").verdict == "PASS"
    assert scalar_check(lambda x: 1e-14 * x + 1.0, [0.5], "auto").verdict == "PASS"


def test_a_small_derivative_beside_a_large_third_one_passes():
    """1e-7 beside a third derivative of 10: a difference with h = 6e-6 is off by 6e-11, which is 6e-4 of it."""

    def bent(x):
        return 1e-2 * ad.sin(10.0 * x) - 0.0999999 * x

    found = scalar_check(bent, [0.0], "central")
    assert found.verdict == "PASS"
    assert found.worst.analytic == pytest.approx(1e-7)


def test_a_small_wrong_derivative_is_found_by_a_larger_step():
    assert scalar_check(lambda x: 1e-8 * (x * ad.stop_gradient(x)) + 1.0, [0.5], "central").verdict == "FAIL"


@pytest.mark.parametrize("method", ["auto", "central", "complex"])
def test_a_loss_that_rounding_is_most_of(method):
    """Where the classes are certain the loss is 1e-14 and so is its gradient: differences of numbers near 1."""
    logits = ad.input_("logits", (4, 3))
    loss = LOSSES["cross_entropy"].model_validate({}).apply(logits, ad.constant(np.zeros(4, np.int64)))
    arrays = {"logits": np.array([[32.0, 0.3, 0.1]] * 4)}
    (found, *_) = check_scalar(loss, {"logits": logits}, arrays, name="loss", kind="loss", method=method)
    assert found.verdict in ("PASS", "TINY")


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize(("traced", "at"), [(ad.log, [-1.0, 2.0]), (ad.sqrt, [0.0, 1.0]), (ad.log, [0.0, 1.0])])
def test_what_is_not_finite(method, traced, at):
    assert scalar_check(traced, at, method).verdict == "NONFINITE"


def test_an_empty_array_has_nothing_to_be_wrong():
    found = scalar_check(ad.tanh, np.zeros((0, 3)), "auto")
    assert (found.verdict, found.entries) == ("PASS", ())


# --- finding one among many --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong_at", [0, 1, 7, 8, 23])
def test_bisection_takes_as_many_steps_as_the_logarithm(wrong_at):
    tensors = [Tensor(str(k), "parameter", ad.input_("x", (8,)), "x", 8 * k) for k in range(3)]
    direction, calls = random_direction(tensors, np.random.default_rng(0), "gaussian"), []

    def residual(along):
        calls.append(along)
        return sum(
            float(value)
            for part in along
            for k, value in enumerate(part.vector)
            if 8 * tensors.index(part.tensor) + part.start + k == wrong_at
        )

    tensor, element = locate(residual, direction, residual(direction))
    assert 8 * tensors.index(tensor) + element == wrong_at
    assert len(calls) <= 1 + 2 + 3


@pytest.mark.parametrize(
    ("widths", "at"),
    [
        ((20, 30, 10), (17, 5)),
        ((196, 250, 50, 10), (123, 145)),
        pytest.param((784, 1000, 200, 10), (123, 456), marks=pytest.mark.slow),
    ],
)
def test_one_wrong_weight_is_named_by_projection(widths, at):
    """Wrong by 1e-4 of a typical entry; of a million weights, in under 100 forward passes."""
    first, *hidden, last = widths
    recipe = network(*(dense(n, activation="tanh") for n in hidden), dense(last), width=first)
    arrays = batch(recipe, 8)
    (right,) = network_objectives(recipe, arrays)
    typical = math.sqrt(np.mean(np.concatenate([g**2 for g in right.gradient.values()])))
    weight = next(tensor for tensor in right.tensors if tensor.name == "dense_1.weight")
    gradient = [value + 0.0 for value in ad.gradients(right.scalar, [tensor.value for tensor in right.tensors])]
    error = np.zeros(weight.shape)
    error[at] = 1e-4 * typical
    gradient[0] = gradient[0] + ad.constant(error)
    broken = Objective(right.inputs, right.scalar, right.tensors, right.point, gradient)
    broken.passes = 0
    named, directions = METHODS["projection"]().check(broken, Options())
    assert broken.passes < 100
    assert (named.name, named.verdict, named.worst.index) == ("dense_1.weight", "FAIL", at)
    assert named.worst.absolute_error == pytest.approx(1e-4 * typical, rel=0.01)
    assert directions.verdict == "FAIL"
    assert METHODS["projection"]().check(right, Options())[0].verdict == "PASS"


def test_directions_find_what_samples_miss():
    """One entry of 20 x 10 is sampled; the complex step sees the whole tensor, and names the wrong entry."""
    recipe = network(dense(20, activation="tanh"), dense(3), width=10)
    (right,) = network_objectives(recipe, batch(recipe))
    gradient = ad.gradients(right.scalar, [tensor.value for tensor in right.tensors])
    error = np.zeros((20, 10))
    error[11, 4] = 1e-6
    gradient[0] = gradient[0] + ad.constant(error)
    broken = Objective(right.inputs, right.scalar, right.tensors, right.point, gradient)
    for method in ("auto", "complex"):
        first = METHODS[method]().check(broken, Options(samples=1))[0]
        assert (first.name, first.verdict, first.worst.index) == ("dense_1.weight", "FAIL", (11, 4))


class Ones:
    """Draws nothing but 1."""

    def choice(self, signs, shape):
        return np.ones(shape)


def nothing_along_ones() -> Objective:
    """A normalized row does not change along (1, 1, 1); reverse mode and the complex step round there."""
    x, rng = ad.input_("x", (2, 3)), np.random.default_rng(3)
    z = x - ad.mean(x, 1, keepdims=True)
    out = z / ad.sqrt(ad.mean(ad.square(z), 1, keepdims=True) + 0.01)
    scalar = ad.sum(out * ad.constant(rng.standard_normal((2, 3))))
    return Objective({"x": x}, scalar, [Tensor("x", "input", x, "x")], {"x": rng.standard_normal((2, 3))}).curvature(
        Ones()
    )


@pytest.mark.parametrize("method", get_args(GradientCheckSettings.model_fields["method"].annotation))
def test_a_curvature_of_exactly_nothing_is_not_taken_for_wrong(method):
    right = nothing_along_ones()
    (tensor,) = right.tensors
    np.testing.assert_array_equal(right.gradient[tensor], 0.0)
    found = METHODS[method]().check(right, Options("all"))
    assert {check.verdict for check in found} <= {"PASS", "TINY"}


@pytest.mark.parametrize("method", ["auto", "central", "complex", "adjoint", "projection"])  # taylor bends by itself
def test_rounding_of_the_other_way_hides_no_wrong_curvature(method):
    right = nothing_along_ones()
    wrong = Objective(
        right.inputs, right.scalar, right.tensors, right.point, [right.tensors[0].value * 0.0 + 1e-6], right.base
    )
    assert "FAIL" in {check.verdict for check in METHODS[method]().check(wrong, Options("all"))}

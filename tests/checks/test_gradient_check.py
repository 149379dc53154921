"""The gradient check: it passes what is right, finds what is 0.1 % wrong, and is not fooled by kinks and rounding."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from numeric_derivatives import check_scalar

from backprop_cli import autodiff as ad
from backprop_cli.autodiff import OPS
from backprop_cli.autodiff.families import Elementwise
from backprop_cli.checks.gradients import check_gradients, in_float64
from backprop_cli.checks.method import Options
from backprop_cli.checks.result import Check, CheckedEntry, Report
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.training.state import State
from backprop_cli.training.step_program import INPUTS, PARAMETERS, TARGETS, Recipe


def network(*layers, loss="cross_entropy", l1=0.0, l2=0.0, dtype="float64", **loss_settings) -> Recipe:
    return Recipe(
        model=Model.build([LAYERS[layer["type"]].model_validate(layer) for layer in layers], (4,), dtype),
        loss=LOSSES[loss].model_validate({"type": loss, **loss_settings}),
        optimizer=OPTIMIZERS["sgd"].model_validate({}),
        regularization=RegularizationSettings(l1=l1, l2=l2),
    )


def dense(units: int, **more):
    return {"type": "dense", "units": units, **more}


def batch(recipe: Recipe, count=6, seed=0):
    """Parameters as they start, and a batch with its noise."""
    rng = np.random.default_rng(seed)
    task, shape = recipe.loss.task, (count, *recipe.model.output_shape)
    labels = task in ("classes", "tokens")
    targets = rng.integers(0, shape[-1], shape[:-1]) if labels else rng.standard_normal(shape)
    if task == "binary":
        targets = (targets > 0).astype(float)
    if task == "tokens":
        targets[0] = -1  # ignored
    noise = {name: rng.random(spec.shape) for name, spec in recipe.model.noise(count).items()}
    inputs = rng.standard_normal((count, 4)).astype(recipe.model.dtype)
    return {PARAMETERS: State.start(recipe, seed).parameters, INPUTS: inputs, TARGETS: targets, **noise}


def check(recipe: Recipe, arrays=None, **options) -> Report:
    options = Options(**{"samples": "all", **options})
    return check_gradients(recipe, arrays or batch(recipe), target="it", options=options)


def verdicts(report: Report, kind="parameter") -> dict[str, str]:
    return {check.name: check.verdict for check in report.checks if check.kind == kind}


ALL_PASS = dict.fromkeys(["dense_1.weight", "dense_1.bias", "dense_2.weight", "dense_2.bias"], "PASS")


PAIRS = [
    *(("tanh", loss) for loss in LOSSES),
    *((name, "cross_entropy") for name in ACTIVATIONS if name not in ("tanh", "softmax", "log_softmax")),
]


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_right_gradients_pass(activation, loss):
    last = [dense(6), {"type": "reshape", "shape": [2, 3]}] if LOSSES[loss].task == "tokens" else [dense(3)]
    report = check(network(dense(5, activation=activation), *last, loss=loss, l1=1e-3, l2=1e-2))
    assert report.passed
    assert verdicts(report) == ALL_PASS
    assert verdicts(report, "regularization") == {"dense_1.weight": "PASS", "dense_2.weight": "PASS"}


def test_it_runs_in_float64_whatever_the_network_does():
    single = network(dense(5, activation="tanh"), {"type": "dropout"}, dense(3), dtype="float32")
    report = check(single)
    assert report.passed
    assert report.dtype == "float64"
    assert verdicts(report) == ALL_PASS
    assert in_float64(single).model.dtype == np.float64
    assert single.model.dtype == np.float32


def test_what_it_is_given_is_left_as_it_was():
    recipe = network(dense(5, activation="relu"), dense(3))
    arrays = batch(recipe)
    before = {name: array.copy() for name, array in arrays.items()}
    check(recipe, arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])


def test_same_seed_same_entries():
    recipe = network(dense(5, activation="tanh"), dense(3))
    first, again, other = (check(recipe, samples=4, seed=seed) for seed in (1, 1, 2))
    assert first.to_json() == again.to_json()
    assert first.to_json() != other.to_json()
    assert {len(c.entries) for c in first.checks} == {3, 4}  # the bias of the last layer has three


def wrong(cls, factor):
    """The partials of an op, off by a factor."""
    right = cls.partials

    def partials(self, *x, out):
        return tuple(None if part is None else part * factor for part in right(self, *x, out=out))

    return partials


WRONG = [
    ("tanh", "tanh", 1.001),
    ("relu", "relu", 1.001),
    ("relu", "relu", 0.0),
    ("relu", "relu", -1.0),
    ("sigmoid", "sigmoid", 0.999),
    ("softplus", "softplus", 1.001),
]


@pytest.mark.parametrize(("op", "activation", "factor"), WRONG)
def test_a_rule_wrong_by_a_thousandth_is_found_and_its_parameters_named(monkeypatch, op, activation, factor):
    monkeypatch.setattr(OPS[op], "partials", wrong(OPS[op], factor))
    report = check(network(dense(5, activation=activation), dense(3)))
    assert not report.passed
    assert verdicts(report) == {**ALL_PASS, "dense_1.weight": "FAIL", "dense_1.bias": "FAIL"}
    assert [c.verdict for c in report.checks] == ["FAIL", "FAIL", "PASS", "PASS"]  # worst first
    worst = report.worst
    assert worst is report.checks[0]
    expected = abs(factor - 1) / max(1, abs(factor))
    assert worst.worst.relative_error == pytest.approx(expected, rel=1e-3)


def test_a_missing_mean_over_the_batch_is_found(monkeypatch):
    right = OPS["matmul"].transpose_left
    monkeypatch.setattr(OPS["matmul"], "transpose_left", lambda self, *a, **k: right(self, *a, **k) * 1.001)
    report = check(network(dense(5, activation="tanh"), dense(3)))
    assert not report.passed


# --- kinks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A network at a point where relu's input is exactly 0."""

    layers: tuple
    zero: str
    l1: float = 0.0


KINKS = {
    "zero inputs and zero biases": Case((dense(5, activation="relu"), dense(3)), INPUTS),
    "zero weights": Case((dense(5, activation="relu", initializer="zeros"), dense(3)), ""),
    "zero weights twice": Case(
        (dense(5, activation="relu", initializer="zeros"), dense(5, activation="relu"), dense(3)), ""
    ),
    "absolute values": Case((dense(5, activation="tanh", initializer="zeros"), dense(3)), "", l1=0.1),
    "leaky": Case((dense(5, activation="leaky_relu", initializer="zeros"), dense(3)), ""),
}


def at_kink(name: str, **options) -> Report:
    case = KINKS[name]
    recipe = network(*case.layers, l1=case.l1)
    arrays = batch(recipe)
    if case.zero:
        arrays[case.zero] = np.zeros_like(arrays[case.zero])
    return check(recipe, arrays, **options)


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_kink_is_no_failure(name, seed):
    report = at_kink(name, seed=seed)
    assert report.passed
    found = {check.verdict for check in report.checks}
    assert "KINK" in found
    assert found <= {"KINK", "PASS"}


@pytest.mark.parametrize("factor", [1.001, 0.5, -1.0])
@pytest.mark.parametrize("name", ["zero inputs and zero biases", "zero weights"])
def test_at_a_kink_a_wrong_rule_is_still_found(monkeypatch, name, factor):
    monkeypatch.setattr(OPS["relu"], "partials", wrong(OPS["relu"], factor))
    assert not at_kink(name).passed


def test_a_kink_close_by_is_stepped_around():
    """At 1e-6 a step of 6e-6 would cross it; a smaller one does not."""
    x = ad.input_("x", (1,))
    for at in (1e-6, -1e-6):
        (found,) = check_scalar(ad.sum(ad.relu(x)), {"x": x}, {"x": np.array([at])}, name="relu", kind="op")
        assert found.verdict == "PASS"
        assert found.worst.analytic == (at > 0)


def test_the_line_of_a_run_names_the_worst_that_could_be_told():
    report = at_kink("zero inputs and zero biases")
    assert report.checks[0].verdict == "KINK"
    assert report.worst.verdict == "PASS"


# --- rounding and numbers that are none ------------------------------------------------------------------------


def scalar_check(traced, at, tolerance=1e-5, **more) -> Check:
    x = ad.input_("x", np.shape(at))
    (found,) = check_scalar(
        ad.sum(traced(x)), {"x": x}, {"x": np.asarray(at, float)}, name="f", kind="op", tolerance=tolerance, **more
    )
    return found


def test_a_derivative_below_the_rounding_of_the_loss_is_tiny():
    found = scalar_check(lambda x: 1e-14 * x + 1.0, [0.5], method="central")
    assert found.verdict == "TINY"
    assert Report("", 1e-5, (found,), 0.0).passed


def test_a_tiny_entry_beside_one_that_can_be_told_counts_for_nothing():
    x = ad.input_("x", (2,))
    weights = ad.constant(np.array([1e-14, 1.0]))
    (found,) = check_scalar(
        ad.sum(weights * x) + 1.0, {"x": x}, {"x": np.array([0.5, 0.5])}, name="f", kind="op", method="central"
    )
    assert [entry.verdict for entry in found.entries] == ["TINY", "PASS"]
    assert found.verdict == "PASS"
    assert found.to_json()["max_relative_error"] < 1e-5


@pytest.mark.parametrize(("traced", "at"), [(ad.log, [0.0]), (ad.sqrt, [0.0]), (ad.log, [-1.0])])
def test_a_derivative_that_is_not_finite(traced, at):
    found = scalar_check(traced, at)
    assert found.verdict == "NONFINITE"
    assert not Report("", 1e-5, (found,), 0.0).passed


def test_parameters_that_are_not_finite():
    recipe = network(dense(5, activation="relu"), dense(3))
    arrays = batch(recipe)
    arrays[PARAMETERS] = np.full_like(arrays[PARAMETERS], np.nan)
    report = check(recipe, arrays)
    assert not report.passed
    assert set(verdicts(report).values()) == {"NONFINITE"}
    assert report.to_json()["checks"][0]["max_relative_error"] == math.inf


def test_tolerance_decides():
    @dataclass(frozen=True)
    class Slightly(Elementwise):
        ufunc: ClassVar = np.tanh

        def partials(self, x, *, out):
            return (1.0003 * (1.0 - out * out),)

    assert scalar_check(lambda x: Slightly()(x), [0.5]).verdict == "FAIL"
    assert scalar_check(lambda x: Slightly()(x), [0.5], tolerance=1e-3).verdict == "PASS"


def test_a_tolerance_below_rounding_decides_nothing():
    found = scalar_check(lambda x: ad.tanh(x) * x, [0.3, 0.7, 1.1], tolerance=1e-20)
    assert {entry.verdict for entry in found.entries} <= {"PASS", "TINY"}
    assert "TINY" in [entry.verdict for entry in found.entries]


# --- what it says ----------------------------------------------------------------------------------------------


def test_after_max_seconds_nothing_is_checked_and_nothing_claimed():
    report = check(network(dense(5, activation="tanh"), dense(3)), deadline=0.0)
    assert report.passed
    assert {(c.verdict, len(c.entries)) for c in report.checks} == {("TINY", 0)}
    assert report.checks[0].to_json() == {
        "name": "dense_1.weight",
        "kind": "parameter",
        "shape": [5, 4],
        "size": 20,
        "checked": 0,
        "judged": 0,
        "max_relative_error": 0.0,
        "max_absolute_error": 0.0,
        "worst": None,
        "verdict": "TINY",
    }


def test_json_is_that_of_the_contract():
    report = check(network(dense(5, activation="tanh"), dense(3)), samples=4)
    content = report.to_json()
    assert list(content) == ["passed", "target", "method", "dtype", "tolerance", "checks"]
    assert (content["passed"], content["target"], content["tolerance"]) == (True, "it", 1e-5)
    errors = ["max_relative_error", "max_absolute_error"]
    keys = ["name", "kind", "shape", "size", "checked", "judged", *errors, "worst", "verdict"]
    for found in content["checks"]:
        assert list(found) == keys
        assert list(found["worst"]) == ["index", "analytic", "numeric"]
        assert len(found["worst"]["index"]) == len(found["shape"])
        assert found["checked"] == min(4, found["size"])
    errors = [found["max_relative_error"] for found in content["checks"]]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(
    ("analytic", "numeric", "relative"),
    [(1.0, 1.1, 0.1 / 1.1), (0.0, 0.0, 0.0), (0.0, 2.0, 1.0), (-1.0, 1.0, 2.0)],
)
def test_relative_error(analytic, numeric, relative):
    assert CheckedEntry((), analytic, numeric, "PASS").relative_error == pytest.approx(relative)


def test_relative_error_of_nan_is_nan():
    assert math.isnan(CheckedEntry((), math.nan, 1.0, "NONFINITE").relative_error)


def test_the_gravest_entry_decides():
    entries = tuple(CheckedEntry((k,), 1.0, 1.0, verdict) for k, verdict in enumerate(["PASS", "KINK", "FAIL", "TINY"]))
    found = Check("x", "parameter", (4,), entries)
    assert (found.verdict, found.worst.index) == ("FAIL", (2,))
    assert Check("x", "parameter", (2,), entries[:2]).verdict == "KINK"

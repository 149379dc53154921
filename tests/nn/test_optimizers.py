"""Optimizers: PyTorch's stored numbers, one step by hand, a parabola, Rosenbrock's valley."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from nn_support import build, distance, inputs, label, samples
from pydantic import ValidationError

from backprop_cli import autodiff as ad
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.optimizer import OPTIMIZERS, FullBatch

TORCH = json.loads(Path(__file__).with_name("torch_reference.json").read_text())["optimizers"]
STEPPING = [name for name, cls in OPTIMIZERS.items() if not issubclass(cls, FullBatch)]
"""Those that update by a formula, not by a search: see tests/training/test_full_batch.py for the others."""
CASES = [settings for name, settings in samples(OPTIMIZERS) if name in STEPPING]


class Minimizer:
    """An optimizer on a flat vector of parameters, which are one of that shape."""

    def __init__(self, optimizer, objective, start, dtype="float64"):
        self.optimizer, self.step = optimizer, 0
        self.parameters = np.array(start, dtype)
        names = list(optimizer.scalars(1))
        slots = {n: np.full_like(self.parameters, optimizer.slot_start(n)) for n in optimizer.slot_names()}
        scalars = {n: np.zeros((), dtype) for n in names}
        values, _ = inputs(parameters=self.parameters, **slots, **scalars)
        p = values["parameters"]
        loss = objective(p)
        (g,) = ad.gradients(loss, [p])
        direction, new = optimizer.update(g, {n: values[n] for n in slots}, {n: values[n] for n in names}, p)
        if optimizer.shaped:
            direction = optimizer.shaped_direction(direction, p)
        self.program = ad.Program(values, {"loss": loss, "direction": direction}, new)
        self.plan = Plan(self.program, {"parameters": self.parameters, **slots, **scalars})

    def __call__(self):
        """One step; the loss before it."""
        self.step += 1
        for name, number in self.optimizer.scalars(self.step).items():
            self.plan.inputs[name][...] = number
        self.plan.run()
        loss, direction = float(self.plan.outputs["loss"]), self.plan.outputs["direction"]
        self.parameters -= np.asarray(self.optimizer.learning_rate, direction.dtype) * direction
        return loss


def _small_network(p):
    """Mean squared error of a 3-4-2 network with tanh, whose weights are ``p`` in PyTorch's order."""
    sizes, starts = [(4, 3), (4,), (2, 4), (2,)], [0, 12, 16, 24, 26]
    w1, b1, w2, b2 = (
        ad.reshape(ad.slice_(p, 0, a, b), size) for size, a, b in zip(sizes, starts, starts[1:], strict=False)
    )
    x, t = ad.constant(np.array(TORCH["x"])), ad.constant(np.array(TORCH["t"]))
    return ad.mean(ad.square(ad.tanh(x @ w1.T + b1) @ w2.T + b2 - t))


@pytest.mark.parametrize("name", TORCH["runs"])
def test_twenty_steps_are_pytorchs(name):
    run = TORCH["runs"][name]
    minimize = Minimizer(build(OPTIMIZERS, run["settings"]), _small_network, TORCH["start"])
    losses = [minimize() for _ in run["losses"]]
    np.testing.assert_allclose(losses, run["losses"], rtol=1e-11)
    moved = np.array(run["end"]) - TORCH["start"]
    assert distance(minimize.parameters - TORCH["start"], moved) < 1e-11


def test_every_optimizer_is_compared_with_pytorch():
    """Those of which some see shapes in tests/training/test_parts.py."""
    runs = {**TORCH["runs"], **TORCH["parts"]}
    assert {run["settings"]["type"] for run in runs.values()} == set(STEPPING)


def test_learning_rates_are_pytorchs():
    """Those of lion and lamb, which are not in PyTorch, and muon's are their authors'."""
    assert {name: cls().learning_rate for name, cls in OPTIMIZERS.items()} == {
        "adadelta": 1.0,
        "adagrad": 1e-2,
        "adam": 1e-3,
        "adamax": 2e-3,
        "adamw": 1e-3,
        "lamb": 1e-3,
        "lbfgs": 1.0,
        "lion": 1e-4,
        "muon": 2e-2,
        "nadam": 2e-3,
        "radam": 1e-3,
        "rmsprop": 1e-2,
        "sgd": 1e-3,
    }


# One step by hand: gradient 3 at the parameter 2, the second step gradient -1. Formulas of the papers.
def _adam(g, m, v, t, epsilon=1e-8):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + epsilon), m, v


def _by_hand(name, first, second, parameter):
    a, m, v = _adam(first, 0, 0, 1)
    b, _, _ = _adam(second, m, v, 2)
    mu = [0.9 * (1 - 0.5 * 0.96 ** (t * 0.004)) for t in (1, 2, 3)]
    n1, n2 = 0.1 * first, 0.09 * first + 0.1 * second
    u1, u2 = 0.001 * first**2, 0.000999 * first**2 + 0.001 * second**2
    u3 = 0.09 * first**2 + 0.1 * second**2
    b1 = 0.05 * first
    return {
        "sgd": [first, second],
        "adagrad": [first / (abs(first) + 1e-10), second / (math.sqrt(first**2 + second**2) + 1e-10)],
        "rmsprop": [
            first / (math.sqrt(0.01 * first**2) + 1e-8),
            second / (math.sqrt(0.99 * 0.01 * first**2 + 0.01 * second**2) + 1e-8),
        ],
        "adam": [a, b],
        "adamw": [a + 0.01 * parameter[0], b + 0.01 * parameter[1]],
        "adadelta": [
            first * 1e-3 / math.sqrt(0.1 * first**2 + 1e-6),
            second * math.sqrt(1e-7 * first**2 / (0.1 * first**2 + 1e-6) + 1e-6) / math.sqrt(u3 + 1e-6),
        ],
        "adamax": [first / (abs(first) + 1e-8), n2 / 0.19 / (0.999 * (abs(first) + 1e-8))],
        "lamb": [_adam(first, 0, 0, 1, 1e-6)[0], _adam(second, m, v, 2, 1e-6)[0]],  # before its second stage
        "muon": [0.05 * first + 0.95 * b1, 0.05 * second + 0.95 * (0.95 * b1 + 0.05 * second)],
        "lion": [math.copysign(1, first), math.copysign(1, 0.9 * 0.01 * first + 0.1 * second)],
        "radam": [n1 / 0.1, n2 / 0.19],  # nothing behind the mean square yet
        "nadam": [
            ((1 - mu[0]) / (1 - mu[0]) * first + mu[1] / (1 - mu[0] * mu[1]) * n1) / (math.sqrt(u1 / 0.001) + 1e-8),
            ((1 - mu[1]) / (1 - mu[0] * mu[1]) * second + mu[2] / (1 - mu[0] * mu[1] * mu[2]) * n2)
            / (math.sqrt(u2 / (1 - 0.999**2)) + 1e-8),
        ],
    }[name]


@pytest.mark.parametrize("name", STEPPING)
def test_two_steps_by_hand(name):
    optimizer = build(OPTIMIZERS, name)
    names, scalars = optimizer.slot_names(), list(optimizer.scalars(1))
    values, feed = inputs(g=np.zeros(1), p=np.zeros(1), **{n: np.zeros(1) for n in names})
    numbers, _ = inputs(**{n: np.zeros(()) for n in scalars})
    direction, new = optimizer.update(values["g"], {n: values[n] for n in names}, numbers, values["p"])
    found = []
    for step, (g, p) in enumerate([(3.0, 2.0), (-1.0, 1.5)], 1):
        feed |= {values["g"]: np.array([g]), values["p"]: np.array([p])}
        feed |= {numbers[n]: np.asarray(x) for n, x in optimizer.scalars(step).items()}
        out, *slots = ad.evaluate([direction, *new.values()], feed)
        feed |= {values[n]: slot for n, slot in zip(new, slots, strict=True)}
        found.append(out.item())
    assert found == pytest.approx(_by_hand(name, 3.0, -1.0, (2.0, 1.5)), rel=1e-13)


def test_momentum_by_hand():
    plain = Minimizer(build(OPTIMIZERS, {"type": "sgd", "learning_rate": 0.5, "momentum": 0.5}), ad.sum, [1.0])
    ahead = Minimizer(
        build(OPTIMIZERS, {"type": "sgd", "learning_rate": 0.5, "momentum": 0.5, "nesterov": True}), ad.sum, [1.0]
    )
    # The gradient is always 1: b = 1, 1.5, 1.75; nesterov looks ahead: 1 + b / 2.
    assert [(plain(), plain.parameters.item())[1] for _ in range(3)] == [0.5, -0.25, -1.125]
    assert [(ahead(), ahead.parameters.item())[1] for _ in range(3)] == [0.25, -0.625, -1.5625]


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_finds_the_bottom_of_a_parabola(settings):
    target, scales = np.array([3.0, -1.0, 0.5]), np.array([1.0, 4.0, 0.25])
    rate = {"adagrad": 0.5, "adadelta": 5.0, "lamb": 0.01}.get(settings["type"], 0.05)
    optimizer = build(OPTIMIZERS, {**settings, "learning_rate": rate})

    def objective(p):
        return ad.sum(ad.constant(scales) * ad.square(p - ad.constant(target)))

    minimize = Minimizer(optimizer, objective, np.zeros(3))
    losses = [minimize() for _ in range(1500)]
    assert losses[-1] < 5e-3 * losses[0]


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_goes_down_rosenbrocks_valley(settings):
    rates = {"sgd": 1e-3, "adagrad": 0.5, "rmsprop": 2e-3, "adadelta": 1.0, "adamax": 0.05, "lion": 2e-3}
    rates["radam"] = 5e-3  # its first steps are those of momentum, and not divided by the gradient's size
    rate = rates.get(settings["type"], 1e-2)
    rate *= 1 - settings.get("momentum", 0.0)
    optimizer = build(OPTIMIZERS, {**settings, "learning_rate": rate})

    def objective(p):
        x, y = ad.slice_(p, 0, 0, 1), ad.slice_(p, 0, 1, 2)
        return ad.sum(ad.square(1.0 - x) + 100.0 * ad.square(y - ad.square(x)))

    minimize = Minimizer(optimizer, objective, [-1.2, 1.0])
    losses = [minimize() for _ in range(1500)]
    assert losses[0] == pytest.approx(24.2)
    assert losses[-1] < 1.0


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_float32_stays_float32(settings):
    minimize = Minimizer(build(OPTIMIZERS, settings), lambda p: ad.sum(ad.square(p)), [1.0, 2.0], "float32")
    assert {value.dtype for value in minimize.program.nodes} == {np.dtype("float32")}
    minimize()
    assert minimize.parameters.dtype == np.float32


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_remembers_what_it_names(settings):
    optimizer = build(OPTIMIZERS, settings)
    minimize = Minimizer(optimizer, lambda p: ad.sum(ad.square(p)), [1.0, 2.0])
    new = minimize.program.updates
    assert set(new) == set(optimizer.slot_names()) <= set(optimizer.slots)
    assert all(value.shape == (2,) for value in new.values())
    assert set(optimizer.scalars(7)) == set(optimizer.scalars(1))


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_a_gradient_of_0_moves_nothing_but_decays(settings):
    optimizer = build(OPTIMIZERS, settings)
    minimize = Minimizer(optimizer, lambda p: 0.0 * ad.sum(p), [1.0, -2.0])
    minimize()
    share = getattr(optimizer, "weight_decay", 0.0)
    if optimizer.type == "lamb" and share:
        share = 1.0  # the decay is all of the direction, whose length is the parameter's
    decay = 1 - optimizer.learning_rate * share
    np.testing.assert_allclose(minimize.parameters, np.array([1.0, -2.0]) * decay, rtol=1e-15)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3)])
def test_muons_singular_values_come_near_1(shape):
    g = np.random.default_rng(0).standard_normal(shape)
    values, feed = inputs(g=g, p=np.zeros(shape))
    (out,) = ad.evaluate([build(OPTIMIZERS, "muon").shaped_direction(values["g"], values["p"])], feed)
    rows, columns = out.reshape(shape[0], -1).shape
    found = np.linalg.svd(out.reshape(rows, columns), compute_uv=False) / max(1, rows / columns) ** 0.5
    assert ((found > 0.65) & (found < 1.25)).all()


@pytest.mark.parametrize(("parameter", "ratio"), [([3.0, 4.0], 5.0 / 13.0), ([0.0, 0.0], 1.0)])
def test_lambs_step_is_as_long_as_the_parameter(parameter, ratio):
    values, feed = inputs(d=np.array([5.0, -12.0]), p=np.array(parameter))
    (out,) = ad.evaluate([build(OPTIMIZERS, "lamb").shaped_direction(values["d"], values["p"])], feed)
    np.testing.assert_allclose(out, ratio * np.array([5.0, -12.0]), rtol=1e-15)


def test_a_group_changes_some_keys_of_some_parameters():
    groups = [{"parameters": "*.bias", "weight_decay": 0.0}, {"parameters": ["dense_2.*"], "learning_rate": 0.1}]
    optimizer = build(OPTIMIZERS, {"type": "adamw", "beta1": 0.5, "groups": groups})
    same = build(OPTIMIZERS, {"type": "adamw", "beta1": 0.5})
    assert optimizer.of("dense_1.weight", (2, 3)) == same
    assert optimizer.of("dense_2.bias", (2,)) == same.model_copy(update={"weight_decay": 0.0})  # the first that has it
    assert optimizer.of("dense_2.weight", (2, 3)) == same.model_copy(update={"learning_rate": 0.1})


def test_a_factor_of_the_learning_rate_follows_it():
    groups = [{"parameters": "scale_*", "learning_rate_factor": 6.0}]
    optimizer = build(OPTIMIZERS, {"type": "adam", "learning_rate": 0.02, "groups": groups})
    assert optimizer.of("scale_1.weight", (3,)).learning_rate == 6.0 * 0.02
    slower = optimizer.model_copy(update={"learning_rate": 0.001})
    assert slower.of("scale_1.weight", (3,)).learning_rate == 6.0 * 0.001
    assert optimizer.of("dense_1.weight", (3,)).learning_rate == 0.02


def test_muon_leaves_what_is_no_matrix_to_its_fallback():
    groups = [{"parameters": "head.*", "fallback": "sgd"}, {"parameters": "conv_1.*", "momentum": 0.5}]
    muon = build(OPTIMIZERS, {"type": "muon", "groups": groups, "fallback_for": ["embedding_*", "head.weight"]})
    adamw = build(OPTIMIZERS, "adamw")
    assert muon.of("dense_1.weight", (2, 3)) == build(OPTIMIZERS, {"type": "muon", "fallback_for": muon.fallback_for})
    assert muon.of("dense_1.bias", (2,)) == muon.of("embedding_1.weight", (9, 3)) == adamw
    assert muon.of("head.bias", (2,)) == muon.of("head.weight", (2, 3)) == build(OPTIMIZERS, "sgd")
    assert muon.of("conv_1.weight", (4, 2, 3, 3)).momentum == 0.5


def test_nadams_product_far_along():
    nadam, momentum = build(OPTIMIZERS, "nadam"), [0.9 * (1 - 0.5 * 0.96 ** (t * 0.004)) for t in range(1, 51)]
    expected = (1 - momentum[-1]) / (1 - math.prod(momentum))
    assert nadam.scalars(50)["g_weight"] == pytest.approx(expected, rel=1e-14)
    assert nadam.scalars(10**9)["g_weight"] == 1 - 0.9  # no product is left
    assert build(OPTIMIZERS, {"type": "nadam", "beta1": 0}).scalars(3)["g_weight"] == 1.0


def test_centered_rmsprop_survives_a_gradient_that_does_not_change():
    settings = {"type": "rmsprop", "centered": True, "alpha": 0.3}
    minimize = Minimizer(build(OPTIMIZERS, settings), lambda p: 0.1 * ad.sum(p), [1.0])
    for _ in range(200):
        minimize()
    assert np.isfinite(minimize.parameters).all()


NESTEROV = "needs momentum greater than 0"
EXTRA = "Extra inputs are not permitted"
FALLBACK = "muon is for matrices; name an optimizer for the others, such as adamw"


@pytest.mark.parametrize(
    ("settings", "place", "text"),
    [
        ({"type": "sgd", "nesterov": True}, ("nesterov",), NESTEROV),
        ({"type": "sgd", "learning_rate": 0}, ("learning_rate",), "Input should be greater than 0"),
        ({"type": "adam", "beta1": 1}, ("beta1",), "Input should be less than 1"),
        ({"type": "sgd", "groups": [{"parameters": "*", "nesterov": True}]}, ("groups", 0, "nesterov"), NESTEROV),
        (
            {"type": "sgd", "groups": [{"parameters": "*", "momentum": 2.0}]},
            ("groups", 0, "momentum"),
            "Input should be less than 1",
        ),
        (
            {"type": "adam", "groups": [{"parameters": "*", "weight_decay": 0.0}]},
            ("groups", 0, "weight_decay"),
            EXTRA,
        ),
        (
            {"type": "adam", "groups": [{"parameters": "*", "learning_rate": 0.1, "learning_rate_factor": 2.0}]},
            ("groups", 0),
            "sets the learning rate, and so does 'learning_rate'; leave one out",
        ),
        ({"type": "adam", "groups": [{"beta1": 0.5}]}, ("groups", 0, "parameters"), "Field required"),
        ({"type": "adam", "groups": [{"parameters": "*", "type": "sgd"}]}, ("groups", 0, "type"), EXTRA),
        ({"type": "muon", "fallback": "muon"}, ("fallback",), FALLBACK),
        (
            {"type": "muon", "fallback": "lbfgs"},
            ("fallback",),
            "lbfgs steps along all parameters at once; name another optimizer, such as adamw",
        ),
        (
            {"type": "lbfgs", "groups": [{"parameters": "*.bias"}]},
            ("groups",),
            "lbfgs steps along all parameters at once; remove the groups",
        ),
        (
            {"type": "muon", "fallback": {"type": "sgd", "groups": [{"parameters": "*"}]}},
            ("fallback",),
            "groups of the fallback: write them among those of muon, with a fallback in each",
        ),
    ],
)
def test_settings_out_of_range(settings, place, text):
    with pytest.raises(ValidationError) as caught:
        build(OPTIMIZERS, settings)
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == (place, text)

"""Optimizers in float32 with tiny and huge gradients: their formulas in plain float64 numbers."""

import numpy as np
import pytest
from nn_support import build, inputs, label, samples

from backprop_cli import autodiff as ad
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.optimizer import OPTIMIZERS, FullBatch

STEPS = 40
SIZES = (1e-30, 1e-20, 1e-8, 1.0, 1e8, 1e18, 1e19)
SIGNS = {"constant": lambda step: 1.0, "alternating": lambda step: (-1.0) ** step}
CASES = [settings for name, settings in samples(OPTIMIZERS) if not issubclass(OPTIMIZERS[name], FullBatch)]


def found(optimizer, gradients):
    """The directions of ``update`` in float32 at the parameter 0.5."""
    names = {"g": (), "parameter": (), **dict.fromkeys([*optimizer.scalars(1), *optimizer.slot_names()], ())}
    values, _ = inputs(**{name: np.zeros(shape, np.float32) for name, shape in names.items()})
    slots = {name: values[name] for name in optimizer.slot_names()}
    scalars = {name: values[name] for name in optimizer.scalars(1)}
    direction, new = optimizer.update(values["g"], slots, scalars, values["parameter"])
    plan = Plan(simplify(ad.Program(values, {"direction": direction}, new)))
    plan.inputs["parameter"][...] = 0.5
    for name in slots:
        plan.inputs[name][...] = optimizer.slot_start(name)
    directions = []
    with np.errstate(all="ignore"):
        for step, g in enumerate(gradients, 1):
            for name, number in {"g": g, **optimizer.scalars(step)}.items():
                plan.inputs[name][...] = number
            plan.run()
            directions.append(float(plan.outputs["direction"]))
    return directions


def expected(optimizer, gradients):
    """The same by ``formula``."""
    slots = {name: optimizer.slot_start(name) for name in optimizer.slot_names()}
    directions = []
    for step, g in enumerate(gradients, 1):
        direction, slots = optimizer.formula(step, float(np.float32(g)), slots, 0.5)
        directions.append(direction)
    return directions


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("settings", CASES, ids=label)
def test_directions_of_tiny_and_huge_gradients(settings, signs):
    optimizer = build(OPTIMIZERS, settings)
    for size in SIZES:
        gradients = [size * SIGNS[signs](step) for step in range(STEPS)]
        if settings["type"] == "adagrad" and size == 1e19:
            gradients = gradients[:3]  # four squares of it are more than float32 can hold, in PyTorch, too
        got, wanted = found(optimizer, gradients), expected(optimizer, gradients)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max(), err_msg=f"{size}")


def test_adams_slots_are_the_papers_means():
    """Nine directions of gradients near 1, with the bias corrections folded into two numbers, in float32."""
    optimizer, rng = build(OPTIMIZERS, "adam"), np.random.default_rng(0)
    gradients = rng.normal(size=9).astype(np.float32)
    m = v = np.float32(0)
    for step, (g, direction) in enumerate(zip(gradients, found(optimizer, gradients), strict=True), 1):
        m = np.float32(0.9) * m + np.float32(1.0 - 0.9) * g
        v = np.float32(0.999) * v + np.float32(1.0 - 0.999) * g * g
        root = np.sqrt(1.0 - 0.999**step)
        scale, epsilon = np.float32(root / (1.0 - 0.9**step)), np.float32(1e-8 * root)
        assert direction == float(m / (np.sqrt(v) + epsilon) * scale)

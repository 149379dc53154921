"""Numbers of optimizers and layers that follow a schedule of their own."""

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError
from training_support import DENSE, examples, made, recipe, spec, trained

from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State
from backprop_cli.training.step_constants import StepConstants

COURSE = {"type": "flat_cos", "flat": 0.5}
SCALES = [1, 1, 1, 1, 1, 0.5 * (1 + np.cos(np.pi / 4)), 0.5, 0.5 * (1 + np.cos(3 * np.pi / 4))]


def _columns(this):
    """The constants of all steps by name."""
    constants, found = StepConstants(this, State.start(this.recipe, 0)), []
    for step in range(this.total_steps):
        (table, row), _ = constants.after(step, 1)
        found.append(table[row].copy())
    return dict(zip(this.recipe.constants, np.array(found).T, strict=True))


def test_weight_decay_and_dropout_follow_their_schedules():
    groups = [{"parameters": "*.bias", "weight_decay": 0.0}, {"parameters": "dense_2.*", "weight_decay": 0.5}]
    optimizer = {"type": "adamw", "weight_decay": 0.2, "weight_decay_schedule": COURSE, "groups": groups}
    dropout = {"type": "dropout", "rate": 0.4, "schedule": COURSE}
    r = recipe((DENSE[0], dropout, DENSE[1]), optimizer=optimizer)
    found = _columns(spec(r, examples(8, r), epochs=8, batch_size=8))
    decays = {name: column for name, column in found.items() if name.endswith("weight_decay")}
    np.testing.assert_allclose(list(decays.values()), np.outer([0.2, 0.0, 0.5], SCALES), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(found["dropout_1.rate"], 0.4 * np.array(SCALES), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_batch_of_an_accumulated_update_has_the_rate_of_its_step(workers):
    """A schedule that stays at its start changes nothing."""
    ends = []
    for extra in ({}, {"schedule": {"type": "step", "every_epochs": 100}}):
        r = recipe((DENSE[0], {"type": "dropout", "rate": 0.4, **extra}, DENSE[1]), accumulate=True)
        this = spec(r, examples(24, r), batch_size=4, accumulate=3, epochs=2)
        ends.append(trained(dataclasses.replace(this, workers=workers))[0].parameters)
    np.testing.assert_allclose(*ends, rtol=1e-12)


def test_the_decay_is_that_of_the_step():
    """At a constant decay of the same size each single step is the same."""
    optimizer = {"type": "adamw", "learning_rate": 0.1, "weight_decay": 0.8}
    ends = []
    for extra in ({"weight_decay_schedule": {"type": "step", "every_epochs": 1, "factor": 0.5}}, {}):
        r = recipe(optimizer={**optimizer, **extra})
        trainer = Trainer(spec(r, examples(8, r), epochs=2, batch_size=8), State.start(r, 0))
        states = [trainer.state.parameters.copy() for event in trainer.run() if type(event).__name__ == "Epoch"]
        ends.append(states)
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    before, slower, faster = ends[0][0], ends[0][1], ends[1][1]
    np.testing.assert_allclose(slower - faster, 0.1 * 0.4 * before, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    ("registry", "settings"),
    [
        (LAYERS, {"type": "dropout", "schedule": "plateau"}),
        (OPTIMIZERS, {"type": "adamw", "weight_decay_schedule": "plateau"}),
    ],
)
def test_only_the_learning_rate_follows_a_metric(registry, settings):
    with pytest.raises(ValidationError, match="plateau follows a metric, and only the learning rate can"):
        made(registry, settings)

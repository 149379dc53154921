"""A cheap measure for every so many steps: do forward and reverse mode still agree?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backprop_cli.autodiff import Array, Program, Value, input_, jvp, sqrt, square
from backprop_cli.autodiff import sum as sum_
from backprop_cli.checks.gradients import in_float64
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.training.step_program import GRADIENT, INPUTS, LOSS, PARAMETERS, Recipe, gradient_program

LIMIT = 1e-9
"""A residual above which a rule is wrong: right ones have about 1e-16, a rule off by a thousandth about 1e-4."""

_DIRECTION, _FORWARD, _REVERSE, _NORM = "direction", "forward", "reverse", "norm"


class AdjointMonitor:
    """``|forward - reverse| / (|g| |v|)``: the derivative of the loss with regularization along a random v, both ways.

    In float64; a plan is kept for each size of batch, so that a measure is about four forward passes.
    """

    def __init__(self, recipe: Recipe):
        self._recipe = in_float64(recipe)
        self._plans: dict[int, Plan] = {}

    def residual(self, arrays: Mapping[str, Array], rng: np.random.Generator) -> float:
        """Of one batch, given as for ``check_gradients``; NaN where a derivative is not finite, 0 where both are 0."""
        plan = self._plan(len(arrays[INPUTS]))
        for name, array in plan.inputs.items():
            array[...] = rng.choice([-1.0, 1.0], array.shape) if name == _DIRECTION else arrays[name]
        with np.errstate(all="ignore"):
            plan.run()
        forward, reverse, norm = (float(plan.outputs[name]) for name in (_FORWARD, _REVERSE, _NORM))
        gap = abs(forward - reverse)
        return gap / (norm * self._recipe.layout.size**0.5) if gap else 0.0

    def _plan(self, batch: int) -> Plan:
        if batch not in self._plans:
            self._plans[batch] = Plan(simplify(_program(self._recipe, batch)))
        return self._plans[batch]


def _program(recipe: Recipe, batch: int) -> Program:
    program = gradient_program(recipe, batch)
    vector, gradient = program.inputs[PARAMETERS], program.outputs[GRADIENT]
    v = input_(_DIRECTION, vector.shape)
    (forward,) = jvp([program.outputs[LOSS]], [vector], [v])
    outputs: dict[str, Value] = {
        _FORWARD: forward,
        _REVERSE: sum_(gradient * v),
        _NORM: sqrt(sum_(square(gradient))),
    }
    return Program({**program.inputs, _DIRECTION: v}, outputs)

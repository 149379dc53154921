"""Quasi-Newton steps with the curvature of the last few steps, for small networks and data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import field_validator

from backprop_cli.nn.optimizer import OPTIMIZERS, Array, FullBatch, LearningRate
from backprop_cli.nn.parameter_group import ParameterGroup
from backprop_cli.settings import FREE, NonNegative, PositiveInt, refusal


@OPTIMIZERS.register
class Lbfgs(FullBatch):
    """``direction = H g``, H the BFGS estimate of the inverse Hessian from the last ``history`` steps.

    A strong Wolfe line search finds the length of the step. An update is one iteration on the whole train split:
    ``training.batch_size`` is left out. It evaluates loss and gradient as often as the search needs, usually once or
    twice. An epoch is one update; it reports loss and metrics after the update, and the step's length as
    ``learning_rate``. Training ends when no entry of the gradient exceeds ``tolerance``, or when the loss stops falling
    in the training precision: use ``precision: float64`` for more digits.

    The loss must be deterministic and smooth: no dropout, no augmentation, no l1, no clipping.

    Shapes: g and direction (size,), all parameters as one vector; slots gradient, step_0, ..., change_0, ...
            (``history`` of each) as the parameter
    YAML:   {type: lbfgs, history: 20, tolerance: 1.0e-6}
    Source: Nocedal & Wright, Numerical Optimization (2006), algorithms 7.4 (two-loop recursion) and 7.5, equation 7.20,
            line search 3.5 and 3.6.
    """

    type: Literal["lbfgs"] = "lbfgs"
    learning_rate: LearningRate = 1.0
    """first step length that the line search tries, before the schedule"""
    history: PositiveInt = 10
    """number of past steps kept: two vectors of all parameters for each"""
    max_line_search: Annotated[PositiveInt, FREE] = 25
    """most evaluations of loss and gradient in an update"""
    tolerance: Annotated[NonNegative, FREE] = 1e-5
    """training ends when no entry of the gradient exceeds this"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"history": 2})

    @field_validator("groups")
    @classmethod
    def _takes_all(cls, groups: tuple[ParameterGroup, ...]) -> tuple[ParameterGroup, ...]:
        if groups:
            reason = "lbfgs steps along all parameters at once; remove the groups"
            raise refusal(reason)
        return groups

    def direction(self, g: Array, steps: Sequence[Array], changes: Sequence[Array]) -> Array:
        q = g.copy()
        alphas = []
        for s, y in zip(reversed(steps), reversed(changes), strict=True):
            alphas.append(float(s @ q) / float(s @ y))
            q -= alphas[-1] * y
        if steps:
            q *= float(steps[-1] @ changes[-1]) / float(changes[-1] @ changes[-1])
        for s, y, alpha in zip(steps, changes, reversed(alphas), strict=True):
            q += (alpha - float(y @ q) / float(s @ y)) * s
        return q

    def direction_formula(self, g: Array, steps: Sequence[Array], changes: Sequence[Array]) -> Array:
        """Equation 7.16, with whole matrices: ``H <- V^T H V + r s s^T``, ``V = I - r y s^T``, ``1 / r = y^T s``."""
        h = np.eye(len(g))
        if steps:
            h *= (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
        for s, y in zip(steps, changes, strict=True):
            v = np.eye(len(g)) - np.outer(y, s) / (y @ s)
            h = v.T @ h @ v + np.outer(s, s) / (y @ s)
        return np.asarray(h @ g)

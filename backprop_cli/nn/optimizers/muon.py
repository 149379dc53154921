"""Orthogonalized momentum, for matrices."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from backprop_cli.autodiff import Value, maximum, norm, reshape
from backprop_cli.nn.optimizer import (
    OPTIMIZERS,
    Array,
    FullBatch,
    LearningRate,
    Optimizer,
    OptimizerType,
    Scalars,
    ScalarSlots,
    Slots,
)
from backprop_cli.nn.parameter_group import Patterns, matches
from backprop_cli.settings import FREE, DefaultType, FractionBelowOne, NonNegative, Positive, PositiveInt, refusal

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Of the polynomial ``a s + b s^3 + c s^5``: steep at 0, and it keeps singular values near 1 there."""


@OPTIMIZERS.register
class Muon(Optimizer):
    """``direction = sqrt(max(1, rows / columns)) * orthogonal(d) + weight_decay * w`` for each matrix w.

    ``b <- momentum * b + (1 - momentum) * g`` from 0, and d is b, or ``(1 - momentum) * g + momentum * b`` with
    nesterov. ``orthogonal(d)`` is d with all its singular values near 1 (0.7 to 1.2): ``x <- d / |d|``, then
    ``iterations`` times ``x <- 3.4445 x - 4.7750 (x x^T) x + 2.0315 (x x^T)^2 x``. Weights of convolutions are matrices
    (out_channels, all else).

    ``fallback`` is the optimizer of all other parameters (biases, norms), and of those in ``fallback_for``: the authors
    choose embeddings and the last layer. A group may have a ``fallback`` of its own.

    Shapes: g, w and b (slot momentum) as the parameter, a matrix (rows, columns) -> direction as the parameter
    YAML:   {type: muon, learning_rate: 0.02, fallback: {type: adamw, learning_rate: 0.003}, fallback_for: [dense_3.*]}
    Source: Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks (2024); torch.optim.Muon, which
            computes in bfloat16 instead of the training precision, and whose learning rate is 0.001.
    """

    type: Literal["muon"] = "muon"
    learning_rate: LearningRate = 2e-2
    """step size before the schedule"""
    momentum: FractionBelowOne = 0.95
    """share of the mean gradient kept"""
    nesterov: Annotated[bool, FREE] = True
    """whether to look ahead along the momentum"""
    weight_decay: Annotated[NonNegative, FREE] = 0.0
    """share of a matrix that decays in a step, times the learning rate"""
    iterations: PositiveInt = 5
    """iterations of Newton and Schulz, which move the singular values to 1"""
    epsilon: Annotated[Positive, FREE] = 1e-7
    """smallest divisor of a matrix, in place of a smaller norm"""
    fallback: Annotated[OptimizerType, DefaultType("adamw")] = Field(
        default_factory=lambda: OPTIMIZERS["adamw"].model_validate({})
    )
    """optimizer of parameters that are not matrices, with a learning rate of its own; default: adamw"""
    fallback_for: Patterns = ()
    """matrices that the fallback updates too: names with * for any text"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"nesterov": False, "weight_decay": 0.1})
    slots: ClassVar[tuple[str, ...]] = ("momentum",)
    shaped: ClassVar[bool] = True

    @field_validator("fallback")
    @classmethod
    def _takes_any_shape(cls, fallback: Optimizer) -> Optimizer:
        reason = _unfit(fallback)
        if reason:
            raise refusal(reason)
        return fallback

    def for_parameter(self, name: str, shape: tuple[int, ...]) -> Optimizer:
        return self.fallback if len(shape) < 2 or matches(name, self.fallback_for) else self

    def patterns(self) -> dict[tuple[str | int, ...], tuple[str, ...]]:
        return {**super().patterns(), ("fallback_for",): self.fallback_for}

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        b = self.momentum * slot["momentum"] + (1.0 - self.momentum) * g
        return ((1.0 - self.momentum) * g + self.momentum * b if self.nesterov else b), {"momentum": b}

    def shaped_direction(self, direction: Value, parameter: Value) -> Value:
        """The iteration of Newton and Schulz, on the transpose of a tall matrix: its products are smaller."""
        d = reshape(direction, (direction.shape[0], -1))
        rows, columns = d.shape
        x = d / maximum(norm(d), self.epsilon)
        x = x.T if rows > columns else x
        for _ in range(self.iterations):
            gram = x @ x.T
            x = _A * x + (_B * gram + _C * (gram @ gram)) @ x
        x = math.sqrt(max(1.0, rows / columns)) * (x.T if rows > columns else x)
        out = reshape(x, direction.shape)
        return out + self.weight_decay * parameter if self.weight_decay else out

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """The momentum of torch.optim.Muon: two linear interpolations."""
        b = self.momentum * slot["momentum"] + (1 - self.momentum) * g
        return ((1 - self.momentum) * g + self.momentum * b if self.nesterov else b), {"momentum": b}

    def shaped_formula(self, direction: Array, parameter: Array) -> Array:
        """By the singular values: the polynomial acts on each of them."""
        matrix = direction.reshape(len(direction), -1)
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
        s = s / max(np.linalg.norm(matrix), self.epsilon)
        for _ in range(self.iterations):
            s = _A * s + _B * s**3 + _C * s**5
        scale = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
        orthogonal = np.asarray((u * s) @ vt).reshape(direction.shape)
        return np.asarray(scale * orthogonal + self.weight_decay * parameter)


def _unfit(fallback: Optimizer) -> str:
    """Why an optimizer cannot be the fallback; empty if it can."""
    if isinstance(fallback, Muon):
        return "muon is for matrices; name an optimizer for the others, such as adamw"
    if isinstance(fallback, FullBatch):
        return f"{fallback.type} steps along all parameters at once; name another optimizer, such as adamw"
    if fallback.groups:
        return "groups of the fallback: write them among those of muon, with a fallback in each"
    return ""

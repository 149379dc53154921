"""Dense layers fitted to a train split: constants, ridge regression and the logistic regression of a loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array
from backprop_cli.data.examples import Split, Windows
from backprop_cli.errors import DivergenceError
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layers.dense import Dense
from backprop_cli.nn.loss import Loss
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizers.lbfgs import Lbfgs
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.nn.schedules.constant import Constant
from backprop_cli.training.loop import Trainer
from backprop_cli.training.settings import TrainingSettings
from backprop_cli.training.state import State
from backprop_cli.training.step_program import Recipe
from backprop_cli.training.training_spec import TrainingSpec

Floats = NDArray[np.float64]

LEAST_WORK, MOST_WORK, SHARE = 1e9, 4e9, 0.1
"""A linear fit may always take this many multiplications, never more than that many, and between them this share of
those of the run. A limit in seconds would make results depend on the load of the machine."""
ITERATIONS = 100
"""Most iterations of L-BFGS."""
PENALTY = 1.0
"""``l2`` of the squared weights of standardized inputs, against the sum of the losses of all examples."""
_CHUNK = 8192
_CONSTANT = 1e-6
"""Largest deviation of a constant input, as a share of its mean: rounding."""
_LEAST_SHARE = 1e-7
"""Least share of a class, so that its logarithm is finite."""


class Fitted(NamedTuple):
    """A linear network: weight (outputs, inputs), or None for a constant, and bias (outputs,)."""

    weight: Array | None
    bias: Array

    def outputs(self, inputs: Array | Windows) -> Array:
        """(examples, outputs) in float64."""
        if self.weight is None:
            return np.broadcast_to(self.bias, (len(inputs), len(self.bias)))
        return np.asarray(inputs).reshape(len(inputs), -1) @ self.weight.T + self.bias


def with_layers(recipe: Recipe, layers: Sequence[Layer], input_shape: tuple[int, ...], penalty: float = 0.0) -> Recipe:
    """A network of these layers with the loss of ``recipe``, trained by L-BFGS with the l2 ``penalty``."""
    return Recipe(
        model=Model.build(layers, input_shape, recipe.model.dtype),
        loss=recipe.loss,
        optimizer=Lbfgs(),
        regularization=RegularizationSettings(l2=penalty),
        class_weights=recipe.class_weights,
        weighted=recipe.weighted,
    )


def constant_fits(recipe: Recipe, train: Split) -> dict[str, Fitted]:
    """Constant outputs that may be the best ones of the loss, by name."""
    loss, targets = recipe.loss, np.asarray(train.targets)
    if loss.task.has_labels:
        shares = np.bincount(targets, minlength=recipe.model.output_shape[-1]) / len(targets)
        return {"majority": Fitted(None, np.log(_inside(shares)))}
    if loss.task.has_classes:
        shares = _inside(targets.mean(axis=0, dtype=np.float64))
        return {"majority": Fitted(None, np.log(shares) - np.log1p(-shares))}
    if loss.levels:
        return {"quantiles": Fitted(None, np.quantile(targets, loss.levels, axis=0).T.ravel())}
    if _has_link(loss):
        found = _minimized(recipe, dataclasses.replace(train, inputs=np.zeros((len(train), 1), recipe.model.dtype)))
        return {} if found is None else {"mean": Fitted(None, found.bias)}
    return {
        "mean": Fitted(None, targets.mean(axis=0, dtype=np.float64)),
        "median": Fitted(None, np.median(targets, axis=0)),
    }


def _inside(shares: Floats) -> Floats:
    return np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)


def _has_link(loss: Loss) -> bool:
    """Whether predictions are a function of the outputs, such as the exponential."""
    return type(loss).activate is not Loss.activate


def obstacle(recipe: Recipe, train: Split, seen: int) -> str | None:
    """The reason not to fit a linear network, because it would take too long; empty if nothing is in the way.

    None if such a network says nothing: its inputs are tokens, or the loss is not smooth.
    """
    loss, inputs = recipe.loss, math.prod(recipe.model.input_shape)
    scores = loss.task.has_classes and not loss.gives_probabilities
    if recipe.model.vocabulary is not None or loss.levels or scores:
        return None
    outputs, examples = recipe.model.output_shape[-1], len(train)
    each = inputs * (inputs + outputs) if _is_closed(loss) else 3 * ITERATIONS * inputs * outputs
    of_run = 3 * seen * sum(recipe.model.multiplications().values())
    allowed = min(max(SHARE * of_run, LEAST_WORK), MOST_WORK)
    if examples * each <= allowed:
        return ""
    return f"fitting {inputs:,} inputs of {examples:,} examples would take too long"


def _is_closed(loss: Loss) -> bool:
    return loss.task.has_unit and not _has_link(loss)


def linear_fit(recipe: Recipe, train: Split) -> Fitted | None:
    """The layer that minimizes ``sum of losses + PENALTY / 2 * sum w^2`` on standardized inputs; None if none is found.

    For numbers it is the squared loss, in closed form, whatever the loss of the recipe; else the loss, by L-BFGS. These
    are the minima of scikit-learn's ``Ridge`` and ``LogisticRegression`` with their default penalties.
    """
    x = np.asarray(train.inputs).reshape(len(train), -1)
    mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    deviation = np.where(deviation > _CONSTANT * np.abs(mean), deviation, 1.0)
    found: Fitted | None
    if _is_closed(recipe.loss):
        weights = train.weights if recipe.weighted else None
        found = _ridge(x, np.asarray(train.targets, np.float64), weights, mean, deviation)
    else:
        standardized = ((x - mean) / deviation).astype(recipe.model.dtype)
        found = _minimized(recipe, dataclasses.replace(train, inputs=standardized))
    if found is None or found.weight is None:
        return None
    weight = found.weight / deviation
    return Fitted(weight, found.bias - weight @ mean)


def _ridge(x: Array, y: Floats, weights: Array | None, mean: Floats, deviation: Floats) -> Fitted:
    """``min sum_i s_i |y_i - W z_i - b|^2 + PENALTY |W|^2`` by its normal equations, z the standardized inputs."""
    s = np.ones(len(x)) if weights is None else weights.astype(np.float64)
    width = x.shape[1]
    gram, moment, z_sum = np.zeros((width, width)), np.zeros((width, y.shape[1])), np.zeros(width)
    y_mean = s @ y / s.sum()
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        z = (x[part] - mean) / deviation
        scaled = z * s[part, None]
        gram += z.T @ scaled
        moment += scaled.T @ (y[part] - y_mean)
        z_sum += scaled.sum(axis=0)
    z_mean = z_sum / s.sum()
    gram -= s.sum() * np.outer(z_mean, z_mean)
    gram[np.diag_indices(width)] += PENALTY
    weight = np.linalg.solve(gram, moment).T
    return Fitted(weight, y_mean - weight @ z_mean)


def _minimized(recipe: Recipe, train: Split) -> Fitted | None:
    """The minimum of the loss with its penalty, by L-BFGS from zeros; None if the loss is not finite."""
    dense = Dense(units=recipe.model.output_shape[-1])
    linear = with_layers(recipe, [dense], train.inputs.shape[1:], PENALTY / len(train))
    settings = TrainingSettings(epochs=ITERATIONS, batch_size=len(train))
    state = State.empty(linear)
    try:
        for _ in Trainer(TrainingSpec(linear, settings, Constant(), 0, train), state).run():
            pass
    except DivergenceError:
        return None
    weight, bias = (state.network_arrays(linear)[f"dense_1.{name}"] for name in ("weight", "bias"))
    return Fitted(weight.astype(np.float64), bias.astype(np.float64))

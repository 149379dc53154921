"""Losses and metrics of whole splits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from backprop_cli.autodiff import Array, Program
from backprop_cli.data.examples import Windows
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.intervals import Intervals
from backprop_cli.nn.metric import Metric, Predictions
from backprop_cli.nn.token_counts import TokenCounts
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.step_program import (
    INPUTS,
    LOSS,
    PREDICTIONS,
    TARGETS,
    WEIGHTS,
    Recipe,
    evaluation_step,
    output_step,
    prediction_step,
)

BATCH = 512
"""Examples a run of an evaluation plan: enough for BLAS, few enough for the cache."""


class Examples(Protocol):
    """A split: inputs (examples, *input_shape) and targets (examples,) or (examples, outputs)."""

    @property
    def inputs(self) -> Array | Windows:
        """Numbers in the training precision, or tokens."""

    @property
    def targets(self) -> Array | Windows:
        """Labels, 0/1, numbers or tokens."""

    @property
    def weights(self) -> Array | None:
        """A weight for each example (examples,); None: all 1. Used if the recipe is ``weighted``."""

    @property
    def exact(self) -> Array | None:
        """Regression targets as in the file, in their own unit (examples, outputs); None: as ``targets``."""


Untransform = Callable[[Array], Array]
"""Converts regression outputs (examples, outputs) to the target's own unit."""


def identity(outputs: Array) -> Array:
    """The conversion for targets that were not transformed."""
    return outputs


_Key = tuple[Callable[[Recipe, int], Program], int]
"""A step and its batch size."""


class Evaluator:
    """Runs a network without updating it.

    ``arrays``: the flat vectors to evaluate, such as ``State.evaluated``; plans read them in place. Each batch size is
    traced and planned once. ``intervals``: those of a calibrated network, for metrics.
    """

    def __init__(
        self,
        recipe: Recipe,
        arrays: Mapping[str, Array],
        metrics: Sequence[Metric] = (),
        untransform: Untransform = identity,
        watch: Stopwatch | None = None,
        intervals: Intervals | None = None,
    ):
        self._watch = watch or Stopwatch()
        self.recipe, self.arrays, self.metrics, self.untransform = recipe, arrays, metrics, untransform
        self.intervals = intervals
        self._programs: dict[_Key, Program] = {}
        self._plans: dict[_Key, Plan] = {}

    def on(self, arrays: Mapping[str, Array], metrics: Sequence[Metric] | None = None) -> Evaluator:
        """An evaluator of other arrays of the same network; it shares the traced programs."""
        metrics = self.metrics if metrics is None else metrics
        other = Evaluator(self.recipe, arrays, metrics, self.untransform, self._watch, self.intervals)
        other._programs = self._programs
        return other

    def _plan(self, trace: Callable[[Recipe, int], Program], batch: int) -> Plan:
        key = trace, batch
        if key not in self._programs:
            with self._watch("trace"):
                self._programs[key] = trace(self.recipe, batch)
        if key not in self._plans:
            with self._watch("plan"):
                self._plans[key] = Plan(self._programs[key], self.arrays)
        return self._plans[key]

    def evaluate(self, split: Examples) -> dict[str, float]:
        """``loss`` (mean over the examples, without regularization) and every metric of the whole split.

        With weights the loss is the mean of weight times cost, as in training; metrics ignore weights.
        """
        return self.evaluate_with_predictions(split)[1]

    def evaluate_with_predictions(self, split: Examples) -> tuple[Predictions, dict[str, float]]:
        """As ``evaluate``, with the predictions behind it, in the target's own unit."""
        total, count, parts = 0.0, 0, []
        tokens = self.token_counts()
        for start in range(0, len(split.inputs), self.batch):
            y = split.targets[start : start + self.batch]
            plan = self._evaluated(split, start, y)
            counted = self.recipe.loss.count(y)
            total, count = total + plan.outputs[LOSS].item() * counted, count + counted
            if tokens is None:
                parts.append(plan.outputs[PREDICTIONS].copy())
            else:
                tokens.add(plan.outputs[PREDICTIONS])
        predictions = (
            self.predictions(np.concatenate(parts), split.targets, split.exact)
            if tokens is None
            else Predictions.of_tokens(tokens)
        )
        return predictions, {"loss": total / count if count else math.nan, **self.measure(predictions)}

    def _evaluated(self, split: Examples, start: int, targets: Array) -> Plan:
        """The evaluation plan, run on the examples from ``start`` with these targets."""
        stop = start + len(targets)
        plan = self._plan(evaluation_step, len(targets))
        plan.inputs[INPUTS][...] = split.inputs[start:stop]
        plan.inputs[TARGETS][...] = targets
        if self.recipe.weighted:
            plan.inputs[WEIGHTS][...] = 1.0 if split.weights is None else split.weights[start:stop]
        plan.run()
        return plan

    @property
    def batch(self) -> int:
        """Examples a run: fewer if an example has many positions."""
        if not self.recipe.loss.task.has_positions:
            return BATCH
        return max(BATCH // self.recipe.model.output_shape[0], BATCH // 16)

    def token_counts(self) -> TokenCounts | None:
        """An empty count; None unless the loss is for tokens."""
        return TokenCounts(self.recipe.model.output_shape[-1]) if self.recipe.loss.task.has_positions else None

    def predict(self, batches: Iterable[Array]) -> Iterator[Array]:
        """Predictions for batches of inputs: probabilities, or numbers in the target's own unit."""
        for batch in batches:
            for start in range(0, len(batch), self.batch):
                x = batch[start : start + self.batch]
                plan = self._plan(prediction_step, len(x))
                plan.inputs[INPUTS][...] = x
                plan.run()
                yield self._in_unit(plan.outputs[PREDICTIONS].copy())

    def outputs(self, inputs: Array | Windows) -> Array:
        """Outputs of the last layer (examples, ...), such as logits; of an ensemble (examples, members, ...)."""
        parts = []
        for start in range(0, len(inputs), self.batch):
            x = inputs[start : start + self.batch]
            plan = self._plan(output_step, len(x))
            plan.inputs[INPUTS][...] = x
            plan.run()
            parts.append(plan.outputs[PREDICTIONS].copy())
        return np.concatenate(parts)

    def predictions(self, outputs: Array, targets: Array | Windows, exact: Array | None = None) -> Predictions:
        """The input of metrics, in the target's own unit. ``exact``: the targets before rounding."""
        loss, known = self.recipe.loss, np.asarray(targets) if exact is None else exact
        known = self.untransform(known) if loss.task.has_unit and exact is None else known
        return Predictions(loss.task, self._in_unit(outputs), known, None, loss.levels, self.intervals)

    def measure(self, predictions: Predictions) -> dict[str, float]:
        """Every metric that is defined, by name."""
        return {metric.type: metric.compute(predictions) for metric in self.metrics if metric.is_defined(predictions)}

    def _in_unit(self, outputs: Array) -> Array:
        """Outputs in the target's own unit; each of several quantiles is converted like the target."""
        loss = self.recipe.loss
        if not loss.task.has_unit:
            return outputs
        count = len(loss.levels)
        if count < 2:
            return self.untransform(outputs)
        parts = [self.untransform(outputs[:, level::count]) for level in range(count)]
        return np.stack(parts, axis=2).reshape(outputs.shape)

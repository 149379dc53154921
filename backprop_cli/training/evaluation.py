"""Losses and metrics of whole splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from backprop_cli.autodiff import Array, Plan, Program
from backprop_cli.data.windows import Windows
from backprop_cli.nn.metric import Metric, Predictions
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.planned import planned
from backprop_cli.training.program import (
    INPUTS,
    LOSS,
    PREDICTIONS,
    TARGETS,
    Recipe,
    evaluation_step,
    prediction_step,
)

BATCH = 512
"""Examples a run of an evaluation plan: large enough for BLAS, small enough to stay in the cache."""


class Examples(Protocol):
    """A split: inputs (examples, *input_shape) and targets (examples,) or (examples, outputs)."""

    @property
    def inputs(self) -> Array | Windows:
        """The inputs: numbers in the training precision, or tokens."""

    @property
    def targets(self) -> Array | Windows:
        """Labels, 0/1, numbers or tokens."""


Unit = Callable[[Array], Array]
"""Takes regression outputs (examples, outputs) back to the target's own unit."""


def same_unit(outputs: Array) -> Array:
    """For targets that were not transformed."""
    return outputs


class Evaluator:
    """Runs a network without updating it; plans are made once a batch size and share its numbers.

    ``network``: the flat vectors that hold it, as ``State.network`` has them.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: Mapping[str, Array],
        metrics: Sequence[Metric] = (),
        to_unit: Unit = same_unit,
        watch: Stopwatch | None = None,
    ):
        self._watch = watch or Stopwatch()
        self.recipe, self.network, self.metrics, self.to_unit = recipe, network, metrics, to_unit
        self._plans: dict[tuple[str, int], Plan] = {}

    def _plan(self, kind: str, trace: Callable[[Recipe, int], Program], batch: int) -> Plan:
        key = kind, batch
        if key not in self._plans:
            self._plans[key] = planned(partial(trace, self.recipe, batch), self.network, self._watch)
        return self._plans[key]

    def evaluate(self, split: Examples) -> dict[str, float]:
        """``loss`` (mean over the examples, without regularization) and every metric over the whole split."""
        return self.evaluate_with_predictions(split)[1]

    def evaluate_with_predictions(self, split: Examples) -> tuple[Array, dict[str, float]]:
        """As ``evaluate``, with the predictions it is computed from (as the loss sees them, in no other unit)."""
        total, parts = 0.0, []
        count = len(split.inputs)
        for start in range(0, count, BATCH):
            x, y = split.inputs[start : start + BATCH], split.targets[start : start + BATCH]
            plan = self._plan("evaluate", evaluation_step, len(x))
            plan.inputs[INPUTS][...] = x
            plan.inputs[TARGETS][...] = y
            with np.errstate(all="ignore"):
                plan.run()
            total += plan.outputs[LOSS].item() * len(x)
            parts.append(plan.outputs[PREDICTIONS].copy())
        predictions = np.concatenate(parts)
        return predictions, {"loss": total / count, **self.measure(predictions, split.targets)}

    def predict(self, batches: Iterable[Array]) -> Iterator[Array]:
        """Predictions for batches of inputs: probabilities, or numbers in the target's own unit."""
        for batch in batches:
            for start in range(0, len(batch), BATCH):
                x = batch[start : start + BATCH]
                plan = self._plan("predict", prediction_step, len(x))
                plan.inputs[INPUTS][...] = x
                with np.errstate(all="ignore"):
                    plan.run()
                yield self._in_unit(plan.outputs[PREDICTIONS].copy())

    def measure(self, predictions: Array, targets: Array | Windows) -> dict[str, float]:
        """Every metric, by name, in the target's own unit."""
        if not self.metrics:
            return {}
        shown = Predictions(self.recipe.loss.task, self._in_unit(predictions), self._in_unit(np.asarray(targets)))
        return {metric.type: metric.compute(shown) for metric in self.metrics}

    def _in_unit(self, values: Array) -> Array:
        return self.to_unit(values) if self.recipe.loss.task == "regression" else values

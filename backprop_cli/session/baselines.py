"""Baselines: metrics of simple predictions that a network has to beat, shown with its own.

Each has outputs in place of the trained network's, and the same loss and metrics, so that all numbers compare.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from backprop_cli.config.configuration import Config
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.nn.layers.flatten import Flatten
from backprop_cli.nn.metric import Metric, Predictions
from backprop_cli.nn.task import REGRESSION
from backprop_cli.session.linear_fits import Fitted, constant_fits, linear_fit, obstacle, with_layers
from backprop_cli.training.evaluation import Evaluator, Untransform
from backprop_cli.training.state import State
from backprop_cli.training.step_program import Recipe

Baselines = Mapping[str, Mapping[str, float]]
"""Metrics by full name (``test/r2``) of each baseline."""
LINEAR = "linear"


class FoundBaselines(NamedTuple):
    """The metrics of the baselines. ``no_linear``: why there is no linear one, or empty."""

    metrics: Baselines = MappingProxyType({})
    no_linear: str = ""

    def constant(self) -> str | None:
        """The name of the baseline that predicts the same for every example; None without one."""
        return next((name for name, values in self.metrics.items() if name != LINEAR and "train/loss" in values), None)


def series_baselines(
    splits: Mapping[str, Split], metrics: Sequence[Metric], untransform: Untransform
) -> dict[str, dict[str, float]]:
    """The metrics of the predictions that come with the splits of a series. Those that are not finite are left out.

    ``untransform``: converts targets (examples, outputs) to their own unit.
    """
    found: dict[str, dict[str, float]] = {}
    for name, split in splits.items():
        for baseline, predicted in split.baselines.items():
            known = np.isfinite(predicted).all(axis=1)
            if known.any():
                targets = untransform(np.asarray(split.targets, np.float64)) if split.exact is None else split.exact
                shown = Predictions(REGRESSION, predicted[known], targets[known])
                values = {
                    f"{name}/{metric.type}": metric.compute(shown) for metric in metrics if metric.is_defined(shown)
                }
                found.setdefault(baseline, {}).update(values)
    return found


def baselines_of(config: Config, dataset: Dataset, recipe: Recipe, seen: int) -> FoundBaselines:
    """The baselines of a network, fitted on the train split.

    A series has those of its splits. Other data has a constant (``mean``, ``median``, ``quantiles`` or ``majority``)
    and a ``linear`` network. A text has none, nor has a run on a few batches. ``seen``: the examples that the network
    was trained on, each counted as often as it was used.
    """
    untransform = dataset.transform.untransform_targets
    if dataset.transform.window is not None:
        return FoundBaselines(series_baselines(dataset.splits, config.metrics, untransform))
    if recipe.loss.task.has_positions or config.training.overfit_batches is not None:
        return FoundBaselines()
    measured = _Measured.of(dataset, recipe, config.metrics)
    candidates = {name: measured(fitted) for name, fitted in constant_fits(recipe, dataset.train).items()}
    best = min(candidates, key=lambda name: candidates[name]["train/loss"], default=None)
    found = {} if best is None else {best: candidates[best]}
    is_copy = dataset.transform.target.columns is None  # a linear network copies inputs that are their own targets
    why = None if is_copy else obstacle(recipe, dataset.train, seen)
    fitted = linear_fit(recipe, dataset.train) if why == "" else None
    if fitted is not None:
        found[LINEAR] = measured(fitted)
    return FoundBaselines(found, why or "")


class _Measured(NamedTuple):
    """Calling it gives loss and metrics of a fitted network by full name, on every split."""

    splits: Mapping[str, Split]
    evaluator: Evaluator

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, metrics: Sequence[Metric]) -> _Measured:
        """``evaluator``: of a network whose outputs are its inputs, so that all baselines share its plans."""
        same = with_layers(recipe, [Flatten()], recipe.model.output_shape)
        state = State.empty(same)
        return cls(dataset.splits, Evaluator(same, state.evaluated, metrics, dataset.transform.untransform_targets))

    def __call__(self, fitted: Fitted) -> dict[str, float]:
        dtype = self.evaluator.recipe.model.dtype
        return {
            f"{name}/{metric}": value
            for name, split in self.splits.items()
            for metric, value in self.evaluator.evaluate(
                dataclasses.replace(split, inputs=fitted.outputs(split.inputs).astype(dtype))
            ).items()
        }

"""Metrics of simple predictions that a network for a time series has to beat, such as the last value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backprop_cli.data.examples import Split
from backprop_cli.nn.metric import Metric, Predictions
from backprop_cli.nn.task import REGRESSION
from backprop_cli.training.evaluation import Untransform

Baselines = Mapping[str, Mapping[str, float]]
"""Metrics by full name (``test/r2``) of each baseline."""


def baselines_of(splits: Mapping[str, Split], metrics: Sequence[Metric], untransform: Untransform) -> Baselines:
    """The metrics of each baseline on each split. Examples without a finite prediction are left out.

    ``untransform``: converts targets (examples, outputs) to their own unit.
    """
    found: dict[str, dict[str, float]] = {}
    for name, split in splits.items():
        for baseline, predicted in split.baselines.items():
            known = np.isfinite(predicted).all(axis=1)
            if known.any():
                targets = untransform(np.asarray(split.targets, np.float64)) if split.exact is None else split.exact
                shown = Predictions(REGRESSION, predicted[known], targets[known])
                values = {f"{name}/{metric.type}": metric.compute(shown) for metric in metrics}
                found.setdefault(baseline, {}).update(values)
    return found

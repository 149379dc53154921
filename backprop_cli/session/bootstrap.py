"""Intervals of metrics by the bootstrap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backprop_cli.nn.metric import Predictions
from backprop_cli.training.evaluation import Evaluator

LEVEL = 0.95
_STREAM = 0xB007  # separates these random numbers from other uses of the seed


def resampled(
    evaluator: Evaluator, predictions: Predictions, samples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """The 2.5 % and 97.5 % quantiles of each metric over ``samples`` draws of all examples with replacement.

    Samples for which a metric is undefined do not count. It says how far the metric may be off because the examples are
    few, not how much another training would differ.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    rng, count = np.random.default_rng([seed, _STREAM]), len(predictions.targets)
    found: dict[str, list[float]] = {}
    for _ in range(samples):
        chosen = rng.integers(0, count, count)
        drawn = replace(predictions, outputs=predictions.outputs[chosen], targets=predictions.targets[chosen])
        for name, value in evaluator.measure(drawn).items():
            found.setdefault(name, []).append(value)
    ends = (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)
    known = {name: np.array(values)[np.isfinite(values)] for name, values in found.items()}
    return {
        name: (float(np.quantile(values, ends[0])), float(np.quantile(values, ends[1])))
        for name, values in known.items()
        if len(values)
    }

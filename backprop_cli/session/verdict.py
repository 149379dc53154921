"""Warnings at the end of training: what the results say about the training, and what to try."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from backprop_cli.config.configuration import Config
from backprop_cli.config.conflicts import monitor_direction
from backprop_cli.number_text import number
from backprop_cli.session.baselines import LINEAR, Baselines, FoundBaselines
from backprop_cli.session.outcome import Best

LEAST_EPOCHS = 10
"""Fewest epochs of a run that is judged. A shorter one is a trial, and nobody expects more of it."""
EARLY = 0.1
"""Share of the epochs that are the first ones."""
LATE, STILL = 0.1, 0.01
"""A run still improves if the last ``LATE`` of the epochs bring at least ``STILL`` of the whole improvement."""
HELD = 0.5
"""Least share of the improvement on the train split that a good run also has on the validation split."""


def doubts(
    config: Config,
    metrics: Mapping[str, float],
    baselines: FoundBaselines,
    best: Best | None,
    values: Sequence[float],
) -> list[str]:
    """The warnings about a finished run with these final metrics.

    ``values``: the metric that chooses the best checkpoint after each epoch; a resumed session has only its own.
    """
    if len(values) < LEAST_EPOCHS:
        return []
    found = [_worse_than_baseline(config, metrics, baselines.metrics), _overfitted(metrics, baselines)]
    found.append(_badly_timed(best, values, config.training.epochs))
    return [text for text in found if text is not None]


def _worse_than_baseline(config: Config, metrics: Mapping[str, float], baselines: Baselines) -> str | None:
    """The warning if a baseline has a better loss on held-out rows, or for a series a better first metric."""
    split = next((name for name in ("validation", "test") if f"{name}/loss" in metrics), None)
    kinds = ["loss", *(metric.type for metric in config.metrics)]
    known = {name for values in baselines.values() for name in values}
    name = next((f"{split}/{kind}" for kind in kinds if f"{split}/{kind}" in known), None)
    if name is None:
        return None
    sign = 1 if monitor_direction(config, name) == "min" else -1
    others = {baseline: values[name] for baseline, values in baselines.items() if name in values}
    best = min(others, key=lambda baseline: sign * others[baseline])
    if not sign * others[best] < sign * metrics[name]:
        return None
    way_out = "try another optimizer.learning_rate, more epochs, or look for a mistake in network or data"
    if best == LINEAR:
        way_out = "try a smaller network, dropout or weight decay, or use a network of one dense layer"
    ours, theirs = number(metrics[name]), number(others[best])
    return f"{name} {ours} is worse than {theirs} of the baseline {best}; {way_out}"


def _overfitted(metrics: Mapping[str, float], baselines: FoundBaselines) -> str | None:
    """The warning if most of what was learned on the train split does not hold on the validation split."""
    constant = baselines.constant()
    if constant is None or "validation/loss" not in metrics:
        return None
    from_loss = baselines.metrics[constant]
    train, held_out = (from_loss[f"{name}/loss"] - metrics[f"{name}/loss"] for name in ("train", "validation"))
    if not (train > 0 and 0 < held_out < HELD * train):
        return None
    return (
        f"validation/loss {number(metrics['validation/loss'])} is far from train/loss {number(metrics['train/loss'])}: "
        f"it gains {held_out / train:.0%} of what training gained over the baseline {constant}; try more data, a "
        "smaller network, dropout or weight decay"
    )


def _badly_timed(best: Best | None, values: Sequence[float], planned: int) -> str | None:
    """The warning if the best epoch on held-out rows is the last planned one, or among the first."""
    epochs = len(values)
    if best is None or not best.monitor.startswith("validation/") or best.epoch > epochs:
        return None
    if best.epoch <= EARLY * epochs:
        return (
            f"the best epoch was {best.epoch} of {epochs}, and {best.monitor} never improved later; try a lower "
            "optimizer.learning_rate, a smaller network, dropout or weight decay"
        )
    whole, late = abs(values[0] - values[-1]), abs(values[-1 - max(1, math.floor(LATE * epochs))] - values[-1])
    if best.epoch == epochs == planned and late >= STILL * whole > 0:
        return f"{best.monitor} was still improving in the last epoch, {epochs}; train longer: training.epochs"
    return None

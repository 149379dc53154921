"""``training.overfit_batches``: train and evaluate on a few batches, to check that the network can learn them."""

from __future__ import annotations

import math

from backprop_cli.autodiff import Array
from backprop_cli.config.configuration import Config
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.errors import plural
from backprop_cli.training.step_program import Recipe
from backprop_cli.training.training_spec import order_of

NEAR = 0.05
"""Tolerated distance from the least possible loss, as a share of the first loss's distance."""


def first_batches(config: Config, dataset: Dataset) -> Dataset:
    """The data cut to the first batches of the first epoch, which are also the validation split if there is one."""
    training = config.training
    if training.overfit_batches is None:
        return dataset
    count = len(dataset.train)
    chosen = order_of(config.seed, 1, count, training.shuffle)[: training.overfit_batches * training.batch_size]
    whole = dataset.train
    part = Split(
        whole.inputs[chosen],
        whole.targets[chosen],
        None if whole.rows is None else whole.rows[chosen],
        weights=None if whole.weights is None else whole.weights[chosen],
        baselines={name: array[chosen] for name, array in whole.baselines.items()},
        exact=None if whole.exact is None else whole.exact[chosen],
    )
    return dataset._replace(train=part, validation=part if dataset.validation is not None else None, test=None)


def notice(config: Config, dataset: Dataset) -> str:
    """The notice before the first step that this run trains on a few batches."""
    batches = -(-len(dataset.train) // config.training.batch_size)
    what = f"the first {batches} batches" if batches > 1 else "the first batch"
    return (
        f"overfit_batches: trains and evaluates only on {what} ({plural(len(dataset.train), 'example')}), to check "
        "that the network can learn them"
    )


def doubt(config: Config) -> tuple[str, ...]:
    """The warning of who uses a network that was trained on a few batches; empty for any other."""
    batches = config.training.overfit_batches
    if batches is None:
        return ()
    what = f"{batches:,} batch{'' if batches == 1 else 'es'} of {config.training.batch_size:,}"
    return (
        f"trained on {what} only (training.overfit_batches), which tests the network and makes no model; name another "
        "run, or train again without it",
    )


def shortfall(recipe: Recipe, targets: Array, first: float, last: float) -> str | None:
    """The message if the loss on the batches stayed far from the least possible loss.

    None if it came near, or if the least possible loss is unknown.
    """
    least = recipe.loss.minimum(targets, recipe.model.output_shape[-1])
    is_weighted = recipe.weighted or recipe.class_weights is not None
    near = least + NEAR * (first - least)
    if math.isnan(least) or (least != 0 and is_weighted) or last <= near:
        return None
    return (
        f"overfit_batches: the loss went from {first:.4g} to {last:.4g} and did not come near {least:.4g} (below "
        f"{near:.4g}); train longer, try another learning rate (--find-lr), remove dropout, augmentation and "
        "regularization, or look for a mistake in network or data"
    )

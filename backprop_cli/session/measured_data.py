"""The examples that a trained network is measured on: a split of its own data, or another file."""

from __future__ import annotations

from pathlib import Path

from numpy.typing import DTypeLike

from backprop_cli.data.dataset import load_dataset, load_split
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.data.fit import Demand
from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.session.data_changes import Changed
from backprop_cli.session.experiment import check_targets
from backprop_cli.session.trained_network import TrainedNetwork

SPLITS = ("train", "validation", "test")


def check_split(split: str) -> None:
    """Raise UsageError for a name that is not a split."""
    if split not in SPLITS:
        raise UsageError(f"--split {split!r}: expected one of {', '.join(SPLITS)}" + did_you_mean(split, SPLITS))


def find_split(dataset: Dataset, split: str) -> Split:
    """The split of a run's data. Raises: UsageError if the run has no such split."""
    if split not in dataset.splits:
        known = ", ".join(dataset.splits)
        raise UsageError(f"--split {split}: the run has no such split; name one it has: {known}")
    return dataset.splits[split]


def own_dataset(saved: TrainedNetwork, dtype: DTypeLike) -> Dataset:
    """The data in the checkpoint's configuration, through the transform fitted in training.

    Raises: DataError.
    """
    config = saved.loaded.config
    demand = Demand(saved.recipe.loss.task, dtype, saved.recipe.model.input_shape)
    dataset = load_dataset(config.data, demand, base=saved.loaded.base, seed=config.seed, fitted=saved.transform)
    for split in dataset.splits.values():
        check_targets(split, saved.recipe)
    return dataset


def other_data(saved: TrainedNetwork, data: Path, dtype: DTypeLike, format: str | None = None) -> Split:
    """Examples with targets from another file. Raises: DataError."""
    weight = saved.loaded.config.data.sample_weight
    split = load_split(data, saved.transform, dtype=dtype, format=format, sample_weight=weight)
    check_targets(split, saved.recipe)
    return split


def change_warnings(change: Changed | None) -> tuple[str, ...]:
    """The warning about changed data files of the run: they decide which rows a split holds."""
    return () if change is None else (f"{change.text}; the split may hold rows that the network was trained on",)

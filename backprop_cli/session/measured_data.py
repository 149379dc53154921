"""The examples to evaluate a trained network on: a split of its own data, or another file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import DTypeLike

from backprop_cli.data.dataset import load_dataset, load_split
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.data.fit import Demand
from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.session.data_changes import Changed, changed
from backprop_cli.session.experiment import check_targets
from backprop_cli.session.trained_network import TrainedNetwork

SPLITS = ("train", "validation", "test")
_FILES = ("data.source", "data.train", "data.validation", "data.test", "data.format")


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
    """The data of the checkpoint's configuration, converted by the transform that was fitted in training.

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
    own = saved.loaded.config.data
    split = load_split(
        data,
        saved.transform,
        dtype=dtype,
        format=format,
        sample_weight=own.sample_weight,
        missing_target=own.missing_target,
    )
    check_targets(split, saved.recipe)
    return split


def change_warnings(change: Changed | None) -> tuple[str, ...]:
    """The warning about changed data files, which decide the rows of a split."""
    return () if change is None else (f"{change.text}; the split may hold rows that the network was trained on",)


def examples_of(
    saved: TrainedNetwork, split: str, data: Path | None, overrides: Sequence[str]
) -> tuple[Split, Changed | None]:
    """The examples of the file ``data``, or else of a split of the run's own data; and how the run's files changed.

    Files that ``data`` or an override names are expected to differ. Raises: DataError, UsageError.
    """
    dtype = saved.loaded.config.training.precision
    if data is not None:
        return other_data(saved, data, dtype), None
    dataset = own_dataset(saved, dtype)
    find_split(dataset, split)
    is_own = bool(dataset.files) and not _name_files(overrides)
    return dataset.measured[split], changed(saved.checkpoint.metadata, dataset.files) if is_own else None


def check_overrides(overrides: Sequence[str]) -> None:
    """Raise UsageError for an override of anything but files and metrics: a network is evaluated as it was trained.

    Another seed or split of the same rows would move rows that the network was trained on into the test split.
    """
    other_files = _name_files(overrides)
    # An override of the model passes: the checkpoint reports what does not fit.
    allowed = (*_FILES, "metrics", "model", *(("data.split", "seed") if other_files else ()))
    for override in overrides:
        if _is_below(override, ("seed", "data.split")) and not other_files:
            raise UsageError(f"override {override}: would test the network on rows it was trained on; name other data")
        if not _is_below(override, allowed):
            named = ", ".join([*_FILES, "metrics"])
            raise UsageError(
                f"override {override}: the network is evaluated as it was trained; eval can override only {named}"
            )


def _name_files(overrides: Sequence[str]) -> bool:
    return any(_is_below(override, _FILES) for override in overrides)


def _is_below(override: str, sections: Sequence[str]) -> bool:
    key = override.partition("=")[0]
    return any(key == section or key.startswith((f"{section}.", f"{section}[")) for section in sections)

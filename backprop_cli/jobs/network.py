"""From a configuration to a network with its data: what every command that needs both begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backprop_cli.autodiff import Array
from backprop_cli.config.load import Loaded
from backprop_cli.config.network import check_model
from backprop_cli.data.dataset import Dataset, known_input_shape, load_dataset
from backprop_cli.nn.model import Model
from backprop_cli.training.program import Recipe


@dataclass(frozen=True)
class Prepared:
    """A configuration, its data and its network."""

    loaded: Loaded
    dataset: Dataset
    recipe: Recipe


def recipe_for(loaded: Loaded, model: Model, class_weights: Array | None) -> Recipe:
    """What a step computes, as configured."""
    config = loaded.config
    return Recipe(
        model=model,
        loss=config.loss,
        optimizer=config.optimizer,
        regularization=config.regularization,
        class_weights=class_weights,
        clip_norm=config.training.clip_norm,
        clip_value=config.training.clip_value,
        accumulate=config.training.accumulate > 1,
    )


def prepare(loaded: Loaded) -> Prepared:
    """Load the data and fit the network to it.

    Raises:
        DataError: the data cannot be used as configured.
        ConfigError: the network does not fit the data; the problem is at its layer's line.

    """
    config = loaded.config
    shape = config.model.input or known_input_shape(config.data, loaded.base)
    if shape is not None:
        check_model(loaded, shape)  # before data is read, which may take a while
    dataset = load(loaded)
    return Prepared(loaded, dataset, _recipe(loaded, dataset))


def load(loaded: Loaded) -> Dataset:
    """The configured data, in the training precision."""
    config = loaded.config
    return load_dataset(
        config.data,
        base=loaded.base,
        seed=config.seed,
        dtype=config.training.precision,
        task=config.loss.task,
        input_shape=config.model.input,
    )


def outputs_wanted(loaded: Loaded, dataset: Dataset) -> int:
    """Width of the last layer: one output a class, or one a target column."""
    if loaded.config.loss.task == "classes":
        return len(dataset.classes or ())
    return int(dataset.train.targets.shape[1])


def _recipe(loaded: Loaded, dataset: Dataset) -> Recipe:
    loss = loaded.config.loss
    model = check_model(loaded, dataset.input_shape, outputs_wanted(loaded, dataset))
    known = loss.task == "classes" and dataset.classes is not None
    weights = loss.class_weights(dataset.classes or (), dataset.class_counts()) if known else None
    return recipe_for(loaded, model, weights)


def is_configuration(path: Path) -> bool:
    """Whether a command's CONFIG|CHECKPOINT|RUN is a configuration: YAML by its suffix."""
    return path.suffix in (".yaml", ".yml") and not path.is_dir()

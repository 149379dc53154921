"""From a configuration to a network with its data: the start of every command that needs both."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.config.configuration import Config
from backprop_cli.config.from_data import DataSizes, settled
from backprop_cli.config.load import Loaded, check_metrics, located
from backprop_cli.config.locate import in_file_order
from backprop_cli.config.network_problems import check_model
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.data.augment import augmentation
from backprop_cli.data.category_dropout import CategoryDropout
from backprop_cli.data.dataset import load_dataset
from backprop_cli.data.examples import Dataset, Split
from backprop_cli.data.file import DataFile, NoFileError
from backprop_cli.data.fit import Demand
from backprop_cli.data.settings import INPUTS, DataSettings, FilePair
from backprop_cli.data.sources import known_input_shape
from backprop_cli.data.transform import Transform
from backprop_cli.errors import CheckpointError, ConfigError, DataError, MissingDataError, TreePath, warnings_to
from backprop_cli.nn.graph import graph_of, needs_data, reads_columns, vocabulary_of
from backprop_cli.nn.intervals import fewest
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.run.directory import RunDirectory
from backprop_cli.session.data_changes import data_metadata
from backprop_cli.session.monitors import best_monitor, early_stopping_monitor
from backprop_cli.session.overfit import first_batches
from backprop_cli.settings import VARIABLE
from backprop_cli.training.state import AUGMENT
from backprop_cli.training.step_program import Recipe
from backprop_cli.training.training_spec import Augment, During, TrainingSpec, unchanged


class Experiment(NamedTuple):
    """A configuration with its data and its network. ``warnings``: on the data, a line each."""

    loaded: Loaded
    dataset: Dataset
    recipe: Recipe
    warnings: Sequence[str] = ()

    def training_spec(self) -> TrainingSpec:
        """What to train, on what, and how long, as configured."""
        config, dataset = self.loaded.config, self.dataset
        augment, during = _random_changes(config, dataset, self.recipe.model.input_shape)
        return TrainingSpec(
            recipe=self.recipe,
            settings=config.training,
            schedule=config.schedule,
            seed=config.seed,
            train=dataset.train,
            augment=augment,
            during=during,
            validation=dataset.validation,
            metrics=config.metrics,
            untransform=dataset.transform.untransform_targets,
            best=best_monitor(config),
            early_stopping=early_stopping_monitor(config),
        )


def _random_changes(config: Config, dataset: Dataset, shape: Sequence[int]) -> tuple[Augment | None, During]:
    """The random changes of images, or of categories, in a batch or during an epoch; no data has both."""
    images, train, seed = augmentation(config.data.augment, shape), dataset.train, config.seed
    if images is not None:
        return lambda inputs, epoch, start: images(
            inputs, np.random.default_rng([seed, AUGMENT, epoch, start])
        ), unchanged
    categories = CategoryDropout(dataset.transform, len(train), seed)
    if not categories or config.training.overfit_batches is not None:
        return None, unchanged
    one = isinstance(config.optimizer, FullBatch)  # its loss must be the same at every step
    if isinstance(train.inputs, np.ndarray) and not np.may_share_memory(train.inputs, np.asarray(train.targets)):
        own = train.inputs
        return None, lambda epoch, order: categories.during(own, 1 if one else epoch, order)
    # Windows share their rows, and an autoencoder's targets may be its inputs: change copies, batch by batch.
    return lambda inputs, epoch, start: categories(inputs, 1 if one else epoch, start), unchanged


def recipe_for(loaded: Loaded, model: Model, class_weights: Array | None) -> Recipe:
    """What a step computes, as configured."""
    config = loaded.config
    return Recipe(
        model=model,
        loss=config.loss,
        optimizer=config.optimizer,
        regularization=config.regularization,
        class_weights=class_weights,
        weighted=config.data.sample_weight is not None,
        clip_norm=config.training.clip_norm,
        clip_value=config.training.clip_value,
        accumulate=config.training.accumulate > 1,
        recompute=None if config.training.recompute is None else config.training.recompute.segments,
        average=config.average,
        lookahead=config.lookahead,
    )


def prepare(loaded: Loaded, fitted: Transform | None = None, fitted_weights: Array | None = None) -> Experiment:
    """Load the data and fit the network to it.

    A run that resumes keeps the transform ``fitted`` and the class weights ``fitted_weights`` of its train split: the
    data may have changed.

    Raises:
        DataError: the data cannot be used as configured.
        ConfigError: network, metrics or columns do not fit the data; each problem at its line.

    """
    config = loaded.config
    shape = config.model.input or known_input_shape(config.data, loaded.base)
    if shape is not None and not needs_data(config.model.layers):
        check_model(loaded, shape)  # before data is read, which may take a while
    found: list[str] = []
    with warnings_to(found.append):
        dataset = load(loaded, fitted)
        loaded = settled(loaded, _sizes(loaded, dataset))
        recipe = _recipe(loaded, dataset, fitted is not None, fitted_weights)
    dataset = first_batches(config, dataset)
    return Experiment(_with_whole_batch(loaded, len(dataset.train)), dataset, recipe, found)


def _with_whole_batch(loaded: Loaded, examples: int) -> Loaded:
    """For a full-batch optimizer, set the batch size to the number of examples in the train split.

    Raises:
        ConfigError: a smaller one is configured.

    """
    config, training = loaded.config, loaded.config.training
    if not isinstance(config.optimizer, FullBatch):
        return loaded
    if "batch_size" in training.model_fields_set and training.batch_size < examples:
        reason = f"{config.optimizer.type} needs the whole train split at once, {examples} examples"
        reason = f"{reason}, got {training.batch_size}; leave it out, or set it to {examples}"
        raise ConfigError([loaded.problem(("training", "batch_size"), reason)])
    whole = training.model_copy(update={"batch_size": examples})
    return dataclasses.replace(loaded, config=config.model_copy(update={"training": whole}))


def batch_size(loaded: Loaded) -> int:
    """Examples a batch. Data is read only for a full-batch optimizer without a configured batch size."""
    training = loaded.config.training
    if isinstance(loaded.config.optimizer, FullBatch) and "batch_size" not in training.model_fields_set:
        return prepare(loaded).loaded.config.training.batch_size
    return training.batch_size


def load(loaded: Loaded, fitted: Transform | None = None) -> Dataset:
    """The configured data, in the training precision. ``fitted``: the transform to use instead of fitting one.

    Raises:
        DataError: the data cannot be used.
        ConfigError: the configuration contradicts the data.

    """
    config = loaded.config
    try:
        with located(loaded):
            tokens = vocabulary_of(graph_of(config.model.layers))
            precision, shape, loss = config.training.precision, config.model.input, config.loss
            demand = Demand(loss.task, precision, shape, tokens, loss.standardizes)
            return load_dataset(config.data, demand, base=loaded.base, seed=config.seed, fitted=fitted)
    except NoFileError as error:
        raise _missing(loaded, error) from error


def _missing(loaded: Loaded, error: NoFileError) -> DataError:
    """The error for a missing file, at the line of the configuration or the override that names it, if any."""
    reason = f"{error}{_variable(loaded, error) or _where_paths_start(loaded, error)}"
    named = (path for path, text in _files(loaded.config.data).items() if loaded.base / text == error.path)
    path = next(named, None)
    problem = None if path is None else loaded.problem(path, reason)
    if problem is None or (problem.line is None and problem.override is None):
        return DataError(reason)
    return MissingDataError(problem)


def _variable(loaded: Loaded, error: NoFileError) -> str:
    """A hint at an unset environment variable, if the file was looked for in its default folder."""
    for name, folder in VARIABLE.findall(loaded.text):
        if folder and not os.environ.get(name) and error.path.is_relative_to(loaded.base / folder):
            return f"; the folder can be named by the environment variable {name}, which is not set"
    return ""


def _where_paths_start(loaded: Loaded, error: NoFileError) -> str:
    """A hint that relative paths start at the folder of the configuration."""
    relative = [text for text in _files(loaded.config.data).values() if not Path(text).is_absolute()]
    if loaded.path is None or error.hint or error.path not in [loaded.base / text for text in relative]:
        return ""
    run = RunDirectory(loaded.path.parent)
    if loaded.path.name == run.config.name and run.resolved.is_file():
        return f"; this is a run's copy of its configuration: use {run.resolved}, whose paths start there"
    return "; paths in a configuration start at its own folder"


def file_hashes(loaded: Loaded) -> dict[str, str]:
    """sha256 of the configured files by absolute path, as in ``Dataset.files``.

    Raises: DataError if a file cannot be read.
    """
    found: dict[str, str] = {}
    for text in _files(loaded.config.data).values():
        file = DataFile(loaded.base / text)
        file.check(folder=True)
        file.check_lasting()  # a device may never end, and a pipe never begin
        found |= file.hashes()
    return found


def _files(data: DataSettings) -> dict[TreePath, str]:
    """Every path in the section, as written, by the path of its key in the configuration."""
    found: dict[TreePath, str] = {}
    for key in ("source", "train", "validation", "test"):
        files = getattr(data, key)
        if isinstance(files, FilePair):
            found |= {("data", key, part): getattr(files, part) for part in ("inputs", "targets")}
        elif files is not None:
            found["data", key] = files
    return found


def outputs_wanted(loaded: Loaded, dataset: Dataset) -> int | None:
    """The number of outputs that the data needs: of classes, tokens or target columns.

    None if it is unknown: for tokens that are numbers without names.
    """
    classes = None if dataset.classes is None else len(dataset.classes)
    return loaded.config.loss.task.outputs_wanted(classes, dataset.train.targets.shape[1:])


def _sizes(loaded: Loaded, dataset: Dataset) -> DataSizes:
    """What the data says of the network and of the length of training."""
    config, outputs = loaded.config, outputs_wanted(loaded, dataset)
    if config.data.target == INPUTS:
        outputs = math.prod(dataset.input_shape)
    needed = None if outputs is None else config.loss.outputs_for(outputs)
    batches = -(-len(dataset.train) // config.training.batch_size)
    steps = -(-batches // config.training.accumulate)
    return DataSizes(needed, dataset.transform.tokens, 1 if isinstance(config.optimizer, FullBatch) else steps)


def check_targets(split: Split, recipe: Recipe) -> None:
    """Raise DataError for a target that the loss has no cost for."""
    # Windows over one text or table are checked when they are read.
    if not isinstance(split.targets, np.ndarray):
        return
    problem = recipe.loss.problem(split.targets, recipe.model.output_shape[-1])
    if problem is not None:
        index = tuple(map(int, problem.path))
        place = split.target_at(index) if split.target_at is not None else f"target {list(index)}"
        raise DataError(f"{place}: {problem.message}")


def network_of(loaded: Loaded) -> Recipe:
    """The recipe of a configuration, without class weights. Data is read only if ``model_of`` reads it."""
    return recipe_for(loaded, model_of(loaded), None)


def model_of(loaded: Loaded) -> Model:
    """The network. Data is read only if it says the input shape, columns or widths.

    Raises: as ``prepare``.
    """
    model = loaded.config.model
    if model.input is None or needs_data(model.layers):
        dataset = load(loaded)
        return fitting_model(settled(loaded, _sizes(loaded, dataset)), dataset)
    return check_model(loaded, model.input)


def fitting_model(loaded: Loaded, dataset: Dataset) -> Model:
    """The network for this data. Raises: ConfigError if it does not fit the data."""
    positions = dataset.train.targets.shape[1] if loaded.config.loss.task.has_positions else None
    wanted = outputs_wanted(loaded, dataset)
    columns = dataset.transform.columns if reads_columns(loaded.config.model.layers) else ()
    return check_model(loaded, dataset.input_shape, wanted, positions, columns)


def _recipe(loaded: Loaded, dataset: Dataset, is_fitted: bool, fitted_weights: Array | None) -> Recipe:
    outputs = outputs_wanted(loaded, dataset)
    problems = [] if outputs is None else check_metrics(loaded, outputs)
    try:
        model = fitting_model(loaded, dataset)
    except ConfigError as error:
        raise ConfigError(in_file_order([*error.problems, *problems], loaded.overrides)) from None
    if problems:
        raise ConfigError(problems)
    with located(loaded):
        weights = fitted_weights if is_fitted else _class_weights(loaded, dataset)
    recipe = recipe_for(loaded, model, weights)
    _check_intervals(loaded, dataset)
    for split in dataset.splits.values():
        check_targets(split, recipe)
    return recipe


def _check_intervals(loaded: Loaded, dataset: Dataset) -> None:
    """Raise ConfigError if the validation split has too few rows for intervals of the configured level."""
    level, validation = loaded.config.intervals, dataset.validation
    if level is not None and validation is not None and len(validation) < fewest(level):
        reason = f"{level:g} needs {fewest(level)} rows in the validation split, which has {len(validation)}"
        raise ConfigError([loaded.problem(("intervals",), reason, "take a lower level or a larger split")])


def _class_weights(loaded: Loaded, dataset: Dataset) -> Array | None:
    """The configured class weights, from the counts of the train split; None if all are equal."""
    if not loaded.config.loss.task.is_multiclass or dataset.classes is None:
        return None
    return loaded.config.loss.class_weights(dataset.classes, dataset.class_counts())


def is_configuration(path: Path) -> bool:
    """Whether a command's CONFIG|CHECKPOINT|RUN is a configuration, by its suffix .yaml or .yml.

    Raises: CheckpointError if it is none of the three, because it does not exist.
    """
    try:
        if path.suffix in (".yaml", ".yml"):
            return not path.is_dir()
        is_there = path.exists()
    except (OSError, ValueError):  # the name is too long, or no name: opening it reports the error
        return False
    if not is_there:
        expected = "a configuration (.yaml), a checkpoint (.safetensors) or a run directory"
        raise CheckpointError(f"{path}: no such file or directory; expected {expected}")
    return False


def network_metadata(experiment: Experiment, threads: int, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata for ``TrainedNetwork``, equal in all checkpoints of a session.

    ``before``: the metadata of the checkpoint that training resumes from.
    """
    dataset, recipe = experiment.dataset, experiment.recipe
    weights = recipe.class_weights
    return {
        "config": resolved_tree(experiment.loaded),
        "input_shape": list(recipe.model.input_shape),
        "classes": dataset.classes,
        "class_weights": None if weights is None else weights.tolist(),
        "target_names": dataset.target_names,
        "transform": dataset.transform.to_json(),
        "threads": threads,
        **data_metadata(dataset.files, before),
        "plugins": [plugin.sha256 for plugin in experiment.loaded.plugins],
    }

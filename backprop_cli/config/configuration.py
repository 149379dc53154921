"""The whole configuration: the sections of all packages, in the order in which a resolved file has them."""

# Annotations are no text here (`from __future__`): pydantic would compile each one at every start.

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from backprop_cli.data.settings import DataSettings
from backprop_cli.nn.average import AverageType
from backprop_cli.nn.graph import wiring_errors, written_out
from backprop_cli.nn.layer import Layer, LayerType
from backprop_cli.nn.loss import LossType
from backprop_cli.nn.metric import METRICS, Metric, MetricType
from backprop_cli.nn.optimizer import OPTIMIZERS, Optimizer, OptimizerType
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.nn.schedule import SCHEDULES, Schedule, ScheduleType
from backprop_cli.run.settings import CheckpointSettings, LogSettings, RunSettings
from backprop_cli.settings import (
    FREE,
    IN_PLACE,
    RESPLITS,
    RESTARTS,
    DefaultType,
    FilePath,
    Many,
    Maybe,
    OneOrMany,
    Positive,
    PositiveInt,
    Settings,
)
from backprop_cli.training.settings import EarlyStoppingSettings, LookaheadSettings, TrainingSettings

NAME_PATTERN = r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$"
"""Names that are valid folders on every system: no slashes, no control characters, no leading dot."""


class FromCheckpointSettings(Settings):
    """Start from the weights of another run instead of random ones."""

    path: FilePath
    """a checkpoint, or a run: its best checkpoint if it has one, else its last"""
    layers: Annotated[Many[str], Field(min_length=1), OneOrMany()] | None = None
    """layers that start from it; * stands for any text (block_1.*, dense_*); default: all"""


class ModelSettings(Settings):
    """The network: layers in order, each reading the one before it unless ``inputs`` says otherwise."""

    input: Annotated[Many[PositiveInt], Field(min_length=1)] | None = None
    """shape of one example, channels first; default: that of the data"""
    layers: Annotated[Many[LayerType], Field(min_length=1)]
    """the layers, first to last; the output of the last is the network's"""
    from_checkpoint: FromCheckpointSettings | None = None
    """another run whose weights replace the initial ones"""

    @field_validator("layers")
    @classmethod
    def _write_out(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        """Fill in default names and inputs, so that a configuration means the same wherever it is read."""
        # Layers that do not connect are reported later, with their place.
        return layers if wiring_errors(layers) else written_out(layers)


class GradientCheckSettings(Settings):
    """Compare the gradients of the network with numerical ones while it trains."""

    at_start: bool = True
    """check before the first step"""
    every_steps: Maybe[PositiveInt] = None
    """check every this many steps as well"""
    method: Literal["auto", "central", "complex", "adjoint", "taylor", "projection"] = "auto"
    """reference for the gradient; auto combines central differences, the complex step and forward mode"""
    samples: PositiveInt | Literal["all"] = 32
    """number of entries to check in each parameter"""
    tolerance: Positive = 1e-5
    """largest relative error that passes"""
    adjoint_every_steps: Maybe[PositiveInt] = None
    """every this many steps, record the difference of forward and reverse mode as the metric adjoint_residual"""
    on_failure: Literal["stop", "warn"] = "stop"
    """after a wrong gradient, stop the run or only warn"""
    max_seconds: Maybe[Positive] = None
    """stop a check after this many seconds and report the remaining entries as unchecked"""


class Config(Settings):
    """Everything a training run depends on, except the content of data files."""

    name: Annotated[str, Field(pattern=NAME_PATTERN), IN_PLACE] = "run"
    """name of the run's folder; default: the configuration file's stem"""
    seed: Annotated[int, Field(ge=0), RESPLITS] = 0
    """seed of the split, initial weights, shuffling and dropout"""
    plugins: Annotated[Many[FilePath], OneOrMany()] = ()
    """your own Python files with layers, ops, losses, ...; bp runs them and checks their gradients"""
    data: DataSettings
    """source of the examples, their split and their transforms"""
    model: ModelSettings
    """the network"""
    loss: LossType
    """function that training minimizes"""
    regularization: Annotated[RegularizationSettings, RESTARTS] = RegularizationSettings()
    """penalties on weights, reported as their own metric"""
    optimizer: Annotated[OptimizerType, DefaultType("adam")] = Field(default_factory=lambda: _default_optimizer())
    """rule that turns gradients into updates; default: adam"""
    schedule: Annotated[ScheduleType, DefaultType("constant"), FREE] = Field(
        default_factory=lambda: _default_schedule()
    )
    """learning rate over time; default: constant"""
    average: Maybe[AverageType] = None
    """average of the parameters over training, evaluated and kept in their place; absent or none: off"""
    lookahead: Maybe[LookaheadSettings] = None
    """slow weights that follow the optimizer's; absent or none: off, {}: on"""
    metrics: Annotated[Many[MetricType], RESTARTS] = Field(default_factory=lambda valid: _default_metrics(valid))
    """metrics of whole splits; default: accuracy, for tokens also perplexity; for regression
    root_mean_squared_error and r2"""
    calibrate: Annotated[Maybe[Literal["temperature"]], FREE] = None
    """temperature: after training, divide the logits by a number fitted on the validation split; absent or none: off"""
    intervals: Annotated[Maybe[Annotated[float, Field(gt=0, lt=1)]], FREE] = None
    """predict intervals of numbers or sets of classes that hold the truth with this probability, such as 0.9"""
    training: TrainingSettings = TrainingSettings()
    """length of training, batches and precision"""
    early_stopping: Annotated[Maybe[EarlyStoppingSettings], FREE] = None
    """stop when the monitored metric no longer improves; absent or none: off"""
    checkpoint: Annotated[CheckpointSettings, FREE] = Field(default_factory=CheckpointSettings, validate_default=True)
    """which checkpoints to save, and the metric of the best"""
    gradient_check: Annotated[Maybe[GradientCheckSettings], FREE] = None
    """check the gradients during training; absent or none: off, {}: on"""
    log: Annotated[LogSettings, FREE] = LogSettings()
    """records in addition to those of the epochs"""
    run: Annotated[RunSettings, IN_PLACE] = RunSettings()
    """place of run directories"""

    @field_validator("checkpoint")
    @classmethod
    def _monitor_what_exists(cls, checkpoint: CheckpointSettings, info: ValidationInfo) -> CheckpointSettings:
        """The default monitor: that of early stopping, or without a validation split the train loss."""
        data, stopping = info.data.get("data"), info.data.get("early_stopping")
        if data is None or "monitor" in checkpoint.model_fields_set:
            return checkpoint
        if stopping is not None:
            return checkpoint.model_copy(update={"monitor": stopping.monitor})
        return checkpoint if has_validation(data) else checkpoint.model_copy(update={"monitor": "train/loss"})


def has_validation(data: DataSettings) -> bool:
    """Whether there will be a validation split."""
    return data.validation is not None or (data.split is not None and data.split.validation > 0)


def _default_optimizer() -> Optimizer:
    return OPTIMIZERS["adam"].model_validate({})


def _default_schedule() -> Schedule:
    return SCHEDULES["constant"].model_validate({})


def _default_metrics(valid: dict[str, Any]) -> tuple[Metric, ...]:
    loss = valid.get("loss")
    return () if loss is None else tuple(METRICS[name].model_validate({}) for name in loss.task.default_metrics)

"""Keys that contradict each other, found without data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from backprop_cli.config.configuration import Config, has_validation
from backprop_cli.data.settings import INPUTS
from backprop_cli.errors import Problem, TreePath, joined, nearest
from backprop_cli.nn.graph import every_layer, graph_of, vocabulary_of, wiring_errors
from backprop_cli.nn.layer import ParameterLayer
from backprop_cli.nn.metric import METRICS
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.nn.scopes import INPUT
from backprop_cli.settings import AUTO

Direction = Literal["min", "max"]


def conflicts(config: Config) -> list[Problem]:
    """All contradictions, each at the value to change."""
    found = (_monitors, _target_transform, _averages, _full_batch, _calibration)
    # Another loss would suit other metrics, so a wrong loss is reported alone.
    return [*(list(_texts(config)) or _metrics(config)), *(each for find in found for each in find(config))]


def monitor_names(config: Config) -> list[str]:
    """Names of the metrics that can be monitored: of the train split, and of the validation split if there is one."""
    early = [metric for metric in config.metrics if not metric.needs_intervals or len(config.loss.levels) > 1]
    kinds = ["loss", *(metric.type for metric in early)]
    penalty = ["train/regularization"] if _is_regularized(config) else []
    held_out = [f"validation/{kind}" for kind in kinds] if has_validation(config.data) else []
    return [*(f"train/{kind}" for kind in kinds), *penalty, *held_out]


def _is_regularized(config: Config) -> bool:
    rules = [layer.regularization for layer in every_layer(config.model.layers) if isinstance(layer, ParameterLayer)]
    return any(rule.is_on for rule in (config.regularization, *rules) if rule is not None)


def monitor_direction(config: Config, name: str) -> Direction:
    """Whether the monitored metric ``name`` is better when smaller (as every loss) or larger."""
    kind = name.rpartition("/")[2]
    return next((metric.better for metric in config.metrics if metric.type == kind), "min")


def _texts(config: Config) -> Iterator[Problem]:
    """A text needs a loss for next tokens and a layer that looks tokens up."""
    if config.data.text is None:
        return
    if not config.loss.task.has_positions:
        yield Problem(("loss",), "the targets of a text are the next tokens", "use loss: next_token")
    layers = config.model.layers
    if not wiring_errors(layers) and vocabulary_of(nodes := graph_of(layers)) is None:
        first = next(each for each in nodes if INPUT in each.inputs)
        reason = f"layer {first.name}: reads numbers, but the examples of a text are tokens"
        embedding = "{type: embedding, tokens: ..., width: ...}"
        way_out = f"put {embedding} before it, with tokens: the number of different tokens"
        yield Problem(("model", *first.path), reason, way_out)


def _metrics(config: Config) -> Iterator[Problem]:
    loss, seen = config.loss, set()
    for index, metric in enumerate(config.metrics):
        path: TreePath = ("metrics", index)
        if metric.type in seen:
            yield Problem(path, f"'{metric.type}' is listed twice; a metric's name is its type")
        seen.add(metric.type)
        if not metric.suits(loss):
            fitting = [name for name, cls in METRICS.items() if cls.suits(loss)]
            wanted = joined([task.phrase for task in metric.tasks], "or")
            reason = f"'{metric.type}' is for {wanted}, but {loss.type} is for {loss.task.phrase}"
            if loss.task in metric.tasks:
                reason = f"'{metric.type}' needs probabilities, but {loss.type} gives scores"
            yield Problem(path, reason, f"use one of: {', '.join(fitting)}")


def _calibration(config: Config) -> Iterator[Problem]:
    """What is fitted on the validation split after training."""
    loss, task = config.loss, config.loss.task
    asked = [key for key in ("calibrate", "intervals") if getattr(config, key) is not None]
    for key in asked:
        value = getattr(config, key)
        if task.has_positions or (task.has_classes and not loss.gives_probabilities):
            gives = "tokens" if task.has_positions else "scores, not probabilities"
            yield Problem(
                (key,), f"'{value}' needs probabilities or numbers, and {loss.type} predicts {gives}", _LEAVE_OUT
            )
        elif key == "calibrate" and not task.has_classes:
            yield Problem((key,), f"'{value}' is for classes, but {loss.type} is for {task.phrase}", _LEAVE_OUT)
        elif len(loss.levels) > 1:
            reason = f"{value} goes with one prediction of each target, and {loss.type} predicts {len(loss.levels)}"
            yield Problem((key,), reason, _LEAVE_OUT)
        elif config.data.target == INPUTS:
            yield Problem((key,), f"{value} is for a target, and here the inputs are the target", _LEAVE_OUT)
        elif not has_validation(config.data):
            yield Problem((key,), "is fitted on the validation split, and there is none", "set data.split.validation")
    for index, metric in enumerate(config.metrics):
        if metric.needs_intervals and config.intervals is None and len(loss.levels) < 2 and metric.suits(loss):
            way_out = "set intervals: 0.9" + (", or predict several quantiles" if task.has_unit else "")
            yield Problem(("metrics", index), f"'{metric.type}' needs intervals", way_out)


_LEAVE_OUT = "leave it out"


def _monitors(config: Config) -> Iterator[Problem]:
    monitors: list[tuple[TreePath, str]] = []
    if config.early_stopping is not None:
        monitors.append((("early_stopping", "monitor"), config.early_stopping.monitor))
    if config.early_stopping is None or config.checkpoint.monitor != config.early_stopping.monitor:
        monitors.append((("checkpoint", "monitor"), config.checkpoint.monitor))
    scheduled = getattr(config.schedule, "monitor", None)
    if isinstance(scheduled, str):
        monitors.append((("schedule", "monitor"), scheduled))
    known = monitor_names(config)
    return (_unknown_monitor(config, path, name, known) for path, name in monitors if name not in known)


def _unknown_monitor(config: Config, path: TreePath, name: str, known: list[str]) -> Problem:
    split, slash, kind = name.partition("/")
    if not slash:
        usual = "validation" if has_validation(config.data) else "train"
        full = f"{usual}/{name}"
        near = full if full in known else nearest(full, known)
        reason = f"no metric is named '{name}'; a name starts with its split"
        return Problem(path, reason, f"did you mean '{near}'?" if near else f"known: {', '.join(known)}")
    if split == "validation" and not has_validation(config.data):
        reason = f"'{name}' needs a validation split"
        return Problem(path, reason, f"set data.split.validation, or monitor train/{kind}")
    if split == "test":
        return Problem(path, f"'{name}' is computed only once, at the end", f"monitor validation/{kind} instead")
    if kind in METRICS and f"{split}/loss" in known:
        return Problem(path, f"'{kind}' is not among the metrics", "add it there")
    near = nearest(name, known)
    way_out = f"did you mean '{near}'?" if near else f"known: {', '.join(known)}"
    return Problem(path, f"no metric is named '{name}'", way_out)


def _target_transform(config: Config) -> Iterator[Problem]:
    path, target, loss = ("data", "transform", "target"), config.data.transform.target, config.loss
    if target == "standardize" and not loss.task.has_unit:
        reason = f"'{target}' is for regression, but {loss.type} is for {loss.task.phrase}"
        yield Problem(path, reason, "leave it at auto")
    elif target == "standardize" and loss.keeps_unit:
        yield Problem(path, f"{loss.type} needs the targets as they are", "leave it at auto")


def _averages(config: Config) -> Iterator[Problem]:
    begin, epochs = getattr(config.average, "from_epoch", 0), config.training.epochs
    if begin > epochs > 0 and epochs != AUTO:
        reason = f"training ends after epoch {epochs}, so nothing would be averaged"
        way_out = f"start at epoch {epochs} or earlier, or set training.epochs"
        yield Problem(("average", "from_epoch"), reason, way_out)


def _full_batch(config: Config) -> Iterator[Problem]:
    """Keys that do not suit an optimizer with full batches and a line search."""
    name, training = config.optimizer.type, config.training
    if not isinstance(config.optimizer, FullBatch):
        return
    if training.accumulate > 1:
        reason = f"{name} sees the whole train split in one batch"
        yield Problem(("training", "accumulate"), reason, "leave it at 1")
    if training.overfit_batches is not None:
        yield Problem(("training", "overfit_batches"), f"{name} has no batches", "leave it at none")
    for key in ("clip_norm", "clip_value"):
        if getattr(training, key) is not None:
            reason = f"{name} searches along the gradient as it is"
            yield Problem(("training", key), reason, "leave it at none")
    for key in ("average", "lookahead"):
        if getattr(config, key) is not None:
            reason = f"{name} lowers the loss at every step, so its last parameters are its best"
            yield Problem((key,), reason, "leave it at none")
    if config.data.augment is not None:
        yield Problem(("data", "augment"), f"{name} needs a loss that is the same at every step", "remove it")
    for path in _with_kinks(config):
        yield Problem(path, f"{name} needs a loss without kinks", "use l2")


def _with_kinks(config: Config) -> Iterator[TreePath]:
    """The paths of l1 penalties; for a layer in a block, that of the block."""
    if config.regularization.l1:
        yield ("regularization", "l1")
    for index, layer in enumerate(config.model.layers):
        own = [each for each in every_layer([layer]) if isinstance(each, ParameterLayer)]
        if any(each.regularization is not None and each.regularization.l1 for each in own):
            yield ("model", "layers", index, *(("regularization", "l1") if layer in own else ()))


def noisy_layers(config: Config, model: Model) -> Iterator[Problem]:
    """Layers that draw random numbers in training, if the optimizer needs the same loss at every step."""
    if not isinstance(config.optimizer, FullBatch):
        return
    for node in model.nodes:
        if node.layer.noise(*node.specs(1, model.dtype)):
            reason = f"layer {node.name}: draws random numbers, but {config.optimizer.type} needs a loss that is the "
            yield Problem(("model", *node.path), f"{reason}same at every step", "remove it")

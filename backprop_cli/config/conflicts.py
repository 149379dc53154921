"""Keys that do not go together, as far as that can be seen without data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from backprop_cli.config.configuration import Config, has_validation
from backprop_cli.config.full_batch import full_batch_conflicts
from backprop_cli.config.path import TreePath
from backprop_cli.errors import did_you_mean
from backprop_cli.nn.layer import ParameterLayer
from backprop_cli.nn.metric import METRICS
from backprop_cli.nn.scopes import INPUT
from backprop_cli.nn.wiring import every_layer, vocabulary_of, wire, wiring_errors

Incoherence = tuple[TreePath, str]
"""The path of the value to change, and why."""

Direction = Literal["min", "max"]


def incoherences(config: Config) -> list[Incoherence]:
    """All of them."""
    found = (_monitors, _target_transform, _averages, full_batch_conflicts, _not_yet)
    # With another loss other metrics fit.
    return [*(list(_texts(config)) or _metrics(config)), *(each for find in found for each in find(config))]


def monitor_names(config: Config) -> list[str]:
    """Names of the metrics that can be monitored: of the train split, and of the validation split if there is one."""
    kinds = ["loss", *(metric.type for metric in config.metrics)]
    penalty = ["train/regularization"] if _is_regularized(config) else []
    held_out = [f"validation/{kind}" for kind in kinds] if has_validation(config.data) else []
    return [*(f"train/{kind}" for kind in kinds), *penalty, *held_out]


def _is_regularized(config: Config) -> bool:
    rules = [layer.regularization for layer in every_layer(config.model.layers) if isinstance(layer, ParameterLayer)]
    return any(rule.is_on for rule in (config.regularization, *rules) if rule is not None)


def monitor_direction(config: Config, name: str) -> Direction:
    """Which way the monitored metric ``name`` is better: as the metric says; a loss is better when smaller."""
    kind = name.rpartition("/")[2]
    return next((metric.better for metric in config.metrics if metric.type == kind), "min")


def _texts(config: Config) -> Iterator[Incoherence]:
    """What an example of a text is for: its tokens are looked up, and those that come next are the targets."""
    if config.data.text is None:
        return
    if config.loss.task != "tokens":
        yield ("loss",), "the targets of a text are the tokens that come next; use loss: next_token"
    layers = config.model.layers
    if not wiring_errors(layers) and vocabulary_of(wires := wire(layers)) is None:
        first = next(each for each in wires if INPUT in each.inputs)
        reason = f"layer {first.name}: reads numbers, and the examples of a text are tokens"
        embedding = "{type: embedding, tokens: ..., width: ...}"
        yield ("model", *first.path), f"{reason}; put {embedding} before it, tokens: how many different ones there are"


def _metrics(config: Config) -> Iterator[Incoherence]:
    loss, seen = config.loss, set()
    for index, metric in enumerate(config.metrics):
        path: TreePath = ("metrics", index)
        if metric.type in seen:
            yield path, f"'{metric.type}' is there twice; a metric's name is its type"
        seen.add(metric.type)
        if not metric.suits(loss):
            fitting = [name for name, cls in METRICS.items() if cls.suits(loss)]
            *others, last = (_TASKS[t] for t in metric.tasks)
            wanted = f"{', '.join(others)} or {last}" if others else last
            reason = f"'{metric.type}' is for {wanted}, and {loss.type} is for {_TASKS[loss.task]}"
            if loss.task in metric.tasks:
                reason = f"'{metric.type}' needs probabilities, and {loss.type} gives scores"
            yield path, f"{reason}; use one of: {', '.join(fitting)}"


_TASKS = {"classes": "classes", "binary": "binary targets", "regression": "regression", "tokens": "tokens"}


def _monitors(config: Config) -> Iterator[Incoherence]:
    monitors: list[tuple[TreePath, str]] = []
    if config.early_stopping is not None:
        monitors.append((("early_stopping", "monitor"), config.early_stopping.monitor))
    if config.early_stopping is None or config.checkpoint.monitor != config.early_stopping.monitor:
        monitors.append((("checkpoint", "monitor"), config.checkpoint.monitor))
    scheduled = getattr(config.schedule, "monitor", None)
    if isinstance(scheduled, str):
        monitors.append((("schedule", "monitor"), scheduled))
    for path, name in monitors:
        reason = _unknown_monitor(config, name)
        if reason:
            yield path, reason


def _unknown_monitor(config: Config, name: str) -> str | None:
    known = monitor_names(config)
    if name in known:
        return None
    split, slash, kind = name.partition("/")
    if not slash:
        usual = "validation" if has_validation(config.data) else "train"
        full = f"{usual}/{name}"
        hint = f"; did you mean '{full}'?" if full in known else did_you_mean(full, known)
        hint = hint or f"; known: {', '.join(known)}"
        return f"no metric is named '{name}'; a name has its split in front{hint}"
    if split == "validation" and not has_validation(config.data):
        reason = f"there is no validation split to compute '{name}' on"
        return f"{reason}; set data.split.validation, or monitor train/{kind}"
    if split == "test":
        return f"'{name}' is computed only once, at the end; monitor validation/{kind} instead"
    if kind in METRICS and f"{split}/loss" in known:
        return f"'{kind}' is not among the metrics; add it there"
    hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
    return f"no metric is named '{name}'{hint}"


def _target_transform(config: Config) -> Iterator[Incoherence]:
    if config.data.transform.target != "none" and config.loss.task != "regression":
        target, loss = config.data.transform.target, config.loss.type
        reason = f"'{target}' is for regression, and {loss} is for {_TASKS[config.loss.task]}; leave it at none"
        yield ("data", "transform", "target"), reason
    elif config.data.transform.target != "none" and config.loss.keeps_unit:
        reason = f"{config.loss.type} needs the targets as they are"
        yield ("data", "transform", "target"), f"{reason}; leave it at none"


def _averages(config: Config) -> Iterator[Incoherence]:
    begin, epochs = getattr(config.average, "from_epoch", 0), config.training.epochs
    if begin > epochs > 0:
        reason = f"training ends after epoch {epochs}, so that nothing would be averaged"
        yield ("average", "from_epoch"), f"{reason}; begin at epoch {epochs} or before, or set training.epochs"


def _not_yet(config: Config) -> Iterator[Incoherence]:
    if config.log.tensorboard:
        yield ("log", "tensorboard"), "this version of bp writes no TensorBoard files; leave it false"

"""``bp eval``: metrics of a checkpoint on a split or on other data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backprop_cli.checks.requirements import Judged, NotMetError, Requirement
from backprop_cli.data.examples import Split
from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.json_object import JsonObject
from backprop_cli.nn.confusion import confusion as confusion_counts
from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.session.baselines import Baselines, baselines_of
from backprop_cli.session.data_changes import Changed, changed
from backprop_cli.session.measured_data import change_warnings, check_split, find_split, other_data, own_dataset
from backprop_cli.session.trained_network import TrainedNetwork, open_network
from backprop_cli.training.evaluation import Evaluator

OTHER_DATA = "data"
"""Split name of the examples from ``--data``."""


@dataclass(frozen=True)
class Confusion(JsonObject):
    """``counts[i][j]``: examples of class i predicted as class j."""

    classes: Sequence[Any]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class EvalResult(JsonObject):
    """Metrics of one split, and for a time series those of ``baselines``.

    ``unproven``: why the requirements prove nothing even if they are met, or empty. ``warnings``: what may mislead.
    """

    json_keys: ClassVar = (
        "checkpoint",
        "split",
        "examples",
        "metrics",
        "requirements",
        "baselines",
        "confusion",
    )
    json_optional: ClassVar = ("requirements", "baselines", "confusion")

    checkpoint: Path
    split: str
    examples: int
    metrics: Mapping[str, float]
    requirements: tuple[Judged, ...] = ()
    baselines: Baselines = field(default_factory=dict)
    confusion: Confusion | None = None
    unproven: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[str, ...]:
        """The unmet requirements, as text."""
        missed = tuple(str(judged) for judged in self.requirements if not judged.met)
        return (*missed, self.unproven) if self.unproven else missed

    def check(self) -> None:
        """Raise NotMetError unless every requirement is met."""
        if self.failed:
            raise NotMetError(self.requirements, self.unproven, self.to_json())


def evaluate(
    checkpoint: Path | str,
    overrides: Sequence[str] = (),
    *,
    split: str = "test",
    data: Path | None = None,
    require: Sequence[str] = (),
    confusion: bool = False,
    accept_changed_data: bool = False,
    plugins: Sequence[Path | str] = (),
) -> EvalResult:
    """Evaluate a checkpoint (a run means its best, or else last) on a split of its own data, or on the file ``data``.

    ``require``: texts such as ``accuracy>=0.95``; a metric that is not configured is computed for it.
    ``confusion``: also count true against predicted classes. ``accept_changed_data``: requirements count even if
    the run's own files have changed. ``plugins``: files with code that the network needs.

    Raises:
        UsageError: no such split or metric, or a plugin is missing.
        CheckpointError: the checkpoint is missing or damaged.
        ConfigError: an override is wrong, or makes another network of the one that was trained.
        DataError: the data cannot be read as the checkpoint's network needs it.

    """
    check_split(split)
    if data is not None and split != "test":
        raise UsageError(f"--split {split}: --data names the examples itself; leave one of the two out")
    _check_overrides(overrides)
    name = OTHER_DATA if data is not None else split
    requirements = [Requirement.parse(text, name) for text in require]
    saved = open_network(Path(checkpoint), overrides, plugins, as_trained=True)
    evaluator = _with_required(saved, requirements)
    if confusion and (saved.classes is None or saved.recipe.loss.task.has_positions):
        raise UsageError(f"--confusion: {_not_classes(saved)}")
    examples, files = _examples(saved, split, data)
    with saved.threads():
        predictions, metrics = evaluator.evaluate_with_predictions(examples)
    found = _other_data(saved, files, overrides)
    warnings, unproven = change_warnings(found), ""
    if found is not None and requirements and not accept_changed_data:
        unproven = f"{warnings[0]}; {found.way_out('add')}"
        warnings = ()
    return EvalResult(
        checkpoint=saved.path,
        split=name,
        examples=len(examples.inputs),
        metrics=metrics,
        confusion=_confusion(saved, predictions) if confusion else None,
        baselines=baselines_of({name: examples}, evaluator.metrics, evaluator.untransform),
        requirements=tuple(requirement.judge(metrics) for requirement in requirements),
        unproven=unproven,
        warnings=warnings,
    )


def _other_data(saved: TrainedNetwork, files: Mapping[str, str], overrides: Sequence[str]) -> Changed | None:
    """A change of the run's own files. Files that an override names are expected to be others."""
    if not files or any(_is_below(override.partition("=")[0], _FILES) for override in overrides):
        return None
    return changed(saved.checkpoint.metadata, files)


def _not_classes(saved: TrainedNetwork) -> str:
    if saved.recipe.loss.task.has_positions:
        return f"{saved.loaded.config.loss.type} predicts tokens, and of those no matrix is counted"
    if saved.recipe.loss.task.has_classes:
        return f"there are {len(saved.transform.target.names)} targets; a matrix needs one"
    return f"{saved.loaded.config.loss.type} predicts numbers, not classes"


_FILES = ("data.source", "data.train", "data.validation", "data.test", "data.format")


def _check_overrides(overrides: Sequence[str]) -> None:
    """A trained network is evaluated as it is: other files and metrics can be named, nothing else.

    Another seed or split of the same rows would put rows it was trained on into the test.
    """
    keys = [override.partition("=")[0] for override in overrides]
    other_files = any(_is_below(key, _FILES) for key in keys)
    # Of another model the checkpoint says what does not fit.
    allowed = (*_FILES, "metrics", "model", *(("data.split", "seed") if other_files else ()))
    for key, override in zip(keys, overrides, strict=True):
        if _is_below(key, ("seed", "data.split")) and not other_files:
            raise UsageError(f"override {override}: would test the network on rows it was trained on; name other data")
        if not _is_below(key, allowed):
            named = ", ".join([*_FILES, "metrics"])
            raise UsageError(f"override {override}: the network is evaluated as it was trained; eval overrides {named}")


def _is_below(key: str, sections: Sequence[str]) -> bool:
    return any(key == section or key.startswith((f"{section}.", f"{section}[")) for section in sections)


def _with_required(saved: TrainedNetwork, requirements: Sequence[Requirement]) -> Evaluator:
    """The evaluator with the configured metrics, and the required ones."""
    evaluator, loss = saved.evaluator(), saved.recipe.loss
    metrics: dict[str, Metric] = {metric.type: metric for metric in evaluator.metrics}
    fitting = [name for name, cls in METRICS.items() if cls.suits(loss)]
    for requirement in requirements:
        name = requirement.metric
        if name == "loss" or name in metrics:
            continue
        if name not in fitting:
            known = ["loss", *sorted({*metrics, *fitting})]
            near = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            raise UsageError(f"--require {requirement.text!r}: unknown metric '{name}'{near}")
        metrics[name] = METRICS[name].model_validate({})
    return Evaluator(evaluator.recipe, evaluator.arrays, tuple(metrics.values()), evaluator.untransform)


def _examples(saved: TrainedNetwork, split: str, data: Path | None) -> tuple[Split, Mapping[str, str]]:
    """The examples, and the sha256 of the run's own files where they come out of those."""
    config = saved.loaded.config
    if data is not None:
        return other_data(saved, data, config.training.precision), {}
    dataset = own_dataset(saved, config.training.precision)
    find_split(dataset, split)
    return dataset.measured[split], dataset.files


def _confusion(saved: TrainedNetwork, predictions: Predictions) -> Confusion:
    classes, targets = list(saved.classes or []), np.asarray(predictions.targets)
    counts = confusion_counts(targets.reshape(-1).astype(np.int64), predictions.labels.reshape(-1), len(classes))
    return Confusion(classes, counts.tolist())

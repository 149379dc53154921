"""``bp eval``: metrics of a checkpoint on a split or on other data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backprop_cli.api.arguments import as_path, one_or_many
from backprop_cli.checks.requirements import Judged, NotMetError, Requirement, required_metrics
from backprop_cli.errors import UsageError
from backprop_cli.json_object import JsonObject
from backprop_cli.nn.confusion import confusion as confusion_counts
from backprop_cli.nn.metric import Predictions
from backprop_cli.session.baselines import Baselines, series_baselines
from backprop_cli.session.bootstrap import resampled
from backprop_cli.session.measured_data import change_warnings, check_overrides, check_split, examples_of
from backprop_cli.session.overfit import doubt
from backprop_cli.session.trained_network import TrainedNetwork, open_network

OTHER_DATA = "data"
"""Split name of the examples from ``--data``."""


class Confusion(JsonObject):
    """A confusion matrix."""

    classes: Sequence[Any]
    """Names of the classes, in the order of the outputs."""
    counts: Sequence[Sequence[int]]
    """``counts[i][j]``: examples of class i predicted as class j."""


class EvalResult(JsonObject, kw_only=True):
    """Metrics of one split, or of other data."""

    json_keys: ClassVar = (
        "checkpoint",
        "split",
        "examples",
        "metrics",
        "requirements",
        "baselines",
        "intervals",
        "confusion",
    )
    json_optional: ClassVar = ("requirements", "baselines", "intervals", "confusion")

    checkpoint: Path
    """The checkpoint that was evaluated."""
    split: str
    """``train``, ``validation`` or ``test``; ``data`` for a file given by ``--data``."""
    examples: int
    """Number of examples."""
    metrics: Mapping[str, float]
    """Metrics by name, without the split: ``loss``, ``accuracy``."""
    requirements: tuple[Judged, ...] = ()
    """The requirements of ``--require``, in their order."""
    baselines: Baselines = field(default_factory=dict)
    """The same metrics of predictions without a network, for a time series."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """With ``--bootstrap``: the ends of a 95 % interval of each metric but the loss."""
    confusion: Confusion | None = None
    """The confusion matrix, with ``--confusion``."""
    unproven: str = ""
    """The reason why requirements prove nothing even if they are met, or empty."""
    warnings: tuple[str, ...] = ()
    """Reasons for doubt about the metrics."""

    @property
    def failed(self) -> tuple[str, ...]:
        """The unmet requirements, as text."""
        missed = tuple(str(judged) for judged in self.requirements if not judged.met)
        return (*missed, self.unproven) if self.unproven else missed

    def check(self) -> None:
        """Raise NotMetError unless every requirement is met."""
        if self.failed:
            raise NotMetError(self.requirements, self.unproven, self.to_json())


@one_or_many
def evaluate(
    checkpoint: Path | str,
    overrides: Sequence[str] = (),
    *,
    split: str = "test",
    data: Path | str | None = None,
    require: Sequence[str] = (),
    confusion: bool = False,
    bootstrap: int | None = None,
    accept_changed_data: bool = False,
    plugins: Sequence[Path | str] = (),
) -> EvalResult:
    """Evaluate a checkpoint (a run means its best, or else last) on a split of its own data, or on the file ``data``.

    ``require``: texts such as ``accuracy>=0.95``; a metric that is not configured is computed for it.
    ``bootstrap``: also intervals of the metrics, from this many samples of the examples with replacement.
    ``confusion``: also count true against predicted classes. ``accept_changed_data``: requirements count even if
    the run's own files have changed. ``plugins``: files with code that the network needs.

    Raises:
        UsageError: an unknown split or metric, or a missing plugin.
        CheckpointError: the checkpoint is missing or damaged.
        ConfigError: an override is wrong, or changes the trained network.
        DataError: the data cannot be read as the checkpoint's network needs it.

    """
    check_split(split)
    if data is not None and split != "test":
        raise UsageError(f"--split {split}: --data names the examples itself; leave one of the two out")
    check_overrides(overrides)
    data = as_path(data)
    name = OTHER_DATA if data is not None else split
    requirements = [Requirement.parse(text, name) for text in require]
    saved = open_network(Path(checkpoint), overrides, plugins, as_trained=True)
    evaluator, loss = saved.evaluator(), saved.recipe.loss
    evaluator = evaluator.on(evaluator.arrays, required_metrics(requirements, evaluator.metrics, loss))
    if confusion and (saved.classes is None or loss.task.has_positions):
        raise UsageError(f"--confusion: {_not_classes(saved)}")
    if bootstrap is not None:
        _check_bootstrap(saved, bootstrap)
    examples, change = examples_of(saved, split, data, overrides)
    with saved.threads():
        predictions, metrics = evaluator.evaluate_with_predictions(examples)
    warnings, unproven = change_warnings(change), ""
    if change is not None and requirements and not accept_changed_data:
        unproven = f"{warnings[0]}; {change.way_out('add')}"
        warnings = ()
    return EvalResult(
        checkpoint=saved.path,
        split=name,
        examples=len(examples.inputs),
        metrics=metrics,
        confusion=_confusion(saved, predictions) if confusion else None,
        intervals={} if bootstrap is None else resampled(evaluator, predictions, bootstrap, saved.loaded.config.seed),
        baselines=series_baselines({name: examples}, evaluator.metrics, evaluator.untransform),
        requirements=tuple(requirement.judge(metrics) for requirement in requirements),
        unproven=unproven,
        warnings=(*doubt(saved.original.config), *warnings, *(_alike(saved) if bootstrap is not None else ())),
    )


def _check_bootstrap(saved: TrainedNetwork, samples: int) -> None:
    """Raise UsageError unless the examples can be drawn one by one."""
    if samples < 2:
        raise UsageError(f"--bootstrap {samples}: there must be at least 2 samples")
    if saved.transform.window is not None or saved.recipe.loss.task.has_positions:
        what = "windows of a series" if saved.transform.window is not None else "tokens of a text"
        raise UsageError(
            f"--bootstrap: {what} depend on each other, and samples of them would say too little; leave it out"
        )


def _alike(saved: TrainedNetwork) -> tuple[str, ...]:
    """The warning about rows that come in groups."""
    split = saved.loaded.config.data.split
    if split is None or split.by is None:
        return ()
    return (
        f"--bootstrap draws single rows, and those of a group ({split.text}) are alike: its intervals are too narrow",
    )


def _not_classes(saved: TrainedNetwork) -> str:
    if saved.recipe.loss.task.has_positions:
        return f"{saved.loaded.config.loss.type} predicts tokens, which have no confusion matrix"
    if saved.recipe.loss.task.has_classes:
        return f"there are {len(saved.transform.target.names)} targets; a matrix needs one"
    return f"{saved.loaded.config.loss.type} predicts numbers, not classes"


def _confusion(saved: TrainedNetwork, predictions: Predictions) -> Confusion:
    classes, targets = list(saved.classes or []), np.asarray(predictions.targets)
    counts = confusion_counts(targets.reshape(-1).astype(np.int64), predictions.labels.reshape(-1), len(classes))
    return Confusion(classes, counts.tolist())

"""``--require 'accuracy>=0.95'``: a metric, a comparison, a number."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from backprop_cli.errors import CheckError, UsageError, did_you_mean
from backprop_cli.json_object import JsonObject
from backprop_cli.nn.loss import Loss
from backprop_cli.nn.metric import METRICS, Metric
from backprop_cli.structs import Struct

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_FORM = re.compile(r"\s*([A-Za-z0-9_/]+)\s*(>=|<=|==|>|<)\s*(\S+)\s*")


class Requirement(Struct):
    """``metric comparison value``; the metric's name has no split."""

    metric: str
    comparison: str
    value: float
    text: str

    @classmethod
    def parse(cls, text: str, split: str) -> Requirement:
        """Parse a requirement; ``test/accuracy`` is ``accuracy`` if the split is ``test``.

        Raises:
            UsageError: the text is no requirement, or is about another split.

        """
        match = _FORM.fullmatch(text)
        try:
            value = float(match[3]) if match else math.nan
        except ValueError:
            value = math.nan
        if match is None or math.isnan(value):  # no number compares with NaN
            raise UsageError(
                f"--require {text!r}: expected a metric, one of {' '.join(_COMPARISONS)}, and a number, "
                "as in 'accuracy>=0.95'"
            )
        named, slash, metric = match[1].rpartition("/")
        if slash and named != split:
            raise UsageError(f"--require {text!r}: is about '{named}', but '{split}' is evaluated")
        return cls(metric, match[2], value, text)

    def judge(self, metrics: Mapping[str, float]) -> Judged:
        """Compare the metric with the value; NaN meets nothing."""
        found = metrics[self.metric]
        return Judged(self, found, _COMPARISONS[self.comparison](found, self.value))

    def __str__(self) -> str:
        return self.text.strip()


class Judged(JsonObject):
    """A requirement and its outcome."""

    json_keys: ClassVar = ("requirement", "value", "met")

    required: Requirement
    value: float
    """The value of its metric."""
    met: bool
    """Whether the metric meets it; NaN meets nothing."""

    @property
    def requirement(self) -> str:
        """The text of the requirement: ``accuracy>=0.95``."""
        return str(self.required)

    def __str__(self) -> str:
        """``accuracy is 0.9, required >= 0.95``."""
        required = self.required
        return f"{required.metric} is {self.value:.6g}, required {required.comparison} {required.value:g}"


class NotMetError(CheckError):
    """Requirements that are not met. ``unproven``: why even met ones prove nothing, or empty.

    ``details``: further results for ``--json``.
    """

    def __init__(self, judged: Sequence[Judged], unproven: str, details: Mapping[str, Any]):
        self.details = details
        self._problems = [{"message": str(each), **each.to_json()} for each in judged if not each.met]
        if unproven:
            self._problems.append({"message": unproven})
        super().__init__("\n".join(f"not met: {problem['message']}" for problem in self._problems))

    def describe(self) -> list[dict[str, Any]]:
        """One object for each unmet requirement, with its value."""
        return self._problems


def required_metrics(
    requirements: Sequence[Requirement], configured: Sequence[Metric], loss: Loss
) -> tuple[Metric, ...]:
    """The configured metrics, and those that only the requirements name.

    Raises: UsageError for a metric that is unknown or does not suit the loss.
    """
    metrics: dict[str, Metric] = {metric.type: metric for metric in configured}
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
    return tuple(metrics.values())

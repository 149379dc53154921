"""``--require 'accuracy>=0.95'``: a metric, a comparison, a number."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backprop_cli.errors import UsageError

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_FORM = re.compile(r"\s*([A-Za-z0-9_/]+)\s*(>=|<=|==|>|<)\s*(\S+)\s*")


@dataclass(frozen=True)
class Requirement:
    """``metric comparison value``; the metric's name is without its split."""

    metric: str
    comparison: str
    value: float
    text: str

    @classmethod
    def parse(cls, text: str, split: str) -> Requirement:
        """Read one; ``test/accuracy`` is ``accuracy`` where the split is ``test``.

        Raises:
            UsageError: it has not the form of a requirement, or is one of another split.

        """
        match = _FORM.fullmatch(text)
        try:
            value = float(match[3]) if match else None
        except ValueError:
            value = None
        if match is None or value is None:
            raise UsageError(
                f"--require {text!r}: expected a metric, one of {' '.join(_COMPARISONS)}, and a number, "
                "as in 'accuracy>=0.95'"
            )
        named, slash, metric = match[1].rpartition("/")
        if slash and named != split:
            raise UsageError(f"--require {text!r}: is about '{named}', but '{split}' is evaluated")
        return cls(metric, match[2], value, text)

    def failure(self, metrics: Mapping[str, float]) -> str | None:
        """What to say where it is not met; NaN meets nothing."""
        found = metrics[self.metric]
        if _COMPARISONS[self.comparison](found, self.value):
            return None
        return f"{self.metric} is {found:.6g}, required {self.comparison} {self.value:g}"

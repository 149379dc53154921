"""Monitors decide whether a metric has improved; measures identify the quantity of a remembered value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple


class Measure(NamedTuple):
    """The quantity that a remembered value measures. Only values of equal measures are compared.

    ``name``: a metric's full name or another quantity. ``better``: ``min``, ``max`` or empty. ``settings``: those of
    its computation that a resumed run may change. ``data``: sha256 of the data files.
    """

    name: str
    better: str = ""
    settings: Mapping[str, Any] = MappingProxyType({})
    data: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields, with tuples as lists."""
        settings, data = dict(self.settings), list(self.data)
        return {"name": self.name, "better": self.better, "settings": settings, "data": data}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Measure:
        """The inverse of ``to_json``. Raises: KeyError, TypeError."""
        name, better, settings, data = (tree[key] for key in ("name", "better", "settings", "data"))
        if not (isinstance(name, str) and isinstance(better, str) and isinstance(settings, dict)):
            raise TypeError(f"expected a measure, got {tree!r}")
        return cls(name, better, settings, tuple(data))

    def since(self, before: Measure) -> str:
        """The difference from ``before``, for a message."""
        if before.name != self.name:
            return f"{self.name} is monitored instead of {before.name}"
        if before.data != self.data:
            return "the data has changed"
        if before.better != self.better:
            return f"{'higher' if self.better == 'max' else 'lower'} values of {self.name} are better now"
        return f"{self.name} is computed with other settings now"


class Monitor(NamedTuple):
    """A metric by its full name (``validation/loss``), its better direction, and the least improvement."""

    name: str
    better: Literal["min", "max"]
    min_delta: float = 0.0
    patience: int | None = None  # epochs without improvement after which training stops; None: never

    def observe(
        self, memory: dict[str, float], metrics: Mapping[str, float], step: int, epoch: int
    ) -> tuple[dict[str, float], bool]:
        """The memory after an epoch with these metrics, and whether they are the best so far; NaN never is."""
        value = metrics.get(self.name, math.nan)
        best = memory.get("value")
        gain = 0.0 if best is None else (best - value if self.better == "min" else value - best)
        if not math.isnan(value) and (best is None or gain > self.min_delta):
            return {"value": value, "step": step, "epoch": epoch, "waited": 0}, True
        return {**memory, "waited": memory.get("waited", 0) + 1}, False

    def is_out_of_patience(self, memory: dict[str, float]) -> bool:
        """Whether the metric has not improved for ``patience`` epochs."""
        return self.patience is not None and memory.get("waited", 0) > 0 and memory["waited"] >= max(self.patience, 1)

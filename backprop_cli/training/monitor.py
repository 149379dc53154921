"""Monitor: when a metric counts as better, and what early stopping remembers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Memory = dict[str, float]


@dataclass(frozen=True)
class Monitor:
    """A metric by its full name (``validation/loss``), which way is better, and by how much it must improve."""

    name: str
    better: Literal["min", "max"]
    min_delta: float = 0.0
    patience: int | None = None  # epochs without improvement after which training stops; None: never

    def observe(self, memory: Memory, metrics: Mapping[str, float], step: int, epoch: int) -> tuple[Memory, bool]:
        """The memory after an epoch with these metrics, and whether they are the best so far. NaN never is."""
        value = metrics.get(self.name, math.nan)
        best = memory.get("value")
        gain = 0.0 if best is None else (best - value if self.better == "min" else value - best)
        if not math.isnan(value) and (best is None or gain > self.min_delta):
            return {"value": value, "step": step, "epoch": epoch, "waited": 0}, True
        return {**memory, "waited": memory.get("waited", 0) + 1}, False

    def is_out_of_patience(self, memory: Memory) -> bool:
        """Whether to stop."""
        return self.patience is not None and memory.get("waited", 0) > 0 and memory["waited"] >= max(self.patience, 1)

"""How a run ended, as ``bp train`` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backprop_cli.session.baselines import Baselines


@dataclass(frozen=True)
class TrainResult:
    """How a run ended. ``metrics`` are those of the model that is kept, by full name (``test/accuracy``).

    ``baselines``: the same metrics of predictions without a network, where the data is a time series.
    ``timings``: seconds of this process by what they were spent on, and their ``total``.
    """

    status: str
    run_dir: Path | None = None
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, Any] | None = None
    checkpoints: Mapping[str, str | None] = field(default_factory=dict)
    exit_code: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    baselines: Baselines = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As ``bp train --json`` prints it."""
        return {
            "run_dir": None if self.run_dir is None else str(self.run_dir),
            "status": self.status,
            "epochs": self.epochs,
            "steps": self.steps,
            "seconds": self.seconds,
            "metrics": dict(self.metrics),
            **({"baselines": dict(self.baselines)} if self.baselines else {}),
            "best": self.best,
            "checkpoints": dict(self.checkpoints),
            "timings": dict(self.timings),
        }

"""The YAML sections ``checkpoint``, ``log`` and ``run``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from backprop_cli.settings import RESTARTS, Count, Maybe, PositiveInt, Settings


class CheckpointSettings(Settings):
    """When to save checkpoints and which to keep; the last is always kept."""

    every_epochs: Maybe[PositiveInt] = 1
    """save every this many epochs"""
    every_steps: Maybe[PositiveInt] = None
    """save every this many steps as well"""
    keep_last: Count = 2
    """number of earlier checkpoints to keep next to last.safetensors"""
    keep_best: Count = 1
    """number of best checkpoints to keep; 0 keeps no best.safetensors"""
    monitor: Annotated[str, RESTARTS] = "validation/loss"
    """metric that decides which checkpoint is best; default: the monitor of early stopping, or train/loss without a
    validation split"""


class LogSettings(Settings):
    """Records in addition to those of the epochs."""

    every_steps: Maybe[PositiveInt] = None
    """record every this many steps in metrics.jsonl"""

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, value: Any) -> Any:
        """Earlier versions wrote ``tensorboard: false`` into every resolved configuration and checkpoint."""
        if isinstance(value, dict) and value.get("tensorboard") is False:
            return {key: inner for key, inner in value.items() if key != "tensorboard"}
        return value


class RunSettings(Settings):
    """Place of run directories."""

    directory: Annotated[str, Field(min_length=1)] = "runs"
    """folder of all runs, relative to the working directory"""

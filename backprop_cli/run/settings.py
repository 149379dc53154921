"""The YAML sections ``checkpoint``, ``log`` and ``run``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from backprop_cli.settings import RESTARTS, Count, Maybe, PositiveInt, Settings


class CheckpointSettings(Settings):
    """When checkpoints are saved and which are kept; the last one always is."""

    every_epochs: Maybe[PositiveInt] = 1
    """save after every so many epochs"""
    every_steps: Maybe[PositiveInt] = None
    """save after every so many steps, too"""
    keep_last: Count = 2
    """numbered checkpoints kept beside last.safetensors, newest first"""
    keep_best: Count = 1
    """best checkpoints kept; 0 keeps no best.safetensors"""
    monitor: Annotated[str, RESTARTS] = "validation/loss"
    """metric that says which is best; default: that of early stopping, or train/loss without a validation split"""


class LogSettings(Settings):
    """What is recorded beside the epochs."""

    every_steps: Maybe[PositiveInt] = None
    """record every so many steps in metrics.jsonl"""

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, value: Any) -> Any:
        """Earlier versions wrote ``tensorboard: false`` into every resolved configuration and checkpoint."""
        if isinstance(value, dict) and value.get("tensorboard") is False:
            return {key: inner for key, inner in value.items() if key != "tensorboard"}
        return value


class RunSettings(Settings):
    """Where runs are kept."""

    directory: Annotated[str, Field(min_length=1)] = "runs"
    """folder of all runs, relative to the working directory"""

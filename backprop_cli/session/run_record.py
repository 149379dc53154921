"""The content of run.json, as a session writes it when it begins and when it ends."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backprop_cli.execution.compiler import compiler_obstacle, compiler_text, has_compiler
from backprop_cli.run.environment import differences, environment
from backprop_cli.session.data_changes import changed
from backprop_cli.session.experiment import Experiment
from backprop_cli.session.initial_state import origin
from backprop_cli.training.training_spec import TrainingSpec

if TYPE_CHECKING:
    from backprop_cli.session.resumption import Resumption


def opening_record(
    experiment: Experiment, spec: TrainingSpec, step: int, resumption: Resumption | None
) -> dict[str, Any]:
    """The record of a session that begins after ``step``. A resumed run keeps its start, environment and data."""
    loaded, files, now = experiment.loaded, dict(experiment.dataset.files), environment()
    before = {} if resumption is None else resumption.record
    entries = [] if resumption is None else [_resumption_entry(resumption, step, files, now)]
    return {
        "status": "running",
        "exit_code": None,
        "reason": None,
        "name": loaded.config.name,
        "argv": sys.argv,
        "overrides": [*before.get("overrides", []), *loaded.overrides],
        "seed": loaded.config.seed,
        "start": before.get("start", timestamp()),
        "end": None,
        "resumed": [*before.get("resumed", []), *entries],
        "threads": spec.blas_threads,
        "workers": spec.workers,
        "compiled": spec.compiled,
        **_compiler(spec),
        "environment": before.get("environment", now),
        "data": before.get("data", files),
        "plugins": {str(plugin.path): plugin.sha256 for plugin in loaded.plugins},
        "from_checkpoint": origin(loaded, experiment.recipe) if resumption is None else before.get("from_checkpoint"),
        "metrics": None,
        "best": None,
    }


def _compiler(spec: TrainingSpec) -> dict[str, str]:
    """The compiler of compiled steps, or that there is none; nothing if there is one and the steps run on NumPy."""
    if spec.compiled:
        return {"compiler": compiler_text()}
    return {} if has_compiler() else {"compiler": f"none: {compiler_obstacle()}"}


def _resumption_entry(
    resumption: Resumption, step: int, files: Mapping[str, str], now: Mapping[str, Any]
) -> dict[str, Any]:
    """The entry of this resumption, with environment and data if they differ from the run's first."""
    others = {
        "environment": now if differences(resumption.record.get("environment", now), now) else None,
        "accepted_data": files if changed(resumption.metadata, files) else None,
    }
    return {
        "step": step,
        "at": timestamp(),
        **{name: value for name, value in others.items() if value is not None},
    }


def timestamp() -> str:
    """The time in UTC to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The outcome of a run: in its record, its best epoch, and the closing lines of its log and of ``bp train``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backprop_cli.errors import BpError, DivergenceError, InterruptionError
from backprop_cli.json_object import JsonObject
from backprop_cli.number_text import number
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.lock import is_locked
from backprop_cli.session.baselines import LINEAR, Baselines

_RECORDED = ("status", "exit_code", "reason", "start", "end", "steps", "epochs", "seconds", "metrics", "best")


class Best(JsonObject):
    """The checkpoint with the best monitored metric."""

    epoch: int
    """The epoch after which it was saved, from 1."""
    step: int
    """The step after which it was saved, from 1."""
    monitor: str
    """The name of the monitored metric, such as ``validation/loss``."""
    value: float
    """Its value then."""


def recorded_outcome(run: RunDirectory) -> Mapping[str, Any] | None:
    """The outcome in run.json; None without the file. A run recorded as running but not locked was killed."""
    if not run.record.is_file():
        return None
    record = run.read_record()
    if record.get("status") == "running" and is_locked(run) is False:
        record["status"] = "killed"
    return {key: record[key] for key in _RECORDED if key in record and (key != "reason" or record[key])}


def outcome_lines(
    run: Path | None,
    checkpoints: Mapping[str, str | None],
    best: Best | None,
    metrics: Mapping[str, float],
    baselines: Baselines,
    no_linear: str,
) -> list[str]:
    """Run directory, kept checkpoint and the kept model's metrics, one ``name value`` a line.

    The metrics are those of the test split, or of all splits if there is no test split. ``no_linear``: why there is no
    linear baseline, or empty.
    """
    on_test = {name: value for name, value in metrics.items() if name.startswith("test/")}
    return [
        *([] if run is None else [f"run {run}"]),
        *_kept(checkpoints, best),
        *(metric_line(name, value, baselines) for name, value in (on_test or metrics).items()),
        *([f"no {LINEAR} baseline: {no_linear}"] if no_linear else []),
    ]


def _kept(checkpoints: Mapping[str, str | None], best: Best | None) -> list[str]:
    """The line of the kept checkpoint: the best, or else the last."""
    path, last = checkpoints.get("best"), checkpoints.get("last")
    if path:
        note = "" if best is None else f" (best {best.monitor} {number(best.value)}, epoch {best.epoch})"
        return [f"checkpoint {path}{note}"]
    return [f"checkpoint {last}"] if last else []


def metric_line(name: str, value: float, baselines: Baselines) -> str:
    """``test/r2 0.91``, and the baselines' values if there are any: ``(last_value 0.5, seasonal 0.8)``."""
    others = {baseline: values.get(name) for baseline, values in baselines.items()}
    listed = ", ".join(f"{baseline} {number(other)}" for baseline, other in others.items() if other is not None)
    return f"{name} {number(value)}" + (f" ({listed})" if listed else "")


def status_of(error: BaseException) -> str:
    """The status of a run that ``error`` ended."""
    if isinstance(error, InterruptionError | KeyboardInterrupt):
        return "interrupted"
    return "diverged" if isinstance(error, DivergenceError) else "failed"


def exit_code_of(error: BaseException) -> int:
    """The exit code of a run that ``error`` ended."""
    if isinstance(error, MemoryError):
        return 2
    return error.exit_code if isinstance(error, BpError) else 130 if isinstance(error, KeyboardInterrupt) else 1

"""run.json, a run's record, validated when it is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError

from backprop_cli.errors import CheckpointError
from backprop_cli.files import read_regular
from backprop_cli.json_object import not_json
from backprop_cli.run.atomic import reason
from backprop_cli.settings import EXPECTED
from backprop_cli.visible import shortened

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0), AllowInfNan(False)]
_WAY_OUT = "correct it, or replace the whole content by {} to continue without what the run recorded"

_EXPECTED = {**EXPECTED, "greater_than_equal": "0 or more", "finite_number": "a finite number"}
"""The expected value, by kind of pydantic error."""


class ResumptionEntry(BaseModel):
    """One resumption of a run."""

    model_config = ConfigDict(strict=True, extra="allow")

    step: _Count = 0
    """Steps done before it."""
    at: str = ""
    """When it began: UTC, ISO 8601."""
    environment: dict[str, Any] | None = None
    """The environment, if it differs from the run's first."""
    accepted_data: dict[str, str] | None = None
    """The data files with their sha256, if they differ from the run's first."""


class Record(BaseModel):
    """The keys of run.json. A killed run may lack any of them; other keys may hold anything."""

    model_config = ConfigDict(strict=True, extra="allow")

    status: Literal["running", "finished", "interrupted", "diverged", "failed"] = "running"
    """``running`` until the end; ``bp show`` says ``killed`` if the process is gone."""
    exit_code: int | None = None
    """The exit code; null while it runs."""
    reason: str | None = None
    """The message of a failure; null without one."""
    name: str = ""
    """``name`` of the configuration."""
    argv: list[str] = []
    """The command line."""
    overrides: list[str] = []
    """Overrides, those of resumptions included."""
    seed: int | None = None
    """``seed`` of the configuration."""
    start: str = ""
    """When the run began: UTC, ISO 8601."""
    end: str | None = None
    """When the last session ended; null while it runs."""
    resumed: list[ResumptionEntry] = []
    """The resumptions, in their order."""
    threads: _Count | None = None
    """BLAS threads of a step."""
    workers: _Count | None = None
    """Workers that share a batch; 1: no sharing."""
    compiled: bool | None = None
    """Whether the steps are machine code."""
    compiler: str | None = None
    """The compiler that makes it, with its version and flags, or that there is none; left out if neither is said."""
    environment: dict[str, Any] | None = None
    """Versions of bp, Python, NumPy and BLAS, platform and processor, when the run began."""
    data: dict[str, str] = {}
    """The data files, each with its sha256, when the run began."""
    plugins: dict[str, str] = {}
    """The plugins, each with its sha256."""
    from_checkpoint: dict[str, str | list[str]] | None = None
    """The checkpoint that the run started from: ``path``, ``sha256`` and ``layers``; null without one."""
    steps: _Count | None = None
    """Steps of the run."""
    epochs: _Count | None = None
    """Completed epochs."""
    seconds: _Seconds | None = None
    """Seconds in the loop of training."""
    metrics: dict[str, float | None] | None = None
    """Metrics of the kept model by full name; null if the run did not finish."""
    best: dict[str, int | float | str | None] | None = None
    """The best checkpoint: ``epoch``, ``step``, ``monitor`` and ``value``; null without one."""
    baselines: Any = None
    """Metrics of the baselines by full name; left out without any."""
    timings: Any = None
    """Seconds of the last session by purpose, and their ``total``."""


def read_record(path: Path) -> dict[str, Any]:
    """The content of the file, unchanged.

    Raises: CheckpointError if it cannot be read or is not what a run writes; the message has the line.
    """
    try:
        text = read_regular(path).decode("utf-8")
        record = json.loads(text)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {reason(error)}") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{path}:{error.lineno}:{error.colno}: is not JSON: {not_json(error)}; {_WAY_OUT}"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"{path}: is not JSON: {shortened(str(error), 100)}; {_WAY_OUT}") from error
    if not isinstance(record, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {shortened(json.dumps(record))}; {_WAY_OUT}")
    try:
        Record.model_validate(record)
    except ValidationError as error:
        raise _misshapen(path, text, error) from error
    return record


def _misshapen(path: Path, text: str, error: ValidationError) -> CheckpointError:
    """The error for the first invalid value, with the line of its key."""
    problem = error.errors(include_url=False, include_context=False)[0]
    kinds = ("int", "str", "float", "list[str]")  # pydantic adds the alternative of a union that it tried
    keys = [str(key) for key in problem["loc"] if key not in kinds]
    expected = _EXPECTED.get(problem["type"], problem["msg"].removeprefix("Input should be "))
    # Keys further in, which may have the same name, are indented more.
    found = re.search(rf'^(?:\{{ ?| {{1,2}}|\t)?"{re.escape(keys[0])}" *:', text, re.MULTILINE)
    line = "" if found is None else f":{text.count(chr(10), 0, found.start()) + 1}"
    value = shortened(json.dumps(problem["input"], default=str))
    return CheckpointError(f"{path}{line}: {'.'.join(keys)}: expected {expected}, got {value}; {_WAY_OUT}")

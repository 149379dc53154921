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
    """One resumption of a run. ``environment`` and ``accepted_data`` are there if they differ from the run's first."""

    model_config = ConfigDict(strict=True, extra="allow")

    step: _Count = 0
    at: str = ""
    environment: dict[str, Any] | None = None
    accepted_data: dict[str, str] | None = None


class Record(BaseModel):
    """The keys of run.json that bp reads. A killed run may lack any of them; other keys may hold anything."""

    model_config = ConfigDict(strict=True, extra="allow")

    status: Literal["running", "finished", "interrupted", "diverged", "failed"] = "running"
    exit_code: int | None = None
    reason: str | None = None
    name: str = ""
    argv: list[str] = []
    overrides: list[str] = []
    start: str = ""
    end: str | None = None
    resumed: list[ResumptionEntry] = []
    threads: _Count | None = None
    workers: _Count | None = None
    compiled: bool | None = None
    environment: dict[str, Any] | None = None
    data: dict[str, str] = {}
    plugins: dict[str, str] = {}
    from_checkpoint: dict[str, str | list[str]] | None = None
    steps: _Count | None = None
    epochs: _Count | None = None
    seconds: _Seconds | None = None
    metrics: dict[str, float | None] | None = None
    best: dict[str, int | float | str | None] | None = None


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

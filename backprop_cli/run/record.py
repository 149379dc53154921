"""run.json, checked as it is read: what a run says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError

from backprop_cli.errors import CheckpointError
from backprop_cli.files import read_regular
from backprop_cli.run.atomic import reason

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0), AllowInfNan(False)]
_WAY_OUT = "correct it, or replace the whole content by {} to go on without what the run recorded"
_SHOWN = 60
"""Characters of a value that a message has room for."""


_EXPECTED = {
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "greater_than_equal": "0 or more",
    "finite_number": "a finite number",
}
"""What pydantic's kinds of problems ask for."""


class Resumption(BaseModel):
    """What run.json says of one time that a run was gone on with: what the run then had instead of its own."""

    model_config = ConfigDict(strict=True, extra="allow")

    step: _Count = 0
    at: str = ""
    environment: dict[str, Any] | None = None
    accepted_data: dict[str, str] | None = None


class Record(BaseModel):
    """What bp reads of run.json, all of which may be missing in a run that was killed; the rest may be anything."""

    model_config = ConfigDict(strict=True, extra="allow")

    status: str = ""
    exit_code: int | None = None
    reason: str | None = None
    name: str = ""
    argv: list[str] = []
    overrides: list[str] = []
    start: str = ""
    end: str | None = None
    resumed: list[Resumption] = []
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
    """What the file says, as it stands there.

    Raises: CheckpointError when it cannot be read, or is not what a run writes; the message has the line.
    """
    try:
        text = read_regular(path).decode("utf-8")
        record = json.loads(text)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {reason(error)}") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}:{error.lineno}:{error.colno}: is not JSON: {error.msg}; {_WAY_OUT}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"{path}: is not JSON: {_brief(str(error))}; {_WAY_OUT}") from error
    if not isinstance(record, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {_brief(json.dumps(record))}; {_WAY_OUT}")
    try:
        Record.model_validate(record)
    except ValidationError as error:
        raise _misshapen(path, text, error) from error
    return record


def _misshapen(path: Path, text: str, error: ValidationError) -> CheckpointError:
    """The first value that is not what a run writes, with the line of its key."""
    problem = error.errors(include_url=False, include_context=False)[0]
    kinds = ("int", "str", "float", "list[str]")  # which of several types was tried is no key
    keys = [str(key) for key in problem["loc"] if key not in kinds]
    expected = _EXPECTED.get(problem["type"], problem["msg"])
    # Keys further in, which may have the same name, are indented more.
    found = re.search(rf'^(?:\{{ ?| {{1,2}}|\t)?"{re.escape(keys[0])}" *:', text, re.MULTILINE)
    line = "" if found is None else f":{text.count(chr(10), 0, found.start()) + 1}"
    value = _brief(json.dumps(problem["input"], default=str))
    return CheckpointError(f"{path}{line}: {'.'.join(keys)}: expected {expected}, got {value}; {_WAY_OUT}")


def _brief(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."

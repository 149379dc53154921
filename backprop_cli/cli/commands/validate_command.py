"""``bp validate``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from typer import Argument

import backprop_cli
from backprop_cli.cli.command import Json, command, keys
from backprop_cli.cli.terminal import emit, emit_json, say
from backprop_cli.errors import BpError, UsageError, plural
from backprop_cli.files import exists


@command(
    "bp validate configs/digits.yaml model.layers.0.units=128",
    "bp validate configs/iris.yaml configs/xor.yaml",
    codes=(3, 5, 6),
    group="Check",
)
def validate(
    config: Annotated[str, Argument(metavar="CONFIG", help="Configuration file (YAML).", show_default=False)],
    more: Annotated[
        list[str] | None,
        Argument(
            metavar="CONFIG|KEY=VALUE",
            help="More files, or keys to override in every file.",
            show_default=False,
            autocompletion=keys,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that configurations and their data can be trained."""
    words = [config, *(more or [])]
    overrides = [word for word in words if _OVERRIDE.search(word) and not exists(word)]
    configs = [word for word in words if word not in overrides]
    if not configs:
        raise UsageError(f"validate: CONFIG is missing; '{config}' is no file, so it overrides a key")
    if len(configs) > 1:
        _validate_each(configs, overrides, as_json)
        return
    from backprop_cli.report.results import validate_text

    result = backprop_cli.validate(configs[0], overrides)
    if as_json:
        emit_json(result.to_json())
        return
    for warning in result.warnings:
        say(f"warning: {warning}")
    emit(validate_text(result))


_OVERRIDE = re.compile(r"=|^[\w.]+:(?:\s|$)")
"""What an override has and a file rarely: an equals sign, or the colon of a configuration, which is refused."""


class InvalidError(BpError):
    """Some of several configurations have problems. The exit code is the least of theirs: the earliest check."""

    def __init__(self, errors: Sequence[BpError], files: Sequence[dict[str, Any]]):
        first = min(errors, key=lambda error: error.exit_code)
        self.exit_code, self.kind = first.exit_code, first.kind  # type: ignore[misc]
        self.errors, self.details = errors, {"files": files}
        super().__init__(f"{len(errors)} of {plural(len(files), 'file')} cannot be trained")

    def describe(self) -> list[dict[str, Any]]:
        """The problems of all files."""
        return [problem for error in self.errors for problem in error.describe()]


def _validate_each(configs: Sequence[str], overrides: Sequence[str], as_json: bool) -> None:
    """Check every file, even after one that has problems; print a line for each."""
    files: list[dict[str, Any]] = []
    errors: list[BpError] = []
    for config in configs:
        try:
            result = backprop_cli.validate(config, overrides)
        except BpError as error:
            errors.append(error)
            problems = error.describe()
            found = {"code": error.exit_code, "kind": error.kind, "problems": problems}
            files.append({"config": config, "valid": False, "error": found})
            say(error.printed())
            line = plural(len(problems), "problem")
        else:
            files.append({"config": config, **result.to_json()})
            for warning in result.warnings:
                say(f"warning: {warning}" if config in warning else f"warning: {config}: {warning}")
            line = "valid"
        if not as_json:
            emit(f"{config}: {line}")
    if errors:
        raise InvalidError(errors, files)
    if as_json:
        emit_json({"valid": True, "files": files})

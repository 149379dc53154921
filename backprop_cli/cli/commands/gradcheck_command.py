"""``bp gradcheck``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, BadParameter, Option

import backprop_cli
from backprop_cli.cli.command import Json, Overrides, Plugins, command, finish, resolve_folder
from backprop_cli.cli.terminal import emit, emit_json, is_plain


def _samples(text: str | None) -> str | None:
    if text is not None and text != "all" and not (text.isdecimal() and int(text) > 0):
        raise BadParameter(f"expected a number above 0 or 'all', got '{text}'")
    return text


def _methods() -> list[str]:
    from backprop_cli.checks.method import METHODS

    return list(METHODS)


@command(
    "bp gradcheck configs/iris.yaml --samples all",
    "bp gradcheck configs/digits.yaml --method projection",
    "bp gradcheck",
    codes=(3, 5, 6),
    group="Check",
)
def gradcheck(
    target: Annotated[
        Path | None,
        Argument(
            metavar="CONFIG|CHECKPOINT|RUN", help="A network; default: everything registered.", show_default=False
        ),
    ] = None,
    overrides: Overrides = None,
    method: Annotated[
        str | None,
        Option(
            "--method",
            metavar="METHOD",
            help="auto, central, complex, adjoint, taylor or projection; default: as configured, auto.",
            autocompletion=_methods,
        ),
    ] = None,
    order: Annotated[
        int, Option("--order", metavar="1|2", min=1, max=2, help="1: gradients; 2: Hessian-vector products.")
    ] = 1,
    samples: Annotated[
        str | None,
        Option(
            "--samples",
            metavar="N|all",
            callback=_samples,
            help="Entries checked of each array; default: as configured.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None, Option("--tolerance", metavar="X", help="Largest relative error; default: as configured.")
    ] = None,
    mutate: Annotated[
        bool, Option("--mutate", help="Also break every derivative rule in turn: does the check notice?")
    ] = False,
    strict: Annotated[
        bool, Option("--strict", help="Also exit with 3 if no entry of an array could be judged (KINK, TINY).")
    ] = False,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Check every gradient against numerical differentiation."""
    from backprop_cli.report.gradcheck_text import gradcheck_text
    from backprop_cli.report.progress import Progress

    with Progress(sys.stderr, is_plain(sys.stderr)) as progress:
        result = backprop_cli.gradcheck(
            None if target is None else resolve_folder(target),
            list(overrides or []),
            method=method,
            order=2 if order == 2 else 1,
            samples=_count(samples),
            tolerance=tolerance,
            mutate=mutate,
            strict=strict,
            plugins=list(plugins or []),
            on_progress=progress,
        )
    if as_json:
        emit_json(result.to_json())
    else:
        emit(gradcheck_text(result))
    finish(0 if result.passed else 3)


def _count(samples: str | None) -> int | Literal["all"] | None:
    if samples is None:
        return None
    return "all" if samples == "all" else int(samples)

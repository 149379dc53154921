"""What every function of the API does with its arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def as_path(value: T | str) -> T | Path:
    """A path given as text becomes a Path; None and streams stay as they are."""
    return Path(value) if isinstance(value, str) else value


def one_or_many(function: Callable[P, R]) -> Callable[P, R]:
    """Let one value stand for a sequence of one, and None for none, in each parameter annotated as a ``Sequence``.

    A text is a sequence of letters too: without this, ``overrides="seed=1"`` would be six overrides.
    """
    parameters = list(signature(function).parameters.values())
    several = [str(parameter.annotation).startswith("Sequence[") for parameter in parameters]
    names = {parameter.name for parameter, takes in zip(parameters, several, strict=True) if takes}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        listed: list[Any] = [
            _listed(value) if takes else value for value, takes in zip(args, several, strict=False)
        ] + list(args[len(several) :])  # too many: the function's own error
        named: dict[str, Any] = {name: _listed(value) if name in names else value for name, value in kwargs.items()}
        return function(*listed, **named)

    return call


def _listed(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, str | Path | int) else value

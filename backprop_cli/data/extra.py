"""Packages that only some formats need, imported when a file of theirs is read."""

from __future__ import annotations

import importlib
from typing import Any

from backprop_cli.errors import DataError


def extra(module: str, *, package: str, extra: str, file: str) -> Any:
    """The module, of the optional ``extra``. Raises: DataError about the ``file`` that cannot be read without it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{file}: reading it needs {package}, which is not installed: pip install 'backprop-cli[{extra}]'"
        raise DataError(reason) from error

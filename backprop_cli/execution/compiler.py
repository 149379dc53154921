"""Whether steps can be compiled here. Numba, which compiles them, is the optional extra ``[fast]``."""

from __future__ import annotations

import importlib.util
from functools import cache


def has_compiler() -> bool:
    """Whether Numba is installed; importing it, which takes 0.3 s, may still fail."""
    return importlib.util.find_spec("numba") is not None


@cache
def compiler_obstacle() -> str:
    """Why nothing can be compiled here; '' if it can."""
    if not has_compiler():
        return "Numba is not installed: pip install 'backprop-cli[fast]'"
    try:
        importlib.import_module("numba")
    except ImportError as error:  # it may not know a newer NumPy yet
        return f"Numba cannot be imported: {error}"
    return ""

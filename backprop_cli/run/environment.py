"""Versions and machine of a run, and the differences that may change the last bits of its numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backprop_cli import __version__

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def environment() -> dict[str, Any]:
    """Versions of bp, Python and NumPy, the machine, and NumPy's BLAS with its current number of threads.

    ``blas`` is None if threadpoolctl finds none.
    """
    import numpy as np

    processor = _processor()
    # platform.platform() asks another process for the processor's name, and does not use it.
    vars(platform.uname()).setdefault("processor", processor)
    return {
        "bp": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": _blas(),
        "platform": platform.platform(),
        "processor": processor,
        "cpus": os.cpu_count(),
    }


@cache
def loaded_libraries() -> ThreadpoolController:
    """The libraries with threads that were loaded at the first call, NumPy's BLAS among them.

    Finding them reads the memory map of the process, which takes milliseconds where many libraries are loaded.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _blas() -> dict[str, Any] | None:
    """Name, version, threads and kernel of the BLAS loaded first: NumPy's own."""
    for library in loaded_libraries().info():
        if library["user_api"] == "blas":
            return {
                "name": library["internal_api"],
                "version": library["version"],
                "threads": library["num_threads"],
                "architecture": library.get("architecture"),
            }
    return None


def _processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


_DECIDING = {
    ("bp",): "bp",
    ("numpy",): "NumPy",
    ("blas", "name"): "the BLAS",
    ("blas", "version"): "the version of BLAS",
    ("blas", "architecture"): "the kernel of BLAS",
    ("processor",): "the processor",
}
"""Keys of ``environment`` that decide the order of sums, and so the last bits."""


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences that may change the last bits, in words. Keys that ``before`` lacks are not compared."""
    found = []
    for path, name in _DECIDING.items():
        was, is_ = _at(before, path), _at(now, path)
        if was is not None and was != is_:
            found.append(f"{name} was {was} and is {is_}")
    return found


def _at(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree

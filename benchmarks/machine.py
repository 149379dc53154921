"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("backprop-cli", "numpy", "torch", "jax", "jaxlib", "scikit-learn", "scipy", "autograd", "mygrad")
_SETTINGS = ("OPENBLAS_", "OMP_", "MKL_", "XLA_", "GOTO_", "BLIS_", "KMP_")
# Taken at import: threadpoolctl sets one itself.
_ENVIRONMENT = {name: value for name, value in sorted(os.environ.items()) if name.startswith(_SETTINGS)}


def machine() -> dict[str, Any]:
    """Processor, load, versions, the C compiler, NumPy's BLAS and the environment variables that change it."""
    # Imported here: the processes of other libraries use this module, too.
    from backprop_cli.execution.compiler import compiler_obstacle, compiler_text

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "cpu": _cpu(),
        "processors": processors(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "blas": _blas(),
        "compiler": compiler_text(),
        "no_compiler": compiler_obstacle(),
        "environment": _ENVIRONMENT,
    }


def _revision() -> str:
    """The commit of this checkout, ``-dirty`` where files were changed; empty where git does not know."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _blas() -> dict[str, Any] | None:
    """NumPy's: name, version, kernel, threads unless limited."""
    import numpy as np  # noqa: F401 - loads it
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "blas":
            keys = ("internal_api", "version", "architecture", "num_threads")
            return {key: library.get(key) for key in keys}
    return None

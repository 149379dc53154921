"""What a run ran on."""

from __future__ import annotations

import os
import platform
from typing import Any

from backprop_cli import __version__


def environment() -> dict[str, Any]:
    """Versions of bp, Python and NumPy, the BLAS that NumPy uses with its threads as they are set, and the machine.

    ``blas`` is None where threadpoolctl finds none.
    """
    import numpy as np

    return {
        "bp": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": _blas(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def _blas() -> dict[str, Any] | None:
    """Name, version and threads of the BLAS loaded first, which is NumPy's own."""
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "blas":
            return {"name": library["internal_api"], "version": library["version"], "threads": library["num_threads"]}
    return None

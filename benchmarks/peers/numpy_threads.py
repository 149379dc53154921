"""Threads of the BLAS that NumPy uses."""

from __future__ import annotations

from threadpoolctl import ThreadpoolController

_CONTROLLER: list[ThreadpoolController] = []


def use_threads(count: int) -> None:
    """For the rest of the process."""
    if not _CONTROLLER:
        _CONTROLLER.append(ThreadpoolController())
    _CONTROLLER[0].limit(limits=count, user_api="blas")

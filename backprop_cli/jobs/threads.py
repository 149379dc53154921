"""How many BLAS threads a network trains with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from threadpoolctl import threadpool_limits

from backprop_cli.nn.model import Model

WORTHWHILE = 4_000_000
"""Multiplications of a step's largest layer from which a second BLAS thread gained a quarter of the time.

Below, it gains little on a machine at rest and loses much on a busy one. A rule, not a measurement at the start: the
choice decides the last bits, and a run should repeat itself.
"""


def thread_count(wanted: int | Literal["auto"], model: Model, batch: int) -> int:
    """``wanted``, or by rule: one thread where the largest matrix product is small, else one a processor."""
    if wanted != "auto":
        return wanted
    largest = max(model.multiplications().values(), default=0) * batch
    return 1 if largest < WORTHWHILE else _processors()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """BLAS limited to ``count`` threads inside."""
    with threadpool_limits(limits=count, user_api="blas"):
        yield

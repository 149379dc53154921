"""How many BLAS threads a network trains with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from threadpoolctl import threadpool_limits

from backprop_cli.nn.model import Model

WORTHWHILE = 4_000_000
"""Multiplications of a matrix product from which a second BLAS thread gained a quarter of the time.

Below, it gains little on a machine at rest and loses much on a busy one. A rule, not a measurement at the start: the
choice decides the last bits, and a run should repeat itself.
"""


def thread_count(wanted: int | Literal["auto"], model: Model, batch: int) -> int:
    """``wanted``, or by rule: one a processor where two thirds of the work are large matrix products, else one.

    A convolution is a product for each row of windows, a recurrent layer one for each step: threads that meet after
    every small product wait for each other, most of all on a busy machine.
    """
    if wanted != "auto":
        return wanted
    counts = [(count, each) for _, count, each in model.products(batch)]
    large = sum(count for count, each in counts if each >= WORTHWHILE)
    return _processors() if large and 3 * large >= 2 * sum(count for count, _ in counts) else 1


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """BLAS limited to ``count`` threads inside."""
    with threadpool_limits(limits=count, user_api="blas"):
        yield

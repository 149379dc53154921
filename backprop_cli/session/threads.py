"""How a training step uses the processors: with the threads of BLAS, or with a part of the batch for each worker."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from threadpoolctl import threadpool_limits

from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.training.step_program import Recipe

WORTHWHILE = 4_000_000
"""Multiplications of a matrix product from which a second BLAS thread gained a quarter of the time.

Below, it gains little on a machine at rest and loses much on a busy one. A rule, not a measurement at the start: the
choice decides the last bits, and a run should repeat itself.
"""
SPLIT, ALWAYS_SPLIT = 50_000_000, 250_000_000
"""Multiplications of a batch's forward run from which workers gained an eighth to a third of the time, and from which
they were as good as BLAS threads at large products, too. BLAS threads wait for each other at full speed: on a busy
machine a step with two of them took two to ten times as long, with two workers hardly longer."""
REPEATED = 10_000_000
"""Multiplications from which a product counts as large that a layer makes again and again, as a recurrent one at every
step: those of 5 to 7 million were as fast with workers on a machine at rest, and twice as fast on a busy one. Of layers
with one product each, BLAS threads were faster by 5 to 30 percent."""
TOO_MANY = 2**31
"""Threads that no library can be asked for: it counts them in 32 bits."""
_MEASURED = 2
"""Workers that a rule may take: more were not measured."""


class Threads(NamedTuple):
    """``blas`` threads for each product, and ``workers`` that compute a part of a batch each; one of them is 1."""

    blas: int
    workers: int


def share_out(wanted: int | Literal["auto"], recipe: Recipe, batch: int) -> Threads:
    """Share out ``wanted`` threads by rule; ``auto`` means one for each processor.

    Large matrix products, where nine tenths of the work are such, are left to BLAS. A convolution is a product for
    each row of windows, a recurrent layer one for each step: BLAS threads that meet after every product wait for each
    other. There workers compute a part of the batch each, where it is much work and no example needs another.
    """
    count = _processors() if wanted == "auto" else min(wanted, TOO_MANY - 1)
    if count == 1:
        return Threads(1, 1)
    products = list(recipe.model.products(batch))
    work, made = sum(total for _, total, _ in products), Counter(layer for layer, _, _ in products)

    def mostly_large(repeated: int) -> bool:
        """Whether nine tenths of the work are large products. ``repeated``: the multiplications from which one of
        several products of a layer counts as large; a layer's only one does from ``WORTHWHILE`` on.
        """
        large = [total for layer, total, each in products if each >= (WORTHWHILE if made[layer] == 1 else repeated)]
        return sum(large) >= 0.9 * work > 0

    workers = min(count, batch, _MEASURED if wanted == "auto" else count)
    if workers > 1 and work >= (ALWAYS_SPLIT if mostly_large(REPEATED) else SPLIT) and _is_separable(recipe):
        return Threads(1, workers)
    return Threads(1 if wanted == "auto" and not mostly_large(WORTHWHILE) else count, 1)


def _is_separable(recipe: Recipe) -> bool:
    """Whether a batch's gradient is known to be the mean of its examples'.

    Of our own layers those that look at the whole batch have running statistics for evaluation; a plugin's code may
    do anything.
    """
    if isinstance(recipe.optimizer, FullBatch):
        return False
    parts = [recipe.loss, *(node.layer for node in recipe.model.nodes)]
    ours = all(type(part).__module__.startswith("backprop_cli.") for part in parts)
    return ours and not any(node.buffers and not node.is_frozen for node in recipe.model.nodes)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """BLAS limited to ``count`` threads inside."""
    with threadpool_limits(limits=count, user_api="blas"):
        yield

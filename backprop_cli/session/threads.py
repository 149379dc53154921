"""The threads of a training step: BLAS threads for each product, or workers with a shard of the batch each.

Compiled steps have threads of their own, which share large loops.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.run.environment import loaded_libraries
from backprop_cli.training.step_program import Recipe

WORTHWHILE = 4_000_000
"""Multiplications of a matrix product from which a second BLAS thread saved a quarter of the time.

Below, it saves little on an idle machine and loses much on a busy one. This is a rule, not a measurement at the start:
the choice decides the last bits, and a run should repeat itself.
"""
SPLIT, ALWAYS_SPLIT = 50_000_000, 250_000_000
"""Multiplications of a batch's forward pass from which workers saved an eighth to a third of the time, and from which
they equalled BLAS threads even for large products. BLAS threads wait for each other in busy loops: on a busy machine a
step with two of them took two to ten times as long, with two workers hardly longer."""
REPEATED = 10_000_000
"""Multiplications from which a repeated product counts as large, such as that of a recurrent layer at every time.

Those of 5 to 7 million were as fast with workers on an idle machine, and twice as fast on a busy one. For layers with
one product each, BLAS threads were faster by 5 to 30 percent."""
TOO_MANY = 2**31
"""Smallest number of threads that libraries reject: they count in 32 bits."""
_MEASURED = 2
"""Most workers, or threads of compiled steps, that the rule chooses: more were not measured."""


class Threads(NamedTuple):
    """``blas`` threads for each product, and ``workers`` with a shard of the batch each; one of the two is 1."""

    blas: int
    workers: int


def share_out(wanted: int | Literal["auto"], recipe: Recipe, batch: int) -> Threads:
    """Divide ``wanted`` threads by rule; ``auto`` means one for each processor.

    BLAS gets the threads if large matrix products are nine tenths of the work. A convolution has a product for each
    row of windows, a recurrent layer one for each time: BLAS threads would wait for each other after every product.
    There workers compute a shard of the batch each, if it is much work and the examples are independent.
    """
    count = _processors() if wanted == "auto" else min(wanted, TOO_MANY - 1)
    if count == 1:
        return Threads(1, 1)
    products = list(recipe.model.products(batch))
    work, made = sum(total for _, total, _ in products), Counter(layer for layer, _, _ in products)

    def mostly_large(repeated: int) -> bool:
        """Whether nine tenths of the work are large products.

        A layer's only product is large from ``WORTHWHILE`` multiplications on, one of several from ``repeated`` on.
        """
        large = [total for layer, total, each in products if each >= (WORTHWHILE if made[layer] == 1 else repeated)]
        return sum(large) >= 0.9 * work > 0

    workers = min(count, batch, _MEASURED if wanted == "auto" else count)
    if workers > 1 and work >= (ALWAYS_SPLIT if mostly_large(REPEATED) else SPLIT) and _is_separable(recipe):
        return Threads(1, workers)
    return Threads(1 if wanted == "auto" and not mostly_large(WORTHWHILE) else count, 1)


def loop_threads(wanted: int | Literal["auto"]) -> int:
    """Threads that share the large loops of a compiled step; they do not change its bits."""
    return min(_processors(), _MEASURED) if wanted == "auto" else min(wanted, TOO_MANY - 1)


def _is_separable(recipe: Recipe) -> bool:
    """Whether a batch's gradient is known to be the mean of its examples' gradients.

    Our own layers that mix the examples of a batch have running statistics as buffers, which workers do not update. A
    plugin may do anything.
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
    """Limit BLAS to ``count`` threads inside the block."""
    with loaded_libraries().limit(limits=count, user_api="blas"):
        yield

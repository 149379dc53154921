"""Adam in NumPy, for peers that bring gradients but no optimizer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.cases import BETA1, BETA2, EPSILON, LEARNING_RATE


class Adam:
    """Updates arrays in place, with as few passes over memory as NumPy allows without blocking."""

    def __init__(self, params: list[np.ndarray]):
        self.params, self.step = params, 0
        self.m, self.v, self.room, self.more = ([np.zeros_like(p) for p in params] for _ in range(4))

    def update(self, gradients: Iterable[np.ndarray]) -> None:
        self.step += 1
        # The corrections of m and v, moved into the rate and epsilon: two passes fewer.
        root = (1 - BETA2**self.step) ** 0.5
        rate, epsilon = LEARNING_RATE * root / (1 - BETA1**self.step), EPSILON * root
        for p, g, m, v, room, more in zip(self.params, gradients, self.m, self.v, self.room, self.more, strict=True):
            m *= BETA1
            m += np.multiply(g, 1 - BETA1, out=room)
            v *= BETA2
            np.multiply(g, g, out=room)
            room *= 1 - BETA2
            v += room
            np.sqrt(v, out=room)
            room += epsilon
            np.divide(m, room, out=more)
            more *= rate
            p -= more

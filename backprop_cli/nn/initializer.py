"""The contract of an initializer: how a parameter starts."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings


class Initializer(Settings):
    """A distribution of starting values."""

    type: str
    """kind of initializer"""

    def sample(
        self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int
    ) -> NDArray[np.float64]:
        """A float64 array of ``shape``; the caller rounds it to the training precision."""
        raise NotImplementedError


INITIALIZERS: Registry[Initializer] = Registry("initializer", "initializers", "backprop_cli.nn.initializers")
InitializerType = Annotated[Initializer, Choice(INITIALIZERS)]

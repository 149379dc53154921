"""The contract of an initializer: the distribution that a parameter starts from."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings

Array = NDArray[np.float64]


class Initializer(Settings):
    """A distribution of starting values."""

    type: str
    """kind of initializer"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build, in addition to those of the ``YAML:`` line."""
    is_fitted: ClassVar[bool] = False
    """``fit`` changes the drawn values before training."""

    def check(self, parameter: str, shape: tuple[int, ...]) -> None:
        """Raise ShapeError for a shape that ``sample`` cannot fill; ``parameter`` names it in the message."""

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        """A float64 array of ``shape``; the caller rounds it to the training precision."""
        raise NotImplementedError

    def fit(self, rng: np.random.Generator, drawn: Array, outputs: Array) -> Array:
        """The values to start from, by what the layer computes from the train split without its bias.

        Shapes: outputs (examples, *units); drawn, a weight (*units, fan_in) or a bias (*units,) -> as drawn
        """
        return drawn

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """Mean and standard deviation by the source's formula; ``bp gradcheck`` compares them with those of draws."""
        raise NotImplementedError


INITIALIZERS: Registry[Initializer] = Registry(
    "initializer", "initializers", "backprop_cli.nn.initializers", Initializer
)
InitializerType = Annotated[Initializer, Choice(INITIALIZERS)]

"""A random orthogonal matrix."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer
from backprop_cli.settings import Positive


@INITIALIZERS.register
class Orthogonal(Initializer):
    """``w = gain * Q``, with orthonormal rows or columns, whichever are fewer; uniformly distributed.

    An array of more than two axes is a matrix of ``shape[0]`` rows, as in PyTorch.

    YAML:   {type: orthogonal, gain: 1.0}
    Raises: ShapeError for a parameter of fewer than two axes (a bias).
    Source: Saxe, McClelland & Ganguli, Exact Solutions to the Nonlinear Dynamics of Learning (2014);
            signs after Mezzadri, How to Generate Random Matrices from the Classical Compact Groups (2007), section 5.
    """

    type: Literal["orthogonal"] = "orthogonal"
    gain: Positive = 1.0
    """factor on every singular value"""

    def check(self, parameter: str, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise ShapeError("initializer orthogonal", f"needs at least two axes, {parameter} has shape {list(shape)}")

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        self.check("the parameter", shape)
        rows, columns = shape[0], int(np.prod(shape[1:]))
        normal = rng.normal(size=(max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        # Signs of R's diagonal make Q uniformly distributed.
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)
        return np.ascontiguousarray(self.gain * (q if rows >= columns else q.T)).reshape(shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """0, ``gain / sqrt(larger side)``: rows or columns have length ``gain``."""
        return 0.0, self.gain / math.sqrt(max(shape[0], math.prod(shape[1:])))

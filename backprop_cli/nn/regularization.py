"""The YAML section ``regularization``, of the network and of a layer."""

from __future__ import annotations

from backprop_cli.settings import NonNegative, Settings


class RegularizationSettings(Settings):
    """``l1 * sum |w| + l2 / 2 * sum w^2`` over weights; not over biases or norms."""

    l1: NonNegative = 0.0
    """factor of the sum of absolute weights"""
    l2: NonNegative = 0.0
    """twice the factor of the sum of squared weights"""

    @property
    def is_on(self) -> bool:
        """Whether it adds a penalty."""
        return self.l1 > 0 or self.l2 > 0

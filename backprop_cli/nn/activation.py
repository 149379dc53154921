"""The contract of an activation: a shape-preserving function written in ops."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from backprop_cli.autodiff import Value
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings


class Activation(Settings):
    """A function of one array that keeps its shape (batch first)."""

    type: str
    """kind of activation"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that checks and tests build, in addition to those of the ``YAML:`` line."""

    def apply(self, x: Value) -> Value:
        """``out = f(x)``, same shape as x."""
        raise NotImplementedError


ACTIVATIONS: Registry[Activation] = Registry("activation", "activations", "backprop_cli.nn.activations", Activation)
ActivationType = Annotated[Activation, Choice(ACTIVATIONS)]

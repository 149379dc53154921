"""The contract of an optimizer: a pure elementwise update in ops, traced into the training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from backprop_cli.autodiff import Value
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings

Slots = Mapping[str, Value]
Scalars = Mapping[str, Value]
Numbers = Mapping[str, float]
LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Optimizer(Settings):
    """``parameter <- parameter - learning_rate * direction``.

    Updates are elementwise, so they run once on the flat vector of all parameters whatever the depth.
    The learning rate of a step (after the schedule) is multiplied in by the training program.
    """

    type: str
    """kind of optimizer"""
    learning_rate: LearningRate = 1e-3
    """step size before the schedule"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build beside those of the ``YAML:`` line."""
    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays it remembers, each of the parameters' shape."""

    def slot_names(self) -> tuple[str, ...]:
        """The slots these settings need; all start at 0 unless ``slot_start`` says otherwise."""
        return self.slots

    def slot_start(self, name: str) -> float:
        """The value a slot is filled with before step 1."""
        return 0.0

    def scalars(self, step: int) -> dict[str, float]:
        """Per-step constants; ``step`` counts from 1. The same keys at every step."""
        return {}

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        """The direction to step against, and the new slots."""
        raise NotImplementedError

    def formula(self, step: int, g: float, slot: Numbers, parameter: float) -> tuple[float, dict[str, float]]:
        """The same for one parameter in plain numbers, line by line as the source has it; ``step`` counts from 1.

        ``bp gradcheck`` holds ``scalars`` and ``update`` to it.
        """
        raise NotImplementedError


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "optimizers", "backprop_cli.nn.optimizers", Optimizer)
OptimizerType = Annotated[Optimizer, Choice(OPTIMIZERS)]

"""The contract of a loss: a scalar written in ops. Its gradient is not a second formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Value
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings

Task = Literal["classes", "binary", "regression"]
"""What the targets are: class labels (int64, shape (batch,)), 0/1 (batch, outputs), or numbers (batch, outputs)."""


class Loss(Settings):
    """Mean over the batch (and over outputs, for regression and binary targets) of a cost per example."""

    type: str
    """kind of loss"""

    task: ClassVar[Task]

    def apply(self, outputs: Value, targets: Value, class_weights: Value | None = None) -> Value:
        """The scalar loss. ``outputs`` (batch, outputs) are the network's: logits where the task is one of classes."""
        raise NotImplementedError

    def class_weights(self, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
        """A weight a class (in the order of ``classes``) from the counts of the train split; None: all 1."""
        return None

    def activate(self, outputs: Value) -> Value:
        """Predictions from the network's outputs: probabilities where the outputs are logits."""
        return outputs


LOSSES: Registry[Loss] = Registry("loss", "losses", "backprop_cli.nn.losses")
LossType = Annotated[Loss, Choice(LOSSES)]

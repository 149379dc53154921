"""The contract of a loss: a scalar written in ops. Its gradient is not a second formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Value
from backprop_cli.errors import ShapeError, UsageError
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings

Task = Literal["classes", "binary", "regression"]
"""What the targets are: class labels (int64, shape (batch,)), 0/1 (batch, outputs), or numbers (batch, outputs)."""


class Loss(Settings):
    """Mean over the batch (and over outputs, for regression and binary targets) of a cost per example."""

    type: str
    """kind of loss"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that checks and tests build, beside those of the ``YAML:`` line."""
    task: ClassVar[Task]
    """What the targets must be."""
    applies: ClassVar[tuple[str, ...]] = ()
    """Activations that it applies to the network's outputs itself: a network that ends in one has it twice."""

    def apply(self, outputs: Value, targets: Value, class_weights: Value | None = None) -> Value:
        """The scalar loss.

        Shapes: outputs (batch, outputs), the network's: logits for classes and binary targets;
                targets as the task says; class_weights (classes,), in the outputs' dtype; out ()
        Raises: ShapeError where outputs and targets do not fit.
        """
        raise NotImplementedError

    def check(self, outputs: Value, targets: Value) -> None:
        """Raise ShapeError unless outputs and targets are a number each, or a row of logits and a label."""
        if self.task == "classes":
            if outputs.ndim != 2 or targets.shape != outputs.shape[:1]:
                reason = "needs outputs (batch, classes) and labels (batch,)"
                raise ShapeError(f"loss {self.type}", reason, outputs=outputs.shape, labels=targets.shape)
        elif outputs.shape != targets.shape:
            # Shapes that merely broadcast, (batch, 1) and (batch,), would average over pairs of examples.
            reason = "needs outputs and targets of one shape"
            raise ShapeError(f"loss {self.type}", reason, outputs=outputs.shape, targets=targets.shape)

    def class_weights(self, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
        """A weight a class (in the order of ``classes``) from the counts of the train split; None: all 1."""
        return None

    def activate(self, outputs: Value) -> Value:
        """Predictions from the network's outputs: probabilities where the outputs are logits."""
        return outputs


class ClassWeightError(UsageError):
    """Weights of classes that there are not; ``reasons``: what is wrong, by the name as it is written."""

    def __init__(self, reasons: Mapping[Any, str]):
        self.reasons = dict(reasons)
        super().__init__("; ".join(f"loss.class_weight: {reason}" for reason in reasons.values()))


LOSSES: Registry[Loss] = Registry("loss", "losses", "backprop_cli.nn.losses", Loss)
LossType = Annotated[Loss, Choice(LOSSES)]

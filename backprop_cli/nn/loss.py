"""The contract of a loss: a cost an example, written in ops, and their mean. Its gradient is not a second formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array, Value, mean, one_hot, reshape
from backprop_cli.autodiff import sum as sum_
from backprop_cli.errors import ShapeError, UsageError
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings

LABELLED = ("classes", "tokens")
"""The tasks whose targets are labels: int64, one for each row of logits."""
Task = Literal["classes", "binary", "regression", "tokens"]
"""What the targets are: class labels (int64, shape (batch,)), 0/1 (batch, outputs), numbers (batch, outputs), or the
labels of a sequence (int64, shape (batch, positions))."""


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
    keeps_unit: ClassVar[bool] = False
    """Whether its targets mean something in their own unit only (counts, probabilities) and cannot be standardized."""
    least_outputs: ClassVar[int] = 1
    """With fewer outputs an example it says nothing, as of the direction of one number."""
    gives_probabilities: ClassVar[bool] = True
    """Whether what it predicts of classes and binary targets are probabilities; else they are scores."""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """What each example costs; where an example has several outputs it may be a cost for each of them.

        Shapes: outputs (batch, ...), the network's: logits for classes and binary targets; targets as the task says;
                out (batch,), or (batch, n), of which an example's cost is the mean
        Raises: ShapeError where outputs and targets do not fit.
        """
        raise NotImplementedError

    def apply(
        self, outputs: Value, targets: Value, class_weights: Value | None = None, weights: Value | None = None
    ) -> Value:
        """The scalar loss: the mean of the costs, each times the weight of its class and of its example.

        What is divided by is the size of the batch, not the sum of the weights, so that a batch's gradient is the
        mean of its examples'.

        Shapes: outputs and targets as for ``costs``; class_weights (classes,) and weights (batch,), in the outputs'
                dtype; out ()
        Raises: ShapeError where outputs and targets do not fit.
        """
        cost = self.costs(outputs, targets)
        if cost.shape[:1] != outputs.shape[:1]:
            reason = f"its costs are {list(cost.shape)} for a batch of {outputs.shape[0]}; each example needs its own"
            raise ShapeError(f"loss {self.type}", reason)
        if class_weights is not None:
            chosen = one_hot(targets, class_weights.size, outputs.dtype)
            cost = sum_(chosen * class_weights, -1) * cost
        if weights is not None:
            cost = cost * reshape(weights, (weights.size, *[1] * (cost.ndim - 1)))
        return self.average(cost, targets)

    def average(self, costs: Value, targets: Value) -> Value:
        """The mean of those costs that count: all of them."""
        return mean(costs)

    def count(self, targets: Array) -> int:
        """How many costs the mean is over, so that batches can be put together: the examples; for tokens the positions.

        Shapes: targets (batch, ...)
        """
        return len(targets)

    def check(self, outputs: Value, targets: Value) -> None:
        """Raise ShapeError unless outputs and targets are a number each, or a row of logits and a label."""
        if self.task in LABELLED:
            axes = 2 if self.task == "classes" else 3
            if outputs.ndim != axes or targets.shape != outputs.shape[:-1]:
                words = "(batch, classes)", "(batch,)"
                if self.task == "tokens":
                    words = "(batch, positions, tokens)", "(batch, positions)"
                reason = f"needs outputs {words[0]} and labels {words[1]}"
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

    def evidence(self, outputs: Value, targets: Value) -> Value:
        """What metrics are computed from: the predictions; for tokens less than that (``token_evidence``)."""
        return self.activate(outputs)

    def target_shape(self, outputs: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an example's targets, where the network's output has the shape ``outputs``."""
        return outputs[:-1] if self.task in LABELLED else outputs

    def outputs_for(self, targets: int) -> int:
        """How many outputs a network needs for so many classes or target columns."""
        return targets

    def output_names(self, targets: Sequence[str]) -> list[str]:
        """What a network's outputs are called, by the names of the target columns."""
        return list(targets)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles of each target that the outputs are; empty: an output is one number for a target."""
        return ()

    def least(self, targets: Array, outputs: int) -> float:
        """The least that any network can make of it on these targets, all weights 1; NaN where that is not known."""
        return 0.0

    def wrong_target(self, targets: Array, outputs: int) -> WrongTarget | None:
        """The first target that it has no cost for, where the network has ``outputs`` outputs; None: there is none."""
        return None

    def draw(self, rng: np.random.Generator, outputs: tuple[int, ...]) -> Array:
        """Targets to try it with, for outputs of the shape (batch, ...)."""
        shape = (outputs[0], *self.target_shape(outputs[1:]))
        if self.task in LABELLED:
            return rng.integers(0, outputs[-1], shape)
        return rng.integers(0, 2, shape).astype(np.float64) if self.task == "binary" else rng.standard_normal(shape)


def first_place(wrong: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """The index of the first that is true; None: there is none."""
    return tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else None


@dataclass(frozen=True)
class WrongTarget:
    """Where a target is among the targets, and what is wrong: ``expected a count of at least 0, got -1``."""

    index: tuple[int, ...]
    reason: str


class ClassWeightError(UsageError):
    """Weights of classes that there are not; ``reasons``: what is wrong, by the name as it is written."""

    def __init__(self, reasons: Mapping[Any, str]):
        self.reasons = dict(reasons)
        super().__init__("; ".join(f"loss.class_weight: {reason}" for reason in reasons.values()))


LOSSES: Registry[Loss] = Registry("loss", "losses", "backprop_cli.nn.losses", Loss)
LossType = Annotated[Loss, Choice(LOSSES)]

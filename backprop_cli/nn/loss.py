"""The contract of a loss: a cost for each example, written in ops, and their mean. Its gradient follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array, Value, mean, one_hot, reshape
from backprop_cli.autodiff import sum as sum_
from backprop_cli.errors import Problem, ShapeError, UsageError
from backprop_cli.nn.task import Task as Task  # plugins import it from here
from backprop_cli.nn.task import task_of
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings


class Loss(Settings):
    """Mean over the batch (and over outputs, for regression and binary targets) of a cost per example."""

    type: str
    """kind of loss"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that checks and tests build, in addition to those of the ``YAML:`` line."""
    task: ClassVar[Task]
    """What the targets are. A plugin may write its name: ``task = "regression"``."""
    applies: ClassVar[tuple[str, ...]] = ()
    """Activations that the loss applies to the network's outputs: a network that ends in one would apply it twice."""
    keeps_unit: ClassVar[bool] = False
    """Targets have a meaning only in their own unit (counts, probabilities) and cannot be standardized."""
    standardizes: ClassVar[bool] = False
    """Targets are real numbers in any unit, which ``data.transform.target: auto`` standardizes."""
    least_outputs: ClassVar[int] = 1
    """Fewest outputs of an example for which the loss is defined: a single number has no direction."""
    gives_probabilities: ClassVar[bool] = True
    """Predictions of classes and binary targets are probabilities; otherwise they are scores."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "task" in vars(cls):
            cls.task = task_of(cls.task)

    def costs(self, outputs: Value, targets: Value) -> Value:
        """The cost of each example, or one for each of its outputs.

        Shapes: outputs (batch, ...), the network's: logits for classes and binary targets; targets as the task says;
                out (batch,), or (batch, n): an example's cost is their mean
        Raises: ShapeError if outputs and targets do not fit.
        """
        raise NotImplementedError

    def apply(
        self, outputs: Value, targets: Value, class_weights: Value | None = None, weights: Value | None = None
    ) -> Value:
        """The scalar loss: the mean of the costs, each times the weight of its class and of its example.

        The sum is divided by the size of the batch, not by the sum of the weights, so that a batch's gradient is the
        mean of its examples'.

        Shapes: outputs and targets as for ``costs``; class_weights (classes,) and weights (batch,), in the outputs'
                dtype; out ()
        Raises: ShapeError if outputs and targets do not fit.
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
        """The mean of the costs that count."""
        return mean(costs)

    def count(self, targets: Array) -> int:
        """The number of costs in the mean: examples, or positions of tokens. It weights the batch in a split's mean.

        Shapes: targets (batch, ...)
        """
        return len(targets)

    def check(self, outputs: Value, targets: Value) -> None:
        """Raise ShapeError unless outputs and targets have the shapes of the task."""
        self.task.check(f"loss {self.type}", outputs.shape, targets.shape)

    def class_weights(self, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
        """The weight of each of ``classes``, from the counts of the train split; None: all are 1."""
        return None

    def activate(self, outputs: Value) -> Value:
        """Predictions from the network's outputs: probabilities if the outputs are logits."""
        return outputs

    def metric_inputs(self, outputs: Value, targets: Value) -> Value:
        """The array that metrics are computed from: the batch's predictions, or ``token_ranks`` for tokens."""
        return self.activate(outputs)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that the network predicts of each target; empty: one output for each target."""
        return ()

    def target_shape(self, outputs: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an example's targets for a network's output of the shape ``outputs``."""
        return self.task.target_shape((*outputs[:-1], outputs[-1] // self._outputs_per_target))

    def outputs_for(self, targets: int) -> int:
        """The outputs that a network needs for this number of classes or target columns."""
        return targets * self._outputs_per_target

    def output_names(self, targets: Sequence[str]) -> list[str]:
        """Names of a network's outputs from those of the target columns: ``q0.1``; of several ``price_q0.1``."""
        if self._outputs_per_target == 1:
            return list(targets)
        heads = [""] if len(targets) == 1 else [f"{name}_" for name in targets]
        return [f"{head}q{level:g}" for head in heads for level in self.levels]

    @property
    def _outputs_per_target(self) -> int:
        return max(1, len(self.levels))

    def minimum(self, targets: Array, outputs: int) -> float:
        """The loss of the best possible network on these targets, all weights 1; NaN if that is not known."""
        return 0.0

    def problem(self, targets: Array, outputs: int) -> Problem | None:
        """The first target without a cost in a network with this number of outputs; its path is the target's index."""
        return None

    def draw(self, rng: np.random.Generator, outputs: tuple[int, ...]) -> Array:
        """Random targets for outputs of the shape (batch, ...), to check the loss at."""
        return self.task.draw(rng, (outputs[0], *self.target_shape(outputs[1:])), outputs[-1])


def first_place(wrong: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """The index of the first true entry; None: all are false."""
    return tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else None


class ClassWeightError(UsageError):
    """Class weights that cannot be used; ``reasons``: by the name of the class as written."""

    def __init__(self, reasons: Mapping[Any, str]):
        self.reasons = dict(reasons)
        super().__init__("; ".join(f"loss.class_weight: {reason}" for reason in reasons.values()))


LOSSES: Registry[Loss] = Registry("loss", "losses", "backprop_cli.nn.losses", Loss)
LossType = Annotated[Loss, Choice(LOSSES)]

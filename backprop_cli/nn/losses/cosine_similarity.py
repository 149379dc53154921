"""Cosine distance of outputs and targets."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, absolute, amax, greater, maximum, sqrt, square, stop_gradient, where
from backprop_cli.autodiff import sum as sum_
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.task import REGRESSION, Task

_LONG = 1e15
"""A row with an entry above this is scaled down: float32 cannot hold the squares of much larger ones."""
_SMALLEST = 1e-8
"""Lengths below this count as this, as in PyTorch's cosine_similarity."""


@LOSSES.register
class CosineSimilarity(Loss):
    """``loss = mean(1 - <x, t> / (|x| |t|))`` over the batch: 0 in the same direction, 1 at right angles, 2 opposite.

    A length below 1e-8 counts as 1e-8, so that the similarity of a row of zeros is 0. With
    ``data.transform.target: standardize`` the directions are those of the standardized targets.

    Shapes: outputs, targets (batch, outputs) -> ()
    YAML:   cosine_similarity
    Source: Salton & McGill, Introduction to Modern Information Retrieval (1983), section 4.2; as 1 minus PyTorch's
            cosine_similarity.
    """

    type: Literal["cosine_similarity"] = "cosine_similarity"
    task: ClassVar[Task] = REGRESSION
    least_outputs: ClassVar[int] = 2

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        rows = [_shortened(outputs), _shortened(targets)]
        # The maximum is taken before the root, whose derivative is infinite at 0.
        lengths = [sqrt(maximum(sum_(square(row), 1), _SMALLEST**2)) for row in rows]
        return 1.0 - sum_(rows[0] * rows[1], 1) / (lengths[0] * lengths[1])


def _shortened(rows: Value) -> Value:
    """Rows of the same direction, scaled so that their squares do not overflow."""
    largest = amax(absolute(rows), 1, keepdims=True)
    return rows / stop_gradient(where(greater(largest, _LONG), largest, 1.0))

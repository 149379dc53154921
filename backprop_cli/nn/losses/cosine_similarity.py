"""The angle between outputs and targets."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, maximum, sqrt, square
from backprop_cli.autodiff import sum as sum_
from backprop_cli.nn.loss import LOSSES, Loss, Task

_SMALLEST = 1e-8
"""Length that a shorter row is taken to have, as in PyTorch's cosine_similarity."""


@LOSSES.register
class CosineSimilarity(Loss):
    """``loss = mean(1 - <x, t> / (|x| |t|))`` over the batch: 0 in the same direction, 1 at right angles, 2 opposite.

    A row shorter than 1e-8 is taken to be that long, so that of a row of zeros the similarity is 0. With
    ``data.transform.target: standardize`` the directions are those of the standardized targets.

    Shapes: outputs, targets (batch, outputs) -> ()
    YAML:   cosine_similarity
    Source: Salton & McGill, Introduction to Modern Information Retrieval (1983), section 4.2; as 1 minus PyTorch's
            cosine_similarity.
    """

    type: Literal["cosine_similarity"] = "cosine_similarity"
    task: ClassVar[Task] = "regression"
    least_outputs: ClassVar[int] = 2

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``1 - <x, t> / (|x| |t|)``."""
        self.check(outputs, targets)
        # The larger is taken of the squares: the derivative of the root is infinite at 0.
        lengths = [sqrt(maximum(sum_(square(rows), 1), _SMALLEST**2)) for rows in (outputs, targets)]
        return 1.0 - sum_(outputs * targets, 1) / (lengths[0] * lengths[1])

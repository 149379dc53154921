"""Hinge loss of one class among several."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli.autodiff import Value, one_hot, relu, square
from backprop_cli.autodiff import sum as sum_
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.losses._shared.class_loss import ClassLoss
from backprop_cli.settings import Positive


@LOSSES.register
class Hinge(ClassLoss):
    """``loss = mean(w[y] * sum_{c != y} max(0, margin - x[y] + x[c])^power / classes)``, x the network's scores.

    Every wrong class against the right one; ``binary_hinge`` is for yes-or-no targets. It is PyTorch's MultiMarginLoss,
    which calls ``power`` p. ``w`` is 1 unless ``class_weight`` says otherwise, as in cross_entropy. The derivative at a
    kink is 0. Predictions are the softmax of the scores: they have the order of the scores, but are not probabilities.

    Shapes: scores (batch, classes), labels (batch,) -> ()
    YAML:   {type: hinge, margin: 1.0, power: 2}
    Source: Weston & Watkins, Support Vector Machines for Multi-Class Pattern Recognition (1999), section 2.
    """

    type: Literal["hinge"] = "hinge"
    gives_probabilities: ClassVar[bool] = False
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"margin": 0.5, "power": 2}, {"class_weight": {0: 0.5, 2: 3}})
    margin: Positive = 1.0
    """lead of the right class from which another class costs nothing"""
    power: Literal[1, 2] = 1
    """1: the cost is the distance to the margin; 2: its square"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        chosen = one_hot(targets, outputs.shape[1], outputs.dtype)
        right = sum_(chosen * outputs, 1, keepdims=True)
        # The difference comes first: a margin added to a score of 1e8 is lost in float32.
        missing = relu(outputs - right + self.margin) * (1.0 - chosen)
        return sum_(missing if self.power == 1 else square(missing), 1) * (1.0 / outputs.shape[1])

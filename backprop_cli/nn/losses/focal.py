"""Focal loss of one class among several."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Value, logsumexp, one_hot, where
from backprop_cli.autodiff import sum as sum_
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.losses._shared.class_loss import ClassLoss
from backprop_cli.nn.losses._shared.focal_cost import focal_cost
from backprop_cli.settings import NonNegative


@LOSSES.register
class Focal(ClassLoss):
    """``loss = mean(w[y] * (1 - p[y])^gamma * -log(p[y]))`` over the batch, ``p = softmax(logits)``, in nats.

    Cross entropy that down-weights well-classified examples; ``gamma`` 0 is cross_entropy. ``w``, the paper's alpha, is
    1 unless ``class_weight`` says otherwise, as in cross_entropy. ``binary_focal`` is for yes-or-no targets.

    Shapes: logits (batch, classes), labels (batch,) -> ()
    YAML:   {type: focal, gamma: 2.0}
    Source: Lin et al., Focal Loss for Dense Object Detection (2017), equation 5, with the softmax of several classes.
    """

    type: Literal["focal"] = "focal"
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"gamma": 0.5}, {"class_weight": {0: 0.5, 2: 3}})
    gamma: NonNegative = 2.0
    """focusing parameter: larger values down-weight easy examples more"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``focal_cost(logit[y] - logsumexp(other logits))``: the sigmoid of the difference is ``p[y]``."""
        self.check(outputs, targets)
        chosen = one_hot(targets, outputs.shape[1], outputs.dtype)
        nothing = float(np.finfo(outputs.dtype).min)  # finite: with one class no other logit is left
        others = logsumexp(where(chosen, nothing, outputs), 1)
        return focal_cost(sum_(chosen * outputs, 1) - others, self.gamma)

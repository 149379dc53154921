"""Cross entropy that looks away from what is right already."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from backprop_cli.autodiff import Value, exp, logsumexp, one_hot, where
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.losses.of_classes import ClassLoss
from backprop_cli.nn.softmax_cross_entropy import softmax_cross_entropy

_NOTHING = -1e30
"""A logit whose exponential is 0 beside any other, and which float32 can hold."""


@LOSSES.register
class Focal(ClassLoss):
    """``loss = mean(w[y] * (1 - p[y])^gamma * -log(p[y]))`` over the batch, ``p = softmax(logits)``, in nats.

    ``gamma`` 0 is cross_entropy. ``w``, the paper's alpha, is 1 unless ``class_weight`` says otherwise, as in
    cross_entropy. ``binary_focal`` is for yes-or-no targets.

    Shapes: logits (batch, classes), labels (batch,) -> ()
    YAML:   {type: focal, gamma: 2.0}
    Source: Lin et al., Focal Loss for Dense Object Detection (2017), equation 5, with the softmax of several classes.
    """

    type: Literal["focal"] = "focal"
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"gamma": 0.5}, {"class_weight": {0: 0.5, 2: 3}})
    gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    """how much less what is predicted well counts"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``exp(gamma * log(1 - p[y])) * -log(p[y])``."""
        self.check(outputs, targets)
        # 1 - p[y] is the share of the other classes. Of its logarithm the derivative is finite where p[y] rounds to 1;
        # of a power below 1 of the difference it is not.
        chosen = one_hot(targets, outputs.shape[1], outputs.dtype)
        others = logsumexp(where(chosen, _NOTHING, outputs), 1) - logsumexp(outputs, 1)
        return exp(self.gamma * others) * softmax_cross_entropy(outputs, targets)

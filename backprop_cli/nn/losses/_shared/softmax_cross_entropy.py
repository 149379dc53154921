"""Cross entropy of labels and the softmax of logits."""

from __future__ import annotations

import math

from backprop_cli.autodiff import Value, amax, exp, log, one_hot, stop_gradient
from backprop_cli.autodiff import sum as sum_


def softmax_cross_entropy(logits: Value, labels: Value, label_smoothing: float = 0.0) -> Value:
    """``-sum_c q[c] * log(p[c])`` in nats, ``p = softmax(logits)``.

    ``q[c] = (1 - label_smoothing) * (c == label) + label_smoothing / classes``.

    Shapes: logits (..., classes), labels (...) -> (...)
    """
    classes = logits.shape[-1]
    chosen = one_hot(labels, classes, logits.dtype)
    q = chosen * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else chosen
    # q sums to 1, so -sum q ln p = ln sum e^z - sum q z; the largest logit is subtracted from both terms.
    z = logits - stop_gradient(amax(logits, -1, keepdims=True))
    return log(sum_(exp(z), -1)) - sum_(q * z, -1)


def smoothed_entropy(classes: int, label_smoothing: float) -> float:
    """``-sum_c q[c] * log(q[c])`` in nats: the minimum of the cross entropy with ``q``."""
    other = label_smoothing / classes
    parts = [1.0 - label_smoothing + other, *[other] * (classes - 1)]
    return 0.0 - sum(part * math.log(part) for part in parts if part > 0)

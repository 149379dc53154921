"""The cost of both focal losses."""

from __future__ import annotations

from backprop_cli.autodiff import Value, exp, maximum, minimum, softplus

_FAR = 100.0
"""Below ``-_FAR`` the probability rounds to 0 in both precisions, and the cost is exactly ``-x``."""


def focal_cost(x: Value, gamma: float) -> Value:
    """``(1 - p)^gamma * -log(p)`` in nats, ``p = sigmoid(x)``; elementwise.

    ``1 - p = exp(-softplus(x))``, finite with its derivatives where p rounds to 1.
    """
    if gamma == 0:
        return softplus(-x)
    # For very negative x the derivative of the product would be inf * 0, so the factors stop at -100.
    near, beyond = maximum(x, -_FAR), minimum(x + _FAR, 0.0)
    return exp(-gamma * softplus(near)) * softplus(-near) - beyond

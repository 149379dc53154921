"""The cost that both focal losses share."""

from __future__ import annotations

from backprop_cli.autodiff import Value, exp, maximum, minimum, softplus

_FAR = 100.0
"""Beyond minus this the probability is 0 in either precision, and the cost is ``-x`` to the last bit."""


def focal_cost(x: Value, gamma: float) -> Value:
    """``(1 - p)^gamma * -log(p)`` in nats, ``p = sigmoid(x)``; elementwise.

    ``1 - p = exp(-softplus(x))``, finite with its derivatives where p rounds to 1.
    """
    if gamma == 0:
        return softplus(-x)
    # Far to the left the product's derivative would be infinity (gamma times the cost) times 0: it stops at -100.
    near, beyond = maximum(x, -_FAR), minimum(x + _FAR, 0.0)
    return exp(-gamma * softplus(near)) * softplus(-near) - beyond

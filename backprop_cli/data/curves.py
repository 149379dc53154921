"""Curves that a column of numbers is bent by, before it is scaled."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop_cli.data.column_values import Floats
from backprop_cli.structs import Struct

MOST_KNOTS = 1000
RAREST = 1e-7
"""Smallest share of a quantile curve: its values are within 5.2 of 0."""

CENTRE = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ),
)  # fmt: skip
TAIL = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip
"""Coefficients of numerator and denominator, lowest power first. Source: Wichura, Algorithm AS 241 (1988), PPND16."""
WIDEST = 0.425
"""Largest distance from 1/2 to use ``CENTRE`` at."""


class Logarithm(Struct, eq=False):
    """``f(x) = sign(x) log(1 + |x| / unit)``: 0 stays 0, and a negative number has the negative of its logarithm.

    ``unit``: float64 (width,), or (1,) if all are equal; a column is linear well below it, logarithmic well above.
    """

    unit: Floats

    @staticmethod
    def fit(values: Floats) -> Logarithm:
        """The unit is the fifth percentile of the absolute values that are not 0, and not below 1e-15 of the largest.

        Shapes: values (rows, width)
        """
        sizes = np.where(values == 0, np.nan, np.abs(values))
        sizes[0] = np.where(np.isnan(sizes).all(axis=0), 1.0, sizes[0])
        return Logarithm(np.maximum(np.nanquantile(sizes, 0.05, axis=0), 1e-15 * np.nanmax(sizes, axis=0)))

    def __call__(self, values: Floats) -> Floats:
        """Values (rows, width) on the curve."""
        return np.asarray(np.copysign(np.log1p(np.abs(values) / self.unit), values))

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists only; floats survive exactly."""
        return {"type": "logarithm", "unit": self.unit.tolist()}


class Quantiles(Struct, eq=False):
    """To a normal distribution: the share of train rows below x, linear between knots, then the normal quantile of it.

    Equal values have the share in the middle of theirs. The rest is scikit-learn's QuantileTransformer. ``knots``:
    quantiles of the train rows at equal steps, float64 (knots, width), or (knots, 1) if all columns are equal.
    """

    knots: Floats

    @staticmethod
    def fit(values: Floats) -> Quantiles:
        """At most ``MOST_KNOTS`` knots. Shapes: values (rows, width)."""
        shares = np.linspace(0, 1, min(MOST_KNOTS, max(2, len(values))))
        # Rounding could let one fall below the one before.
        return Quantiles(np.maximum.accumulate(np.quantile(values, shares, axis=0)))

    def __call__(self, values: Floats) -> Floats:
        """Values (rows, width) on the curve."""
        shares, out = np.linspace(0, 1, len(self.knots)), np.empty_like(values)
        for column in range(values.shape[1]):
            knots, x = self.knots[:, column % self.knots.shape[1]], values[:, column]
            # Among equal knots interp takes the last one; from behind it takes the first.
            above = np.interp(x, knots, shares)
            below = -np.interp(-x, -knots[::-1], -shares[::-1])
            out[:, column] = (above + below) / 2
        return normal_quantile(out)

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists only; floats survive exactly."""
        return {"type": "quantiles", "knots": self.knots.tolist()}


Curve = Logarithm | Quantiles


def curve_from_json(tree: dict[str, Any] | None) -> Curve | None:
    """The inverse of ``to_json``."""
    if tree is None:
        return None
    if tree["type"] == "logarithm":
        return Logarithm(np.array(tree["unit"], np.float64))
    return Quantiles(np.array(tree["knots"], np.float64))


def normal_quantile(shares: Floats) -> Floats:
    """``x`` with ``P(X <= x) = share`` of a standard normal X, within 1e-15; shares are clipped to ``RAREST``."""
    share = np.clip(shares, RAREST, 1 - RAREST)
    offset = share - 0.5
    tail = np.sqrt(-np.log(np.minimum(share, 1 - share))) - 1.6
    centre = 0.180625 - np.square(offset)
    inside = np.abs(offset) <= WIDEST
    return np.asarray(np.where(inside, offset * _ratio(CENTRE, centre), np.copysign(_ratio(TAIL, tail), offset)))


def _ratio(of: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    return np.asarray(np.polyval(of[0][::-1], x) / np.polyval(of[1][::-1], x))


def smoothly_clipped(values: Floats) -> Floats:
    """``x / sqrt(1 + (x / 3)^2)``: x near 0, and always within 3.

    Source: Holzmueller, Grinsztajn & Steinwart, Better by Default (RealMLP), NeurIPS 2024.
    """
    return np.asarray(values / np.hypot(1.0, values / 3))

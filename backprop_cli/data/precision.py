"""Detection of values that the training precision rounds away."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.features import Floats

MOST_ERROR = 3e-3
"""Largest rounding error that is harmless, relative to the values' standard deviation: that of rounding to a hundredth
of the deviation."""


def lost(values: Floats, dtype: DTypeLike) -> str | None:
    """How rounding to ``dtype`` hides the differences between ``values`` (rows,); None if it does not.

    It does if the root mean square of the errors exceeds ``MOST_ERROR`` times the standard deviation. Values that are
    all equal are never reported.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded).all():
        return None  # an overflow is reported elsewhere
    errors = values - rounded.astype(np.float64)
    deviation = float(values.std())
    if not errors.any() or values.min() == values.max() or _root_mean_square(errors) <= MOST_ERROR * deviation:
        return None
    largest = float(np.abs(values).max())
    step = float(np.spacing(np.abs(rounded).max()))
    return (
        f"{rounded.dtype} rounds values near {largest:.4g} to multiples of {step:.3g}, and the standard deviation of "
        f"these is {deviation:.3g}"
    )


def _root_mean_square(values: Floats) -> float:
    return math.sqrt(float(np.mean(np.square(values))))

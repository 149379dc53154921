"""Whether numbers survive in the precision that a network computes in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.features import Floats

MOST_ERROR = 3e-3
"""Rounding errors, as a share of the values' standard deviation, from which on they hide what is to be learned: those
of values that are multiples of a hundredth of it."""


def lost(values: Floats, dtype: DTypeLike) -> str | None:
    """How rounding to ``dtype`` hides the differences between ``values`` (rows,); None where it does not.

    That is where the errors (root of their mean square) are more than ``MOST_ERROR`` times the standard deviation.
    Rounding that is small beside the spread is ordinary, and so are values that are all the same.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded).all():
        return None  # a number that is too large is another mistake
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

"""Sums as products with ones, which BLAS computes faster than NumPy adds. Here is no op."""

from __future__ import annotations

import math

import numpy as np

from backprop_cli.autodiff.spec import Array

_LONG, _LONG_COLUMN = 1024, 2**16
"""Most rows that one product sums; for one column, which BLAS sums in about thirty parts itself."""
BLOCK = 256
"""Rows of a block."""


def rows_of_blocks(count: int, columns: int) -> list[int]:
    """The numbers of rows left of ``count`` after summing blocks, until one product sums the rest."""
    found = []
    while count > (_LONG if columns > 1 else _LONG_COLUMN):
        count = -(-count // BLOCK)
        found.append(count)
    return found


def row_sums(x: Array) -> Array:
    """``1^T x``: a matrix (rows, columns) summed over its rows, by BLAS.

    One after the other, the rounding errors of 200,000 rows cost two digits. Sums of blocks have the error of pairwise
    sums. A row of the reshaped x is many rows of x, so one product with long rows sums all blocks: a fifth of the time
    for 5 columns.
    """
    for count in rows_of_blocks(*x.shape):
        blocks = len(x) // BLOCK
        whole = blocks * BLOCK
        sums, ones = np.empty((count, x.shape[1]), x.dtype), np.ones(BLOCK, x.dtype)
        ones.dot(x[:whole].reshape(BLOCK, -1), sums[:blocks].reshape(-1))
        if count > blocks:
            ones[: len(x) - whole].dot(x[whole:], sums[-1])
        x = sums
    total: Array = np.ones(len(x), x.dtype).dot(x)
    return total


def sums_of_ends(x: Array, first: int, last: int) -> Array:
    """``x`` summed over its ``first`` first and its ``last`` last axes; a caller reshapes the result."""
    if last:
        matrix = x.reshape(-1, math.prod(x.shape[x.ndim - last :]))
        x = matrix.dot(np.ones(matrix.shape[1], x.dtype)).reshape(x.shape[: x.ndim - last])
    if first or not last:
        x = row_sums(x.reshape(math.prod(x.shape[:first]), -1))
    return x

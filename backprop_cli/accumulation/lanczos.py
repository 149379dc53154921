"""Leading eigenvalues of a symmetric matrix, given only its products with vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backprop_cli.autodiff.spec import Array
from backprop_cli.structs import Struct

ALL_STEPS = 256
"""Rows up to which the matrix is reduced completely, which finds equal eigenvalues as often as they occur."""
_MOST_NUMBERS = 1 << 27
"""Most numbers in the basis (1 GB)."""
_MOST_STEPS = 1000
_EVERY = 5
"""Steps between two computations of the eigenvalues so far, which cost more than a step of a small matrix."""


class Spectrum(Struct):
    """The largest eigenvalues, in falling order, with unit eigenvectors (count, size); and the smallest eigenvalue.

    ``residuals``: ``|A v - value v|`` of each, a bound on its error. ``products``: number of products formed.
    """

    values: Array
    vectors: Array
    residuals: Array
    least: float
    least_residual: float
    products: int
    converged: bool


def lanczos(
    product: Callable[[Array], Array],
    size: int,
    count: int,
    rng: np.random.Generator,
    *,
    tolerance: float = 1e-8,
    most_steps: int = _MOST_STEPS,
) -> Spectrum:
    """The ``count`` largest eigenvalues of a symmetric matrix (size, size), given ``product(v) = A v``.

    Lanczos (1950) from a random start; each new vector is orthogonalized twice against all before it (Parlett 1998,
    ch. 13). It stops when the residuals are at most ``tolerance`` times the largest magnitude, or after ``most_steps``
    products. If the space so far is invariant, it continues with a new random vector. Above ``ALL_STEPS`` rows a
    multiple eigenvalue may be found only once.
    """
    steps = min(size, max(most_steps, count), max(count, _MOST_NUMBERS // size))
    basis, alphas, betas = np.empty((steps, size)), np.empty(steps), np.empty(steps)
    vector = _unit(rng.standard_normal(size))
    for step in range(steps):
        basis[step] = vector
        image = np.asarray(product(vector), np.float64)
        alphas[step] = vector @ image
        known = basis[: step + 1]
        for _ in range(2):
            image = image - (known @ image) @ known
        length = float(np.linalg.norm(image))
        scale = float(np.abs(alphas[: step + 1]).max() + betas[:step].max(initial=0.0))
        is_invariant = length <= 1e-13 * scale or step + 1 == size
        betas[step] = 0.0 if is_invariant else length
        looks = step + 1 >= count and ((step + 1) % _EVERY == 0 or is_invariant or step + 1 == steps)
        if step + 1 == steps or (looks and size > ALL_STEPS):
            found = _spectrum(basis[: step + 1], alphas[: step + 1], betas[: step + 1], count, tolerance)
            if found.converged or step + 1 == steps:
                return found
        vector = _fresh(known, rng) if is_invariant else image / length
    raise AssertionError("unreachable: the last step returns")


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def _fresh(known: Array, rng: np.random.Generator) -> Array:
    """A random unit vector orthogonal to the known ones."""
    vector = _unit(rng.standard_normal((known.shape[1],)))
    for _ in range(2):
        rest: Array = vector - (known @ vector) @ known
        vector = _unit(rest)
    return vector


def _spectrum(basis: Array, alphas: Array, betas: Array, count: int, tolerance: float) -> Spectrum:
    """Eigenvalues of the tridiagonal matrix. Each residual is the last beta times the eigenvector's last component."""
    small = np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)
    values, components = np.linalg.eigh(small)
    scale = float(np.abs(values).max())
    residuals = betas[-1] * np.abs(components[-1]) + np.finfo(np.float64).eps * scale  # rounding leaves no exact 0
    bound = tolerance * scale
    top = slice(None, -count - 1, -1)
    return Spectrum(
        values[top],
        components[:, top].T @ basis,
        residuals[top],
        float(values[0]),
        float(residuals[0]),
        len(alphas),
        bool((residuals[top] <= bound).all() and residuals[0] <= bound),
    )

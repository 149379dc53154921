"""The results of ``bp jacobian``, one class a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.inspection.axes import Axis
from backprop_cli.json_object import JsonObject

LARGEST = 10
"""Number of entries that are listed."""
_COMMON = ("kind", "checkpoint", "data", "units", "of", "by")


class DataRows(JsonObject):
    """The rows that a derivative is taken at."""

    json_optional: ClassVar = ("split", "file")

    split: str | None
    """The split; left out for a file."""
    file: str | None
    """The file; left out for a split."""
    rows: Sequence[int]
    """The rows: lines of a text file, rows of an array."""


class NamedValue(JsonObject):
    """A value that is differentiated, or differentiated by."""

    json_optional: ClassVar = ("categories",)

    name: str
    """Its name, such as ``predictions`` or ``dense_1.weight``."""
    shape: Sequence[int]
    """Its shape; for several rows with the batch in front."""
    unit: str
    """``data``, ``network`` (after the transform) or ``probability``."""
    categories: Sequence[str] = ()
    """Inputs that have no unit."""


class Entry(JsonObject):
    """One number of a result."""

    json_optional: ClassVar = ("of",)

    of: str | None
    """Name of its row; left out if the result is a vector."""
    by: str
    """Name of its column."""
    index: Sequence[int]
    """Its index in the array."""
    value: float
    """The number."""


class JacobianResult(JsonObject, kw_only=True, eq=False):
    """The fields that all kinds share."""

    kind: ClassVar[str]
    """The kind of derivative; it decides the other keys."""

    checkpoint: Path
    """The checkpoint of the network."""
    data: DataRows
    """The rows that the derivative is taken at."""
    units: str
    """``data`` or ``network``, as ``--units`` says."""
    of: NamedValue
    """What is differentiated."""
    by: NamedValue
    """What it is differentiated by."""
    output: Path | None = None
    """The file with the arrays; null without ``--output``."""
    arrays: Mapping[str, Array]
    """The arrays that ``--output`` writes, by name."""
    warnings: tuple[str, ...] = ()
    """Reasons for doubt about the numbers."""


class MatrixResult(JacobianResult, kw_only=True):
    """A matrix between two values."""

    axes: tuple[Axis, Axis]
    """The two axes of the matrix."""
    shape: Sequence[int]
    """Shape of the array: that of ``of``, followed by that of ``by``."""
    norm: float
    """Its Frobenius norm."""
    largest: Sequence[Entry]
    """The ten entries of largest magnitude."""
    labels: Sequence[Sequence[str]] | None
    """Names of rows and columns; null above 10,000 entries."""
    values: Any
    """The array as nested lists; null above 10,000 entries."""

    @property
    def matrix(self) -> Array:
        """Shapes: (elements of the first axis, elements of the second)."""
        return self.arrays[self.kind].reshape(self.axes[0].size, self.axes[1].size)


class Multiplications(JsonObject):
    """Multiplications in each order."""

    forward: int
    """In forward mode."""
    reverse: int
    """In reverse mode."""
    best: int
    """In the cheapest order found."""


class JacobianOrder(JsonObject):
    """How a Jacobian was accumulated."""

    json_optional: ClassVar = ("limit",)

    asked: str
    """The value of ``--order``."""
    executed: str
    """The order that was used: ``forward``, ``reverse``, ``best``, or ``none`` if ``of`` does not depend on ``by``."""
    multiplications: Multiplications | None = None
    """The cost of each order; null if the network is too large to compare them."""
    method: str | None = None
    """The search that found ``best``."""
    proved_optimal: bool | None = None
    """Whether no order is cheaper."""
    limit: int | None = None
    """Most intermediate values for which ``best`` is sought, if the network has more."""


class Jacobian(MatrixResult, kw_only=True):
    """The Jacobian of any named value by another."""

    json_keys: ClassVar = (*_COMMON, "shape", "norm", "order", "largest", "labels", "values", "output")
    kind: ClassVar = "jacobian"

    order: JacobianOrder
    """How it was accumulated."""


class Spectrum(JsonObject):
    """The ends of the spectrum of a Hessian."""

    largest: float
    """The largest eigenvalue."""
    least: float
    """The least eigenvalue."""


class Hessian(MatrixResult, kw_only=True):
    """The Hessian of a scalar."""

    json_keys: ClassVar = (
        *_COMMON,
        "shape",
        "norm",
        "asymmetry",
        "eigenvalues",
        "largest",
        "labels",
        "values",
        "output",
    )
    kind: ClassVar = "hessian"

    asymmetry: float
    """Largest difference from its transpose, relative to the largest entry."""
    eigenvalues: Spectrum | None
    """Its largest and least eigenvalue; null if the matrix is large or not finite."""


class HessianProduct(JacobianResult, kw_only=True):
    """A Hessian times a vector."""

    json_keys: ClassVar = (
        *_COMMON,
        "vector",
        "vector_norm",
        "product_norm",
        "curvature",
        "largest",
        "values",
        "output",
    )
    kind: ClassVar = "hvp"

    vector: str
    """The vector: a file, or ``random``."""
    vector_norm: float
    """Its Euclidean norm."""
    product_norm: float
    """The Euclidean norm of the product."""
    curvature: float | None
    """``v' H v / v' v``; null if the vector is 0."""
    largest: Sequence[Entry]
    """The ten entries of largest magnitude."""
    values: Any
    """The product as a list; null above 10,000 entries."""


class Eigenvalue(JsonObject):
    """An eigenvalue of a Hessian."""

    value: float
    """The eigenvalue."""
    residual: float
    """``|H v - value v|`` of its eigenvector of length 1."""


class LargestEigenvalue(Eigenvalue):
    """An eigenvalue with its product with the learning rate."""

    learning_rate_times_value: float
    """The learning rate times the eigenvalue."""


class Eigenvalues(JacobianResult, kw_only=True):
    """The largest eigenvalues of a Hessian, and the least."""

    json_keys: ClassVar = (
        *_COMMON,
        "eigenvalues",
        "least",
        "products",
        "converged",
        "optimizer",
        "learning_rate",
        "limit",
        "output",
    )
    kind: ClassVar = "eigenvalues"

    eigenvalues: Sequence[LargestEigenvalue]
    """The largest, in descending order."""
    least: Eigenvalue
    """The least."""
    products: int
    """Number of Hessian-vector products that were computed."""
    converged: bool
    """Whether the residuals reached the tolerance before the last step."""
    optimizer: str
    """Type of the optimizer."""
    learning_rate: float
    """Its learning rate."""
    limit: float
    """Learning rate times eigenvalue from which plain gradient descent grows along the eigenvector."""


class RowGradient(JsonObject):
    """The gradient at one row."""

    row: int
    """The row."""
    loss: float | None
    """The loss at this row; null if it is not finite."""
    norm: float | None
    """Euclidean norm of the gradient; null if it is not finite."""
    cosine: float | None
    """Cosine with the batch gradient; null if it is not a number."""


class RowGradients(JacobianResult, kw_only=True):
    """The gradient at each row separately."""

    json_keys: ClassVar = (*_COMMON, "batch_gradient_norm", "examples", "output")
    kind: ClassVar = "per_example"

    batch_gradient_norm: float
    """Euclidean norm of the gradient of the mean loss."""
    examples: Sequence[RowGradient]
    """The gradients, in the order of the rows."""


def largest_entries(matrix: Array, axes: tuple[Axis | None, Axis], shape: tuple[int, ...]) -> list[Entry]:
    """The entries of largest magnitude; NaN comes first. ``axes``: the first is None for a vector."""
    flat = matrix.reshape(-1)
    sizes = np.where(np.isnan(flat), np.inf, np.abs(flat))
    count = min(LARGEST, flat.size)
    first = np.argpartition(-sizes, count - 1)[:count]
    of, by = axes
    found = []
    for place in first[np.argsort(-sizes[first], kind="stable")].tolist():
        row, column = divmod(place, by.size)
        index = [int(i) for i in np.unravel_index(place, shape)]
        found.append(Entry(None if of is None else of.label(row), by.label(column), index, float(flat[place])))
    return found

"""The results of ``bp jacobian``, one class a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.inspection.axes import Axis
from backprop_cli.json_object import JsonObject

LARGEST = 10
"""Number of entries that are listed."""
_COMMON = ("kind", "checkpoint", "data", "units", "of", "by")


@dataclass(frozen=True)
class DataRows(JsonObject):
    """The rows that a derivative is taken at, in a split or a file."""

    json_optional: ClassVar = ("split", "file")

    split: str | None
    file: str | None
    rows: Sequence[int]


@dataclass(frozen=True)
class NamedValue(JsonObject):
    """A value that is differentiated, or differentiated by. ``categories``: inputs without a unit."""

    json_optional: ClassVar = ("categories",)

    name: str
    shape: Sequence[int]
    unit: str
    categories: Sequence[str] = ()


@dataclass(frozen=True)
class Entry(JsonObject):
    """One number of a result, with the names of its row and its column. ``of``: None if the result is a vector."""

    json_optional: ClassVar = ("of",)

    of: str | None
    by: str
    index: Sequence[int]
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class JacobianResult(JsonObject):
    """The fields that all kinds share. ``arrays``: those that ``--output`` writes, by name."""

    kind: ClassVar[str]

    checkpoint: Path
    data: DataRows
    units: str
    of: NamedValue
    by: NamedValue
    output: Path | None = None
    arrays: Mapping[str, Array]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class MatrixResult(JacobianResult):
    """A matrix between two values. ``labels`` and ``values``: None if the matrix is large."""

    axes: tuple[Axis, Axis]
    shape: Sequence[int]
    norm: float
    largest: Sequence[Entry]
    labels: Sequence[Sequence[str]] | None
    values: Any

    @property
    def matrix(self) -> Array:
        """Shapes: (elements of the first axis, elements of the second)."""
        return self.arrays[self.kind].reshape(self.axes[0].size, self.axes[1].size)


@dataclass(frozen=True)
class Multiplications(JsonObject):
    """Cost of each order."""

    forward: int
    reverse: int
    best: int


@dataclass(frozen=True)
class JacobianOrder(JsonObject):
    """How a Jacobian was accumulated. ``multiplications``: None if the network is too large to compare orders."""

    json_optional: ClassVar = ("limit",)

    asked: str
    executed: str
    multiplications: Multiplications | None = None
    method: str | None = None
    proved_optimal: bool | None = None
    limit: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Jacobian(MatrixResult):
    """The Jacobian of any named value by another."""

    json_keys: ClassVar = (*_COMMON, "shape", "norm", "order", "largest", "labels", "values", "output")
    kind: ClassVar = "jacobian"

    order: JacobianOrder


@dataclass(frozen=True)
class Spectrum(JsonObject):
    """The ends of the spectrum of a Hessian."""

    largest: float
    least: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Hessian(MatrixResult):
    """The Hessian of a scalar. ``asymmetry``: largest difference from its transpose, relative to the largest entry."""

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
    eigenvalues: Spectrum | None


@dataclass(frozen=True, kw_only=True, eq=False)
class HessianProduct(JacobianResult):
    """A Hessian times a vector. ``curvature``: ``v' H v / v' v``, None if the vector is 0."""

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
    vector_norm: float
    product_norm: float
    curvature: float | None
    largest: Sequence[Entry]
    values: Any


@dataclass(frozen=True)
class Eigenvalue(JsonObject):
    """``residual``: ``|H v - value v|`` of its eigenvector of length 1."""

    value: float
    residual: float


@dataclass(frozen=True)
class LargestEigenvalue(Eigenvalue):
    """An eigenvalue with its product with the learning rate."""

    learning_rate_times_value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Eigenvalues(JacobianResult):
    """The largest eigenvalues of a Hessian, and the least.

    ``limit``: learning rate times eigenvalue from which plain gradient descent grows along the eigenvector.
    ``products``: number of Hessian-vector products that were computed.
    """

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
    least: Eigenvalue
    products: int
    converged: bool
    optimizer: str
    learning_rate: float
    limit: float


@dataclass(frozen=True)
class RowGradient(JsonObject):
    """The gradient at one row: its norm, and its cosine with the batch gradient. None: not a number."""

    row: int
    loss: float | None
    norm: float | None
    cosine: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class RowGradients(JacobianResult):
    """The gradient at each row separately."""

    json_keys: ClassVar = (*_COMMON, "batch_gradient_norm", "examples", "output")
    kind: ClassVar = "per_example"

    batch_gradient_norm: float
    examples: Sequence[RowGradient]


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

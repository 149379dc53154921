"""Derivatives of a network at some rows, with the names of what they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop_cli.accumulation.lanczos import lanczos
from backprop_cli.autodiff import Array
from backprop_cli.errors import UsageError
from backprop_cli.inspection.axes import Axis, axis_of
from backprop_cli.inspection.curvature import Curvature, example_gradients
from backprop_cli.inspection.network_jacobian import Mode
from backprop_cli.inspection.network_jacobian import jacobian as jacobian_of
from backprop_cli.inspection.point import Point, shape_of
from backprop_cli.inspection.selected_rows import Examples
from backprop_cli.inspection.units import Units, unit_of
from backprop_cli.session.trained_network import TrainedNetwork

MOST_ENTRIES = 1 << 26
"""Entries of a Jacobian, and of the gradients of single examples that are written (512 MB)."""
MOST_ROWS = 4096
"""Rows of a Hessian (128 MB)."""
MOST_VALUES = 10_000
"""Numbers that JSON has; a larger result is written with ``--output``."""
LARGEST = 10
LIMIT = 2.0
"""Learning rate times eigenvalue from which plain gradient descent grows along the eigenvector."""
_SPECTRUM = 1000
"""Rows up to which all eigenvalues of a Hessian are computed."""
_STREAM = 6  # of random numbers


@dataclass(frozen=True, eq=False)
class Derivatives:
    """What was found: ``content`` as ``--json`` prints it, ``arrays`` by the names they have in the NPZ file.

    ``axes``: what the rows and the columns of ``matrix`` stand for, where there is one.
    """

    content: Mapping[str, Any]
    arrays: Mapping[str, Array]
    axes: tuple[Axis, Axis] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def matrix(self) -> Array | None:
        """The Jacobian or Hessian, (elements of the one, elements of the other)."""
        if self.axes is None:
            return None
        return next(iter(self.arrays.values())).reshape(self.axes[0].size, self.axes[1].size)

    def to_json(self) -> dict[str, Any]:
        """As ``bp jacobian --json`` prints it."""
        return dict(self.content)


class Problem:
    """One network at some rows, and what is asked of it."""

    def __init__(self, saved: TrainedNetwork, point: Point, found: Examples, of: str, by: str, units: Units):
        self.saved, self.point, self.found, self.units = saved, point, found, units
        batch = None if found.is_single else len(found.rows)
        self.of, self.by = (axis_of(saved, name, shape_of(saved.recipe, name, batch), found) for name in (of, by))
        self._of_unit, self._by_unit = unit_of(saved, of, units), unit_of(saved, by, units)

    def _curvature(self) -> Curvature:
        return Curvature(self.point, self.of.name, self.by.name, self._by_unit.over(self.by.size))

    def _content(self, kind: str, **more: Any) -> dict[str, Any]:
        found = self.found
        return {
            "kind": kind,
            "checkpoint": str(self.saved.path),
            "data": {"split" if found.is_split else "file": found.source, "rows": found.rows.tolist()},
            "units": self.units,
            "of": {"name": self.of.name, "shape": list(self.of.shape), **self._of_unit.to_json()},
            "by": {"name": self.by.name, "shape": list(self.by.shape), **self._by_unit.to_json()},
            **more,
        }

    def _of_matrix(self, kind: str, matrix: Array, axes: tuple[Axis, Axis], **more: Any) -> Derivatives:
        array = matrix.reshape(*axes[0].shape, *axes[1].shape)
        is_small = array.size <= MOST_VALUES
        content = self._content(
            kind,
            shape=list(array.shape),
            norm=float(np.linalg.norm(matrix)),
            **more,
            largest=_largest(np.triu(matrix) if kind == "hessian" else matrix, axes, array.shape),
            labels=[axis.labels() for axis in axes] if is_small else None,
            values=array.tolist() if is_small else None,
        )
        arrays = {kind: array, "rows": self.found.rows}
        return Derivatives(content, arrays, axes, self.found.warnings)

    def jacobian(self, order: Mode) -> Derivatives:
        """Of any named value by any other."""
        entries = self.of.size * self.by.size
        if entries > MOST_ENTRIES:
            raise UsageError(
                f"the Jacobian of {self.of.name} {list(self.of.shape)} by {self.by.name} {list(self.by.shape)} would "
                f"have {entries:,} entries; at most {MOST_ENTRIES:,} are computed: choose fewer rows with --row, or "
                "another --of or --by"
            )
        found = jacobian_of(self.point, self.of.name, self.by.name, order)
        costs = found.costs
        multiplications = None
        if costs is not None:
            multiplications = {name: getattr(costs, name).cost for name in ("forward", "reverse", "best")}
        described: dict[str, Any] = {
            "asked": order,
            "executed": found.executed,
            "multiplications": multiplications,
            "method": None if costs is None else costs.best.method,
            "proved_optimal": None if costs is None else costs.best.proved_optimal,
        }
        if costs is not None and costs.limit is not None:
            described["limit"] = costs.limit
        return self._of_matrix("jacobian", self._in_units(found.matrix), (self.of, self.by), order=described)

    def _in_units(self, matrix: Array) -> Array:
        of, by = self._of_unit.over(self.of.size), self._by_unit.over(self.by.size)
        matrix = matrix if by is None else matrix * by
        return matrix if of is None else matrix * of[:, None]

    def hessian(self) -> Derivatives:
        """Whole, for small networks."""
        size = self.by.size
        if size > MOST_ROWS:
            smaller = min(self.saved.recipe.layout.shapes.items(), key=lambda item: math.prod(item[1]))
            raise UsageError(
                f"--hessian: by {self.by.name}, which has {size:,} elements, it would have {size**2:,} entries; it is "
                f"computed for at most {MOST_ROWS:,} elements: --by takes one parameter ({smaller[0]} has "
                f"{math.prod(smaller[1]):,}), and --eigen K and --hvp need no matrix"
            )
        matrix = self._curvature().hessian()
        scale = float(np.abs(matrix).max(initial=0.0))
        values = np.linalg.eigvalsh(matrix) if size <= _SPECTRUM and np.isfinite(matrix).all() else None
        ends = None if values is None else {"largest": float(values[-1]), "least": float(values[0])}
        asymmetry = float(np.abs(matrix - matrix.T).max(initial=0.0)) / scale if scale else 0.0
        return self._of_matrix("hessian", matrix, (self.by, self.by), asymmetry=asymmetry, eigenvalues=ends)

    def product(self, name: str, vector: Array | None) -> Derivatives:
        """Hessian times a vector (size,) called ``name``; None: a random one of length 1."""
        curvature = self._curvature()
        vector = self._random() if vector is None else vector
        product = curvature.products(vector[None])[0]
        length = float(vector @ vector)
        content = self._content(
            "hvp",
            vector=name,
            vector_norm=math.sqrt(length),
            product_norm=float(np.linalg.norm(product)),
            curvature=float(vector @ product) / length if length else None,
            largest=_largest(product[None], (None, self.by), self.by.shape),
            values=product.reshape(self.by.shape).tolist() if product.size <= MOST_VALUES else None,
        )
        arrays = {"product": product, "vector": vector, "gradient": curvature.gradient()}
        shaped = {name: array.reshape(self.by.shape) for name, array in arrays.items()}
        return Derivatives(content, {**shaped, "rows": self.found.rows}, warnings=self.found.warnings)

    def _random(self) -> Array:
        vector = np.random.default_rng([self.saved.loaded.config.seed, _STREAM]).standard_normal(self.by.size)
        return np.asarray(vector / np.linalg.norm(vector))

    def eigenvalues(self, count: int) -> Derivatives:
        """The largest of the Hessian, with eigenvectors."""
        if not 0 < count <= self.by.size:
            raise UsageError(f"--eigen {count}: {self.by.name} has {self.by.size:,} elements; ask for 1 to as many")
        curvature = self._curvature()
        rng = np.random.default_rng([self.saved.loaded.config.seed, _STREAM])
        found = lanczos(lambda vector: curvature.products(vector[None])[0], self.by.size, count, rng)
        optimizer = self.saved.loaded.config.optimizer
        rate = float(optimizer.learning_rate)
        content = self._content(
            "eigenvalues",
            eigenvalues=[
                {"value": float(value), "residual": float(residual), "learning_rate_times_value": rate * float(value)}
                for value, residual in zip(found.values, found.residuals, strict=True)
            ],
            least={"value": found.least, "residual": found.least_residual},
            products=found.products,
            converged=found.converged,
            optimizer=optimizer.type,
            learning_rate=rate,
            limit=LIMIT,
        )
        vectors = found.vectors.reshape(count, *self.by.shape)
        arrays = {"eigenvalues": found.values, "eigenvectors": vectors, "residuals": found.residuals}
        return Derivatives(content, {**arrays, "rows": self.found.rows}, warnings=self.found.warnings)

    def example_gradients(self, keep: bool) -> Derivatives:
        """The gradient of each row by itself."""
        entries = len(self.found.rows) * self.by.size
        if keep and entries > MOST_ENTRIES:
            raise UsageError(
                f"--output: the gradients of {len(self.found.rows):,} rows by {self.by.size:,} elements are "
                f"{entries:,} numbers; at most {MOST_ENTRIES:,} are written: choose fewer rows with --row, or one "
                "parameter with --by"
            )
        found = example_gradients(self.point, self.of.name, self.by.name, keep=keep)
        columns = {"row": self.found.rows, "loss": found.losses, "norm": found.norms, "cosine": found.cosines}
        numbers = [[None if x != x else x for x in column.tolist()] for column in columns.values()]
        listed = zip(*numbers, strict=True)
        content = self._content(
            "per_example",
            batch_gradient_norm=float(np.linalg.norm(found.mean)),
            examples=[dict(zip(columns, values, strict=True)) for values in listed],
        )
        arrays = {"rows": self.found.rows, "losses": found.losses, "norms": found.norms, "cosines": found.cosines}
        arrays["batch_gradient"] = found.mean.reshape(self.by.shape)
        if found.gradients is not None:
            arrays["gradients"] = found.gradients.reshape(-1, *self.by.shape)
        return Derivatives(content, arrays, warnings=self.found.warnings)


def _largest(matrix: Array, axes: tuple[Axis | None, Axis], shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """The entries of the largest magnitude, with what they stand for."""
    flat = matrix.reshape(-1)
    sizes = np.where(np.isnan(flat), np.inf, np.abs(flat))
    count = min(LARGEST, flat.size)
    first = np.argpartition(-sizes, count - 1)[:count]
    found = []
    for place in first[np.argsort(-sizes[first], kind="stable")].tolist():
        places = divmod(place, axes[1].size)
        named = {
            key: axis.label(k) for key, axis, k in zip(("of", "by"), axes, places, strict=True) if axis is not None
        }
        index = [int(i) for i in np.unravel_index(place, shape)]
        found.append({**named, "index": index, "value": float(flat[place])})
    return found

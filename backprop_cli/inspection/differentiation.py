"""Derivatives of a trained network at some rows of data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop_cli.accumulation.lanczos import lanczos
from backprop_cli.autodiff import Array
from backprop_cli.errors import UsageError
from backprop_cli.inspection.axes import Axis, axis_of
from backprop_cli.inspection.curvature import Curvature, example_gradients
from backprop_cli.inspection.jacobian_result import (
    DataRows,
    Eigenvalue,
    Eigenvalues,
    Hessian,
    HessianProduct,
    Jacobian,
    JacobianOrder,
    LargestEigenvalue,
    Multiplications,
    NamedValue,
    RowGradient,
    RowGradients,
    Spectrum,
    largest_entries,
)
from backprop_cli.inspection.network_jacobian import AccumulatedJacobian, Mode, accumulate_jacobian
from backprop_cli.inspection.point import Point, shape_of
from backprop_cli.inspection.selected_rows import SelectedRows
from backprop_cli.inspection.units import Unit, Units, unit_of
from backprop_cli.session.trained_network import TrainedNetwork

MOST_ENTRIES = 1 << 26
"""Most entries of a Jacobian, and of row gradients that are written (512 MB)."""
MOST_ROWS = 4096
"""Most rows of a Hessian (128 MB)."""
MOST_VALUES = 10_000
"""Most numbers in JSON; ``--output`` writes larger results."""
LIMIT = 2.0
"""Learning rate times eigenvalue from which plain gradient descent grows along the eigenvector."""
_SPECTRUM = 1000
"""Most rows of a Hessian whose eigenvalues are all computed."""
_STREAM = 6  # of random numbers


class Differentiation:
    """The derivatives of ``of`` by ``by`` for one network, at some rows."""

    def __init__(self, saved: TrainedNetwork, point: Point, found: SelectedRows, of: str, by: str, units: Units):
        self.saved, self.point, self.found, self.units = saved, point, found, units
        batch = None if found.is_single else len(found.rows)
        self.of, self.by = (axis_of(saved, name, shape_of(saved.recipe, name, batch), found) for name in (of, by))
        self._of_unit, self._by_unit = unit_of(saved, of, units), unit_of(saved, by, units)

    def _curvature(self) -> Curvature:
        return Curvature(self.point, self.of.name, self.by.name, self._by_unit.over(self.by.size))

    def _common(self, **arrays: Array) -> dict[str, Any]:
        """The fields that all results share."""
        found = self.found
        split, file = (found.source, None) if found.is_split else (None, found.source)
        return {
            "checkpoint": self.saved.path,
            "data": DataRows(split, file, found.rows.tolist()),
            "units": self.units,
            "of": _named(self.of, self._of_unit),
            "by": _named(self.by, self._by_unit),
            "arrays": {**arrays, "rows": found.rows},
            "warnings": found.warnings,
        }

    def _of_matrix(self, kind: str, matrix: Array, axes: tuple[Axis, Axis]) -> dict[str, Any]:
        """The fields of a matrix."""
        array = matrix.reshape(*axes[0].shape, *axes[1].shape)
        is_small = array.size <= MOST_VALUES
        return {
            **self._common(**{kind: array}),
            "axes": axes,
            "shape": array.shape,
            "norm": float(np.linalg.norm(matrix)),
            "largest": largest_entries(np.triu(matrix) if kind == Hessian.kind else matrix, axes, array.shape),
            "labels": [axis.labels() for axis in axes] if is_small else None,
            "values": array.tolist() if is_small else None,
        }

    def jacobian(self, order: Mode) -> Jacobian:
        """The Jacobian of any named value by another."""
        entries = self.of.size * self.by.size
        if entries > MOST_ENTRIES:
            raise UsageError(
                f"the Jacobian of {self.of.name} {list(self.of.shape)} by {self.by.name} {list(self.by.shape)} would "
                f"have {entries:,} entries; at most {MOST_ENTRIES:,} are computed: choose fewer rows with --row, or "
                "another --of or --by"
            )
        found = accumulate_jacobian(self.point, self.of.name, self.by.name, order)
        matrix = self._of_matrix(Jacobian.kind, self._in_units(found.matrix), (self.of, self.by))
        return Jacobian(**matrix, order=_order(order, found))

    def _in_units(self, matrix: Array) -> Array:
        of, by = self._of_unit.over(self.of.size), self._by_unit.over(self.by.size)
        matrix = matrix if by is None else matrix * by
        return matrix if of is None else matrix * of[:, None]

    def hessian(self) -> Hessian:
        """The whole Hessian, for small networks."""
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
        return Hessian(
            **self._of_matrix(Hessian.kind, matrix, (self.by, self.by)),
            asymmetry=float(np.abs(matrix - matrix.T).max(initial=0.0)) / scale if scale else 0.0,
            eigenvalues=None if values is None else Spectrum(float(values[-1]), float(values[0])),
        )

    def product(self, name: str, vector: Array | None) -> HessianProduct:
        """The Hessian times a vector (size,) called ``name``; None: a random vector of length 1."""
        curvature = self._curvature()
        vector = self._random() if vector is None else vector
        product = curvature.products(vector[None])[0]
        length = float(vector @ vector)
        arrays = {"product": product, "vector": vector, "gradient": curvature.gradient()}
        return HessianProduct(
            **self._common(**{name: array.reshape(self.by.shape) for name, array in arrays.items()}),
            vector=name,
            vector_norm=math.sqrt(length),
            product_norm=float(np.linalg.norm(product)),
            curvature=float(vector @ product) / length if length else None,
            largest=largest_entries(product[None], (None, self.by), self.by.shape),
            values=product.reshape(self.by.shape).tolist() if product.size <= MOST_VALUES else None,
        )

    def _random(self) -> Array:
        vector = self._rng().standard_normal(self.by.size)
        return np.asarray(vector / np.linalg.norm(vector))

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.saved.loaded.config.seed, _STREAM])

    def eigenvalues(self, count: int) -> Eigenvalues:
        """The largest eigenvalues of the Hessian, with eigenvectors."""
        name, size = self.by.name, self.by.size
        if not 0 < count <= size:
            raise UsageError(f"--eigen {count}: ask for 1 to {size:,} eigenvalues, one for each element of {name}")
        curvature = self._curvature()
        found = lanczos(lambda vector: curvature.products(vector[None])[0], size, count, self._rng())
        optimizer = self.saved.loaded.config.optimizer
        rate = float(optimizer.learning_rate)
        vectors = found.vectors.reshape(count, *self.by.shape)
        return Eigenvalues(
            **self._common(eigenvalues=found.values, eigenvectors=vectors, residuals=found.residuals),
            eigenvalues=[
                LargestEigenvalue(float(value), float(residual), rate * float(value))
                for value, residual in zip(found.values, found.residuals, strict=True)
            ],
            least=Eigenvalue(found.least, found.least_residual),
            products=found.products,
            converged=found.converged,
            optimizer=optimizer.type,
            learning_rate=rate,
            limit=LIMIT,
        )

    def row_gradients(self, keep: bool) -> RowGradients:
        """The gradient at each row separately. ``keep``: put the gradients into ``arrays``."""
        rows = self.found.rows
        entries = len(rows) * self.by.size
        if keep and entries > MOST_ENTRIES:
            raise UsageError(
                f"--output: the gradients of {len(rows):,} rows by {self.by.size:,} elements are "
                f"{entries:,} numbers; at most {MOST_ENTRIES:,} are written: choose fewer rows with --row, or one "
                "parameter with --by"
            )
        found = example_gradients(self.point, self.of.name, self.by.name, keep=keep)
        arrays = {"rows": rows, "losses": found.losses, "norms": found.norms, "cosines": found.cosines}
        arrays["batch_gradient"] = found.mean.reshape(self.by.shape)
        if found.gradients is not None:
            arrays["gradients"] = found.gradients.reshape(-1, *self.by.shape)
        columns = (found.losses, found.norms, found.cosines)
        numbers = [[None if x != x else x for x in column.tolist()] for column in columns]
        return RowGradients(
            **self._common(**arrays),
            batch_gradient_norm=float(np.linalg.norm(found.mean)),
            examples=[RowGradient(*values) for values in zip(rows.tolist(), *numbers, strict=True)],
        )


def _named(axis: Axis, unit: Unit) -> NamedValue:
    return NamedValue(axis.name, axis.shape, unit.text, unit.coded)


def _order(asked: Mode, found: AccumulatedJacobian) -> JacobianOrder:
    costs = found.costs
    if costs is None:
        return JacobianOrder(asked, found.executed)
    multiplications = Multiplications(costs.forward.cost, costs.reverse.cost, costs.best.cost)
    best = costs.best
    return JacobianOrder(asked, found.executed, multiplications, best.method, best.proved_optimal, costs.limit)

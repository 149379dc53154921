"""Gradient and Hessian of a network's loss at given examples, and the gradient of each example."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from backprop_cli.accumulation.batched import Batched, computed
from backprop_cli.autodiff import Array, Value, gradients, hessian_products, input_
from backprop_cli.inspection.network_jacobian import layout_of
from backprop_cli.inspection.point import Named, Point
from backprop_cli.structs import Struct
from backprop_cli.training.step_program import PARAMETERS

BATCH = 512
"""Largest batch for derivatives by parameters."""
_MOST_NUMBERS = 1 << 24
"""Limit on the numbers that gradients of single examples have in memory at once (128 MB)."""


class Curvature:
    """Gradient, Hessian-vector products and Hessian of the scalar ``of`` by ``by``, as flat arrays.

    ``slopes`` (size,): derivatives are by ``by / slopes``, such as inputs in another unit. A scalar is a mean over the
    examples, or over the labels that count (see ``Loss.count``). So its derivatives by parameters are weighted means
    of the derivatives of smaller batches.
    """

    def __init__(self, point: Point, of: str, by: str, slopes: Array | None = None):
        self.point, self.of, self.by = point, of, by
        self._slopes = np.ones(()) if slopes is None else slopes
        count = len(point.inputs)
        # Inputs and layers have values for each example, so derivatives by them are not means over batches.
        self._batch = min(count, BATCH) if by == PARAMETERS or by in point.recipe.model.params else count
        self._pieces: dict[int, _Piece] = {}
        self.size = self._piece(min(count, self._batch)).layout.size

    def gradient(self) -> Array:
        """Shapes: -> (size,)."""
        return self._slopes * self._mean(lambda piece: piece.gradient())

    def products(self, vectors: Array) -> Array:
        """``H v`` of each. Shapes: (n, size) -> (n, size)."""
        return self._slopes * self._mean(lambda piece: piece.products(self._slopes * vectors)[0])

    def hessian(self) -> Array:
        """Shapes: -> (size, size); row k is ``H e_k``, so the matrix is symmetric up to rounding."""
        return self._slopes * self._slopes[..., None] * self._mean(lambda piece: piece.products.units()[0])

    def _mean(self, compute: Callable[[_Piece], Array]) -> Array:
        count, total, whole = len(self.point.inputs), np.zeros(()), self._count(self.point)
        for start in range(0, count, self._batch):
            part = self.point.part(start, min(start + self._batch, count))
            piece = self._piece(len(part.inputs))
            piece.write(part)
            total = total + (self._count(part) / whole) * compute(piece)
        return total

    def _count(self, point: Point) -> int:
        return len(point.inputs) if point.targets is None else max(point.recipe.loss.count(point.targets), 1)

    def _piece(self, size: int) -> _Piece:
        if size not in self._pieces:
            self._pieces[size] = _Piece(self.point.part(0, size), self.of, self.by)
        return self._pieces[size]


class _Piece:
    """Gradient and Hessian-vector products traced for one batch size; ``write`` replaces the examples."""

    def __init__(self, point: Point, of: str, by: str):
        self.named = Named(point.copy())
        scalar, wrt = self.named.of(of), self.named.by(by)
        self.layout = layout_of(wrt)
        direction = input_("direction", (self.layout.size,), scalar.dtype)
        self._gradient = self._joined(gradients(scalar, wrt))
        product = self._joined(hessian_products(scalar, wrt, list(self.layout.values(direction).values())))
        self.products = Batched([product], [direction], self.named.feed)

    def _joined(self, parts: Sequence[Value]) -> Value:
        return self.layout.join(dict(zip(self.layout.shapes, parts, strict=True)))

    def write(self, part: Point) -> None:
        """Replace the examples by as many others."""
        self.named.write(part)

    def gradient(self) -> Array:
        """Shapes: -> (size,)."""
        return computed([self._gradient], self.named.feed)[0]


class ExampleGradients(Struct, eq=False):
    """The gradient of each example's own loss.

    ``cosines``: with the gradient of the batch, ``mean``; NaN if either is 0. ``gradients``: None unless they are kept.

    Shapes: losses, norms, cosines (examples,); mean (size,); gradients (examples, size)
    """

    losses: Array
    norms: Array
    cosines: Array
    mean: Array
    gradients: Array | None


def example_gradients(point: Point, of: str, by: str, *, keep: bool = False) -> ExampleGradients:
    """The gradient of ``of`` (a scalar) by ``by`` (parameters) for each example as a batch of its own.

    The program of one example runs for many at once: the examples are its batch of directions. If ``of`` is a mean
    over examples, the mean of their gradients is the gradient of the batch. For tokens ``of`` is a mean over positions;
    then this holds only if every example has the same number of positions that count.
    """
    one = Named(point.part(0, 1))
    scalar, wrt = one.of(of), one.by(by)
    layout = layout_of(wrt)
    flat = layout.join(dict(zip(layout.shapes, gradients(scalar, wrt), strict=True)))
    arrays = [array for name, array in point.arrays.items() if name in one.inputs]
    over = [one.inputs[name] for name in point.arrays if name in one.inputs]
    feed = {value: array for value, array in one.feed.items() if value not in set(over)}
    many = Batched([scalar, flat], over, feed)
    mean = Curvature(point, of, by).gradient()
    count = len(point.inputs)
    losses, norms, cosines = np.empty(count), np.empty(count), np.empty(count)
    kept = np.empty((count, layout.size)) if keep else None
    step = min(many.at_once, max(1, _MOST_NUMBERS // layout.size))
    for start in range(0, count, step):
        here = slice(start, min(start + step, count))
        losses[here], each = many(*(array[here, None] for array in arrays))
        norms[here] = np.linalg.norm(each, axis=1)
        with np.errstate(all="ignore"):
            cosines[here] = each @ mean / (norms[here] * np.linalg.norm(mean))
        if kept is not None:
            kept[here] = each
    return ExampleGradients(losses, norms, cosines, mean, kept)

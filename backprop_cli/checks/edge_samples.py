"""Samples at the edges of an op's shapes: sizes of 1 and 0, other sizes, single rows and columns, scalars."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array, Op, Sample, Spec
from backprop_cli.errors import ShapeError

Shapes = tuple[tuple[int, ...], ...]


def edge_samples(cls: type[Any], sample: Sample, rng: np.random.Generator) -> list[Sample]:
    """Samples like ``sample`` in other shapes, as far as the op ``cls`` accepts them with the same fields.

    Equal sizes stay equal, so that shapes still fit most ops. Each size becomes 1, 0 and a random one; all become 1, 0
    or 3; and the elements are laid out as a row, a column and a scalar.
    """
    specs = [np.dtype(np.int64 if k in sample.labels else np.float64) for k in range(len(sample.shapes))]
    found = {}
    for shapes in _variants(sample.shapes, rng):
        try:
            cls(**sample.fields).shape(*(Spec(shape, dtype) for shape, dtype in zip(shapes, specs, strict=True)))
        except ShapeError:
            continue
        found[shapes] = sample._replace(shapes=shapes, classes=_classes(sample, shapes))
    found.pop(sample.shapes, None)
    return [edge for edge in found.values() if edge.classes > 0 or not edge.labels]


def _classes(sample: Sample, shapes: Shapes) -> int:
    """The number of labels; if they index an axis of another operand, its new size."""
    if sample.labels:
        for k, shape in enumerate(sample.shapes):
            if k not in sample.labels and sample.classes in shape and len(shapes[k]) == len(shape):
                return shapes[k][shape.index(sample.classes)]
    return sample.classes


def _variants(shapes: Shapes, rng: np.random.Generator) -> Iterator[Shapes]:
    sizes = sorted({n for shape in shapes for n in shape})
    for new in (1, 0):
        yield tuple(tuple(new for _ in shape) for shape in shapes)
        for size in sizes:
            yield _resized(shapes, {size: new})
    yield _resized(shapes, {size: int(rng.integers(2, 6)) for size in sizes})
    yield _resized(shapes, {size: 3 for size in sizes if size > 1})  # squares
    yield tuple((1, math.prod(shape)) for shape in shapes)
    yield tuple((math.prod(shape), 1) for shape in shapes)
    yield tuple(() for _ in shapes)
    for k in range(len(shapes)):  # one operand broadcast against the others
        yield (*shapes[:k], (), *shapes[k + 1 :])


def _resized(shapes: Shapes, sizes: dict[int, int]) -> Shapes:
    return tuple(tuple(sizes.get(n, n) for n in shape) for shape in shapes)


def is_differentiable(op: Op, arrays: list[Array]) -> bool:
    """Whether differences can check the op's derivative."""
    floats = [array for array in arrays if array.dtype.kind == "f"]
    return bool(floats) and not op.blocks_gradient


def operands(sample: Sample, rng: np.random.Generator) -> list[Array]:
    """Random arrays in the sample's shapes, from its domain."""
    return [
        rng.integers(0, sample.classes, shape) if k in sample.labels else rng.uniform(*sample.domain, shape)
        for k, shape in enumerate(sample.shapes)
    ]

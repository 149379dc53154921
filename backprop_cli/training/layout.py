"""Layout: the places of named arrays in one flat vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate

import numpy as np

from backprop_cli.autodiff import Array, Value, concat, reshape, slice_
from backprop_cli.structs import Struct


class Layout(Struct, eq=False):
    """Named shapes, one after the other in a vector of ``size`` elements.

    An optimizer's update is elementwise: on the vector it takes about ten calls, whatever the depth. Every parameter,
    gradient and slot is a view of its vector.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def _stops(self) -> dict[str, int]:
        return dict(zip(self.shapes, accumulate(math.prod(shape) for shape in self.shapes.values()), strict=True))

    @property
    def size(self) -> int:
        """Elements of the vector."""
        return max(self._stops.values(), default=0)

    def span(self, name: str) -> tuple[int, int]:
        """Start and stop of a parameter in the vector."""
        stop = self._stops[name]
        return stop - math.prod(self.shapes[name]), stop

    def name_at(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The parameter that has element ``index`` of the vector, and the element's index in it."""
        for name, shape in self.shapes.items():
            start, stop = self.span(name)
            if start <= index < stop:
                return name, tuple(int(i) for i in np.unravel_index(index - start, shape))
        raise IndexError(f"element {index} of {self.size}")

    def values(self, vector: Value) -> dict[str, Value]:
        """Each parameter as a view of the traced vector."""
        return {name: reshape(slice_(vector, 0, *self.span(name)), shape) for name, shape in self.shapes.items()}

    def join(self, values: Mapping[str, Value]) -> Value:
        """The traced vector of one value for each parameter."""
        return concat([reshape(values[name], (values[name].size,)) for name in self.shapes])

    def arrays(self, vector: Array) -> dict[str, Array]:
        """Each parameter as a view of the vector."""
        return {name: vector[slice(*self.span(name))].reshape(shape) for name, shape in self.shapes.items()}

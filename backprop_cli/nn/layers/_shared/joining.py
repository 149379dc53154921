"""Base of the layers that combine equal arrays."""

from __future__ import annotations

from typing import ClassVar

from backprop_cli.autodiff import Value
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import Layer, Params, Sample


class Joining(Layer):
    """A function of two or more arrays of one shape, pair by pair from the left."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)
    position_wise: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (Sample({}, ((3,), (3,))), Sample({}, ((2, 3), (2, 3), (2, 3))))

    def pair(self, left: Value, right: Value) -> Value:
        """The result for two inputs."""
        raise NotImplementedError

    def apply(self, params: Params, *x: Value) -> Value:
        if len({value.shape for value in x}) > 1:
            given = {f"x{place}": value.spec for place, value in enumerate(x, 1)}
            raise ShapeError(self.type, "inputs must have the same shape", **given)
        out = x[0]
        for value in x[1:]:
            out = self.pair(out, value)
        return out

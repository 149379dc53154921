"""Piecewise-linear encoding and embedding of numbers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from backprop_cli.autodiff import Array, Spec, Value, constant, greater, maximum, minimum, reshape, slice_
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.glorot_uniform import GlorotUniform
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import LAYERS, Arrays, Buffer, Chunks, Param, Params, Sample, WeightedLayer
from backprop_cli.nn.layers._shared.bin_edges import quantile_edges, tree_edges
from backprop_cli.nn.layers._shared.column_maps import by_column, columns_first, columns_of, side_by_side
from backprop_cli.settings import PositiveInt, refusal


@LAYERS.register
class PiecewiseLinear(WeightedLayer):
    """``e[t] = clip((x - edges[t-1]) / (edges[t] - edges[t-1]), 0, 1)`` for each bin t of each column x.

    Below the first bin and above the last one the encoding goes on, unclipped. The edges are fitted on the train split
    before training, and stay. Equal edges make one: such a bin has no width, and its encoding is 0.

    With ``units`` each column has its own linear map of its encoding, with ``activation``. ``linear_part`` adds a
    linear map of the number itself, and the map of the encoding starts at 0: version B of the authors' code, A without.

    Shapes: x (batch, columns) -> out (batch, columns * count), or (batch, columns * units); edges (columns,
            count + 1), weight (columns, count, units), bias (columns, units), linear_weight (columns, units)
    YAML:   {type: piecewise_linear, bins: quantile, count: 48, units: 16, activation: relu}
    Raises: ShapeError for examples that are not vectors.
    Source: Gorishniy, Rubachev & Babenko, On Embeddings for Numerical Features in Tabular Deep Learning (2022),
            equation 1 and section 3.2; the parametrization of rtdl_num_embeddings.
    """

    type: Literal["piecewise_linear"] = "piecewise_linear"
    bins: Literal["quantile", "tree"] = "quantile"
    """edges of the bins: quantiles of the column, or the thresholds of a small decision tree for the target"""
    count: Annotated[PositiveInt, Field(ge=2)] = 48
    """most bins of a column"""
    units: PositiveInt | None = None
    """outputs of the linear map of each column; default: the encoding itself"""
    linear_part: bool = False
    """whether a linear map of the column is added, and that of the encoding starts at 0"""
    initializer: InitializerType = GlorotUniform()
    """how the maps start"""

    fits_on_all: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"count": 3}, ((2,),)),
        Sample({"count": 4, "units": 2, "activation": "tanh"}, ((3,),)),
        Sample({"count": 2, "units": 3, "linear_part": True, "bins": "tree"}, ((2,),)),
    )

    @model_validator(mode="after")
    def _maps_have_units(self) -> PiecewiseLinear:
        if self.units is None and (self.linear_part or self.activation is not None):
            key = "linear_part" if self.linear_part else "activation"
            raise refusal(f"'{key}' goes with a map of the encoding; set units: 16", key)
        return self

    def chunks(self, *x: Chunks) -> Chunks:
        return (self.units or self.count,) * sum(x[0])

    def params(self, *x: Spec) -> dict[str, Param]:
        columns = columns_of(self.type, x[0])
        if self.units is None:
            return {}
        bias = Param((columns, self.units), Zeros(), regularized=False)
        start = Zeros() if self.linear_part else self.initializer
        weight = Param((columns, self.count, self.units), start, self.count, self.units)
        linear = (
            {"linear_weight": Param((columns, self.units), self.initializer, 1, self.units)} if self.linear_part else {}
        )
        return {"weight": weight, **linear, "bias": bias}

    def buffers(self, *x: Spec) -> dict[str, Buffer]:
        """Before they are fitted, the edges divide the range from -2 to 2 evenly."""
        start = np.linspace(-2.0, 2.0, self.count + 1)
        return {"edges": Buffer((x[0].shape[1], self.count + 1), start, fixed=True)}

    def fit(self, rng: np.random.Generator, params: Arrays, targets: Array, *x: Array) -> dict[str, Array]:
        """The edges of each column; of fewer bins, the one before the last is repeated."""
        edges = np.empty_like(params["edges"], np.float64)
        for row, column in zip(edges, x[0].T.astype(np.float64), strict=True):
            by_tree = self.bins == "tree"
            found = tree_edges(column, targets, self.count) if by_tree else quantile_edges(column, self.count)
            if len(found) == 2:  # the one bin of a column is the first and the last
                found = np.insert(found, 1, found.mean())
            row[:] = found[-2:][0]
            row[: len(found) - 1], row[-1] = found[:-1], found[-1]
        return {"edges": edges}

    def linear(self, params: Params, *x: Value) -> Value:
        """Each column's map of its encoding. Shapes: (columns, batch, count) -> (columns, batch, units)"""
        out = x[0] @ params["weight"]
        return out if self.linear_part else out + by_column(params["bias"])

    def apply(self, params: Params, *x: Value) -> Value:
        (examples,) = x
        batch, columns = examples.shape
        left, right = (slice_(params["edges"], 1, start, start + self.count) for start in (0, 1))
        has_width = greater(right - left, 0.0)
        scale = has_width / (right - left + (1.0 - has_width))
        if self.units is None:
            rising = (reshape(examples, (batch, columns, 1)) - left) * scale
            return reshape(self.clipped(rising), (batch, columns * self.count))
        numbers = columns_first(examples)
        out = super().apply(params, self.clipped((numbers - by_column(left)) * by_column(scale)))
        if self.linear_part:
            out = out + (numbers * by_column(params["linear_weight"]) + by_column(params["bias"]))
        return side_by_side(out)

    def clipped(self, rising: Value) -> Value:
        """The encoding from the place in each bin, (..., count): 0 at its left edge and 1 at its right one."""
        lowest, highest = np.zeros(self.count), np.ones(self.count)
        lowest[0], highest[-1] = np.finfo(rising.dtype).min, np.finfo(rising.dtype).max
        return minimum(maximum(rising, constant(lowest, rising.dtype)), constant(highest, rising.dtype))

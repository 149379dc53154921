"""Categories by their numbers, as vectors."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np

from backprop_cli.autodiff import (
    Spec,
    Value,
    cast,
    concat,
    constant,
    maximum,
    minimum,
    one_hot,
    reshape,
    slice_,
    stop_gradient,
    take_rows,
)
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.normal import Normal
from backprop_cli.nn.input_columns import Columns
from backprop_cli.nn.layer import LAYERS, Chunks, Param, ParameterLayer, Params, Sample
from backprop_cli.nn.layers._shared.column_maps import columns_of
from backprop_cli.settings import Count, Many, PositiveInt


@LAYERS.register
class CategoricalEmbedding(ParameterLayer):
    """``out = [numbers, one_hot(codes), weight[offset + codes]]``: a learned vector for each category of a column.

    It reads columns made by ``data.transform.categorical: ordinal``: the code of a category is its number, from 0. A
    column of up to ``one_hot`` categories becomes an input for each, one of more is looked up. Numbers pass, so it may
    read ``input`` as well as ``categories``.

    Shapes: x (batch, columns) -> out (batch, numbers + one-hot categories + width * columns looked up); weight
            (categories looked up, width)
    YAML:   {type: categorical_embedding, inputs: categories, width: 8, one_hot: 9}
    Raises: ShapeError for examples that are not vectors, or without a column of codes.
    Source: Guo & Berkhahn, Entity Embeddings of Categorical Variables (2016); one_hot: Holzmueller, Grinsztajn &
            Steinwart, Better by Default (2024), section 3.
    """

    type: Literal["categorical_embedding"] = "categorical_embedding"
    width: PositiveInt = 8
    """size of a category's vector"""
    one_hot: Count = 9
    """most categories of a column that becomes one input for each"""
    sizes: Many[Count] | None = None
    """categories of each input, 0 for a number; default: those of the data"""
    initializer: InitializerType = Normal(std=1.0)
    """how the vectors start"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"sizes": [3, 0, 2], "one_hot": 2, "width": 2}, ((3,),)),
        Sample({"sizes": [3, 0, 2], "one_hot": 0, "width": 3}, ((3,),)),
        Sample({"sizes": [0, 2]}, ((2,),)),
    )

    def of_columns(self, columns: Columns) -> Self:
        if self.sizes is not None or not columns:
            return self
        sizes = [column.categories or 0 if column.is_coded else 0 for column in columns for _ in range(column.width)]
        return self.model_copy(update={"sizes": tuple(sizes)})

    def chunks(self, *x: Chunks) -> Chunks:
        sizes = self.sizes or ()
        hot = tuple(size for size in sizes if 0 < size <= self.one_hot)
        return (*(1,) * sizes.count(0), *hot, *(self.width,) * sum(size > self.one_hot for size in sizes))

    def params(self, *x: Spec) -> dict[str, Param]:
        columns = columns_of(self.type, x[0])
        if self.sizes is None:
            raise ShapeError(self.type, "needs the columns of a table, or sizes: [...]", x=x[0])
        if len(self.sizes) != columns:
            raise ShapeError(self.type, f"sizes has {len(self.sizes)} entries, one for each input is needed", x=x[0])
        if not any(self.sizes):
            raise ShapeError(self.type, "reads no codes of categories; set data.transform.categorical: ordinal", x=x[0])
        total = sum(size for size in self.sizes if size > self.one_hot)
        return {"weight": Param((total, self.width), self.initializer, total, self.width)} if total else {}

    def apply(self, params: Params, *x: Value) -> Value:
        (examples,) = x
        every = np.array(self.sizes or ())
        sizes = every[every > 0]
        # Codes are in range; other numbers, as in checks, must not be looked up outside of the table.
        codes = stop_gradient(_chosen(examples, every > 0))
        codes = cast(minimum(maximum(codes, 0.0), constant(sizes - 1, examples.dtype)), np.int64)
        parts = [_chosen(examples, every == 0)] if (every == 0).any() else []
        for place in np.flatnonzero(sizes <= self.one_hot).tolist():
            column = reshape(slice_(codes, 1, place, place + 1), (examples.shape[0],))
            parts.append(one_hot(column, int(sizes[place]), examples.dtype))
        if (sizes > self.one_hot).any():
            looked_up = sizes[sizes > self.one_hot]
            offsets = np.cumsum(looked_up) - looked_up
            vectors = take_rows(params["weight"], _chosen(codes, sizes > self.one_hot) + constant(offsets, np.int64))
            parts.append(reshape(vectors, (examples.shape[0], len(offsets) * self.width)))
        return parts[0] if len(parts) == 1 else concat(parts, 1)


def _chosen(x: Value, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Value:
    """The chosen columns; a view if they are neighbours."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen, [0]])))
    parts = [slice_(x, 1, int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
    return parts[0] if len(parts) == 1 else concat(parts, 1)

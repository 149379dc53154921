"""Periodic embedding of numbers."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import model_validator

from backprop_cli.autodiff import Spec, Value, concat, cos, reshape, sin
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.glorot_uniform import GlorotUniform
from backprop_cli.nn.initializers.normal import Normal
from backprop_cli.nn.initializers.uniform import Uniform
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import LAYERS, Chunks, Param, Params, Sample, WeightedLayer
from backprop_cli.nn.layers._shared.column_maps import by_column, columns_first, columns_of, side_by_side
from backprop_cli.settings import Positive, PositiveInt, refusal


@LAYERS.register
class Periodic(WeightedLayer):
    """``out = activation([cos(v), sin(v)] @ weight + bias)``, ``v = 2 pi frequency x``, for each column x.

    The frequencies are learned; their scale ``sigma`` matters most. ``lite`` shares the map among the columns. With
    ``phases`` each frequency has one function, ``cos(v + phase)``. RealMLP's PBLD has 16 frequencies with phases,
    sigma 0.1, 3 units without activation, and ``identity``, which adds the columns themselves at the end.

    Shapes: x (batch, columns) -> out (batch, columns * units), with identity (batch, columns * units + columns);
            frequency and phase (columns, frequencies), weight (columns, n, units) and bias (columns, units), n =
            frequencies with phases, else twice as many; lite: weight (n, units), bias (units,)
    YAML:   {type: periodic, frequencies: 48, sigma: 0.01, units: 24, activation: relu}
    Raises: ShapeError for examples that are not vectors.
    Source: Gorishniy, Rubachev & Babenko, On Embeddings for Numerical Features in Tabular Deep Learning (2022),
            section 3.3; lite: TabR (2023); phases and identity: Holzmueller, Grinsztajn & Steinwart, Better by Default
            (2024), section 3.
    """

    type: Literal["periodic"] = "periodic"
    frequencies: PositiveInt = 48
    """frequencies of each column"""
    sigma: Positive = 0.01
    """standard deviation that the frequencies are drawn with: small for smooth functions"""
    phases: bool = False
    """whether each frequency has a learned phase and a cosine alone, in place of a cosine and a sine"""
    units: PositiveInt | None = 24
    """outputs of the linear map of each column; null: the cosines and sines themselves"""
    lite: bool = False
    """whether all columns share one map"""
    identity: bool = False
    """whether the columns themselves are outputs, too"""
    initializer: InitializerType = GlorotUniform()
    """how the maps start"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"frequencies": 2, "units": 3, "sigma": 1.0, "activation": "tanh"}, ((2,),)),
        Sample({"frequencies": 3, "units": 2, "phases": True, "identity": True}, ((2,),)),
        Sample({"frequencies": 2, "units": 2, "lite": True}, ((3,),)),
        Sample({"frequencies": 2, "units": None}, ((2,),)),
    )

    @model_validator(mode="after")
    def _maps_have_units(self) -> Periodic:
        if self.units is None and (self.lite or self.activation is not None):
            key = "lite" if self.lite else "activation"
            raise refusal(f"'{key}' goes with a map of the cosines; set units: 24", key)
        return self

    def chunks(self, *x: Chunks) -> Chunks:
        columns, waves = sum(x[0]), self.frequencies * (1 if self.phases else 2)
        return (self.units or waves,) * columns + ((1,) * columns if self.identity else ())

    def params(self, *x: Spec) -> dict[str, Param]:
        columns = columns_of(self.type, x[0])
        shape = (columns, self.frequencies)
        found = {"frequency": Param(shape, Normal(std=self.sigma), regularized=False)}
        if self.phases:
            found["phase"] = Param(shape, Uniform(low=-math.pi, high=math.pi), regularized=False)
        if self.units is not None:
            fan_in = self.frequencies * (1 if self.phases else 2)
            lead = () if self.lite else (columns,)
            found["weight"] = Param((*lead, fan_in, self.units), self.initializer, fan_in, self.units)
            found["bias"] = Param((*lead, self.units), Zeros(), fan_in, self.units, regularized=False)
        return found

    def linear(self, params: Params, *x: Value) -> Value:
        """The maps of the cosines and sines. Shapes: (columns, batch, n) -> (columns, batch, units)"""
        (waves,) = x
        if not self.lite:
            return waves @ params["weight"] + by_column(params["bias"])
        columns, batch, size = waves.shape
        rows = reshape(waves, (columns * batch, size)) @ params["weight"] + params["bias"]
        return reshape(rows, (columns, batch, rows.shape[1]))

    def apply(self, params: Params, *x: Value) -> Value:
        (examples,) = x
        angle = columns_first(examples) * by_column((2 * math.pi) * params["frequency"])
        waves = cos(angle + by_column(params["phase"])) if self.phases else concat([cos(angle), sin(angle)], 2)
        out = side_by_side(waves if self.units is None else super().apply(params, waves))
        return concat([out, examples], 1) if self.identity else out

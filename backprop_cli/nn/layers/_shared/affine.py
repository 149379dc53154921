"""The base of layers that compute ``x @ weight.T + bias``."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.autodiff import Array, Value, evaluate, input_
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.glorot_uniform import GlorotUniform
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import Arrays, Param, Params, WeightedLayer
from backprop_cli.settings import AutoInt


class Affine(WeightedLayer):
    """``activation(x @ weight.T + bias)``, whose weight and bias may start from data."""

    units: AutoInt
    """number of outputs; auto in the last layer: as many as the data and the loss need"""
    bias: bool = True
    """whether a bias is added to each output"""
    initializer: InitializerType = GlorotUniform()
    """how the weight starts"""
    bias_initializer: InitializerType = Zeros()
    """how the bias starts"""
    parametrization: Literal["standard", "ntk"] = "standard"
    """ntk: the weight is divided by sqrt(fan_in) in use, and starts larger by as much: only its updates differ"""

    @property
    def is_fitted(self) -> bool:
        return self.initializer.is_fitted or (self.bias and self.bias_initializer.is_fitted)

    def weight_param(self, lead: tuple[int, ...], fan_in: int) -> Param:
        """The weight (*lead, units, fan_in). With ``ntk`` its initializer sees a fan_in of 1."""
        ntk = self.parametrization == "ntk"
        fans = (1, max(1, round(self.units / fan_in))) if ntk else (fan_in, self.units)
        return Param((*lead, self.units, fan_in), self.initializer, *fans)

    def bias_param(self, lead: tuple[int, ...], fan_in: int) -> dict[str, Param]:
        """The bias (*lead, units), if there is one."""
        bias = Param((*lead, self.units), self.bias_initializer, fan_in, self.units, regularized=False)
        return {"bias": bias} if self.bias else {}

    def in_use(self, weight: Value) -> Value:
        """The weight that inputs are multiplied by."""
        return weight * (1 / math.sqrt(weight.shape[-1])) if self.parametrization == "ntk" else weight

    def product(self, params: Params, x: Value) -> Value:
        """The output without bias and activation."""
        raise NotImplementedError

    def linear(self, params: Params, *x: Value) -> Value:
        out = self.product(params, x[0])
        return out + params["bias"] if self.bias else out

    def fit(self, rng: np.random.Generator, params: Arrays, targets: Array, *x: Array) -> dict[str, Array]:
        """The weight from the outputs that the drawn one makes, then the bias from those of the new weight."""
        found: dict[str, Array] = {}
        for name, initializer in (("weight", self.initializer), ("bias", self.bias_initializer)):
            if initializer.is_fitted and name in params:
                own = {**params, **found}
                values = {key: input_(key, array.shape, array.dtype) for key, array in own.items()}
                examples = input_("x", x[0].shape, x[0].dtype)
                feed = {examples: x[0], **{values[key]: array for key, array in own.items()}}
                (outputs,) = evaluate([self.product(values, examples)], feed)
                size = params[name].shape[: -1 if name == "weight" else None]
                fitted = initializer.fit(rng, params[name], outputs.reshape(-1, *size))
                found[name] = fitted.astype(params[name].dtype)
        return found

"""The simple recurrent layer."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import relu, tanh
from backprop_cli.nn.layer import LAYERS, Params
from backprop_cli.nn.layers._shared.recurrent import Cell, Recurrent


@LAYERS.register
class Rnn(Recurrent):
    """Elman's network: ``h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)``, f tanh or relu; h is 0 before time 0.

    Shapes: x (batch, time, features) -> out (batch, units), or (batch, time, units) for ``output: sequence``; twice
            the units if bidirectional; weight_ih (units, features), weight_hh (units, units), bias_ih and bias_hh
            (units,), as in PyTorch
    YAML:   {type: rnn, units: 32, nonlinearity: tanh, output: last}
    Raises: ShapeError for examples that are not sequences of vectors.
    Source: Elman, Finding Structure in Time (1990); PyTorch's RNN, which has two biases.
    """

    type: Literal["rnn"] = "rnn"
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """function applied to the sum"""

    def cell(self, own: Params) -> Cell:
        function = tanh if self.nonlinearity == "tanh" else relu
        return lambda given, recalled, state: (function(given + recalled),)

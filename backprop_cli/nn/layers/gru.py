"""The gated recurrent unit."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, concat, sigmoid, slice_, tanh
from backprop_cli.nn.layer import LAYERS, Params
from backprop_cli.nn.layers._shared.recurrent import Cell, HiddenState, Recurrent


@LAYERS.register
class Gru(Recurrent):
    """Gated recurrent unit: ``h_t = (1 - z) * n + z * h_(t-1)``; ``h`` before time 0 is 0.

    ``r, z = sigmoid(W x_t + b_ih + V h_(t-1) + b_hh)``, ``n = tanh(W_n x_t + b_in + r * (V_n h_(t-1) + b_hn))``; the
    rows of the weights belong to r, z, n, in this order. As in PyTorch, r is applied after the product with V_n; the
    paper applies it before.

    Shapes: x (batch, time, features) -> out (batch, units), or (batch, time, units) for ``output: sequence``; twice
            the units if bidirectional; weight_ih (3 units, features), weight_hh (3 units, units), bias_ih and
            bias_hh (3 units,), as in PyTorch
    YAML:   {type: gru, units: 32, bidirectional: true, output: last}
    Raises: ShapeError for examples that are not sequences of vectors.
    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (2014), equations 5 to 8.
    """

    type: Literal["gru"] = "gru"

    gates: ClassVar[int] = 3

    def input_bias(self, own: Params) -> Value:
        n = self.units  # the bias b_hn is multiplied by r, so ``cell`` adds it
        both = slice_(own["bias_ih"], 0, 0, 2 * n) + slice_(own["bias_hh"], 0, 0, 2 * n)
        return concat([both, slice_(own["bias_ih"], 0, 2 * n, 3 * n)])

    def cell(self, own: Params) -> Cell:
        n = self.units
        bias = slice_(own["bias_hh"], 0, 2 * n, 3 * n) if self.bias else None

        def step(given: Value, recalled: Value, state: HiddenState) -> HiddenState:
            gates = sigmoid(slice_(given, 1, 0, 2 * n) + slice_(recalled, 1, 0, 2 * n))
            reset, update = slice_(gates, 1, 0, n), slice_(gates, 1, n, 2 * n)
            old = slice_(recalled, 1, 2 * n, 3 * n)
            new = tanh(slice_(given, 1, 2 * n, 3 * n) + reset * (old if bias is None else old + bias))
            return (new + update * (state[0] - new),)  # one product fewer than (1 - z) * n + z * h

        return step

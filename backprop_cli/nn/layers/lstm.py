"""The long short-term memory layer."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, sigmoid, slice_, tanh
from backprop_cli.nn.layer import LAYERS, Params
from backprop_cli.nn.layers._shared.recurrent import Cell, HiddenState, Recurrent


@LAYERS.register
class Lstm(Recurrent):
    """Long short-term memory: ``c_t = f * c_(t-1) + i * g``, ``h_t = o * tanh(c_t)``; both are 0 before time 0.

    ``i, f, o = sigmoid(W x_t + b_ih + V h_(t-1) + b_hh)``, ``g = tanh(...)`` of the same form; the rows of the weights
    belong to i, f, g, o, in this order.

    Shapes: x (batch, time, features) -> out (batch, units), or (batch, time, units) for ``output: sequence``; twice
            the units if bidirectional; weight_ih (4 units, features), weight_hh (4 units, units), bias_ih and
            bias_hh (4 units,), as in PyTorch
    YAML:   {type: lstm, units: 32, layers: 2, dropout: 0.2, output: sequence}
    Raises: ShapeError for examples that are not sequences of vectors.
    Source: Hochreiter & Schmidhuber, Long Short-Term Memory (1997), with the forget gate of Gers et al. (2000).
    """

    type: Literal["lstm"] = "lstm"

    gates: ClassVar[int] = 4
    states: ClassVar[tuple[str, ...]] = ("h", "c")

    def cell(self, own: Params) -> Cell:
        n = self.units

        def step(given: Value, recalled: Value, state: HiddenState) -> HiddenState:
            total = given + recalled
            written, kept, new, shown = (slice_(total, 1, k * n, (k + 1) * n) for k in range(4))
            c = sigmoid(kept) * state[1] + sigmoid(written) * tanh(new)
            return sigmoid(shown) * tanh(c), c

        return step

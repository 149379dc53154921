"""Base of the recurrent layers: their settings, and a cell's run over the times of a sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import ValidationInfo, field_validator

from backprop_cli.autodiff import (
    Spec,
    Value,
    broadcast_to,
    concat,
    constant,
    reshape,
    slice_,
    transpose,
)
from backprop_cli.errors import ShapeError, UsageError
from backprop_cli.nn.initializer import Initializer, InitializerType
from backprop_cli.nn.initializers.uniform import Uniform
from backprop_cli.nn.layer import Param, ParameterLayer, Params, Sample
from backprop_cli.nn.layers._shared.dropping import kept
from backprop_cli.settings import FractionBelowOne, Maybe, PositiveInt, refusal

HiddenState = tuple[Value, ...]
"""State of a cell between two times, arrays (batch, units); the first is its output."""
Cell = Callable[[Value, Value, HiddenState], HiddenState]
"""``(given, recalled, state)`` -> the state after a time: given (batch, gates * units) is ``x @ weight_ih.T`` with
``input_bias``, recalled (batch, gates * units) is ``h @ weight_hh.T``."""


class Recurrent(ParameterLayer):
    """A cell applied to one time after the other, in one or more layers, forward or both ways.

    The first state is 0. Shapes and names of parameters are PyTorch's: with one layer and direction those of its cells
    (GRUCell), otherwise those of its layers (GRU): ``weight_ih_l0``, ``weight_ih_l0_reverse``, ``weight_ih_l1``, ...

    Inside, arrays are (time * batch, ...), ordered by time: a step reads and writes contiguous memory. Values that do
    not depend on the step before are computed for all times at once, such as ``x @ weight_ih.T``.
    """

    units: PositiveInt
    """size of the state"""
    layers: PositiveInt = 1
    """number of stacked cells: each reads the whole output of the one below"""
    bidirectional: bool = False
    """whether a second cell runs backward in time; the outputs of both are concatenated"""
    output: Literal["last", "sequence"] = "last"
    """last: the output after the last time (of the reverse direction: after the first); sequence: after every time"""
    dropout: FractionBelowOne = 0.0
    """probability that an entry between two layers is dropped, in training"""
    bias: bool = True
    """whether biases are added"""
    initializer: Maybe[InitializerType] = None
    """how weight_ih starts; none: as in PyTorch, uniform between -1 / sqrt(units) and 1 / sqrt(units)"""
    recurrent_initializer: Maybe[InitializerType] = None
    """how weight_hh starts; none: as in PyTorch"""
    bias_initializer: Maybe[InitializerType] = None
    """how the biases start; none: as in PyTorch"""

    width_key: ClassVar[str | None] = "units"
    gates: ClassVar[int] = 1
    """Arrays of ``units`` numbers that a cell computes from its input and its state."""
    states: ClassVar[tuple[str, ...]] = ("h",)
    """Names of the arrays of a cell's state."""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"units": 3}, ((4, 2),)),
        Sample({"units": 2, "layers": 2, "dropout": 0.4, "output": "sequence", "bias": False}, ((3, 2),)),
        Sample({"units": 2, "layers": 2, "bidirectional": True}, ((3, 2),)),
    )

    @property
    def noncausal_key(self) -> str | None:
        return "bidirectional" if self.bidirectional else None

    @property
    def sequence_setting(self) -> str | None:
        return "output: sequence" if self.output == "last" else None

    @field_validator("dropout")
    @classmethod
    def _has_a_place(cls, dropout: float, info: ValidationInfo) -> float:
        if dropout and info.data.get("layers") == 1:
            reason = "is between layers, and this is one; put {type: dropout} behind it, or set layers"
            raise refusal(reason)
        return dropout

    def input_bias(self, own: Params) -> Value:
        """(gates * units,): the biases that are added to the product of the inputs."""
        return own["bias_ih"] + own["bias_hh"]

    def cell(self, own: Params) -> Cell:
        """The step from one time to the next. Values that all steps read are computed once."""
        raise NotImplementedError

    def params(self, *x: Spec) -> dict[str, Param]:
        features = _sequence(self, x[0])[2]
        bound = 1.0 / math.sqrt(self.units)
        default = Uniform(low=-bound, high=bound)
        params: dict[str, Param] = {}
        for level, reverse in self._cells():
            fan_in = self._width if level else features
            for name, param in self._cell_params(fan_in, default).items():
                params[name + self._suffix(level, reverse)] = param
        return params

    def _cell_params(self, fan_in: int, default: Initializer) -> dict[str, Param]:
        rows = self.gates * self.units
        weight_hh = Param((rows, self.units), self.recurrent_initializer or default, self.units, self.units)
        weights = {"weight_ih": Param((rows, fan_in), self.initializer or default, fan_in, self.units)}
        bias = Param((rows,), self.bias_initializer or default, fan_in, self.units, regularized=False)
        return {**weights, "weight_hh": weight_hh, **({"bias_ih": bias, "bias_hh": bias} if self.bias else {})}

    def noise(self, *x: Spec) -> dict[str, Spec]:
        batch, time, _ = _sequence(self, x[0])
        between = x[0].with_shape((batch, time, self._width))
        return {f"noise_l{level}": between for level in range(self.layers - 1)} if self.dropout else {}

    def apply(self, params: Params, *x: Value) -> Value:
        batch, time, features = _sequence(self, x[0].spec)
        rows = reshape(transpose(x[0], (1, 0, 2)), (time * batch, features))
        last = rows
        for level in range(self.layers):
            runs = [self._run(self._own(params, level, reverse), rows, batch, reverse) for reverse in self._directions]
            rows, last = (_beside(values) for values in zip(*runs, strict=True))
            if f"noise_l{level}" in params:
                rows = self._thinned(rows, params[f"noise_l{level}"])
        if self.output == "last":
            return last
        return transpose(reshape(rows, (time, batch, self._width)), (1, 0, 2))

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        """The states of every cell: ``h``, and ``c`` of lstm, with suffixes if there are several layers.

        None for bidirectional layers, which read sequences from their end too.
        """
        if self.bidirectional:
            return None
        state = x[0].with_shape((x[0].shape[0], self.units))
        return {name + self._suffix(level, False): state for level in range(self.layers) for name in self.states}

    def advance(self, params: Params, memory: Params, *x: Value) -> tuple[Value, dict[str, Value]]:
        if self.bidirectional:
            reason = "reads the sequence from its end, too: it cannot advance position by position"
            raise UsageError(f"{self.type} {reason}; set bidirectional: false")
        batch, time, features = _sequence(self, x[0].spec)
        row = reshape(x[0], (batch * time, features))
        after: dict[str, Value] = {}
        for level in range(self.layers):
            own, names = self._own(params, level, False), [name + self._suffix(level, False) for name in self.states]
            state = tuple(memory[name] for name in names)
            state = self.cell(own)(self._given(own, row), state[0] @ own["weight_hh"].T, state)
            after |= dict(zip(names, state, strict=True))
            row = state[0]
        return (row if self.output == "last" else reshape(row, (batch, time, self.units))), after

    def _run(self, own: Params, rows: Value, batch: int, reverse: bool) -> tuple[Value, Value]:
        """A cell over all times: its outputs (time * batch, units) ordered by time, and its last output."""
        times = [slice(start, start + batch) for start in range(0, rows.shape[0], batch)]
        given = self._given(own, rows)
        start = broadcast_to(constant(0, rows.dtype), (batch, self.units))
        state: HiddenState = (start,) * len(self.states)
        cell, weight = self.cell(own), own["weight_hh"].T
        outputs = [start]
        for time in reversed(times) if reverse else times:
            state = cell(slice_(given, 0, time.start, time.stop), state[0] @ weight, state)
            outputs.append(state[0])
        # The first state is included, so that all states that steps read are parts of one array.
        joined = concat(outputs[::-1] if reverse else outputs)
        return slice_(joined, 0, *((0, rows.shape[0]) if reverse else (batch, joined.shape[0]))), state[0]

    def _given(self, own: Params, rows: Value) -> Value:
        product = rows @ own["weight_ih"].T
        return product + self.input_bias(own) if self.bias else product

    def _thinned(self, rows: Value, noise: Value) -> Value:
        batch, time, width = noise.shape
        out = reshape(rows, (time, batch, width)) * kept(transpose(noise, (1, 0, 2)), self.dropout)
        return reshape(out, rows.shape)

    @property
    def _directions(self) -> tuple[bool, ...]:
        return (False, True) if self.bidirectional else (False,)

    @property
    def _width(self) -> int:
        return self.units * len(self._directions)

    def _cells(self) -> Iterator[tuple[int, bool]]:
        return ((level, reverse) for level in range(self.layers) for reverse in self._directions)

    def _suffix(self, level: int, reverse: bool) -> str:
        several = self.layers > 1 or self.bidirectional
        return f"_l{level}{'_reverse' if reverse else ''}" if several else ""

    def _own(self, params: Params, level: int, reverse: bool) -> Mapping[str, Value]:
        """The parameters of one cell, without suffixes."""
        names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.bias else ()))
        suffix = self._suffix(level, reverse)
        return {name: params[name + suffix] for name in names}


def _sequence(layer: Recurrent, x: Spec) -> tuple[int, int, int]:
    """Batch, time, features."""
    if x.ndim != 3 or x.shape[1] == 0:
        reason = "needs a sequence of vectors per example: (time, features), with at least one time step"
        raise ShapeError(layer.type, reason, x=x)
    batch, time, features = x.shape
    return batch, time, features


def _beside(values: Sequence[Value]) -> Value:
    return values[0] if len(values) == 1 else concat(values, axis=1)

"""Spans of the flat vector of parameters, each with its optimizer, and their traced update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from backprop_cli.autodiff import Array, Value, concat, input_, slice_
from backprop_cli.nn.optimizer import Optimizer
from backprop_cli.nn.schedule import Scheduled
from backprop_cli.training.layout import Layout

LEARNING_RATE = "learning_rate"
"""Input of a step: the learning rate after the schedule, if there is only one span."""


class ParameterSpan(NamedTuple):
    """The parameters that one optimizer updates, in ``layout`` from element ``start`` of the flat vector.

    ``prefix`` begins the names of its slots, scalars and learning rate among a step's inputs. It is empty if there is
    only one span.
    """

    optimizer: Optimizer
    layout: Layout
    start: int
    prefix: str

    @property
    def learning_rate(self) -> str:
        """Name of the input for the learning rate."""
        return f"{self.prefix}{LEARNING_RATE}"

    def slots(self) -> dict[str, str]:
        """The slots by the names of their vectors."""
        return {f"{self.prefix}{slot}": slot for slot in self.optimizer.slot_names()}

    def scalars(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays of a step's inputs for the optimizer's scalars, by the optimizer's own names."""
        return {name: arrays[f"{self.prefix}{name}"] for name in self.optimizer.scalars(1)}

    def scheduled(self) -> dict[str, Scheduled]:
        """The optimizer's numbers that follow a schedule of their own, by the names of a step's inputs for them."""
        return {f"{self.prefix}{name}": found for name, found in self.optimizer.scheduled().items()}

    def constants(self) -> list[str]:
        """Names of a step's inputs for its constants: the learning rate, the optimizer's scalars, and ``scheduled``."""
        scalars = (f"{self.prefix}{name}" for name in self.optimizer.scalars(1))
        return [self.learning_rate, *scalars, *self.scheduled()]

    def step(self, inputs: dict[str, Value], gradient: Value, vector: Value) -> tuple[Value, dict[str, Value]]:
        """``learning_rate * direction`` of the span, and the new slots; it adds its inputs to ``inputs``.

        Shapes: gradient and vector of the span (size,).
        """
        optimizer, dtype = self.optimizer, vector.dtype
        slots = {slot: input_(name, vector.shape, dtype) for name, slot in self.slots().items()}
        names = (*optimizer.scalars(1), *optimizer.scheduled())
        scalars = {name: input_(f"{self.prefix}{name}", (), dtype) for name in names}
        rate = input_(self.learning_rate, (), dtype)
        direction, new = optimizer.update(gradient, slots, scalars, vector)
        if optimizer.shaped:
            directions, parameters = self.layout.values(direction), self.layout.values(vector)
            direction = self.layout.join(
                {name: optimizer.shaped_direction(directions[name], parameters[name]) for name in parameters}
            )
        made = [*slots.values(), *scalars.values(), rate]
        inputs |= {str(value.name): value for value in made}
        return rate * direction, {name: new[slot] for name, slot in self.slots().items()}


def parameter_spans(optimizer: Optimizer, shapes: Mapping[str, tuple[int, ...]]) -> tuple[ParameterSpan, ...]:
    """A span for each optimizer, in the order of their first parameters; one span without parameter groups."""
    spans: dict[Optimizer, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        spans.setdefault(optimizer.of(name, shape), {})[name] = shape
    found, start = [], 0
    for number, (own, inside) in enumerate(spans.items() or [(optimizer, {})], 1):
        found.append(ParameterSpan(own, Layout(inside), start, f"{number}." if len(spans) > 1 else ""))
        start += sum(map(math.prod, inside.values()))
    return tuple(found)


def descend(
    spans: Sequence[ParameterSpan], inputs: dict[str, Value], gradient: Value, vector: Value
) -> tuple[Value, dict[str, Value]]:
    """The new vector of parameters and the new slots by name; it adds its inputs to ``inputs``."""
    if len(spans) == 1:
        step, slots = spans[0].step(inputs, gradient, vector)
        return vector - step, slots
    steps, slots = [], {}
    for span in spans:
        place = span.start, span.start + span.layout.size
        step, new = span.step(inputs, slice_(gradient, 0, *place), slice_(vector, 0, *place))
        steps.append(step)
        slots |= new
    return vector - concat(steps), slots

"""Base of the dropout layers, and their mask."""

from __future__ import annotations

from typing import ClassVar

from backprop_cli.autodiff import Value, greater_equal
from backprop_cli.nn.layer import Layer, Params
from backprop_cli.nn.schedule import CourseType, Scheduled
from backprop_cli.settings import FractionBelowOne, Maybe


class Dropping(Layer):
    """``out = x * [noise >= rate] / (1 - rate)`` in training, otherwise ``out = x`` (inverted dropout)."""

    rate: FractionBelowOne = 0.5
    """probability that an entry, or a channel, is dropped"""
    schedule: Maybe[CourseType] = None
    """course of the rate over training; none: constant"""

    position_wise: ClassVar[bool] = True
    passes_on: ClassVar[bool] = True

    def apply(self, params: Params, *x: Value) -> Value:
        if "noise" not in params:
            return x[0]
        return x[0] * kept(params["noise"], params.get("rate", self.rate))

    def scheduled(self) -> dict[str, Scheduled]:
        return {"rate": Scheduled(self.rate, self.schedule)} if self.schedule is not None and self.rate else {}


def kept(noise: Value, rate: Value | float) -> Value:
    """The mask ``[noise >= rate] / (1 - rate)``, whose mean is 1."""
    return greater_equal(noise, rate) * (1.0 / (1.0 - rate))

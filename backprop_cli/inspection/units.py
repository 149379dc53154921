"""Units of derivatives: those of the data, or those of the network's inputs and outputs after the transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.features import Feature, Scaled
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.structs import Struct
from backprop_cli.training.step_program import INPUTS, PREDICTIONS

Units = Literal["data", "network"]
"""data: inputs as a file has them and predictions as ``bp predict`` prints them; network: after the transform."""


class Unit(Struct, eq=False):
    """The unit of a named value. ``text``: its name. ``coded``: inputs that are not linear in their column, such as
    categories.

    Multiplied by ``slope``, a derivative by the network's input is by the data's column, and a derivative of the
    network's output is of the printed prediction. None: the units are the same.

    Shapes: slope float64 (elements of one example,)
    """

    text: Literal["data", "network", "probability"]
    slope: Array | None = None
    coded: Sequence[str] = ()

    def over(self, size: int) -> Array | None:
        """The slope of each of ``size`` elements, in one or more examples."""
        return None if self.slope is None else np.tile(self.slope, size // len(self.slope))


def unit_of(saved: TrainedNetwork, name: str, units: Units) -> Unit:
    """The unit of derivatives of or by ``name``."""
    if name == INPUTS:
        return Unit("network") if units == "network" else _of_inputs(saved)
    if name != PREDICTIONS:
        return Unit("network")
    if not saved.recipe.loss.task.has_unit:
        return Unit("probability" if saved.recipe.loss.gives_probabilities else "network")
    return Unit("network") if units == "network" else Unit("data", _plain(_of_predictions(saved)))


def _of_inputs(saved: TrainedNetwork) -> Unit:
    """The network reads a column of numbers as ``(x - shift) / divisor * factor``; other columns have slope 1."""
    transform = saved.transform
    slopes = [_slope(feature) for feature in transform.features]
    rows = 1 if transform.window is None else transform.window.length
    coded = [each.name for each in transform.features if not (isinstance(each, Scaled) and each.is_linear)]
    return Unit("data", _plain(np.tile(np.concatenate(slopes), rows)), coded)


def _slope(feature: Feature) -> Array:
    slope = np.ones(feature.width)
    if isinstance(feature, Scaled) and feature.is_linear:
        slope[: feature.size] = feature.factor / feature.divisor
    return slope


def _of_predictions(saved: TrainedNetwork) -> Array:
    """All quantiles of a target, and all rows that a window predicts, have the target's unit."""
    deviation = np.repeat(saved.transform.target.deviation, max(1, len(saved.recipe.loss.levels)))
    return np.tile(deviation, saved.recipe.model.output_shape[-1] // len(deviation))


def _plain(slope: Array) -> Array | None:
    return None if (slope == 1).all() else slope

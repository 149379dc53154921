"""Dropout of whole channels."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, Sample
from backprop_cli.nn.layers._shared.dropping import Dropping


@LAYERS.register
class SpatialDropout(Dropping):
    """``out = x * [noise >= rate] / (1 - rate)`` in training, otherwise ``out = x``; one noise per channel.

    All places of a channel are dropped together with probability ``rate``: neighbouring places are correlated, so
    dropping single places would hide little. The expected output is the input.

    Shapes: x (batch, channels, ...) -> out as x; noise (batch, channels, 1, ...), uniform in [0, 1)
    YAML:   {type: spatial_dropout, rate: 0.2}
    Raises: ShapeError for vectors, which have no places: use dropout.
    Source: Tompson et al., Efficient Object Localization Using Convolutional Networks (2015), section 3.2; Dropout1d
            and Dropout2d of PyTorch.
    """

    type: Literal["spatial_dropout"] = "spatial_dropout"

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"rate": 0.4}, ((3, 2, 2),)),
        Sample({"rate": 0.0}, ((2, 3),)),
    )

    def noise(self, *x: Spec) -> dict[str, Spec]:
        if x[0].ndim < 3:
            reason = "needs channels with places, (channels, ...) per example; use {type: dropout} for vectors"
            raise ShapeError(self.type, reason, x=x[0])
        return {"noise": x[0].with_shape((*x[0].shape[:2], *(1,) * (x[0].ndim - 2)))} if self.rate else {}

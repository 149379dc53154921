"""Dropout."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec
from backprop_cli.nn.layer import LAYERS, Sample
from backprop_cli.nn.layers._shared.dropping import Dropping


@LAYERS.register
class Dropout(Dropping):
    """``out = x * [noise >= rate] / (1 - rate)`` in training, otherwise ``out = x`` (inverted dropout).

    Each entry is dropped independently with probability ``rate``; the expected output is the input.

    Shapes: x (batch, ...) -> out as x; noise as x, uniform in [0, 1)
    YAML:   {type: dropout, rate: 0.2}
    Source: Srivastava et al., Dropout (2014), section 4; scaled in training, section 10.
    """

    type: Literal["dropout"] = "dropout"

    samples: ClassVar[tuple[Sample, ...]] = (Sample({"rate": 0.4}, ((3, 4),)), Sample({"rate": 0.0}, ((3,),)))

    def noise(self, *x: Spec) -> dict[str, Spec]:
        return {"noise": x[0]} if self.rate else {}

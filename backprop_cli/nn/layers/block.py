"""A block of layers, repeated."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from backprop_cli.nn.layer import LAYERS, Layer, LayerType, Sample
from backprop_cli.settings import Many, PositiveInt


@LAYERS.register
class Block(Layer):
    """``out = f(x)``, residual ``x + f(x)``, for layers f; ``repeat`` times, each time with weights of its own.

    Each of its layers reads the one before it; the first reads the block's input. ``inputs`` may name other layers of
    the block, ``input`` for the block's input, and layers above the block: by their own names, such as ``dense_1``. In
    the whole network a layer is called ``block_1.2.dense_1``, where 2 counts the repeats; ``block_1.2`` is the output
    of a residual repeat. A layer below the block reads it by its name, ``block_1``. A block may hold blocks.

    Shapes: x (batch, ...) -> out (batch, ...), the last layer's; as x if residual
    YAML:   {type: block, repeat: 8, residual: true, layers: [layer_norm, {type: dense, units: 64, activation: relu}]}
    Source: He et al., Deep Residual Learning for Image Recognition (2015), equation 1.
    """

    type: Literal["block"] = "block"
    repeat: PositiveInt = 1
    """number of copies, one after the other"""
    residual: bool = False
    """whether its input is added to the output of its last layer"""
    trainable: bool = True
    """whether training changes its parameters; false freezes them and the buffers"""
    layers: Annotated[Many[LayerType], Field(min_length=1)]
    """its layers, first to last; the last one's output is the block's"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample(
            {"layers": [{"type": "dense", "units": 2, "activation": "tanh"}, {"type": "dense", "units": 2}]}, ((3,),)
        ),
        Sample({"repeat": 2, "residual": True, "layers": ["layer_norm", {"type": "dense", "units": 3}]}, ((3,),)),
    )

"""Layers as one, any number of times."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from backprop_cli.nn.layer import LAYERS, Layer, LayerType, Sample
from backprop_cli.settings import Many


@LAYERS.register
class Block(Layer):
    """``out = f(x)``, residual ``x + f(x)``, for layers f; ``repeat`` times, each time with weights of its own.

    Each of its layers reads the one before it, the first one what the block reads. ``inputs`` may name others of them,
    ``input``, which is what the block reads, and layers above the block: by their own names, such as ``dense_1``. In
    the whole network they are called ``block_1.2.dense_1``, where 2 counts the repeats; ``block_1.2`` is what a
    residual repeat puts out. A layer below the block reads it by its name, ``block_1``. A block may hold blocks.

    Shapes: x (batch, ...) -> out (batch, ...), what the last layer makes; as x where it is residual
    YAML:   {type: block, repeat: 8, residual: true, layers: [layer_norm, {type: dense, units: 64, activation: relu}]}
    Source: He et al., Deep Residual Learning for Image Recognition (2015), equation 1.
    """

    type: Literal["block"] = "block"
    repeat: Annotated[int, Field(gt=0)] = 1
    """how many of it stand one after the other"""
    residual: bool = False
    """whether what it reads is added to what its last layer makes"""
    trainable: bool = True
    """whether training changes its parameters; false keeps them, and buffers, as they are"""
    layers: Annotated[Many[LayerType], Field(min_length=1)]
    """its layers, first to last; the last one's output is the block's"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample(
            {"layers": [{"type": "dense", "units": 2, "activation": "tanh"}, {"type": "dense", "units": 2}]}, ((3,),)
        ),
        Sample({"repeat": 2, "residual": True, "layers": ["layer_norm", {"type": "dense", "units": 3}]}, ((3,),)),
    )

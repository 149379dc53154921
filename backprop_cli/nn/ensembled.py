"""A network of dense layers as an ensemble of networks that share most of their weights."""

from __future__ import annotations

from collections.abc import Sequence

from backprop_cli.nn.graph import declared, written_out
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layers.block import Block
from backprop_cli.nn.layers.dense import Dense
from backprop_cli.nn.layers.ensemble_dense import EnsembleDense
from backprop_cli.nn.scopes import LayerPath


def ensembled(layers: Sequence[Layer], members: int) -> tuple[Layer, ...]:
    """The layers with ``ensemble_dense`` for each ``dense``; of the last one each member has a weight of its own."""
    named = written_out(layers)
    places = [place for place, layer in declared(named) if isinstance(layer, Dense)]
    return _replaced(named, members, places[-1:], ())


def _replaced(layers: Sequence[Layer], members: int, heads: Sequence[LayerPath], path: LayerPath) -> tuple[Layer, ...]:
    found: list[Layer] = []
    for index, layer in enumerate(layers):
        place = (*path, "layers", index)
        if isinstance(layer, Block):
            layer = layer.model_copy(update={"layers": _replaced(layer.layers, members, heads, place)})
        elif isinstance(layer, Dense):
            keys = {key: value for key, value in dict(layer).items() if key != "type"}
            layer = EnsembleDense.model_construct(**keys, members=members, shared=place not in heads)
        found.append(layer)
    return tuple(found)

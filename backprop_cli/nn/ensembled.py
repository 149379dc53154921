"""A network of dense layers as an ensemble of networks that share most of their weights."""

from __future__ import annotations

from collections.abc import Sequence

from backprop_cli.nn.graph import declared, replaced, written_out
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layers.dense import Dense
from backprop_cli.nn.layers.ensemble_dense import EnsembleDense
from backprop_cli.nn.scopes import LayerPath


def ensembled(layers: Sequence[Layer], members: int) -> tuple[Layer, ...]:
    """The layers with ``ensemble_dense`` for each ``dense``; of the last one each member has a weight of its own."""
    named = written_out(layers)
    places = [place for place, layer in declared(named) if isinstance(layer, Dense)]

    def ensemble(place: LayerPath, layer: Layer) -> Layer:
        if not isinstance(layer, Dense):
            return layer
        keys = {key: value for key, value in dict(layer).items() if key != "type"}
        return EnsembleDense.model_construct(**keys, members=members, shared=place != places[-1])

    return replaced(named, ensemble)

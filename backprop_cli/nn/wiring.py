"""Who reads whom: names of layers, and the names of their inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.nn.layer import Layer

INPUT = "input"
"""The name under which layers read the example itself."""

Wire = tuple[str, Layer, tuple[str, ...]]


class WiringError(UsageError):
    """Layers that do not connect.

    ``layer_index`` is the place in ``model.layers``, from 0; ``key`` the layer's key at fault (``name``, ``inputs``).
    """

    def __init__(self, layer_index: int, key: str, message: str):
        super().__init__(message)
        self.layer_index, self.key = layer_index, key


def layer_names(layers: Sequence[Layer]) -> list[str]:
    """Given names, or type and number among its type: ``dense_1``.

    Raises: WiringError for a name that is used twice, or is that of the example.
    """
    counts: Counter[str] = Counter()
    places: dict[str, int] = {}
    for index, layer in enumerate(layers):
        counts[layer.type] += 1
        name = layer.name or f"{layer.type}_{counts[layer.type]}"
        if name == INPUT:
            raise WiringError(index, "name", "layer name 'input' is that of the example; choose another")
        if name in places:
            both = f"layers[{places[name]}] and layers[{index}]"
            raise WiringError(index, "name", f"layer name '{name}' is used twice, by {both}; choose another")
        places[name] = index
    return list(places)


def wire(layers: Sequence[Layer]) -> list[Wire]:
    """Each layer with its name and the names it reads, all of them above it.

    Raises: WiringError for no layers, names and inputs that do not fit, or a layer that nothing reads.
    """
    if not layers:
        raise WiringError(0, "layers", "the model has no layers")
    names = layer_names(layers)
    wires: list[Wire] = []
    for index, (name, layer) in enumerate(zip(names, layers, strict=True)):
        inputs = layer.inputs or (names[index - 1] if index else INPUT,)
        for source in inputs:
            _check_source(index, source, names)
        _check_arity(index, name, layer, inputs)
        wires.append((name, layer, inputs))
    _check_read(wires)
    return wires


def _check_source(index: int, source: str, names: Sequence[str]) -> None:
    above = [INPUT, *names[:index]]
    if source in above:
        return
    if source == names[index]:
        reason = "a layer cannot read itself"
    elif source in names:
        reason = f"'{source}' is below it; a layer reads the layers above it"
    else:
        reason = f"unknown layer '{source}'" + (did_you_mean(source, above) or f"; known: {', '.join(above)}")
    raise WiringError(index, "inputs", f"layer {names[index]}: inputs: {reason}")


def _check_arity(index: int, name: str, layer: Layer, inputs: Sequence[str]) -> None:
    fewest, most = layer.arity
    if fewest <= len(inputs) and (most is None or len(inputs) <= most):
        return
    wanted = f"{fewest} or more inputs" if most is None else f"{fewest} input{'' if fewest == 1 else 's'}"
    hint = "" if layer.inputs else "; name them: inputs: [..., ...]"
    raise WiringError(index, "inputs", f"layer {name}: needs {wanted}, has {len(inputs)} ({', '.join(inputs)}){hint}")


def _check_read(wires: Sequence[Wire]) -> None:
    """A layer whose output goes nowhere would have weights that never learn."""
    read = {source for _, _, inputs in wires for source in inputs}
    for index, (name, _, _) in enumerate(wires[:-1]):
        if name not in read:
            message = f"layer {name}: no layer reads it; name it in the inputs of a layer below, or remove it"
            raise WiringError(index, "inputs", message)

"""Who reads whom: names of layers, and the names of their inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

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
    """Given names, or type and number among its type: ``dense_1``."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        counts[layer.type] += 1
        names.append(layer.name or f"{layer.type}_{counts[layer.type]}")
    return names


def wire(layers: Sequence[Layer]) -> list[Wire]:
    """Each layer with its name and the names it reads, all of them above it.

    Raises: WiringError, the first of ``wiring_errors``.
    """
    for error in wiring_errors(layers):
        raise error
    return _wires(layers)


def vocabulary_of(wires: Iterable[Wire]) -> int | None:
    """Tokens there are, where layers read the example as tokens: what each of them knows. None: it is numbers."""
    known = [layer.vocabulary for _, layer, inputs in wires if INPUT in inputs]
    return min((count for count in known if count is not None), default=None)


def wiring_errors(layers: Sequence[Layer]) -> list[WiringError]:
    """Everything that does not connect: no layers, names and inputs that do not fit, a layer that nothing reads."""
    if not layers:
        return [WiringError(0, "layers", "the model has no layers")]
    wires = _wires(layers)
    names = [name for name, _, _ in wires]
    # Inputs mean nothing while names are wrong; an input misspelt leaves the layer it meant unread.
    return [*_name_errors(names)] or [*_input_errors(wires, names)] or [*_unread(wires)]


def _wires(layers: Sequence[Layer]) -> list[Wire]:
    names = layer_names(layers)
    before = [INPUT, *names]
    return [
        (name, layer, layer.inputs or (before[index],))
        for index, (name, layer) in enumerate(zip(names, layers, strict=True))
    ]


def _name_errors(names: Sequence[str]) -> Iterator[WiringError]:
    places: dict[str, int] = {}
    for index, name in enumerate(names):
        if name == INPUT:
            yield WiringError(index, "name", "layer name 'input' is that of the example; choose another")
        elif name in places:
            both = f"layers[{places[name]}] and layers[{index}]"
            yield WiringError(index, "name", f"layer name '{name}' is used twice, by {both}; choose another")
        places.setdefault(name, index)


def _input_errors(wires: Sequence[Wire], names: Sequence[str]) -> Iterator[WiringError]:
    for index, (name, layer, inputs) in enumerate(wires):
        reasons = [_source_fault(index, source, names) for source in inputs]
        faults: list[str | None] = [f"inputs: {reason}" for reason in reasons if reason]
        for fault in faults or [_arity_fault(layer, inputs)]:
            if fault:
                yield WiringError(index, "inputs", f"layer {name}: {fault}")


def _source_fault(index: int, source: str, names: Sequence[str]) -> str | None:
    above = [INPUT, *names[:index]]
    if source in above:
        return None
    if source == names[index]:
        return "a layer cannot read itself"
    if source in names:
        return f"'{source}' is below it; a layer reads the layers above it"
    return f"unknown layer '{source}'" + (did_you_mean(source, above) or f"; known: {', '.join(above)}")


def _arity_fault(layer: Layer, inputs: Sequence[str]) -> str | None:
    fewest, most = layer.arity
    if fewest <= len(inputs) and (most is None or len(inputs) <= most):
        return None
    wanted = f"{fewest} or more inputs" if most is None else f"{fewest} input{'' if fewest == 1 else 's'}"
    hint = "" if layer.inputs else "; name them: inputs: [..., ...]"
    return f"needs {wanted}, has {len(inputs)} ({', '.join(inputs)}){hint}"


def _unread(wires: Sequence[Wire]) -> Iterator[WiringError]:
    """A layer whose output goes nowhere would have weights that never learn."""
    read = {source for _, _, inputs in wires for source in inputs}
    for index, (name, _, _) in enumerate(wires[:-1]):
        if name not in read:
            message = f"layer {name}: no layer reads it; name it in the inputs of a layer below, or remove it"
            yield WiringError(index, "inputs", message)

"""Names that layers give and read, scope by scope: the network's own, and that of each block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from backprop_cli.errors import UsageError, did_you_mean, listing
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layers.block import Block

INPUT = "input"
"""The name under which layers read the example itself; in a block, what the block reads."""

LayerPath = tuple[str | int, ...]
"""Where a layer is declared, from ``model`` on: ``("layers", 2, "layers", 0)``."""


class WiringError(UsageError):
    """Layers that do not connect: ``path`` is the layer at fault, ``key`` its key (``name``, ``inputs``)."""

    def __init__(self, path: LayerPath, key: str, message: str):
        super().__init__(message)
        self.path, self.key = path, key


def layer_names(layers: Sequence[Layer]) -> list[str]:
    """Given names, or type and number among its type: ``dense_1``."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        counts[layer.type] += 1
        names.append(layer.name or f"{layer.type}_{counts[layer.type]}")
    return names


@dataclass(frozen=True, eq=False)
class Scope:
    """Layers that know each other by name. ``above``: names of the scopes around it that its layers may read.

    ``around``: the names of the blocks it is in, the innermost last.
    """

    layers: Sequence[Layer]
    path: LayerPath = ()
    above: tuple[str, ...] = ()
    around: tuple[str, ...] = ()
    is_residual: bool = False

    @cached_property
    def names(self) -> list[str]:
        """Of its layers."""
        return layer_names(self.layers)

    def place(self, index: int) -> LayerPath:
        """Where a layer is declared."""
        return (*self.path, "layers", index)

    def title(self, index: int) -> str:
        """What messages call a layer."""
        return f"layer {'.'.join((*self.around, self.names[index]))}"

    def sources(self, index: int) -> Sequence[str]:
        """What a layer reads: as it says, or the layer before it."""
        return self.layers[index].inputs or (INPUT if index == 0 else self.names[index - 1],)

    @cached_property
    def places(self) -> dict[str, int]:
        """The first layer of each name."""
        return {name: index for index, name in reversed(list(enumerate(self.names)))}

    def can_read(self, index: int, source: str) -> bool:
        """Whether layer ``index`` may read the layer named ``source``."""
        return source == INPUT or self.places.get(source, index) < index or source in self.above

    def readable(self, index: int) -> list[str]:
        """What a layer may read, the nearest first where names are equal."""
        return list(dict.fromkeys([INPUT, *self.names[:index], *self.above]))

    def inner(self, index: int, block: Block) -> Scope:
        """The scope of a block's layers."""
        above = tuple(name for name in self.readable(index) if name != INPUT)
        return Scope(block.layers, self.place(index), above, (*self.around, self.names[index]), block.residual)

    def all(self) -> Iterator[Scope]:
        """Itself, and those of the blocks in it."""
        yield self
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Block):
                yield from self.inner(index, layer).all()

    def reads(self, index: int) -> set[str]:
        """What a layer reads; of a block also what its layers read from outside."""
        layer = self.layers[index]
        found = set(self.sources(index))
        if not isinstance(layer, Block):
            return found
        inner = self.inner(index, layer)
        return found.union(*(inner.reads(k) - {INPUT, *inner.names[:k]} for k in range(len(inner.layers))))


def scope_errors(layers: Sequence[Layer]) -> list[WiringError]:
    """Everything that does not connect: no layers, names and inputs that do not fit, a layer that nothing reads."""
    if not layers:
        return [WiringError(("layers", 0), "layers", "the model has no layers")]
    scopes = list(Scope(layers).all())
    # Inputs mean nothing while names are wrong; an input misspelt leaves the layer it meant unread.
    for find in (_name_errors, _input_errors, _unread):
        errors = [error for scope in scopes for error in find(scope)]
        if errors:
            return errors
    return []


def _name_errors(scope: Scope) -> Iterator[WiringError]:
    places: dict[str, int] = {}
    for index, name in enumerate(scope.names):
        if name == INPUT:
            of = f"what {scope.around[-1]} reads" if scope.around else "the example"
            yield WiringError(scope.place(index), "name", f"layer name 'input' is that of {of}; choose another")
        elif name in places:
            both = f"layers[{places[name]}] and layers[{index}]"
            within = f" of {scope.around[-1]}" if scope.around else ""
            message = f"layer name '{name}' is used twice, by {both}{within}; choose another"
            yield WiringError(scope.place(index), "name", message)
        places.setdefault(name, index)


_MOST_EXPLAINED = 20
"""Most layers of a scope whose wrong inputs are explained: each takes a search of all other layers."""


def _input_errors(scope: Scope) -> Iterator[WiringError]:
    told = 0
    for index in range(len(scope.layers)):
        explain = _source_fault if told < _MOST_EXPLAINED else _unknown_source
        reasons = [explain(scope, index, s) for s in scope.sources(index) if not scope.can_read(index, s)]
        told += bool(reasons)
        faults: list[str | None] = [f"inputs: {reason}" for reason in reasons]
        for fault in faults or [_arity_fault(scope, index)]:
            if fault:
                yield WiringError(scope.place(index), "inputs", f"{scope.title(index)}: {fault}")


def _unknown_source(_scope: Scope, _index: int, source: str) -> str:
    return f"'{source}' is no layer above it"


def _source_fault(scope: Scope, index: int, source: str) -> str:
    if source == scope.names[index]:
        return "a layer cannot read itself"
    if source in scope.names:
        circle = _circle(scope, index, scope.names.index(source))
        if circle:
            return f"the layers read each other in a circle: {' -> '.join(circle)}; a layer reads the layers above it"
        return f"'{source}' is below it; a layer reads the layers above it"
    if source in scope.around:
        return f"'{source}' is a block that it is in; what the block reads is called '{INPUT}' here"
    block = _block_with(scope, source)
    if block is not None:
        return f"'{source}' is inside {block}; what {block} puts out is read by its name: {block}"
    readable = scope.readable(index)
    return f"unknown layer '{source}'" + (did_you_mean(source, readable) or f"; known: {listing(readable, 20)}")


def _block_with(scope: Scope, source: str) -> str | None:
    """The block of this scope that a layer is in: by its own name, or its full one (``block_1.2.dense_1``)."""
    first, _, rest = source.partition(".")
    wanted = source.rpartition(".")[2]
    for index, (name, layer) in enumerate(zip(scope.names, scope.layers, strict=True)):
        if isinstance(layer, Block) and (not rest or first == name):
            inner = scope.inner(index, layer).all()
            if wanted.isdigit() or any(wanted in each.names for each in inner):
                return name
    return None


def _circle(scope: Scope, first: int, last: int) -> list[str]:
    """The way of what a layer makes, through layers below, to the one that it reads itself; empty if there is none."""
    way = {first: [scope.names[first]]}
    for index in range(first + 1, last + 1):
        found = (way[k] for k, name in enumerate(scope.names[:index]) if k in way and name in scope.reads(index))
        through = next(found, None)
        if through is not None:
            way[index] = [*through, scope.names[index]]
    return [*way[last], scope.names[first]] if last in way else []


def _arity_fault(scope: Scope, index: int) -> str | None:
    layer, inputs = scope.layers[index], scope.sources(index)
    fewest, most = layer.arity
    if fewest <= len(inputs) and (most is None or len(inputs) <= most):
        return None
    wanted = f"{fewest} or more inputs" if most is None else f"{fewest} input{'' if fewest == 1 else 's'}"
    hint = "" if layer.inputs else "; name them: inputs: [..., ...]"
    return f"needs {wanted}, has {len(inputs)} ({', '.join(inputs)}){hint}"


def _unread(scope: Scope) -> Iterator[WiringError]:
    """A layer whose output goes nowhere would have weights that never learn."""
    read = set[str]().union(*(scope.reads(index) for index in range(len(scope.layers))))
    for index, name in enumerate(scope.names[:-1]):
        if name not in read:
            reason = "no layer reads it; name it in the inputs of a layer below, or remove it"
            yield WiringError(scope.place(index), "inputs", f"{scope.title(index)}: {reason}")
    if scope.around and not scope.is_residual and INPUT not in read:
        reason = f"none of its layers reads '{INPUT}', which is what the block reads"
        yield WiringError(scope.path, "layers", f"layer {'.'.join(scope.around)}: {reason}")

"""Names of layers and of their inputs, and errors in them. The network is a scope, and so is each block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

from backprop_cli.errors import UsageError, did_you_mean, listing, plural
from backprop_cli.nn.input_columns import GROUPS, is_group
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layers.block import Block
from backprop_cli.structs import Struct

INPUT = "input"
"""The name of the example as an input; in a block, of the block's input."""

LayerPath = tuple[str | int, ...]
"""Where a layer is declared, below ``model``: ``("layers", 2, "layers", 0)``."""


class WiringError(UsageError):
    """Layers that do not connect: ``path`` is the layer at fault, ``key`` its key (``name``, ``inputs``)."""

    def __init__(self, path: LayerPath, key: str, message: str):
        super().__init__(message)
        self.path, self.key = path, key


def layer_names(layers: Sequence[Layer]) -> list[str]:
    """Names of layers: as given, or type and number within the type: ``dense_1``."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        counts[layer.type] += 1
        names.append(layer.name or f"{layer.type}_{counts[layer.type]}")
    return names


class Scope(Struct, eq=False):
    """Layers that can read each other by name: of a network, or of a block.

    ``above``: names of layers in outer scopes that its layers may read. ``around``: names of the blocks around it,
    the innermost last.
    """

    layers: Sequence[Layer]
    path: LayerPath = ()
    above: tuple[str, ...] = ()
    around: tuple[str, ...] = ()
    is_residual: bool = False

    @cached_property
    def names(self) -> list[str]:
        """Names of its layers."""
        return layer_names(self.layers)

    def place(self, index: int) -> LayerPath:
        """Where a layer is declared."""
        return (*self.path, "layers", index)

    def title(self, index: int) -> str:
        """The name of a layer in messages."""
        return f"layer {'.'.join((*self.around, self.names[index]))}"

    def sources(self, index: int) -> Sequence[str]:
        """Names that a layer reads: its ``inputs``, or the layer before it."""
        return self.layers[index].inputs or (INPUT if index == 0 else self.names[index - 1],)

    @cached_property
    def places(self) -> dict[str, int]:
        """Index of the first layer with each name."""
        return {name: index for index, name in reversed(list(enumerate(self.names)))}

    def can_read(self, index: int, source: str) -> bool:
        """Whether layer ``index`` may read the layer named ``source``."""
        return source == INPUT or is_group(source) or self.places.get(source, index) < index or source in self.above

    def readable(self, index: int) -> list[str]:
        """Names that a layer may read."""
        return list(dict.fromkeys([INPUT, *self.names[:index], *self.above]))

    def inner(self, index: int, block: Block) -> Scope:
        """The scope of a block's layers."""
        above = tuple(name for name in self.readable(index) if name != INPUT)
        return Scope(block.layers, self.place(index), above, (*self.around, self.names[index]), block.residual)

    def all(self) -> Iterator[Scope]:
        """The scope itself, and the scopes of all blocks in it."""
        yield self
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Block):
                yield from self.inner(index, layer).all()

    def reads(self, index: int) -> set[str]:
        """Names that a layer reads; for a block also those that its layers read outside of it."""
        layer = self.layers[index]
        found = set(self.sources(index))
        if not isinstance(layer, Block):
            return found
        inner = self.inner(index, layer)
        return found.union(*(inner.reads(k) - {INPUT, *inner.names[:k]} for k in range(len(inner.layers))))


def scope_errors(layers: Sequence[Layer]) -> list[WiringError]:
    """Everything that does not connect: no layers, unfitting names and inputs, a layer that no other reads."""
    if not layers:
        return [WiringError(("layers", 0), "layers", "the model has no layers")]
    scopes = list(Scope(layers).all())
    # Wrong names make inputs meaningless, and a misspelt input leaves the intended layer unread.
    for find in (_name_errors, _input_errors, _unread):
        errors = [error for scope in scopes for error in find(scope)]
        if errors:
            return errors
    return []


def _name_errors(scope: Scope) -> Iterator[WiringError]:
    places: dict[str, int] = {}
    for index, name in enumerate(scope.names):
        if name == INPUT:
            of = f"the input of {scope.around[-1]}" if scope.around else "the example"
            yield WiringError(scope.place(index), "name", f"layer name 'input' stands for {of}; choose another")
        elif name in GROUPS:
            yield WiringError(scope.place(index), "name", f"layer name '{name}' stands for columns; choose another")
        elif name in places:
            both = f"layers[{places[name]}] and layers[{index}]"
            within = f" of {scope.around[-1]}" if scope.around else ""
            message = f"layer name '{name}' is used twice, by {both}{within}; choose another"
            yield WiringError(scope.place(index), "name", message)
        places.setdefault(name, index)


_MOST_EXPLAINED = 20
"""Most layers whose wrong inputs are explained: each explanation searches all other layers."""


def _input_errors(scope: Scope) -> Iterator[WiringError]:
    explained = 0
    for index in range(len(scope.layers)):
        explain = _source_fault if explained < _MOST_EXPLAINED else _unknown_source
        reasons = [explain(scope, index, s) for s in scope.sources(index) if not scope.can_read(index, s)]
        explained += bool(reasons)
        faults: list[str | None] = [f"inputs: {reason}" for reason in reasons]
        for fault in faults or [_arity_fault(scope, index)]:
            if fault:
                yield WiringError(scope.place(index), "inputs", f"{scope.title(index)}: {fault}")


def _unknown_source(_scope: Scope, _index: int, source: str) -> str:
    return f"'{source}' is not a layer above it"


def _source_fault(scope: Scope, index: int, source: str) -> str:
    if source == scope.names[index]:
        return "a layer cannot read itself"
    if source in scope.names:
        circle = _circle(scope, index, scope.names.index(source))
        if circle:
            return f"the layers read each other in a circle: {' -> '.join(circle)}; a layer reads the layers above it"
        return f"'{source}' is below it; a layer reads the layers above it"
    if source in scope.around:
        return f"'{source}' is a block that it is in; the input of the block is called '{INPUT}' here"
    block = _block_with(scope, source)
    if block is not None:
        return f"'{source}' is inside {block}; to read the output of {block}, use its name: {block}"
    readable = scope.readable(index)
    return f"unknown layer '{source}'" + (
        did_you_mean(source, [*readable, *GROUPS]) or f"; known: {listing(readable, 20)}"
    )


def _block_with(scope: Scope, source: str) -> str | None:
    """The block of this scope that holds a layer with this name, or full name (``block_1.2.dense_1``)."""
    first, _, rest = source.partition(".")
    wanted = source.rpartition(".")[2]
    for index, (name, layer) in enumerate(zip(scope.names, scope.layers, strict=True)):
        if isinstance(layer, Block) and (not rest or first == name):
            inner = scope.inner(index, layer).all()
            if wanted.isdigit() or any(wanted in each.names for each in inner):
                return name
    return None


def _circle(scope: Scope, first: int, last: int) -> list[str]:
    """Path from the output of layer ``first`` back to its input ``last`` (a cycle); [] if none."""
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
    wanted = f"{fewest} or more inputs" if most is None else plural(fewest, "input")
    hint = "" if layer.inputs else "; name them: inputs: [..., ...]"
    return f"needs {wanted}, has {len(inputs)} ({', '.join(inputs)}){hint}"


def _unread(scope: Scope) -> Iterator[WiringError]:
    """Errors of layers whose output nothing reads: their weights would never learn."""
    read = set[str]().union(*(scope.reads(index) for index in range(len(scope.layers))))
    for index, name in enumerate(scope.names[:-1]):
        if name not in read:
            reason = "no layer reads it; name it in the inputs of a layer below, or remove it"
            yield WiringError(scope.place(index), "inputs", f"{scope.title(index)}: {reason}")
    if scope.around and not scope.is_residual and INPUT not in read:
        reason = f"none of its layers reads '{INPUT}', the input of the block"
        yield WiringError(scope.path, "layers", f"layer {'.'.join(scope.around)}: {reason}")

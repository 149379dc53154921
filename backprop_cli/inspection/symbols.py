"""The variables of a chain rule: which values of a network have a symbol, and how they depend on each other.

A textbook's ``z1 = x W^T + b`` is several ops. A value has no symbol of its own if its one reader only transposes it,
reshapes it or adds to it. The loss is one step, ``L``. The structure of a factor is that of the product of all ops
along a path, summed over the paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from backprop_cli.accumulation.local_jacobian import LocalJacobian, added, composed
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff import Array, Value, toposort
from backprop_cli.inspection.formula import written
from backprop_cli.inspection.traced_example import TracedExample

_ORDERS = ("identity", "permutation")


@dataclass(eq=False)
class Symbols:
    """Symbols of a traced network.

    ``variables``: computed values with a symbol, operands first, the loss last. ``readers``: the variables that read a
    value. ``factors``: the structure of each variable's derivative by each value that it reads.
    """

    traced: TracedExample
    variables: list[Value] = field(default_factory=list)
    symbols: dict[Value, str] = field(default_factory=dict)
    readers: dict[Value, list[Value]] = field(default_factory=dict)
    factors: dict[tuple[Value, Value], LocalJacobian] = field(default_factory=dict)

    def __post_init__(self) -> None:
        traced = self.traced
        network = [node for node in toposort([traced.outputs]) if node.op is not None]
        active = _active(network, [traced.inputs, *traced.params.values()])
        nodes = [node for node in network if node in active]
        users: dict[Value, list[Value]] = {}
        for node in nodes:
            for operand in dict.fromkeys(node.inputs):
                users.setdefault(operand, []).append(node)
        self.variables = [n for n in nodes if n is traced.outputs or not _is_inlined(n, users)]
        self._name()
        for variable in self.variables:
            self._depend(variable, variable, None)
        self.variables.append(traced.loss)
        self.symbols[traced.loss] = "L"
        self.readers.setdefault(traced.outputs, []).append(traced.loss)

    def _name(self) -> None:
        traced = self.traced
        self.symbols |= {traced.inputs: "x", traced.targets: "y"}
        given = {**traced.params, **traced.buffers}
        # A layer has a number if it has a variable or a parameter. Dense on a sequence can lack a variable: if its one
        # reader adds something to it.
        read = _layers_reading(given.values(), traced)
        owned: dict[str | None, dict[str, Value]] = {}
        for name, value in given.items():
            for layer in read.get(value, ()):
                owned.setdefault(layer, {})[name.removeprefix(f"{layer}.")] = value
        within: dict[str | None, list[Value]] = {}
        for value in self.variables:
            within.setdefault(value.layer, []).append(value)
        named = {*self.variables, *(node for node in traced.names if not read.keys().isdisjoint(node.inputs))}
        for number, layer in enumerate(dict.fromkeys(value.layer for value in traced.names if value in named), 1):
            own = owned.get(layer, {})
            letters = {name: name[0].upper() if value.ndim > 1 else name[0] for name, value in own.items()}
            for name, value in own.items():
                clear = list(letters.values()).count(letters[name]) == 1
                self.symbols[value] = f"{letters[name]}{number}" if clear else f"{name}{number}"
            here = within.get(layer, [])
            for place, value in enumerate(here):
                more = f"_{place + 1}" if place < len(here) - 1 and len(here) > 2 else ""
                is_last = place == len(here) - 1 and (len(here) > 1 or not own)
                self.symbols[value] = f"a{number}" if is_last else f"z{number}{more}"

    def _depend(self, variable: Value, node: Value, path: LocalJacobian | None) -> None:
        """Find the factors of a variable, through values without a symbol."""
        assert node.op is not None
        for operand, local in zip(node.inputs, local_jacobians(node.op, node.inputs, node), strict=True):
            if local is None or operand.is_constant:
                continue
            found = local if path is None else composed(path, local)
            if found.nonzeros == 0:
                continue
            if operand not in self.symbols:
                if operand.op is not None:
                    self._depend(variable, operand, found)
            elif (variable, operand) in self.factors:
                self.factors[variable, operand] = added(self.factors[variable, operand], found)
            else:
                self.factors[variable, operand] = found
                self.readers.setdefault(operand, []).append(variable)

    @cached_property
    def operands(self) -> dict[Value, list[Value]]:
        """The values with a symbol that each variable reads."""
        found: dict[Value, list[Value]] = {}
        for of, by in self.factors:
            found.setdefault(of, []).append(by)
        return found

    @cached_property
    def reaching(self) -> dict[Value, Array]:
        """Masks of the elements that the loss depends on: a slice or a stride leaves some out."""
        found = {variable: np.zeros(variable.size, bool) for variable in self.variables}
        found[self.traced.outputs][...] = True
        for variable in reversed(self.variables[:-1]):
            for by in self.operands.get(variable, ()):
                if by in found:
                    reads = self.factors[variable, by].reads[found[variable]]
                    found[by][reads[reads >= 0]] = True
        return found

    def expression(self, variable: Value) -> str:
        """The formula of a variable."""
        if variable is self.traced.loss:
            return f"{self.traced.loss_name}({self.symbols[self.traced.outputs]}, y)"
        return self._text(variable, top=True)

    def _text(self, value: Value, top: bool = False) -> str:
        if value in self.symbols and not top:
            return self.symbols[value]
        if value.array is not None:
            return f"{value.array.item():g}" if value.size == 1 else "constant"
        if value.op is None:
            return str(value.name)
        return written(value.op, *(self._text(operand) for operand in value.inputs))

    def readers_before_loss(self, value: Value) -> list[Value]:
        """The readers of a value that the loss depends on."""
        return [v for v in self.readers.get(value, ()) if v is self.traced.loss or self.reaching[v].any()]


def _active(nodes: Sequence[Value], sources: Sequence[Value]) -> set[Value]:
    found = set(sources)
    for node in nodes:
        if any(operand in found for operand in node.inputs):
            found.add(node)
    return found


def _layers_reading(given: Iterable[Value], traced: TracedExample) -> dict[Value, dict[str | None, None]]:
    """The layers that read each of the given values. Values without a reader are left out."""
    known = set(given)
    found: dict[Value, dict[str | None, None]] = {}
    for node in traced.names:
        for x in node.inputs:
            if x in known:
                found.setdefault(x, {})[node.layer] = None
    return found


def _is_inlined(node: Value, users: Mapping[Value, Sequence[Value]]) -> bool:
    """Whether a node is only a step to its one reader: it reorders a variable, or the reader reorders it.

    If a layer transposes or reshapes its result, the last order has the symbol: the operand of the activation is the
    pre-activation in its final layout.
    """
    if len(users.get(node, ())) != 1:
        return False
    (reader,) = users[node]
    if reader.layer == node.layer and _only_orders(reader, node):
        return True
    return _ordered_of(node) is not None and not _has_inlined(node, users)


def _has_inlined(node: Value, users: Mapping[Value, Sequence[Value]]) -> bool:
    """Whether a node is the last of several orders of one result of its layer."""
    operand = _ordered_of(node) if len(node.inputs) == 1 else None
    while operand is not None and operand.op is not None and operand.layer == node.layer and len(users[operand]) == 1:
        before = _ordered_of(operand)
        if before is None:
            return True
        operand = before
    return False


def _ordered_of(node: Value) -> Value | None:
    """The operand that a node only reorders; None if it does more."""
    operands = [x for x in node.inputs if not x.is_constant]
    return operands[0] if len(operands) == 1 and _only_orders(node, operands[0]) else None


def _only_orders(node: Value, operand: Value) -> bool:
    assert node.op is not None
    structures = local_jacobians(node.op, node.inputs, node)
    found = [s for s, x in zip(structures, node.inputs, strict=True) if x is operand and s is not None]
    return len(found) == 1 and found[0].kind in _ORDERS

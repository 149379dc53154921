"""The chain rule of a network as a textbook writes it: variables, and each derivative of the loss as products.

What a textbook calls ``z1 = x W^T + b`` is several ops. An op whose result is only turned, reshaped or added to by its
one reader has no name of its own, and the loss is one step: ``L``. The structure of a factor is that of the product of
all ops on the way, added up over the ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from backprop_cli.accumulation.jacobians import Accumulation
from backprop_cli.accumulation.local_jacobian import Local, added, composed
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff import Array, Value, constant, evaluate, gradients, input_, scope, toposort
from backprop_cli.inspection.formula import written
from backprop_cli.training.step_program import Recipe

LOSS = "loss"
_ORDERS = ("identity", "permutation")
_FEW = 8
"""Variables up to which a derivative is written as one product all the way from the loss."""
_MOST_FACTORS = 40
"""Factors of a product up to which its brackets are written down."""


@dataclass(frozen=True, eq=False)
class Traced:
    """A network and its loss on one example, in float64. ``names``: every value that is no constant, operands first.

    ``params`` are trained, ``buffers`` are not.
    """

    inputs: Value
    targets: Value
    params: Mapping[str, Value]
    buffers: Mapping[str, Value]
    outputs: Value
    loss: Value
    loss_name: str
    names: Mapping[Value, str]

    @property
    def sources(self) -> list[Value]:
        """What outputs are differentiated by: the example; for tokens, which have no derivative, what is looked up."""
        if self.inputs.spec.is_inexact:
            return [self.inputs]
        return [value for value in self.names if self.inputs in value.inputs]


def trace(recipe: Recipe) -> Traced:
    """The network as it predicts: nothing is dropped, nothing regularized."""
    model = replace(recipe.model, dtype=np.dtype(np.float64))
    recipe = replace(recipe, model=model)
    x = input_("input", (1, *model.input_shape), model.input_dtype)
    targets = input_("targets", recipe.target_shape(1), recipe.target_dtype)
    params = {name: input_(name, param.shape) for name, param in model.params.items()}
    buffers = {name: input_(name, array.shape) for name, array in model.buffers.items()}
    outputs = model.apply({**params, **buffers}, x, None)
    weights = None if recipe.class_weights is None else constant(recipe.class_weights, model.dtype)
    with scope(LOSS):
        loss = recipe.loss.apply(outputs, targets, weights)
    return Traced(x, targets, params, buffers, outputs, loss, recipe.loss.type, _names(loss))


def _names(loss: Value) -> dict[Value, str]:
    """``dense_1.matmul``; the second of its kind is ``dense_1.matmul_2``."""
    found: dict[Value, str] = {}
    counts: dict[str, int] = {}
    for value in toposort([loss]):
        if value.is_constant:
            continue
        name = f"{value.layer}.{value.op.kind}" if value.op is not None else str(value.name)
        counts[name] = counts.get(name, 0) + 1
        found[value] = name if counts[name] == 1 else f"{name}_{counts[name]}"
    return found


@dataclass(frozen=True)
class Variable:
    """A named value: its symbol, what it is computed as, its shape, and the layer or parameter it is."""

    symbol: str
    expression: str
    shape: tuple[int, ...]
    of: str

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {"symbol": self.symbol, "expression": self.expression, "shape": list(self.shape), "of": self.of}


@dataclass(frozen=True)
class Factor:
    """``d of / d by``: a matrix of this shape, or where it has a line of its own a derivative of the loss.

    ``nonzeros`` counts its entries that can differ from 0.
    """

    of: str
    by: str
    shape: tuple[int, int]
    structure: str
    nonzeros: int

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {**vars(self), "shape": list(self.shape)}


@dataclass(frozen=True)
class Derivative:
    """``dL / d by`` as a sum of products."""

    by: str
    terms: tuple[tuple[Factor, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {"by": self.by, "terms": [[factor.to_json() for factor in term] for term in self.terms]}


@dataclass(frozen=True)
class ChainRule:
    """Variables in the order of evaluation; derivatives from the loss back; outputs by inputs in the best order."""

    variables: Sequence[Variable]
    parameters: Sequence[Variable]
    derivatives: Sequence[Derivative]
    bracketing: str | None

    def to_json(self) -> dict[str, Any]:
        """As ``bp explain --json`` prints it."""
        return {
            "variables": [variable.to_json() for variable in self.variables],
            "parameters": [parameter.to_json() for parameter in self.parameters],
            "derivatives": [derivative.to_json() for derivative in self.derivatives],
            "bracketing": self.bracketing,
        }


def chain_rule(traced: Traced, found: Accumulation) -> ChainRule:
    """Name the variables of a network and write down the derivative of the loss by each parameter."""
    rule = Named(traced)
    variables = [
        Variable(rule.symbols[value], rule.expression(value), value.shape, value.layer or "")
        for value in rule.variables
    ]
    parameters = [Variable(rule.symbols[value], "", value.shape, name) for name, value in traced.params.items()]
    return ChainRule(variables, parameters, list(rule.derivatives()), _bracketing(found, rule.symbols))


@dataclass(eq=False)
class Named:
    """Which values of a traced network have a symbol, and how they depend on each other."""

    traced: Traced
    variables: list[Value] = field(default_factory=list)
    symbols: dict[Value, str] = field(default_factory=dict)
    readers: dict[Value, list[Value]] = field(default_factory=dict)
    factors: dict[tuple[Value, Value], Local] = field(default_factory=dict)

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
        # A layer has a number if it has a variable or a parameter: on a sequence dense has no variable of its own where
        # its one reader adds something to it.
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

    def _depend(self, variable: Value, node: Value, path: Local | None) -> None:
        """Find what the variable is computed from, through values without a symbol."""
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
    def _operands(self) -> dict[Value, list[Value]]:
        """What each variable is computed from."""
        found: dict[Value, list[Value]] = {}
        for of, by in self.factors:
            found.setdefault(of, []).append(by)
        return found

    @cached_property
    def _reaching(self) -> dict[Value, Array]:
        """Which elements of each variable the loss depends on: not what a slice or a stride leaves out."""
        found = {variable: np.zeros(variable.size, bool) for variable in self.variables}
        found[self.traced.outputs][...] = True
        for variable in reversed(self.variables[:-1]):
            for by in self._operands.get(variable, ()):
                if by in found:
                    reads = self.factors[variable, by].reads[found[variable]]
                    found[by][reads[reads >= 0]] = True
        return found

    def expression(self, variable: Value) -> str:
        """What the variable is computed as."""
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

    def derivatives(self) -> Iterator[Derivative]:
        """From the loss back: of variables that more than one reads, and of parameters.

        Where there are many variables, also of each layer's output, so that no product gets long.
        """
        lined = {value for value in self.variables if len(self._readers_on_the_way(value)) > 1}
        if len(self.variables) > _FEW:
            last = {value.layer: value for value in self.variables}
            lined |= set(last.values())
        lined -= {self.traced.loss, self.traced.outputs}
        params = set(self.traced.params.values())
        for variable in reversed(self.variables):
            if variable in lined:
                yield self._derivative(variable, lined)
            operands = [p for p in self._operands.get(variable, ()) if p in params]
            yield from (self._derivative(p, lined) for p in operands if self.readers[p][-1] is variable)

    def _derivative(self, by: Value, lined: set[Value]) -> Derivative:
        return Derivative(
            self.symbols[by],
            tuple(
                (*self._from_loss(reader, lined), self._factor(reader, by)) for reader in self._readers_on_the_way(by)
            ),
        )

    def _readers_on_the_way(self, value: Value) -> list[Value]:
        """The readers of a value that the loss depends on."""
        return [v for v in self.readers.get(value, ()) if v is self.traced.loss or self._reaching[v].any()]

    def _from_loss(self, value: Value, lined: set[Value]) -> tuple[Factor, ...]:
        factors: list[Factor] = []
        while value is not self.traced.loss and value not in lined:
            (reader,) = self._readers_on_the_way(value)
            factors.append(self._factor(reader, value))
            value = reader
        if value in lined:
            factors.append(self._factor(self.traced.loss, value))
        return tuple(reversed(factors))

    def _factor(self, of: Value, by: Value) -> Factor:
        local = self._of_loss(by) if of is self.traced.loss else self.factors[of, by]
        kind = "dense" if of is self.traced.loss and local.nonzeros == by.size else local.kind
        return Factor(self.symbols[of], self.symbols[by], (of.size, by.size), kind, local.nonzeros)

    def _of_loss(self, by: Value) -> Local:
        return Local(np.flatnonzero(self._reaching[by])[None], False, by.size)


def _active(nodes: Sequence[Value], sources: Sequence[Value]) -> set[Value]:
    found = set(sources)
    for node in nodes:
        if any(operand in found for operand in node.inputs):
            found.add(node)
    return found


def _layers_reading(given: Iterable[Value], traced: Traced) -> dict[Value, dict[str | None, None]]:
    """The layers whose ops read each of the values that are given; not those that no op reads."""
    known = set(given)
    found: dict[Value, dict[str | None, None]] = {}
    for node in traced.names:
        for x in node.inputs:
            if x in known:
                found.setdefault(x, {})[node.layer] = None
    return found


def _is_inlined(node: Value, users: Mapping[Value, Sequence[Value]]) -> bool:
    """Whether it is a step on the way to its one reader: another order of a variable, or what the reader orders anew.

    Of a result that is turned or reshaped within its layer the last order has the name: a pre-activation, turned back
    from the layout in which it is computed, is the operand of the activation.
    """
    if len(users.get(node, ())) != 1:
        return False
    (reader,) = users[node]
    if reader.layer == node.layer and _only_orders(reader, node):
        return True
    return _ordered_of(node) is not None and not _has_inlined(node, users)


def _has_inlined(node: Value, users: Mapping[Value, Sequence[Value]]) -> bool:
    """Whether it stands for a result of its layer, which it has in another order."""
    operand = _ordered_of(node) if len(node.inputs) == 1 else None
    while operand is not None and operand.op is not None and operand.layer == node.layer and len(users[operand]) == 1:
        before = _ordered_of(operand)
        if before is None:
            return True
        operand = before
    return False


def _ordered_of(node: Value) -> Value | None:
    """The operand that it only has in another order; None where there is more to it."""
    operands = [x for x in node.inputs if not x.is_constant]
    return operands[0] if len(operands) == 1 and _only_orders(node, operands[0]) else None


def _only_orders(node: Value, operand: Value) -> bool:
    assert node.op is not None
    structures = local_jacobians(node.op, node.inputs, node)
    found = [s for s, x in zip(structures, node.inputs, strict=True) if x is operand and s is not None]
    return len(found) == 1 and found[0].kind in _ORDERS


def _bracketing(found: Accumulation, symbols: Mapping[Value, str]) -> str | None:
    """The product of a chain of Jacobians in the order found: ``dz2/da1 (da1/dz1 dz1/dx)``.

    None for a graph, and for a product of too many factors to be read.
    """
    graph = found.graph
    if len(found.best.order) >= _MOST_FACTORS:
        return None
    left = [*graph.inputs.values(), *sorted(found.best.order), *graph.results.values()]
    values = [graph.values[vertex] for vertex in left]
    if any(value not in symbols for value in values) or len(set(values)) != len(values):
        return None
    operands: dict[int, list[int]] = {}
    for i, j in graph.locals:
        operands.setdefault(j, []).append(i)
    before = {k: _before(operands, k, set(left)) for k in left}
    if any(len(sources) > 1 for sources in before.values()):
        return None
    label = {(i, k): f"d{symbols[graph.values[k]]}/d{symbols[graph.values[i]]}" for k in left for i in before[k]}
    for vertex in found.best.order:
        ((i, _),) = [edge for edge in label if edge[1] == vertex]
        ((_, k),) = [edge for edge in label if edge[0] == vertex]
        label[i, k] = f"({label.pop((vertex, k))} · {label.pop((i, vertex))})"
    (product,) = label.values()
    return product.removeprefix("(").removesuffix(")") if found.best.order else product


def _before(operands: Mapping[int, Sequence[int]], vertex: int, named: set[int]) -> set[int]:
    """What a vertex is computed from, through those that only change the order of elements."""
    sources: set[int] = set()
    for i in operands.get(vertex, ()):
        sources |= {i} if i in named else _before(operands, i, named)
    return sources


def walk(traced: Traced, feed: Mapping[Value, Array]) -> dict[str, Any]:
    """Every variable forward, and the derivative of the loss by each and by every parameter, back."""
    rule = Named(traced)
    given = [traced.inputs, traced.targets]
    forward = dict(zip(rule.variables, evaluate(rule.variables, feed), strict=True))
    wrt = [*reversed(rule.variables[:-1]), *traced.params.values()]
    backward = dict(zip(wrt, evaluate(gradients(traced.loss, wrt), feed), strict=True))
    shown = {value: feed[value] for value in given + list(traced.params.values())} | forward
    return {
        "forward": [{"symbol": rule.symbols[value], "value": array.tolist()} for value, array in shown.items()],
        "backward": [{"symbol": f"dL/d{rule.symbols[value]}", "value": a.tolist()} for value, a in backward.items()],
    }

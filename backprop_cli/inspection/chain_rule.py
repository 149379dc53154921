"""The chain rule of a network as a textbook writes it: variables, and each derivative of the loss as products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from backprop_cli.accumulation.jacobians import Accumulation
from backprop_cli.accumulation.local_jacobian import LocalJacobian
from backprop_cli.autodiff import Value
from backprop_cli.inspection.jacobian_product import bracketed_product
from backprop_cli.inspection.symbols import Symbols
from backprop_cli.json_object import JsonObject

_FEW = 8
"""Most variables for which a derivative is one product all the way from the loss."""


class Variable(JsonObject):
    """A named value."""

    symbol: str
    """Its symbol, such as ``z1``."""
    expression: str
    """Its formula; empty for a parameter."""
    shape: tuple[int, ...]
    """Its shape for a batch of one example."""
    of: str
    """The layer or parameter that it belongs to."""


class Factor(JsonObject):
    """``d of / d by`` as a matrix."""

    of: str
    """Symbol of the value that is differentiated."""
    by: str
    """Symbol of the value that it is differentiated by."""
    shape: tuple[int, int]
    """Rows and columns of the matrix: elements of both."""
    structure: str
    """Its structure, as in a local Jacobian."""
    nonzeros: int
    """Number of entries that can differ from 0."""


class Derivative(JsonObject):
    """``dL / d by`` as a sum of products."""

    by: str
    """Symbol of the value that the loss is differentiated by."""
    terms: tuple[tuple[Factor, ...], ...]
    """The products that are added; each is a list of factors, from the loss on."""


class ChainRule(JsonObject):
    """The chain rule of a network as a textbook writes it."""

    variables: Sequence[Variable]
    """Variables in the order of evaluation."""
    parameters: Sequence[Variable]
    """The parameters."""
    derivatives: Sequence[Derivative]
    """Derivatives of the loss, from the loss back."""
    bracketing: str | None
    """The Jacobian of outputs by inputs as a product in the best order; null unless it is a short chain."""


def chain_rule(names: Symbols, accumulation: Accumulation) -> ChainRule:
    """Write down the variables, and the derivative of the loss by each parameter."""
    symbols, traced = names.symbols, names.traced
    variables = [
        Variable(symbols[value], names.expression(value), value.shape, value.layer or "") for value in names.variables
    ]
    parameters = [Variable(symbols[value], "", value.shape, name) for name, value in traced.params.items()]
    derivatives = list(derivatives_of_loss(names))
    return ChainRule(variables, parameters, derivatives, bracketed_product(accumulation, symbols))


def derivatives_of_loss(names: Symbols) -> Iterator[Derivative]:
    """Derivatives of the loss, from the loss back: by variables with several readers, and by parameters.

    A long network also has one by each layer's output, so that no product gets long.
    """
    lined = {value for value in names.variables if len(names.readers_before_loss(value)) > 1}
    if len(names.variables) > _FEW:
        last = {value.layer: value for value in names.variables}
        lined |= set(last.values())
    lined -= {names.traced.loss, names.traced.outputs}
    params = set(names.traced.params.values())
    for variable in reversed(names.variables):
        if variable in lined:
            yield _derivative(names, variable, lined)
        operands = [p for p in names.operands.get(variable, ()) if p in params]
        yield from (_derivative(names, p, lined) for p in operands if names.readers[p][-1] is variable)


def _derivative(names: Symbols, by: Value, lined: set[Value]) -> Derivative:
    """``lined``: variables whose derivative has a line of its own."""
    readers = names.readers_before_loss(by)
    terms = ((*_from_loss(names, reader, lined), _factor(names, reader, by)) for reader in readers)
    return Derivative(names.symbols[by], tuple(terms))


def _from_loss(names: Symbols, value: Value, lined: set[Value]) -> tuple[Factor, ...]:
    """The factors from the loss, or from a variable with a line of its own, to ``value``."""
    factors: list[Factor] = []
    while value is not names.traced.loss and value not in lined:
        (reader,) = names.readers_before_loss(value)
        factors.append(_factor(names, reader, value))
        value = reader
    if value in lined:
        factors.append(_factor(names, names.traced.loss, value))
    return tuple(reversed(factors))


def _factor(names: Symbols, of: Value, by: Value) -> Factor:
    is_loss = of is names.traced.loss
    local = (
        LocalJacobian(np.flatnonzero(names.reaching[by])[None], False, by.size) if is_loss else names.factors[of, by]
    )
    kind = "dense" if is_loss and local.nonzeros == by.size else local.kind
    return Factor(names.symbols[of], names.symbols[by], (of.size, by.size), kind, local.nonzeros)

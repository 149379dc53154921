"""Sums of many terms: those that one op can compute together.

An array that a loop reads at n steps has a gradient of n terms: n products, each added to the sum before it. One
product of n times as many rows takes a fraction of the time. Its operands are concatenations, in which the steps
compute their rows in place (rule 2 of ``plan``), so nothing is copied.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from backprop_cli.autodiff.ops.arithmetic import Add
from backprop_cli.autodiff.ops.pieces import Concat, Pad, Slice
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.identities import summand, summed


def find_sums(order: Sequence[Value], users: Mapping[Value, int]) -> dict[Value, list[Value]]:
    """The terms of every sum, by its last addition. A sum is a tree of additions of one spec without other readers.

    If the terms read pieces of one array, they are in the order of these pieces: ``merged`` may then join the pieces to
    the array itself.
    """
    inner = {
        operand
        for node in order
        if isinstance(node.op, Add)
        for operand in node.inputs
        if isinstance(operand.op, Add) and operand.spec == node.spec and users[operand] == 1
    }
    sums = {node: _terms(node, inner) for node in order if isinstance(node.op, Add) and node not in inner}
    places = _places(order, sums)
    return {node: _in_order(terms, places) for node, terms in sums.items()}


def _terms(total: Value, inner: set[Value]) -> list[Value]:
    terms: list[Value] = []
    stack = list(reversed(total.inputs))
    while stack:
        value = stack.pop()
        if value in inner:
            stack.extend(reversed(value.inputs))
        else:
            terms.append(value)
    return terms


Places = Mapping[Value, Mapping[Value, int]]
"""The places of a value in concatenations, and in sums of padded pieces."""


def _places(order: Iterable[Value], sums: Mapping[Value, Sequence[Value]]) -> Places:
    places: dict[Value, dict[Value, int]] = defaultdict(dict)
    for node in order:
        if isinstance(node.op, Concat):
            for number, operand in enumerate(node.inputs):
                places[operand][node] = number
    for total, terms in sums.items():
        for term in terms:
            if isinstance(term.op, Pad):
                places[term.inputs[0]][total] = term.op.before
    return places


def _in_order(terms: list[Value], places: Places) -> list[Value]:
    found = [_places_read(term, places) for term in terms]
    most = Counter(whole for place in found for whole in place).most_common(1)
    if not most:
        return terms
    ((whole, _),) = most
    ranked = sorted(zip(found, terms, strict=True), key=lambda pair: pair[0].get(whole, len(terms)))
    return [term for _, term in ranked]


def _places_read(term: Value, places: Places) -> dict[Value, int]:
    """The places of a term's operands, seen through one view each; the last operand has priority."""
    found: dict[Value, int] = {}
    for operand in reversed(term.inputs):
        is_view = operand.op is not None and operand.op.is_view
        found = {**places.get(operand.inputs[0] if is_view else operand, {}), **found}
    return found


class Joined:
    """The concatenations of a program: values that lie side by side already."""

    def __init__(self) -> None:
        self._places: dict[Value, list[tuple[Value, int]]] = defaultdict(list)

    def enter(self, node: Value) -> None:
        """Note the places of the operands of a concatenation."""
        if isinstance(node.op, Concat):
            for number, operand in enumerate(node.inputs):
                self._places[operand].append((node, number))

    def part(self, node: Value) -> Value | None:
        """A concatenation as a slice of a longer one; None if ``node`` is another op or no slice."""
        if not isinstance(node.op, Concat):
            return None
        for whole, first in self._starts(node):
            parts = whole.inputs[first : first + len(node.inputs)]
            if whole.op == node.op and list(map(id, parts)) == list(map(id, node.inputs)):
                start = sum(x.shape[node.op.axis] for x in whole.inputs[:first])
                return Slice(node.op.axis, start, start + node.shape[node.op.axis])(whole)
        return None

    def _starts(self, node: Value) -> Iterator[tuple[Value, int]]:
        """Places of the first operand that the place of any operand implies."""
        starts = (
            (whole, place - number)
            for number, operand in enumerate(node.inputs)
            for whole, place in self._places.get(operand, ())
            if place >= number
        )
        return iter(dict.fromkeys(starts))


def merged(terms: Iterable[Value]) -> list[Value]:
    """Terms of the same sum, fewer if one op computes several; it stands at the place of the first of them.

    Only within a layer: joining terms of several layers would keep their operands alive from the first layer to the
    last.
    """
    groups: dict[object, list[Value]] = {}
    for number, term in enumerate(terms):
        common = None if term.op is None else summand(term.op, *term.inputs)
        groups.setdefault(number if common is None else (term.spec, type(term.op), term.layer, common), []).append(term)
    return [value for group in groups.values() for value in _summed(group)]


def _summed(group: Sequence[Value]) -> Sequence[Value]:
    op = group[0].op
    total = None if len(group) == 1 or op is None else summed(op, *group)
    return group if total is None else [total]

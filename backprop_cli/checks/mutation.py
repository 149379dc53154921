"""Broken derivative rules: a copy of an op with one mistake in the program that one of its rules traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from backprop_cli.autodiff import OPS, Op, Value, broadcast_to, concat, reshape, slice_, toposort, transpose
from backprop_cli.autodiff.families import zeros_like
from backprop_cli.structs import Struct

RULES = ("partials", "vjp", "jvp")
"""Rules that are broken: partial derivatives, which both modes share, the reverse rule, the forward rule."""

Derivative = Value | float | None


class Mutation(Struct):
    """A mistake: ``operator`` on node number ``site`` of ``rule``, or on its result number ``-1 - site``."""

    rule: str
    site: int
    operator: str
    at: str

    def __str__(self) -> str:
        where = f"node {self.site}" if self.site >= 0 else f"result {-1 - self.site}"
        return f"{self.rule}, {where} ({self.at}): {self.operator}"


def mutations(op: Op, primals: Sequence[Value], out: Value) -> Iterator[Mutation]:
    """Every mistake that can be made in the rules of ``out = op(primals)``."""
    for rule in RULES:
        if not hasattr(op, rule):
            continue
        parts, known = _traced(op, rule, primals, out)
        nodes = _nodes(parts, known)
        for site, node in enumerate(nodes):
            for name, operator in OPERATORS.items():
                if operator(node) is not None:
                    yield Mutation(rule, site, name, _kind(node))
        for number, part in enumerate(parts):
            if part is not None:
                whole = DROPPED if any(part is node for node in nodes) else ON_RESULTS
                yield from (Mutation(rule, -1 - number, name, "result") for name in whole if _on_result(name, part))


def mutated(op: Op, mutation: Mutation) -> Op:
    """The op with the mistake in its rule, applied wherever the rule traces a program of the same form."""
    cls = type(op)

    def broken(self: Any, primals: Sequence[Value], out: Value, other: Sequence[Any]) -> list[Derivative]:
        parts, known = _traced(op, mutation.rule, primals, out, other)
        return _with_mistake(parts, _nodes(parts, known), mutation)

    def partials(self: Any, *primals: Value, out: Value) -> tuple[Derivative, ...]:
        return tuple(broken(self, primals, out, ()))

    def vjp(self: Any, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Derivative, ...]:
        return tuple(broken(self, primals, out, (cotangent,)))

    def jvp(self: Any, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Derivative:
        return broken(self, primals, out, tangents)[0]

    methods: Mapping[str, Callable[..., Any]] = {"partials": partials, "vjp": vjp, "jvp": jvp}
    kind = type(cls.__name__, (cls,), {mutation.rule: methods[mutation.rule]})
    wrong: Op = kind(**vars(op))
    return wrong


def _traced(
    op: Any, rule: str, primals: Sequence[Value], out: Value, other: Sequence[Any] = ()
) -> tuple[list[Derivative], set[Value]]:
    """A rule's results and its arguments; ``other``: the cotangent or the tangents (default: new inputs)."""
    if rule == "partials":
        return list(op.partials(*primals, out=out)), {*primals, out}
    if rule == "vjp":
        (cotangent,) = other or (_like(out),)
        return list(op.vjp(primals, out, cotangent)), {*primals, out, cotangent}
    tangents = other or [_like(x) if x.spec.is_inexact else None for x in primals]
    return [op.jvp(primals, tangents, out)], {*primals, out, *(t for t in tangents if t is not None)}


def _like(x: Value) -> Value:
    return Value(x.spec, name="direction")


def _nodes(parts: Sequence[Derivative], known: set[Value]) -> list[Value]:
    """The nodes that a rule makes, in order of creation."""
    results = [part for part in parts if isinstance(part, Value) and part not in known]
    return [node for node in toposort(results, known=known) if node.op is not None and node.spec.is_inexact]


def _kind(node: Value) -> str:
    assert node.op is not None
    return node.op.kind


def _with_mistake(parts: list[Derivative], nodes: list[Value], mutation: Mutation) -> list[Derivative]:
    if mutation.site < 0:
        number = -1 - mutation.site
        given = parts[number] if number < len(parts) else None
        wrong = None if given is None else _on_result(mutation.operator, given)
        return parts if wrong is None else [*parts[:number], wrong[0], *parts[number + 1 :]]
    if mutation.site >= len(nodes) or _kind(nodes[mutation.site]) != mutation.at:
        return parts
    replaced = OPERATORS[mutation.operator](nodes[mutation.site])
    if replaced is None:
        return parts
    new = {nodes[mutation.site]: replaced}
    for node in nodes[mutation.site + 1 :]:
        if node.op is not None and any(operand in new for operand in node.inputs):
            new[node] = node.op(*(new.get(operand, operand) for operand in node.inputs))
    return [new.get(part, part) if isinstance(part, Value) else part for part in parts]


def _on_result(name: str, part: Value | float) -> tuple[Derivative] | None:
    """The wrong result, in a tuple because it may be None; None if the mistake is impossible here."""
    if isinstance(part, Value):
        if not part.spec.is_inexact:  # an integer mask: its products with derivatives are broken instead
            return None
        wrong = zeros_like(part) if name in DROPPED else OPERATORS[name](part)
        return None if wrong is None else (wrong,)
    numbers: dict[str, Derivative] = {"factor 1.001": 1.001 * part, "sign": -part, "dropped": None}
    return (numbers[name],) if name in numbers else None


def _without_term(kept: int) -> Callable[[Value], Value | None]:
    def operator(node: Value) -> Value | None:
        if not isinstance(node.op, OPS["add"] | OPS["subtract"]):
            return None
        term = node.inputs[kept]
        negative = kept == 1 and isinstance(node.op, OPS["subtract"])
        return broadcast_to(-term if negative else term, node.shape)

    return operator


def _turned(x: Value) -> Value | None:
    """The matrices transposed, if they are square."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or not x.spec.is_inexact:
        return None
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _operand_turned(number: int) -> Callable[[Value], Value | None]:
    def operator(node: Value) -> Value | None:
        if node.op is None or number >= len(node.inputs):
            return None
        turned = _turned(node.inputs[number])
        return None if turned is None else node.op(*node.inputs[:number], turned, *node.inputs[number + 1 :])

    return operator


def _without_sum(node: Value) -> Value | None:
    """The first summand in place of the sum."""
    if not isinstance(node.op, OPS["sum"]) or not node.inputs[0].size:
        return None
    (first,) = node.inputs
    for axis in node.op.axes:
        first = slice_(first, axis, 0, 1)
    return reshape(first, node.shape)


def _rolled(axis: int) -> Callable[[Value], Value | None]:
    """Every element in the place of its neighbour."""

    def operator(x: Value) -> Value | None:
        if x.ndim < (1 if axis else 2) or x.shape[axis] < 2:
            return None
        along = axis % x.ndim
        return concat([slice_(x, along, 1, x.shape[along]), slice_(x, along, 0, 1)], along)

    return operator


def _shifted(node: Value) -> Value | None:
    """A slice or a padded piece, moved by one element; backwards at the end."""
    op = node.op
    if isinstance(op, OPS["slice"]):
        room = op.stop < node.inputs[0].shape[op.axis]
        by = 1 if room else -1
        return OPS["slice"](op.axis, op.start + by, op.stop + by)(*node.inputs) if room or op.start > 0 else None
    if isinstance(op, OPS["pad"]):
        by = 1 if op.after else -1
        return OPS["pad"](op.axis, op.before + by, op.after - by)(*node.inputs) if op.after or op.before else None
    return None


OPERATORS: Mapping[str, Callable[[Value], Value | None]] = {
    "factor 1.001": lambda x: x * 1.001,
    "sign": lambda x: -x,
    "second term dropped": _without_term(0),
    "first term dropped": _without_term(1),
    "transposed": _turned,
    "operand 0 transposed": _operand_turned(0),
    "operand 1 transposed": _operand_turned(1),
    "broadcast sum missing": _without_sum,
    "index off by one": _shifted,
    "rows off by one": _rolled(0),
    "columns off by one": _rolled(-1),
}
"""Mistakes in a value of a rule; None if the mistake is impossible there."""

DROPPED = ("dropped",)
ON_RESULTS = (*OPERATORS, *DROPPED)
"""Mistakes in a rule's result; ``dropped``: a derivative of 0."""

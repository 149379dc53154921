"""``bp explain`` as text: the chain rule factor by factor, the table of local Jacobians, costs, memory."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backprop_cli.errors import plural
from backprop_cli.number_text import size
from backprop_cli.report.tables import pairs, table

if TYPE_CHECKING:
    from backprop_cli.api.explain import Explanation
    from backprop_cli.inspection.chain_rule import ChainRule, Derivative
    from backprop_cli.inspection.derivative_costs import MemoryCosts
    from backprop_cli.inspection.operations import Operation
    from backprop_cli.inspection.walkthrough import Walkthrough

_MOST_ROWS = 120
"""Most local Jacobians that are printed; ``--json`` has all."""
_NARROWEST = 24
"""Minimum width of the expression column."""
_MOST_NAMES = 40
"""Most names of an elimination order that are printed."""
_MOST_ELEMENTS = 48
"""Larger arrays are abridged."""


def explain_text(result: Explanation, width: int) -> str:
    """All parts, in lines of at most ``width`` columns if the tables allow it."""
    parts = [
        _variables(result.chain_rule, width),
        _derivatives(result.chain_rule, width),
        *([_numbers(result.numbers, width)] if result.numbers is not None else []),
        _operations(result.nodes, width),
        _costs(result, width),
        _memory(result.memory, width),
    ]
    return "\n\n".join(parts)


def _variables(rule: ChainRule, width: int) -> str:
    values = [*rule.parameters, *rule.variables]
    rows = [[value.symbol, value.expression, _shape(value.shape), value.of] for value in values]
    header = ["", "is computed as", "shape", "layer"]
    others = sum(2 + max(len(row[c]) for row in [header, *rows]) for c in (0, 2, 3))
    lines = [line for row in rows for line in _broken(row, max(width - others, _NARROWEST))]
    return "the network, for one example\n" + table(header, lines, width)


def _broken(row: Sequence[str], room: int) -> Iterator[list[str]]:
    """A row of the variables, with its expression broken at spaces into lines of at most ``room`` columns."""
    symbol, expression, *place = row
    lines = textwrap.wrap(expression, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    yield [symbol, lines[0] if lines else "", *place]
    for more in lines[1:]:
        yield ["", more, "", ""]


def _derivatives(rule: ChainRule, width: int) -> str:
    """``dL/dW1 = dL/dz2 · dz2/dW1`` with the shape and the structure of each matrix under it."""
    blocks = [line for derivative in rule.derivatives for line in _product(derivative, width)]
    about = "Under each factor: its shape as a matrix (arrays flattened), and its structure."
    return "\n".join(["the chain rule", *textwrap.wrap(about, width), "", *blocks]).rstrip()


def _product(derivative: Derivative, width: int) -> Iterator[str]:
    head = f"dL/d{derivative.by} = "
    if not derivative.terms:
        yield f"{head}0"
    cells = []
    for number, term in enumerate(derivative.terms):
        for place, factor in enumerate(term):
            sign = "· " if place else "+ " if number else ""
            rows, columns = factor.shape
            cells.append((sign, f"d{factor.of}/d{factor.by}", f"{rows}x{columns}", factor.structure))
    lines: list[list[tuple[str, str, str, str]]] = [[]]
    used = len(head)
    for cell in cells:
        room = len(cell[0]) + max(map(len, cell[1:])) + 1
        if lines[-1] and used + room > width:
            lines.append([])
            used = len(head)
        lines[-1].append(cell)
        used += room
    for number, line in enumerate(lines):
        widths = [max(map(len, cell[1:])) + 1 for cell in line]
        for row in (1, 2, 3):
            start = head if row == 1 and not number else " " * len(head)
            texts = (
                (sign if row == 1 else " " * len(sign)) + cell[row].ljust(room)
                for cell, sign, room in zip(line, (c[0] for c in line), widths, strict=True)
            )
            yield (start + "".join(texts)).rstrip()
    yield ""


def _operations(nodes: Sequence[Operation], width: int) -> str:
    rows = []
    for node in nodes:
        for number, local in enumerate(node.local_jacobians):
            first = [node.name, _shape(node.shape)] if not number else ["", ""]
            by = local.by.removeprefix(f"{node.layer}.")
            rows.append([*first, by, _shape(local.shape), local.structure, local.nonzeros])
    shown = rows if len(rows) <= _MOST_ROWS else rows[:_MOST_ROWS]
    header = ["operation", "shape", "by", "local Jacobian", "structure", "entries"]
    rest = [] if shown is rows else [f"... and {len(rows) - len(shown):,} more: --json has them all"]
    return "\n".join(["every operation", table(header, shown, width), *rest])


def _costs(result: Explanation, width: int) -> str:
    found, gradient = result.accumulation, result.gradient
    rows = [
        ["gradient of the loss", "forward", gradient.forward, "a pass for each parameter"],
        ["", "reverse", gradient.reverse, "one pass; optimal for a scalar"],
        [found.of, "forward", found.forward, "in the order of evaluation"],
        ["", "reverse", found.reverse, "against it"],
        ["", "best", found.best, proof(found.method, found.proved_optimal)],
    ]
    lines = ["multiplications, for one example", table(["derivative", "order", "multiplications", ""], rows, width)]
    least = min(found.forward, found.reverse)
    gain = f", {least / found.best:.1f} times fewer" if found.best and least > found.best else ""
    bracketing = result.chain_rule.bracketing
    if found.limit is not None:
        order = f"best order: {found.method}. {unsearched(found.limit)}"
    elif bracketing and (gain or len(bracketing) < width):
        order = f"best order{gain}: {bracketing}"
    elif gain or not bracketing:
        order = f"best order{gain}: eliminate " + (_elided(found.best_order) or "nothing")
    else:
        order = f"best order: {found.method}"
    about = "Entries that are always 1 or -1 (views, sums, biases) need no multiplication."
    return "\n".join([*lines, *textwrap.wrap(order, width, subsequent_indent="  "), *textwrap.wrap(about, width)])


def _elided(names: Sequence[str]) -> str:
    """The names on one line; a long list is abridged in the middle."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    half = _MOST_NAMES // 2
    left_out = f"... ({len(names) - 2 * half:,} more: --json has them all) ..."
    return ", ".join([*names[:half], left_out, *names[-half:]])


def unsearched(limit: int) -> str:
    """Why the best order is only the cheaper of forward and reverse."""
    return f"No other order was tried: the network has more than {limit:,} intermediate values."


def proof(method: str | None, proved_optimal: bool | None) -> str:
    """How the best order was found, and whether it is proved optimal."""
    how = method if method in ("forward", "reverse") else f"found by {method}"
    return f"{how}, {'proved optimal' if proved_optimal else 'not proved optimal'}"


def _memory(memory: MemoryCosts, width: int) -> str:
    rows = [[entry.layer, size(entry.bytes)] for entry in memory.layers]
    again = memory.recompute
    totals: dict[str, object] = {"all kept": size(memory.kept)}
    if again.segments > 1:
        cost = f"{size(again.bytes)} in {plural(again.segments, 'segment')}"
        totals["training.recompute"] = f"{cost}, {plural(again.layers_again, 'layer')} forward again"
    else:
        totals["training.recompute"] = "would save nothing here"
    for entry in memory.revolve:
        steps = plural(entry.forward_steps, "layer")
        totals[f"revolve, {plural(entry.checkpoints, 'checkpoint')}"] = f"{steps} forward again"
    head = f"memory that reverse mode keeps for a training batch of {memory.batch:,}"
    return "\n".join([*textwrap.wrap(head, width), table(["layer", "kept"], rows, width), "", pairs(totals, width)])


def _numbers(numbers: Walkthrough, width: int) -> str:
    lines = ["one example forward"]
    lines += [line for entry in numbers.forward for line in _array(entry.symbol, entry.value, width)]
    lines += ["", "and back"]
    lines += [line for entry in numbers.backward for line in _array(entry.symbol, entry.value, width)]
    return "\n".join(lines)


_MINUS_ZERO = re.compile(r"-(0\.0*)(?![0-9e])")
"""A number that is 0 in the digits shown."""


def _array(symbol: str, value: object, width: int) -> Iterator[str]:
    """``z1 = [[0.1, 0.2]]``, further lines under the first bracket; long arrays are abridged in the middle."""
    array = np.asarray(value)
    head = f"{symbol} = "
    text = np.array2string(
        array,
        precision=4,
        suppress_small=True,
        separator=", ",
        max_line_width=max(width - len(head), 20),
        threshold=_MOST_ELEMENTS,
        edgeitems=3,
    )
    first, *rest = _MINUS_ZERO.sub(r" \1", text).splitlines()
    yield head + first
    yield from (" " * len(head) + line for line in rest)


def _shape(shape: Sequence[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"

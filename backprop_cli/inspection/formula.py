"""Ops as in a formula: ``x @ W.T + b``."""

from __future__ import annotations

from functools import singledispatch

from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.shape import Transpose


@singledispatch
def written(op: Op, *operands: str) -> str:
    """The op on operands as in a formula; a call if mathematics has no sign for it."""
    return op.printed(*operands)


@written.register(Elementwise)
def _(op: Elementwise, *operands: str) -> str:
    """Write the sign of a binary ``expression`` between the operands."""
    sign = op.expression.removeprefix("{0} ").removesuffix(" {1}")
    if f"{{0}} {sign} {{1}}" != op.expression:
        return op.printed(*operands)
    left, right = operands
    return f"{left if sign == '+' else _in_brackets(left)} {sign} {_in_brackets(right)}"


@written.register(Transpose)
def _(op: Transpose, *operands: str) -> str:
    """Write ``x.T`` if all axes are reversed."""
    reverses = op.perm == tuple(reversed(range(len(op.perm))))
    return f"{_in_brackets(operands[0])}.T" if reverses else op.printed(*operands)


@written.register(Matmul)
def _(op: Matmul, *operands: str) -> str:
    return " @ ".join(map(_in_brackets, operands))


def _in_brackets(operand: str) -> str:
    """The operand of a sign, in brackets if it contains a sign itself."""
    return f"({operand})" if " " in operand and not operand.endswith(")") else operand

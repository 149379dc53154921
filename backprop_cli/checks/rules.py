"""Find the wrong op: every op of a program is checked by itself, at its values there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.autodiff import Array, Op, Value, input_, toposort
from backprop_cli.checks.edge_samples import is_differentiable
from backprop_cli.checks.method import METHODS, Options, Order
from backprop_cli.checks.objective import Objective, weighted
from backprop_cli.checks.result import Check, worst_first

_NUDGE = 1e-3
"""Distance by which operands of a kinked op are moved for a second check, away from the kink."""
_SAMPLES = 4
"""Entries checked of each operand, in addition to directions through all of them."""


def wrong_rules(objective: Objective, order: Order, options: Options) -> list[Check]:
    """A failed check for every op of the program whose derivative rule is wrong at its values there.

    A check is named by the layer, ``dense_1: tanh by operand 0``, and of kind ``rule`` (or ``forward mode``). It is the
    derivative of a random weighting of the op's result by each operand; for order 2, the Hessian times a random vector.
    Only the worst check of an op, layer and operand is kept. Ends at the deadline.
    """
    rng = options.rng
    worst: dict[str, Check] = {}
    for node in toposort([objective.scalar]):
        if node.op is None or options.is_over or not node.spec.is_inexact:
            continue
        operands = [objective.step.arrays[operand] for operand in node.inputs]
        if not is_differentiable(node.op, operands):
            continue
        with np.errstate(all="ignore"):
            found = _rule(node.op, _name(node), operands, order, options, rng)
        for check in found:
            known = worst.get(check.name)
            worst[check.name] = check if known is None else worst_first([check, known])[0]
    return list(worst.values())


def _name(node: Value) -> str:
    return f"{node.layer or 'loss'}: {node.op}"


def _rule(
    op: Op, name: str, operands: Sequence[Array], order: Order, options: Options, rng: np.random.Generator
) -> list[Check]:
    nudged = [x + _NUDGE * rng.standard_normal(x.shape) if x.dtype.kind == "f" else x for x in operands]
    points = [operands] if op.is_smooth else [operands, nudged]
    auto, few = METHODS["auto"](), options._replace(samples=_SAMPLES)
    found: list[Check] = []
    for point in points:
        objective = op_objective(op, point, name, rng)
        found += auto.check(objective if order == 1 else objective.curvature(rng), few)
    return [check for check in found if check.verdict == "FAIL"]


def op_objective(
    op: Op, operands: Sequence[Array], name: str, rng: np.random.Generator, kind: str = "rule"
) -> Objective:
    """A random weighting of the op's result, by its floating-point operands."""
    arrays = {f"operand {k}": x for k, x in enumerate(operands)}
    inputs = {key: input_(key, x.shape, x.dtype) for key, x in arrays.items()}
    return weighted(op(*inputs.values()), inputs, arrays, name, kind, rng)

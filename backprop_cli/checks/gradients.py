"""Is every gradient of a network right? Its data loss and its regularization, each by every parameter.

Everything runs in float64 on a copy, whatever the training precision: in float32 a difference of losses cannot see a
single weight. Dropout's mask is an input like the batch, so it is the same in every evaluation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from backprop_cli.autodiff import Array, Value
from backprop_cli.checks.method import METHODS, Options, Order
from backprop_cli.checks.objective import Objective, Tensor, tensors_of
from backprop_cli.checks.result import Check, Entry, Report, applied_tolerance, worst_first
from backprop_cli.checks.rules import wrong_rules
from backprop_cli.nn.model import Model
from backprop_cli.training.step_program import INPUTS, PARAMETERS, Recipe, forward

_EXAMPLES = 8
_MULTIPLICATIONS = 20_000_000


def enough_examples(model: Model) -> int:
    """Examples that a check takes: several, so that a missing mean or sum over the batch shows; two, where each is so
    much work (a transformer's context, a stack of convolutions) that a pass would take a good part of a second.
    """
    each = sum(model.multiplications().values())
    return min(max(_MULTIPLICATIONS // max(each, 1), 2), _EXAMPLES)


def in_float64(recipe: Recipe) -> Recipe:
    """The same network, loss and regularization in double precision."""
    return replace(recipe, model=replace(recipe.model, dtype=np.dtype(np.float64)))


def network_objectives(recipe: Recipe, arrays: Mapping[str, Array]) -> list[Objective]:
    """The loss of one batch by every parameter, and the regularization by those it is on, where there is any.

    ``arrays``: the flat ``parameters``, ``inputs``, ``targets`` and noise by the names of ``forward``'s inputs.
    """
    traced = forward(in_float64(recipe), len(arrays[INPUTS]), training=True)
    layout = recipe.layout

    def tensors(kind: str, names: Sequence[str]) -> list[Tensor]:
        return [Tensor(name, kind, traced.params[name], PARAMETERS, layout.span(name)[0]) for name in names]

    loss = Objective(traced.inputs, traced.loss, tensors("parameter", list(layout.shapes)), arrays)
    if traced.regularization.is_constant:
        return [loss]
    penalized = [name for name in layout.shapes if name in recipe.penalties]
    inputs = {PARAMETERS: traced.inputs[PARAMETERS]}
    return [loss, Objective(inputs, traced.regularization, tensors("regularization", penalized), arrays)]


def check_gradients(
    recipe: Recipe,
    arrays: Mapping[str, Array],
    *,
    target: str,
    method: str = "auto",
    order: Order = 1,
    options: Options,
) -> Report:
    """Check the gradient of the loss, and apart from it that of the regularization, by every parameter.

    ``arrays``: the flat ``parameters``, ``inputs``, ``targets`` and noise of one batch by the names that ``forward``
    gives its inputs, in any precision; they are copied. ``order`` 2: the Hessian times a random vector instead.

    An entry passes where ``|a - n| / max(|a|, |n|) <= tolerance``; where rounding alone makes more than that, it is
    TINY: nothing can be told. Where an entry fails, every op's own rule is checked at the values it has here.

    Raises: UsageError for a method there is not.
    """
    started = time.perf_counter()
    checks: list[Check] = []
    rules: list[Check] = []
    for objective in network_objectives(recipe, arrays):
        found = check_objective(objective, method, order, options)
        checks += found
        if any(check.verdict == "FAIL" for check in found):
            rules += wrong_rules(objective, order, options)
    seconds = time.perf_counter() - started
    return Report(
        target,
        applied_tolerance(checks, options.tolerance),
        worst_first(checks),
        seconds,
        method,
        rules=worst_first(rules),
        tolerance_of=METHODS[method].tolerance_of,
    )


def check_objective(objective: Objective, method: str, order: Order, options: Options) -> list[Check]:
    """By a named method, the gradient or (order 2) the Hessian times a random vector of signs."""
    chosen = METHODS[method]()
    with np.errstate(all="ignore"):  # what is not finite gets a verdict
        checked = objective if order == 1 else objective.curvature(options.rng)
        return chosen.check(checked, options) if math.isfinite(checked.value) else _undefined(checked)


def _undefined(objective: Objective) -> list[Check]:
    """Where the function is not finite nothing is its derivative, whatever the rules say: 1/x of ln x at -1."""
    return [
        Check(t.name, t.kind, t.shape, (Entry(t.index(0), float(objective.gradient[t][0]), math.nan, "NONFINITE"),))
        for t in objective.tensors
        if t.size
    ]


def check_scalar(
    scalar: Value,
    inputs: Mapping[str, Value],
    arrays: Mapping[str, Array],
    *,
    name: str,
    kind: str,
    method: str = "auto",
    order: Order = 1,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> list[Check]:
    """Check a traced float64 scalar by every entry of its floating-point inputs; one check an input."""
    objective = Objective(inputs, scalar, tensors_of(inputs, name, kind), arrays)
    return check_objective(objective, method, order, Options("all", tolerance, seed))

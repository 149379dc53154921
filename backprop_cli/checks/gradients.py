"""Check the gradients of a network: of its data loss and of its regularization, by every parameter.

Everything runs in float64 on a copy, whatever the training precision: in float32 a single weight does not show in a
difference of losses. Dropout's mask is an input like the batch, so it is the same in every evaluation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from backprop_cli.autodiff import Array, Program, Value, input_, jvp, sqrt, square
from backprop_cli.autodiff import sum as sum_
from backprop_cli.checks.method import METHODS, Options, Order
from backprop_cli.checks.methods.auto import FORWARD
from backprop_cli.checks.objective import Objective, Tensor
from backprop_cli.checks.result import Check, CheckedEntry, Report, applied_tolerance, worst_first
from backprop_cli.checks.rules import wrong_rules
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.model import Model
from backprop_cli.training.step_program import (
    GRADIENT,
    INPUTS,
    LOSS,
    PARAMETERS,
    TARGETS,
    WEIGHTS,
    Recipe,
    forward,
    gradient_program,
)

_EXAMPLES = 8
_MULTIPLICATIONS = 20_000_000
_STREAM = 5  # of random numbers
LIMIT = 1e-9
"""Largest residual of right rules, which have about 1e-16; a rule off by a thousandth has about 1e-4."""
_DIRECTION, _FORWARD, _REVERSE, _NORM = "direction", "forward", "reverse", "norm"


def enough_examples(model: Model) -> int:
    """Number of examples for a check.

    At least two, so that a missing mean or sum over the batch shows; few if an example is much work (a transformer's
    context, a stack of convolutions), because a pass would take a good part of a second.
    """
    each = sum(model.multiplications().values())
    return min(max(_MULTIPLICATIONS // max(each, 1), 2), _EXAMPLES)


def random_batch(recipe: Recipe, seed: int) -> dict[str, Array]:
    """Inputs, targets, weights of examples and noise for a check, dense and unsaturated, by the names of ``forward``.

    On real data a border pixel that is always 0 would hide a wrong gradient.
    """
    rng, model = np.random.default_rng([seed, _STREAM]), recipe.model
    batch = enough_examples(model)
    targets = recipe.loss.draw(rng, (batch, *model.output_shape))
    weights = {WEIGHTS: rng.random(batch)} if recipe.weighted else {}
    noise = {name: rng.random(spec.shape) for name, spec in model.noise(batch).items()}
    noise |= {name: np.array(scheduled.value) for name, scheduled in model.scheduled.items()}
    example = (batch, *model.input_shape)
    inputs = rng.standard_normal(example) if model.vocabulary is None else rng.integers(0, model.vocabulary, example)
    return {INPUTS: inputs, TARGETS: targets, **weights, **noise}


def in_float64(recipe: Recipe) -> Recipe:
    """The same network, loss and regularization in double precision."""
    return replace(recipe, model=replace(recipe.model, dtype=np.dtype(np.float64)))


def network_objectives(recipe: Recipe, arrays: Mapping[str, Array]) -> list[Objective]:
    """The loss of one batch by every parameter, and the regularization, if any, by the parameters it penalizes.

    ``arrays``: the flat ``parameters``, ``inputs``, ``targets`` and noise, by the names of ``forward``'s inputs.
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
    """Check the gradients of the loss and, separately, of the regularization by every parameter.

    ``arrays``: the flat ``parameters``, ``inputs``, ``targets`` and noise of one batch, by the names of ``forward``'s
    inputs, in any precision; they are copied. ``order`` 2: the Hessian times a random vector instead.

    An entry passes if ``|a - n| / max(|a|, |n|) <= tolerance``. It is TINY, and undecided, if rounding alone exceeds
    that. If an entry fails, every op's own rule is checked at the values it has here.

    Raises: UsageError for an unknown method.
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
    """Check the gradient, or (order 2) the Hessian times a random vector of signs, by a named method."""
    chosen = METHODS[method]()
    with np.errstate(all="ignore"):  # non-finite numbers get a verdict
        checked = objective if order == 1 else objective.curvature(options.rng)
        return chosen.check(checked, options) if math.isfinite(checked.value) else _undefined(checked)


def _undefined(objective: Objective) -> list[Check]:
    """A function that is not finite has no derivative, even if the rules return one: ``1/x`` for ``ln x`` at -1."""
    return [
        Check(
            t.name, t.kind, t.shape, (CheckedEntry(t.index(0), float(objective.gradient[t][0]), math.nan, "NONFINITE"),)
        )
        for t in objective.tensors
        if t.size
    ]


_WORDS = {
    FORWARD: ("forward mode's gradient", "the loss's slope"),
    "optimizer": ("the number of its update", "that of its formula"),
    "average": ("the average", "that of its definition"),
    "initializer": ("mean and deviation of its draws", "of its moments"),
}
"""Words for the two numbers of an entry, for kinds of checks that no method covers."""


def mistake(report: Report) -> str:
    """The worst check of a failed report in one sentence: its place, both numbers, and the wrong op if it is known."""
    check = report.checks[0]
    worst = check.worst
    assert worst is not None
    at = f"[{', '.join(map(str, worst.index))}]" if worst.index else ""
    words = _WORDS.get(check.kind) or METHODS[report.method].words
    rules = "".join(f"; the rule of {rule.name} is wrong" for rule in report.rules[:1])
    return (
        f"{check.name}{at}: {words[0]} is {worst.analytic:.10g}, {words[1]} {worst.numeric:.10g} "
        f"(relative error {worst.relative_error:.2e}, tolerance {report.tolerance:g}){rules}"
    )


class AdjointMonitor:
    """A cheap measure during training, ``|forward - reverse| / (|g| |v|)``: both modes' derivatives along a random v.

    In float64, of the loss with regularization. Plans are kept by batch size; a measure costs four forward passes.
    """

    def __init__(self, recipe: Recipe):
        self._recipe = in_float64(recipe)
        self._plans: dict[int, Plan] = {}

    def residual(self, arrays: Mapping[str, Array], rng: np.random.Generator) -> float:
        """The measure for one batch, as ``check_gradients`` takes it; NaN if not finite, 0 if both sides are 0."""
        plan = self._plan(len(arrays[INPUTS]))
        for name, array in plan.inputs.items():
            array[...] = rng.choice([-1.0, 1.0], array.shape) if name == _DIRECTION else arrays[name]
        plan.run()
        forward, reverse, norm = (float(plan.outputs[name]) for name in (_FORWARD, _REVERSE, _NORM))
        gap = abs(forward - reverse)
        return gap / (norm * self._recipe.layout.size**0.5) if gap else 0.0

    def _plan(self, batch: int) -> Plan:
        if batch not in self._plans:
            self._plans[batch] = Plan(simplify(_program(self._recipe, batch)))
        return self._plans[batch]


def _program(recipe: Recipe, batch: int) -> Program:
    program = gradient_program(recipe, batch)
    vector, gradient = program.inputs[PARAMETERS], program.outputs[GRADIENT]
    v = input_(_DIRECTION, vector.shape)
    (forward,) = jvp([program.outputs[LOSS]], [vector], [v])
    outputs: dict[str, Value] = {
        _FORWARD: forward,
        _REVERSE: sum_(gradient * v),
        _NORM: sqrt(sum_(square(gradient))),
    }
    return Program({**program.inputs, _DIRECTION: v}, outputs)

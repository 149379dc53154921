"""Is every gradient right? The program's gradient against central differences of its loss, entry by entry.

Everything runs in float64 on a copy, whatever the training precision: in float32 a difference of losses cannot see a
single weight. Where the perturbation crosses a kink (of relu, abs, max), which shows in the program's own
comparisons, the step is made smaller; if it crosses still, the gradient is checked on both sides of the kink.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from backprop_cli.autodiff import Array, Plan, Program, Value, grad, simplify, toposort
from backprop_cli.autodiff.numeric import CENTRAL_STEP
from backprop_cli.training.program import GRADIENT, INPUTS, LOSS, PARAMETERS, Recipe, gradient_program

Verdict = Literal["PASS", "FAIL", "KINK", "TINY", "NONFINITE"]

_SEVERITY: dict[Verdict, int] = {"PASS": 0, "TINY": 1, "KINK": 2, "NONFINITE": 3, "FAIL": 4}
_SMALLER_STEPS = 3
"""How often the step is divided by 10 to get away from a kink."""
_ROUNDING = 16.0
"""Error of a computed loss in units of eps * |loss|: sums of a batch and of layers lose a few bits, not digits."""


@dataclass(frozen=True)
class Entry:
    """One derivative, both ways."""

    index: tuple[int, ...]
    analytic: float
    numeric: float
    verdict: Verdict

    @property
    def absolute_error(self) -> float:
        """``|a - n|``."""
        return abs(self.analytic - self.numeric)

    @property
    def relative_error(self) -> float:
        """``|a - n| / max(|a|, |n|)``; 0 where both are 0."""
        scale = max(abs(self.analytic), abs(self.numeric))
        return self.absolute_error / scale if scale > 0 else 0.0 if scale == 0 else math.nan


@dataclass(frozen=True)
class Check:
    """The derivatives by one array: those of its entries that were sampled."""

    name: str
    kind: str
    shape: tuple[int, ...]
    entries: tuple[Entry, ...]

    @property
    def verdict(self) -> Verdict:
        """The gravest of the entries'; TINY only where no entry could be told, or none was checked."""
        verdicts: set[Verdict] = {entry.verdict for entry in self.entries}
        if "PASS" in verdicts:
            verdicts.discard("TINY")
        return max(verdicts or {"TINY"}, key=lambda verdict: _SEVERITY[verdict])

    @property
    def worst(self) -> Entry | None:
        """The entry that decides the verdict, with the largest relative error."""
        decisive = [entry for entry in self.entries if entry.verdict == self.verdict]
        return max(decisive, key=lambda entry: _sortable(entry.relative_error), default=None)

    def to_json(self) -> dict[str, Any]:
        """As ``bp gradcheck --json`` prints it."""
        worst = self.worst
        told = [entry for entry in self.entries if entry.verdict == self.verdict]
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "size": math.prod(self.shape),
            "checked": len(self.entries),
            "max_relative_error": max((_sortable(entry.relative_error) for entry in told), default=0.0),
            "max_absolute_error": max((_sortable(entry.absolute_error) for entry in told), default=0.0),
            "worst": None
            if worst is None
            else {"index": list(worst.index), "analytic": worst.analytic, "numeric": worst.numeric},
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Report:
    """All checks of a network, worst first."""

    target: str
    tolerance: float
    checks: tuple[Check, ...]
    seconds: float
    method: str = "central"
    dtype: str = "float64"

    @property
    def passed(self) -> bool:
        """Whether no gradient is wrong or not finite."""
        return all(check.verdict not in ("FAIL", "NONFINITE") for check in self.checks)

    @property
    def worst(self) -> Check | None:
        """The gravest check; where all passed that with the largest relative error of those that could be told."""
        told = self.checks if not self.passed else [check for check in self.checks if check.verdict == "PASS"]
        return next(iter([*told, *self.checks]), None)

    def to_json(self) -> dict[str, Any]:
        """As ``bp gradcheck --json`` prints it."""
        return {
            "passed": self.passed,
            "target": self.target,
            "method": self.method,
            "dtype": self.dtype,
            "tolerance": self.tolerance,
            "checks": [check.to_json() for check in self.checks],
        }


def _sortable(error: float) -> float:
    return math.inf if math.isnan(error) else error


def in_float64(recipe: Recipe) -> Recipe:
    """The same network, loss and regularization in double precision."""
    return replace(recipe, model=replace(recipe.model, dtype=np.dtype(np.float64)))


def check_gradients(
    recipe: Recipe,
    arrays: Mapping[str, Array],
    *,
    target: str,
    samples: int | Literal["all"] = 32,
    tolerance: float = 1e-5,
    seed: int = 0,
    max_seconds: float | None = None,
) -> Report:
    """Check the gradient of the loss with regularization by every parameter.

    ``arrays``: the flat ``parameters``, ``inputs``, ``targets`` and noise of one batch by the names that
    ``gradient_program`` gives its inputs, in any precision; they are copied. ``samples`` entries of each parameter are
    drawn with ``seed``; after ``max_seconds`` no further entry is checked.

    An entry passes where ``|a - n| / max(|a|, |n|) <= tolerance``. Where the rounding noise of the difference,
    about ``eps |loss| / h``, is above what the tolerance allows, it is TINY: nothing can be told.
    """
    started = time.perf_counter()
    program = gradient_program(in_float64(recipe), len(arrays[INPUTS]))
    gradients = {PARAMETERS: program.outputs[GRADIENT]}
    difference = _Difference(program.inputs, program.outputs[LOSS], gradients, arrays, tolerance)
    layout, checks = recipe.layout, []
    rng = np.random.default_rng(seed)
    for name, shape in layout.shapes.items():
        begin, end = layout.span(name)
        entries = []
        for k in _chosen(end - begin, samples, rng):
            if max_seconds is not None and time.perf_counter() - started > max_seconds:
                break
            entries.append(difference.entry(PARAMETERS, begin + int(k), _unraveled(int(k), shape)))
        checks.append(Check(name, "parameter", tuple(shape), tuple(entries)))
    return Report(target, tolerance, worst_first(checks), time.perf_counter() - started)


def check_scalar(
    scalar: Value,
    inputs: Mapping[str, Value],
    arrays: Mapping[str, Array],
    *,
    name: str,
    kind: str,
    tolerance: float = 1e-5,
) -> list[Check]:
    """Check the gradient of a traced float64 scalar by every entry of its floating-point inputs; one check an input."""
    wanted = {key: value for key, value in inputs.items() if value.spec.is_inexact}
    gradients = dict(zip(wanted, grad(scalar, list(wanted.values())), strict=True))
    difference = _Difference(inputs, scalar, gradients, arrays, tolerance)
    checks = []
    for key, value in wanted.items():
        entries = [difference.entry(key, k, _unraveled(k, value.shape)) for k in range(value.size)]
        checks.append(Check(f"{name} by {key}", kind, value.shape, tuple(entries)))
    return checks


def _chosen(size: int, samples: int | Literal["all"], rng: np.random.Generator) -> Array:
    return np.arange(size) if samples == "all" else np.sort(rng.choice(size, min(samples, size), replace=False))


def _unraveled(element: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(element, shape))


def worst_first(checks: Sequence[Check]) -> tuple[Check, ...]:
    """By verdict, then by the largest relative error."""

    def gravity(check: Check) -> tuple[int, float]:
        worst = check.worst
        return -_SEVERITY[check.verdict], -_sortable(worst.relative_error) if worst is not None else 0.0

    return tuple(sorted(checks, key=gravity))


class _Difference:
    """The analytic gradient of a scalar at a point, and the scalar around it.

    ``arrays`` feeds the inputs by name; entries of those in ``gradients`` (name -> gradient) can be checked.
    """

    def __init__(
        self,
        inputs: Mapping[str, Value],
        scalar: Value,
        gradients: Mapping[str, Value],
        arrays: Mapping[str, Array],
        tolerance: float,
    ):
        self.tolerance = tolerance
        self._analytic = Plan(simplify(Program(inputs, gradients)))
        # Every comparison that decides a branch of the derivative is a node of the gradient's program.
        steps = [node for node in toposort(gradients.values()) if node.op is not None and node.op.is_step]
        branches = {f"branch_{k}": node for k, node in enumerate(steps)}
        self._loss = Plan(simplify(Program(inputs, {LOSS: scalar, **branches})))
        for plan in (self._analytic, self._loss):
            for name, array in plan.inputs.items():
                array[...] = arrays[name]
        _run(self._analytic)
        self._gradients = {name: self._analytic.outputs[name].flatten() for name in gradients}
        self._branches = [self._loss.outputs[name] for name in branches]
        _run(self._loss)
        self._here = [branch.copy() for branch in self._branches]

    def entry(self, name: str, element: int, index: tuple[int, ...]) -> Entry:
        """One derivative both ways, and what to think of it. ``element`` counts in the flat array ``name``."""
        analytic, at = float(self._gradients[name][element]), float(self._loss.inputs[name].reshape(-1)[element])
        h = CENTRAL_STEP * max(1.0, abs(at))
        for _ in range(1 + _SMALLER_STEPS):
            numeric, noise, is_smooth = self._quotient(name, element, at, h, self._here)
            if is_smooth:
                return Entry(index, analytic, numeric, self._judge(analytic, numeric, noise))
            h /= 10.0
        return self._at_kink(name, element, at, Entry(index, analytic, numeric, "KINK"))

    def _at_kink(self, name: str, element: int, at: float, entry: Entry) -> Entry:
        """At a kink any value between the slopes of its sides is a derivative; many kinks at one point widen that to
        what no difference shows. So both sides are checked instead, a little away from it.
        """
        if not (math.isfinite(entry.analytic) and math.isfinite(entry.numeric)):
            return replace(entry, verdict="NONFINITE")
        for sign in (1.0, -1.0):
            side = self._side(name, element, at, sign, entry.index)
            if side is not None and side.verdict in ("FAIL", "NONFINITE"):
                return side
        return entry

    def _side(self, name: str, element: int, at: float, sign: float, index: tuple[int, ...]) -> Entry | None:
        """The derivative beside ``at``; None where there are kinks everywhere."""
        h = CENTRAL_STEP * max(1.0, abs(at))
        for _ in range(1 + _SMALLER_STEPS):
            center = at + sign * 2.0 * h
            self._run_at(self._loss, name, element, center)
            beside = [branch.copy() for branch in self._branches]
            numeric, noise, is_smooth = self._quotient(name, element, center, h, beside)
            if is_smooth:
                self._run_at(self._analytic, name, element, center)
                analytic = float(self._analytic.outputs[name].reshape(-1)[element])
                return Entry(index, analytic, numeric, self._judge(analytic, numeric, noise))
            h /= 10.0
        return None

    def _quotient(
        self, name: str, element: int, at: float, h: float, branches: Sequence[Array]
    ) -> tuple[float, float, bool]:
        """The central difference, its rounding noise, and whether all is on the given branches at both ends."""
        high, low = at + h, at - h
        above, same_above = self._loss_at(name, element, high, branches)
        below, same_below = self._loss_at(name, element, low, branches)
        # What rounding alone can make of a difference quotient.
        noise = _ROUNDING * float(np.finfo(np.float64).eps) * max(abs(above), abs(below)) / (high - low)
        return (above - below) / (high - low), noise, same_above and same_below

    def _loss_at(self, name: str, element: int, value: float, branches: Sequence[Array]) -> tuple[float, bool]:
        self._run_at(self._loss, name, element, value)
        same = all(np.array_equal(a, b) for a, b in zip(self._branches, branches, strict=True))
        return float(self._loss.outputs[LOSS]), same

    def _run_at(self, plan: Plan, name: str, element: int, value: float) -> None:
        """Run with one entry changed, and change it back."""
        point = plan.inputs[name].reshape(-1)
        kept = point[element]
        point[element] = value
        _run(plan)
        point[element] = kept

    def _judge(self, analytic: float, numeric: float, noise: float) -> Verdict:
        if not (math.isfinite(analytic) and math.isfinite(numeric)):
            return "NONFINITE"
        error, scale = abs(analytic - numeric), max(abs(analytic), abs(numeric))
        if error <= self.tolerance * scale:
            return "PASS"
        return "TINY" if error <= noise else "FAIL"


def _run(plan: Plan) -> None:
    with np.errstate(all="ignore"):
        plan.run()

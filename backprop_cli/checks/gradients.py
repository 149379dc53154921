"""Is every gradient right? The program's gradient against central differences of its loss, entry by entry.

Everything runs in float64 on a copy, whatever the training precision: in float32 a difference of losses cannot see a
single weight. Where the perturbation crosses a kink (of relu, abs, max), which shows in the program's own
comparisons, the step is made smaller; if it crosses still, the gradient must lie between the one-sided slopes.
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
    samples: int | Literal["all"] = "all",
    tolerance: float = 1e-5,
    seed: int = 0,
) -> list[Check]:
    """Check the gradient of a traced float64 scalar by each of its floating-point inputs; one check an input."""
    wanted = {key: value for key, value in inputs.items() if value.spec.is_inexact}
    gradients = dict(zip(wanted, grad(scalar, list(wanted.values())), strict=True))
    difference = _Difference(inputs, scalar, gradients, arrays, tolerance)
    rng = np.random.default_rng(seed)
    checks = []
    for key, value in wanted.items():
        chosen = _chosen(value.size, samples, rng)
        entries = [difference.entry(key, int(k), _unraveled(int(k), value.shape)) for k in chosen]
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
        analytic = Plan(simplify(Program(inputs, gradients)))
        # Every comparison that decides a branch of the derivative is a node of the gradient's program.
        steps = [node for node in toposort(gradients.values()) if node.op is not None and node.op.is_step]
        branches = {f"branch_{k}": node for k, node in enumerate(steps)}
        self._loss = Plan(simplify(Program(inputs, {LOSS: scalar, **branches})))
        for plan in (analytic, self._loss):
            for name, array in plan.inputs.items():
                array[...] = arrays[name]
        with np.errstate(all="ignore"):
            analytic.run()
        self._gradients = {name: analytic.outputs[name].reshape(-1) for name in gradients}
        self._points = {name: self._loss.inputs[name].reshape(-1) for name in gradients}
        self._branches = [self._loss.outputs[name] for name in branches]
        self._here = self._run()
        self._branches_here = [branch.copy() for branch in self._branches]

    def _run(self) -> float:
        with np.errstate(all="ignore"):
            self._loss.run()
        return float(self._loss.outputs[LOSS])

    def _at(self, point: Array, element: int, value: float) -> tuple[float, bool]:
        """The scalar with one entry changed, and whether all branches are as they were."""
        kept = point[element]
        point[element] = value
        loss = self._run()
        point[element] = kept
        same = all(np.array_equal(a, b) for a, b in zip(self._branches, self._branches_here, strict=True))
        return loss, same

    def entry(self, name: str, element: int, index: tuple[int, ...]) -> Entry:
        """One derivative both ways, and what to think of it. ``element`` counts in the flat array ``name``."""
        point = self._points[name]
        analytic, at = float(self._gradients[name][element]), float(point[element])
        h = CENTRAL_STEP * max(1.0, abs(at))
        for _ in range(1 + _SMALLER_STEPS):
            high, low = at + h, at - h
            (above, same_above), (below, same_below) = self._at(point, element, high), self._at(point, element, low)
            numeric = (above - below) / (high - low)
            if same_above and same_below:
                return Entry(index, analytic, numeric, self._judge(analytic, numeric, _noise(above, below, high - low)))
            h /= 10.0
        slopes = sorted([(above - self._here) / (high - at), (self._here - below) / (at - low)])
        slack = self.tolerance * max(abs(slopes[0]), abs(slopes[1])) + _noise(above, below, high - at)
        inside = slopes[0] - slack <= analytic <= slopes[1] + slack
        finite = math.isfinite(analytic) and math.isfinite(numeric)
        return Entry(index, analytic, numeric, "NONFINITE" if not finite else "KINK" if inside else "FAIL")

    def _judge(self, analytic: float, numeric: float, noise: float) -> Verdict:
        if not (math.isfinite(analytic) and math.isfinite(numeric)):
            return "NONFINITE"
        error, scale = abs(analytic - numeric), max(abs(analytic), abs(numeric))
        if error <= self.tolerance * scale:
            return "PASS"
        return "TINY" if error <= noise else "FAIL"


def _noise(above: float, below: float, width: float) -> float:
    """What rounding alone can make of a difference quotient."""
    return _ROUNDING * float(np.finfo(np.float64).eps) * max(abs(above), abs(below)) / width

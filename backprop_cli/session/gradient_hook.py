"""The gradient check inside training: on examples of the current batch, at the current weights.

It changes nothing of the run: neither its state nor its random numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.checks.gradients import LIMIT, AdjointMonitor, check_gradients, enough_examples, mistake
from backprop_cli.checks.method import Options
from backprop_cli.checks.result import Report
from backprop_cli.config.configuration import GradientCheckSettings
from backprop_cli.run.directory import RunDirectory
from backprop_cli.training.events import Event, GradientChecked, Measured, OnProgress, Step, Warned
from backprop_cli.training.loop import Trainer
from backprop_cli.training.step_program import INPUTS, TARGETS, WEIGHTS, Recipe

_STREAM = 7
"""Stream of random numbers; training has others."""


class GradientHook:
    """Checks gradients when a check is due, and writes each report into the run's ``gradient_check/``.

    ``failure``: the message of a wrong gradient that must stop the run. ``progress`` is called with checked entries.
    """

    def __init__(
        self,
        settings: GradientCheckSettings,
        run: RunDirectory,
        recipe: Recipe,
        trainer: Trainer,
        progress: OnProgress,
    ):
        self.settings, self.run, self.recipe, self.trainer = settings, run, recipe, trainer
        self._progress = progress
        self.failure: str | None = None
        self._monitor = AdjointMonitor(recipe)

    def at_start(self) -> Iterator[Event]:
        """Check before the first step, if that is configured."""
        if self.settings.at_start:
            yield from self._check(0)

    def after(self, step: Step) -> Iterator[Event]:
        """Check after this step, if it is due."""
        if _is_due(self.settings.every_steps, step):
            yield from self._check(step.step)
        if _is_due(self.settings.adjoint_every_steps, step):
            yield from self._measure(step.step)

    def _measure(self, step: int) -> Iterator[Event]:
        rng = np.random.default_rng([self.trainer.spec.seed, _STREAM, step, 1])
        residual = self._monitor.residual(self._arrays(step, self.trainer.batch), rng)
        yield Measured(step, {"adjoint_residual": residual})
        if residual > LIMIT:
            yield Warned(
                f"forward and reverse mode differ at step {step}: adjoint residual {residual:.1e}, expected at most "
                f"{LIMIT:g}; `bp gradcheck {self.run.path}` finds the wrong rule"
            )

    def _check(self, step: int) -> Iterator[Event]:
        settings, limit = self.settings, self.settings.max_seconds
        deadline = math.inf if limit is None else time.perf_counter() + limit
        report = check_gradients(
            self.recipe,
            self._arrays(step, self.trainer.batch[: enough_examples(self.recipe.model)]),
            target=f"step {step}",
            method=settings.method,
            options=Options(settings.samples, settings.tolerance, self.trainer.spec.seed, deadline, self._progress),
        )
        path = self.run.gradient_check(step)
        self.run.write_json(path, {"step": step, "seconds": report.seconds, **report.to_json()})
        worst = report.worst
        error = 0.0 if worst is None or worst.worst is None else worst.worst.relative_error
        name = "" if worst is None else worst.name
        yield GradientChecked(step, report.passed, name, error, report.seconds, str(path))
        if limit is not None and not any(check.entries for check in report.checks):
            yield Warned(f"the gradient check of step {step} checked no entry within max_seconds: {limit:g}")
        if not report.passed:
            message = _story(report, step, str(path))
            if settings.on_failure == "stop":
                self.failure = message
            else:
                yield Warned(message)

    def _arrays(self, step: int, batch: Array) -> dict[str, Array]:
        spec = self.trainer.spec
        rng = np.random.default_rng([spec.seed, _STREAM, step])
        noise = {name: rng.random(spec.shape) for name, spec in self.recipe.model.noise(len(batch)).items()}
        noise |= {name: np.array(scheduled.value) for name, scheduled in self.recipe.model.scheduled.items()}
        weights = {}
        if self.recipe.weighted:
            weights[WEIGHTS] = np.ones(len(batch)) if spec.train.weights is None else spec.train.weights[batch]
        return {
            **self.trainer.state.network,
            INPUTS: spec.train.inputs[batch],
            TARGETS: spec.train.targets[batch],
            **weights,
            **noise,
        }


def _is_due(every: int | None, step: Step) -> bool:
    return every is not None and step.step % every == 0


def _story(report: Report, step: int, path: str) -> str:
    return f"gradient check failed at step {step}: {mistake(report)}; see {path}"

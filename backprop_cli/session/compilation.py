"""The decision whether a run compiles its steps."""

from __future__ import annotations

import math

from backprop_cli.autodiff import Program
from backprop_cli.config.load import Loaded
from backprop_cli.errors import ConfigError
from backprop_cli.execution.compiler import compiler_obstacle, has_compiler
from backprop_cli.nn.model import Model
from backprop_cli.training.step_program import training_step
from backprop_cli.training.training_spec import TrainingSpec

_CALL, _ELEMENT = 4e-7, 1e-10
"""Seconds that machine code saves on a call of NumPy, and on each element of a result. Fitted to ready configurations:
14 us of 15 a step for iris, 80 of 220 for digits, 0.35 ms of 0.65 for sunspots, 1.0 ms of 9.7 for names_gru."""

_START, _NODE = 0.12, 0.0006
"""Seconds to run the compiler, and to compile a node: 0.12 s for iris, 0.13 s for digits, 0.29 s for digits_conv."""


def compiles(loaded: Loaded, spec: TrainingSpec, before: bool | None) -> bool:
    """Whether to compile: as ``training.compile`` says; for ``auto``, if the run saves twice the time of compilation.

    Machine code adds sums in another order, and a run should repeat itself. So ``auto`` is a rule, not a measurement,
    and a resumed run does what it did ``before``.

    Raises:
        ConfigError: ``training.compile`` is true, but this machine cannot compile.

    """
    wanted = loaded.config.training.compile
    if wanted == "auto":
        if not has_compiler():  # tested first: tracing a program takes longer
            return False
        worthwhile = _is_worthwhile(spec) if before is None else before
        return worthwhile and not compiler_obstacle()
    if wanted and compiler_obstacle():
        raise ConfigError([loaded.problem(("training", "compile"), compiler_obstacle())])
    return wanted


def _is_worthwhile(spec: TrainingSpec) -> bool:
    batch = min(spec.settings.batch_size, len(spec.train.inputs))
    steps = min(spec.settings.epochs * (spec.batches - 1), spec.total_steps)
    if steps * _most_gain(spec.recipe.model, batch) < 2 * _START:  # tracing takes longer than a short run gains
        return False
    program = training_step(spec.recipe, batch)
    return steps * gain(program) > 2 * cost(program)


def _most_gain(model: Model, batch: int) -> float:
    """More than any step of the network can gain, found without tracing it."""
    length = max(model.input_shape) if len(model.input_shape) > 1 else 1  # recurrent layers have nodes for each step
    elements = batch * sum(math.prod(node.output_shape) for node in model.nodes)
    return 100 * (len(model.nodes) + 1) * length * _CALL + (50 * elements + 30 * model.parameter_count) * _ELEMENT


def gain(program: Program) -> float:
    """Expected seconds that machine code saves on a run of the program."""
    made = [node for node in program.nodes if node.op is not None and not node.op.is_view]
    return len(made) * _CALL + sum(node.size for node in made) * _ELEMENT


def cost(program: Program) -> float:
    """Expected seconds of compilation."""
    return _START + _NODE * sum(node.op is not None and not node.op.is_view for node in program.nodes)

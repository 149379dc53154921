"""The decision whether a run compiles its steps."""

from __future__ import annotations

from backprop_cli.autodiff import Program
from backprop_cli.config.load import Loaded
from backprop_cli.errors import ConfigError
from backprop_cli.execution.compiler import compiler_obstacle, has_compiler
from backprop_cli.training.step_program import training_step
from backprop_cli.training.training_spec import TrainingSpec

_CALL, _ELEMENT = 5.5e-7, 1e-10
"""Seconds that machine code saves on a call of NumPy, and on each element of a result. Fitted to the three networks of
the benchmarks, of 1e3 to 5e5 parameters: 27, 50 and 1000 us a step."""

_START, _NODE = 0.5, 0.022
"""Seconds to import the compiler, and to compile a node: 1.4 s for 49 nodes, 3.5 s for 153, 13.4 s for 585."""


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
    steps = spec.settings.epochs * (spec.batches - 1)
    program = training_step(spec.recipe, min(spec.settings.batch_size, len(spec.train.inputs)))
    return steps * gain(program) > 2 * cost(program)


def gain(program: Program) -> float:
    """Expected seconds that machine code saves on a run of the program."""
    made = [node for node in program.nodes if node.op is not None and not node.op.is_view]
    return len(made) * _CALL + sum(node.size for node in made) * _ELEMENT


def cost(program: Program) -> float:
    """Expected seconds of compilation."""
    return _START + _NODE * sum(node.op is not None and not node.op.is_view for node in program.nodes)

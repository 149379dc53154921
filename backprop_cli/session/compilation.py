"""The decision whether a run compiles its steps."""

from __future__ import annotations

import math

from backprop_cli.autodiff import Program
from backprop_cli.config.load import Loaded
from backprop_cli.errors import ConfigError
from backprop_cli.execution.compiler import compiler_obstacle, has_compiler
from backprop_cli.execution.costs import multiplications
from backprop_cli.nn.model import Model
from backprop_cli.training.step_program import training_step
from backprop_cli.training.training_spec import TrainingSpec

_CALL, _ELEMENT, _MULTIPLICATION = 4e-7, 5e-11, 1e-11
"""Seconds that machine code saves on a call of NumPy, on each element of a result, and on each multiplication of a
product. Fitted to ready configurations with two threads: 13 us of 15 a step for iris, 100 of 220 for digits, 0.5 ms of
0.64 for sunspots, 5.8 of 10 for names_gru, 42 of 67 for shakespeare."""

_START, _NODE, _KIND = 0.03, 0.0002, 0.004
"""Seconds to run the compiler, to plan a node, and to compile a kind of node: equal nodes, as in equal layers, share
their machine code. Fitted to ready configurations whose tiles are there: 0.17 to 0.29 s for dense networks, 0.4 to 0.5
for digits_conv, sunspots and residual, 0.6 for names_gru. Only the first network on a machine takes 0.2 to 0.4 s
longer, for the tiles of products and convolutions."""


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
    program = training_step(spec.recipe, batch, bool(spec.metrics))
    return steps * gain(program) > 2 * cost(program)


def _most_gain(model: Model, batch: int) -> float:
    """More than any step of the network can gain, found without tracing it."""
    length = max(model.input_shape) if len(model.input_shape) > 1 else 1  # recurrent layers have nodes for each step
    elements = batch * sum(math.prod(node.output_shape) for node in model.nodes)
    products = 3 * sum(total for _, total, _ in model.products(batch)) * _MULTIPLICATION
    calls = 100 * (len(model.nodes) + 1) * length * _CALL
    return calls + (50 * elements + 30 * model.parameter_count) * _ELEMENT + products


def gain(program: Program) -> float:
    """Expected seconds that machine code saves on a run of the program."""
    made = [node for node in program.nodes if node.op is not None and not node.op.is_view]
    products = sum(multiplications(node.op, *(x.spec for x in node.inputs)) for node in made if node.op is not None)
    return len(made) * _CALL + sum(node.size for node in made) * _ELEMENT + products * _MULTIPLICATION


def cost(program: Program) -> float:
    """Expected seconds of compilation."""
    made = [node for node in program.nodes if node.op is not None and not node.op.is_view]
    kinds = {(node.op, *(x.spec for x in node.inputs)) for node in made}
    return _START + _NODE * len(made) + _KIND * len(kinds)

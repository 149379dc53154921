"""The functions of training and of curvature: the state, a step on a batch, a product with the Hessian."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backprop_cli.autodiff import Program, hessian_products, input_
from backprop_cli.errors import UsageError
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.written_plan import WrittenPlan
from backprop_cli.exporting.c.c99 import literal
from backprop_cli.exporting.c.c_names import array, comment, enumeration
from backprop_cli.exporting.c.computation import Region, statements
from backprop_cli.exporting.c.network_source import Function, NetworkSource
from backprop_cli.exporting.c.optimizer_scalars import scalars_in_c
from backprop_cli.exporting.c.row_arguments import encoded, row_parameters, wrong
from backprop_cli.exporting.derivative_programs import multiplication_count
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.training.step_program import (
    GRADIENT_NORM,
    INPUTS,
    LOSS,
    REGULARIZATION,
    TARGETS,
    WEIGHTS,
    forward,
    training_step,
)

VECTOR, PRODUCT = "vector", "product"
REPORT = (LOSS, REGULARIZATION, GRADIENT_NORM)
"""The numbers that a step reports, in this order."""
WRONG_TARGET = "Returns -1 for a target that is no class."


def check_training(source: NetworkSource) -> None:
    """Raise UsageError for a training whose steps have no form in C."""
    recipe, where = source.saved.recipe, "--with training"
    if isinstance(recipe.optimizer, FullBatch):
        raise UsageError(f"{where}: {recipe.optimizer.type} reads the whole train split in each step; leave it out")
    if recipe.scheduled:
        raise UsageError(f"{where}: only the learning rate may follow a schedule; train without the other schedules")
    for key, value in (("average", recipe.average), ("lookahead", recipe.lookahead)):
        if value is not None:
            raise UsageError(f"{where}: {key} is not part of a step in C; leave it out, or train without {key}")


def state_lines(source: NetworkSource) -> list[str]:
    """The declaration of the state."""
    lines = ["/** Everything that a step changes. Start with {stem}_initialize. */", "typedef struct {{"]
    for vector, name in source.members.items():
        size = source.recipe.layout_of(vector).size
        lines.append(f"    {source.real} {name}[{size}];")
    lines += ["    long step; /* steps so far */", "}} {stem}_state;", ""]
    return [line.format(stem=source.stem) for line in lines]


def initialize(source: NetworkSource) -> tuple[Function, set[str]]:
    """The function that sets a state to the exported network, before step 1."""
    lines, used = [], set()
    for vector, value in source.recipe.states().items():
        name, size = source.members[vector], source.recipe.layout_of(vector).size
        known = f"initial_{vector}"
        start = f"{known}[i]" if vector in source.recipe.network else literal(value, source.kind)
        used |= {known} if vector in source.recipe.network else set()
        lines += [f"    for (int i = 0; i < {size}; ++i) {{", f"        state->{name}[i] = {start};", "    }"]
    doc = ["Sets the state to the exported network, with an optimizer that has made no step."]
    if source.request.weights is not None:
        doc.append(f"Call {source.stem}_load before.")
    body = [*lines, "    state->step = 0;"]
    return Function(f"{source.stem}_initialize", "void", [f"{source.stem}_state *state"], doc, body), used


def train(source: NetworkSource) -> tuple[Function, set[str]]:
    """The function of one optimizer step on a batch."""
    check_training(source)
    recipe, macro = source.recipe, source.macro
    plan = source.planned(training_step(recipe, source.request.batch), _own(source))
    given, parameters = _given(source, plan)
    regions = source.regions(plan, {}, given)
    regions += [Region(plan.outputs[name], "report", place) for place, name in enumerate(REPORT)]
    noise = [name for name in plan.inputs if name in recipe.model.noise(source.request.batch)]
    offset = 0
    for name in noise:
        regions.append(Region(plan.inputs[name], "noise", offset))
        offset += plan.inputs[name].size
    constants, scalars = _scalars(source, plan)
    regions += scalars
    lines, used = statements(plan, regions, source.kind, source.total)
    doc = [
        f"One step of {recipe.optimizer.type} on a batch of {macro}_BATCH examples. report: loss, regularization and "
        "norm of the gradient, before the step.",
        *(["noise: uniform random numbers in [0, 1), new ones for each step."] if noise else []),
        *(["weights: one for each example."] if recipe.weighted else []),
        *([targets_in_words(source), WRONG_TARGET] if parameters else []),
        wrong(source),
    ]
    arguments = [f"{source.stem}_state *state", *row_parameters(source, batch=True), *parameters]
    arguments += [f"const {source.real} weights[{macro}_BATCH]"] if recipe.weighted else []
    arguments += [f"const {source.real} noise[{offset}]"] if noise else []
    arguments += ["double learning_rate", f"{source.real} report[{len(REPORT)}]"]
    body = [*encoded(source, plan, batch=True), *_targets(source, plan), *constants, *lines, "    return 0;"]
    count = multiplication_count(plan.program)
    return Function(f"{source.stem}_train", "int", arguments, doc, body, count), used


def hessian_vector(source: NetworkSource) -> tuple[Function, set[str]]:
    """The function of a product of the objective's Hessian with a vector."""
    recipe, batch = source.recipe, source.request.batch
    traced = forward(recipe, batch, training=False)
    vector = input_(VECTOR, (recipe.layout.size,), recipe.model.dtype)
    objective, wrt = traced.loss + traced.regularization, [traced.params[name] for name in recipe.layout.shapes]
    parts = hessian_products(objective, wrt, list(recipe.layout.values(vector).values()))
    product = recipe.layout.join(dict(zip(recipe.layout.shapes, parts, strict=True)))
    program = simplify(Program({**traced.inputs, VECTOR: vector}, {PRODUCT: product}))
    plan = source.planned(program, _own(source))
    given, parameters = _given(source, plan)
    lines, used = source.body(plan, {PRODUCT: PRODUCT}, {**given, VECTOR: VECTOR})
    doc = [
        "The Hessian of loss and regularization by the parameters, times a vector, for a batch of "
        f"{source.macro}_BATCH examples. Dropout is off.",
        *([targets_in_words(source), WRONG_TARGET] if parameters else []),
        wrong(source),
    ]
    arguments = [*source.state_parameter, *row_parameters(source, batch=True), *parameters]
    arguments += [f"const {source.real} weights[{source.macro}_BATCH]"] if recipe.weighted else []
    arguments += [f"const {source.real} {VECTOR}[{source.macro}_PARAMETERS]"]
    arguments += [f"{source.real} {PRODUCT}[{source.macro}_PARAMETERS]"]
    body = [*encoded(source, plan, batch=True), *_targets(source, plan), *lines, "    return 0;"]
    count = multiplication_count(plan.program)
    return Function(f"{source.stem}_hessian_vector", "int", arguments, doc, body, count), used


def targets_in_words(source: NetworkSource) -> str:
    """What the targets are."""
    task = source.recipe.loss.task
    if task.has_positions:
        return "targets: the next token at each position; -1: there is none."
    if task.is_multiclass:
        return f"targets: places in {source.stem}_classes."
    if task.has_unit:
        return f"targets: in their own unit: {comment(', '.join(source.saved.transform.target.names[:20]))}."
    return "targets: 0 or 1, or between."


def _has_targets(source: NetworkSource) -> bool:
    """Whether targets are given; an autoencoder's are its inputs."""
    return source.saved.transform.target.columns is not None or source.saved.transform.text is not None


def _own(source: NetworkSource) -> Sequence[str]:
    """The inputs that live in memory: labels are read where the caller has them."""
    return (INPUTS,) if source.recipe.target_dtype == np.int64 else (INPUTS, TARGETS)


def _given(source: NetworkSource, plan: WrittenPlan) -> tuple[dict[str, str], list[str]]:
    """The C names of inputs that the caller owns, and the parameter for targets, if there is one."""
    given = {WEIGHTS: "weights"} if WEIGHTS in plan.inputs else {}
    labels = plan.inputs[TARGETS].dtype == np.int64
    given |= {TARGETS: "targets"} if labels else {}
    type_ = "int64_t" if labels else "double"
    size = math.prod(source.recipe.target_shape(1))
    many = f"{source.macro}_BATCH" + (f" * {size}" if size > 1 else "")
    return given, [f"const {type_} targets[{many}]"] if _has_targets(source) else []


def _targets(source: NetworkSource, plan: WrittenPlan) -> list[str]:
    """The statements that check labels, or write standardized targets into memory."""
    count = plan.inputs[TARGETS].size
    head = f"    for (int i = 0; i < {count}; ++i) {{"
    if plan.inputs[TARGETS].dtype == np.int64:
        task = source.recipe.loss.task
        least, most = (-1 if task.has_positions else 0), source.recipe.model.output_shape[-1]
        return [
            head,
            f"        if (targets[i] < {least} || targets[i] >= {most}) {{",
            "            return -1;",
            "        }",
            "    }",
        ]
    place, cast = source.place(plan, TARGETS), "(float)" if source.kind == "float32" else ""
    given = "targets[i]" if _has_targets(source) else f"({source.place(plan, INPUTS)})[i]"
    target, lines = source.saved.transform.target, []
    size = math.prod(source.recipe.target_shape(1))
    if target.task.has_unit and (target.mean.any() or (target.deviation != 1).any()):
        for name, values in (("mean", target.mean), ("deviation", target.deviation)):
            lines += [
                f"    {line}" for line in array(f"target_{name}", np.tile(values, size // len(values)), "float64")
            ]
        given = f"({given} - target_mean[i % {size}]) / target_deviation[i % {size}]"
    return [*lines, head, f"        ({place})[i] = {cast}({given});", "    }"]


def _scalars(source: NetworkSource, plan: WrittenPlan) -> tuple[list[str], list[Region]]:
    """The statements that compute the step's constants, and where they are."""
    lines, regions = list[str](), list[Region]()
    main, cast = source.recipe.optimizer.learning_rate, "(float)" if source.kind == "float32" else ""
    for span in source.recipe.spans:
        found = scalars_in_c(span.optimizer)
        own = span.optimizer.learning_rate
        rate = "learning_rate" if own == main else f"learning_rate * {own / main!r}"
        entries = {span.learning_rate: rate, **{f"{span.prefix}{key}": text for key, text in found.expressions.items()}}
        block = list(found.lines)
        for name, text in entries.items():
            block.append(f"scalars[{len(regions)}] = {f'{cast}({text})' if cast else text}; /* {name} */")
            regions.append(Region(plan.inputs[name], "scalars", len(regions)))
        lines += ["    {", *(f"        {line}" for line in block), "    }"]
    reads_step = any("step" in line for line in lines)
    step = "const double step = (double)++state->step;" if reads_step else "++state->step;"
    return [f"    {source.real} scalars[{len(regions)}];", f"    {step}", *lines], regions


def batch_macros(source: NetworkSource) -> list[str]:
    """The sizes that the header declares for a batch."""
    return [
        f"#define {source.macro}_BATCH {source.request.batch}",
        f"#define {source.macro}_PARAMETERS {source.recipe.layout.size}",
    ]


def parameter_places(source: NetworkSource) -> list[str]:
    """The places of the parameters in a vector of all of them."""
    layout = source.recipe.layout
    entries = [(source.place_name(name), layout.span(name)[0], _shape(shape)) for name, shape in layout.shapes.items()]
    return ["/* Places of the parameters in a vector of all of them. */", *enumeration(entries), ""]


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))

"""Rows of data as arguments of C functions, and the function that turns a row into the network's inputs."""

from __future__ import annotations

import math

from backprop_cli.execution.written_plan import WrittenPlan
from backprop_cli.exporting.c.network_source import Function, NetworkSource
from backprop_cli.training.step_program import INPUTS

WRONG = "Returns 0, or the number of the first column whose value cannot be used, from 1 in the header's order."
NOT_READ = "Returns -2 before the weights are read."
WRONG_TOKEN = "Returns 0, or the number of the first token, from 1, that the network does not know."


def _arguments(source: NetworkSource) -> list[tuple[str, str, str, int]]:
    """C type, name, macro and numbers a row of each argument that is part of an example."""
    columns, macro = source.columns, source.macro
    if source.saved.transform.text is not None:
        return [("const int64_t ", "tokens", f"{macro}_TOKENS", 0)]
    found = [("const double ", "numbers", f"{macro}_NUMBERS", columns.numbers)]
    found += [("const char *const ", "texts", f"{macro}_TEXTS", columns.texts)]
    return [each for each in found if each[3]]


def wrong(source: NetworkSource) -> str:
    """What a function returns that reads a row."""
    found = WRONG if source.saved.transform.text is None else WRONG_TOKEN
    return f"{found} {NOT_READ}" if source.reads_weights else found


def row_parameters(source: NetworkSource, batch: bool = False) -> list[str]:
    """The parameters that are an example, or a batch of them."""
    many = f"{source.macro}_BATCH * " if batch else ""
    return [f"{type_}{name}[{many}{macro}]" for type_, name, macro, _ in _arguments(source)]


def encoder(source: NetworkSource) -> Function:
    """The function that turns an example into the network's inputs."""
    arguments = _arguments(source)
    parameters = [f"{type_}*{name}" for type_, name, _, _ in arguments]
    parameters.append(f"{'int64_t' if _input_kind(source) == 'int64' else source.real} *inputs")
    if source.saved.transform.text is not None:
        doc, lines = ["The network's inputs from tokens.", WRONG_TOKEN], _token_lines(source)
    else:
        doc = ["The network's inputs from a row of data, or from the rows of a window, oldest first.", WRONG]
        lines = _row_lines(source)
    return Function("encode", "static int", parameters, doc, [*lines, "    return 0;"])


def _input_kind(source: NetworkSource) -> str:
    return source.kind if source.recipe.model.vocabulary is None else "int64"


def _token_lines(source: NetworkSource) -> list[str]:
    return [
        f"    for (int i = 0; i < {source.macro}_TOKENS; ++i) {{",
        f"        if (tokens[i] < 0 || tokens[i] >= {source.recipe.model.vocabulary}) {{",
        "            return i + 1;",
        "        }",
        "        inputs[i] = tokens[i];",
        "    }",
    ]


def _row_lines(source: NetworkSource) -> list[str]:
    columns = source.columns
    lines = columns.statements(_input_kind(source))
    if columns.rows == 1:
        return lines
    steps = {name: step for _, name, _, step in _arguments(source)} | {"inputs": columns.width}
    return [
        f"    for (int row = 0; row < {columns.rows}; ++row) {{",
        *(f"    {line}" for line in lines),
        *(f"        {name} += {step};" for name, step in steps.items()),
        "    }",
    ]


def encoded(source: NetworkSource, plan: WrittenPlan, batch: bool = False) -> list[str]:
    """The statements that encode an example, or a batch, and return if a value is wrong."""
    names = [name for _, name, _, _ in _arguments(source)]
    place = source.place(plan, INPUTS)
    unread = ["    if (!is_loaded) {", "        return -2;", "    }"] if source.reads_weights else []
    if not batch:
        return [*unread, *_checked(f"encode({', '.join([*names, place])})", "    ")]
    moved = [f"{name} + row * {macro}" for _, name, macro, _ in _arguments(source)]
    target = f"{place} + row * {math.prod(source.recipe.model.input_shape)}"
    return [
        *unread,
        f"    for (int row = 0; row < {source.macro}_BATCH; ++row) {{",
        *_checked(f"encode({', '.join([*moved, target])})", "        "),
        "    }",
    ]


def _checked(call: str, indent: str) -> list[str]:
    return [
        f"{indent}const int wrong = {call};",
        f"{indent}if (wrong != 0) {{",
        f"{indent}    return wrong;",
        f"{indent}}}",
    ]

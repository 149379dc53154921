"""The main function that compares an exported network with the outputs it should have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.execution.plan import Plan
from backprop_cli.exporting.c.c99 import WIDTH, literal
from backprop_cli.exporting.c.c_names import TYPES, quoted, rows_of
from backprop_cli.exporting.c.network_source import NetworkSource
from backprop_cli.exporting.c.sample_rows import SampleRows, sample_rows
from backprop_cli.exporting.derivative_programs import prediction_program
from backprop_cli.training.step_program import INPUTS, PREDICTIONS

ROWS = 10
TOLERANCE = {"float32": "1e-5", "float64": "1e-12"}
"""Largest difference, relative to the largest output of a row."""


def expected(source: NetworkSource, rows: SampleRows) -> Array:
    """The outputs of rows, computed by a plan in the precision of the file."""
    saved = source.saved
    plan = Plan(prediction_program(saved, source.recipe))
    for vector in source.recipe.network:
        plan.inputs[vector][...] = saved.vectors[vector]
    found = []
    for row in rows.inputs:
        plan.inputs[INPUTS][...] = row
        plan.run()
        found.append(plan.outputs[PREDICTIONS].reshape(-1).copy())
    return np.stack(found)


def self_test(source: NetworkSource) -> list[str]:
    """The lines of the test, to be compiled with ``-DBP_TEST``."""
    transform, macro = source.saved.transform, source.macro
    dtype = np.dtype(source.kind)
    rows = sample_rows(transform, ROWS, dtype, source.recipe.model.vocabulary)
    outputs = expected(source, rows)
    lines = ["#ifdef BP_TEST", "#include <stdio.h>", ""]
    arguments = ["&state"] if source.is_training else []
    if transform.text is not None:
        lines += _matrix("const int64_t", "test_tokens", _literals(rows.numbers, "int64"))
        arguments.append("test_tokens[row]")
    elif rows.numbers.shape[1]:
        lines += _matrix("const double", "test_numbers", _literals(rows.numbers, "float64"))
        arguments.append("test_numbers[row]")
    if rows.texts[0]:
        texts = [["NULL" if text is None else quoted(text) for text in row] for row in rows.texts]
        lines += _matrix("const char *const", "test_texts", texts)
        arguments.append("test_texts[row]")
    lines += _matrix(f"const {TYPES[source.kind]}", "test_outputs", _literals(outputs, source.kind))
    call = f"{source.stem}_predict({', '.join([*arguments, 'outputs'])})"
    lines += _MAIN.format(
        rows=ROWS, outputs=f"{macro}_OUTPUTS", real=source.real, call=call, tolerance=TOLERANCE[source.kind]
    ).splitlines()
    if source.request.weights is not None:
        place = lines.index("    double worst = 0.0;") + 1
        lines[place:place] = _LOAD.format(stem=source.stem, path=quoted(source.request.weights.name)).splitlines()
        lines[lines.index("int main(void)")] = "int main(int count, char **words)"
    if source.is_training:
        start = [f"    static {source.stem}_state state;", f"    {source.stem}_initialize(&state);"]
        place = lines.index("    for (int row = 0; row < 10; ++row) {")
        lines[place:place] = start
    return [*lines, "#endif", ""]


def _literals(values: Array, kind: str) -> list[list[str]]:
    return [[literal(number, kind) for number in row] for row in values.tolist()]


def _matrix(type_: str, name: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """The definition of a matrix; a row is one line if it fits."""
    lines = [f"static {type_} {name}[{len(rows)}][{len(rows[0])}] = {{"]
    for row in rows:
        one = f"    {{{', '.join(row)}}},"
        lines += [one] if len(one) <= WIDTH else ["    {", *rows_of(row, "        "), "    },"]
    return [*lines, "};", ""]


_LOAD = """\
    if ({stem}_load(count > 1 ? words[1] : {path}) != 0) {{
        printf("%s: cannot be read\\n", count > 1 ? words[1] : {path});
        return 1;
    }}
"""
_MAIN = """\
int main(void)
{{
    static {real} outputs[{outputs}];
    double worst = 0.0;
    for (int row = 0; row < {rows}; ++row) {{
        double largest = 0.0;
        if ({call} != 0) {{
            printf("row %d: a value cannot be used\\n", row);
            return 1;
        }}
        for (int i = 0; i < {outputs}; ++i) {{
            largest = fmax(largest, fabs((double)test_outputs[row][i]));
        }}
        for (int i = 0; i < {outputs}; ++i) {{
            const double difference = fabs((double)outputs[i] - (double)test_outputs[row][i]);
            if (!(difference <= {tolerance} * largest)) {{
                printf("row %d, output %d: %.9g, expected %.9g\\n", row, i, (double)outputs[i],
                       (double)test_outputs[row][i]);
                return 1;
            }}
            worst = largest > 0.0 ? fmax(worst, difference / largest) : worst;
        }}
    }}
    printf("{rows} rows: largest relative difference %.2g\\n", worst);
    return 0;
}}
"""

"""The texts of the C file and of its header."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from backprop_cli import __version__
from backprop_cli.data.dated import Dated
from backprop_cli.data.features import Coded, Feature
from backprop_cli.errors import listing
from backprop_cli.exporting.c.c_names import TYPES, array, comment, enumeration, identifiers, quoted, rows_of
from backprop_cli.exporting.c.c_training import batch_macros, parameter_places, state_lines
from backprop_cli.exporting.c.network_source import MEMORY, Function, NetworkSource
from backprop_cli.exporting.c.prediction import name_tables
from backprop_cli.nn.graph import Node

_USES = {
    "static": "Static memory",
    "constants": "Constants",
    "weights": "Weights",
    "state": "State",
}
"""Uses of memory in the head of the file."""

_NEEDS_NAN = [
    "#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__",
    '#error "missing values are NaN: after -ffast-math, add -fno-finite-math-only"',
    "#endif",
    "",
]

_MACROS = "BATCH H INPUTS NUMBERS OUTPUTS PARAMETERS TEXTS TOKENS VOCABULARY"
"""Ends of the names that the header defines."""


def head(source: NetworkSource, functions: Sequence[Function], used: set[str]) -> list[str]:
    """The comment at the top of the C file: what it is and what it needs."""
    recipe, name = source.recipe, source.saved.loaded.config.name or source.stem
    layers = " -> ".join([_shape(recipe.model.input_shape), *(_layer(node) for node in recipe.model.nodes)])
    lines = [
        f"{comment(source.request.output.name)}: the network {comment(name)}, exported by bp {__version__}",
        "",
        *_wrapped(layers),
        "",
        f"{'Precision':<16}{source.kind}",
        *(f"{_USES[use]:<16}{count} bytes" for use, count in source.sizes(used).items()),
    ]
    for function in functions:
        if function.multiplications is not None:
            lines.append(
                f"{function.name.removeprefix(source.stem + '_'):<16}{function.multiplications} multiplications"
            )
    lines += [
        "",
        "C99 and libm. Nothing is allocated. The functions share the static memory: none may interrupt another.",
        "-DBP_CBLAS   matrix products are calls of CBLAS",
        "-DBP_TEST    a main function compares ten rows with the outputs they should have",
    ]
    if source.kind == "float32":
        lines.append("-DBP_SUM=T   the type of sums: float (default) or double")
    return ["/*", *(f" * {line}".rstrip() for line in lines), " */"]


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _layer(node: Node) -> str:
    return f"{comment(node.name)} {_shape(node.output_shape)}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, break_long_words=False)


def header(source: NetworkSource, functions: Sequence[Function]) -> str:
    """The header."""
    macro = source.macro
    lines = [
        f"/* {comment(source.request.output.stem)}.h: see {comment(source.request.output.name)}. */",
        f"#ifndef {macro}_H",
        f"#define {macro}_H",
        "",
        *(["#include <stdint.h>", ""] if any("int64_t" in each.signature for each in functions) else []),
        *_sizes(source),
        *_places(source),
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
    ]
    for name, about, texts in name_tables(source):
        lines += [f"/** {about} */", f"extern const char *const {name}[{len(texts)}];", ""]
    lines += state_lines(source) if source.is_training else []
    for function in functions:
        lines += ["/**", *(f" * {line}" for each in function.doc for line in _wrapped(each)), " */"]
        lines += [f"{function.signature};", ""]
    return "\n".join([*lines, "#ifdef __cplusplus", "}", "#endif", "", "#endif", ""])


def _sizes(source: NetworkSource) -> list[str]:
    """Sizes of arguments."""
    macro, columns, model = source.macro, source.columns, source.recipe.model
    rows = f" /* {columns.rows} rows of {columns.numbers}, oldest first */" if columns.rows > 1 else ""
    lines = []
    if source.saved.transform.text is not None:
        lines.append(f"#define {macro}_TOKENS {model.input_shape[0]} /* of a text */")
        lines.append(f"#define {macro}_VOCABULARY {model.output_shape[-1]}")
    if columns.numbers:
        lines.append(f"#define {macro}_NUMBERS {columns.numbers * columns.rows}{rows}")
    if columns.texts:
        lines.append(f"#define {macro}_TEXTS {columns.texts * columns.rows}")
    lines.append(f"#define {macro}_INPUTS {math.prod(model.input_shape)} /* of the network */")
    lines.append(f"#define {macro}_OUTPUTS {math.prod(model.output_shape)}")
    if source.is_training or "hessian-vector" in source.request.parts:
        return [*lines, *batch_macros(source), "", *parameter_places(source)]
    return [*lines, ""]


def _places(source: NetworkSource) -> list[str]:
    """Names for the places of the columns of a row among its numbers and texts."""
    found = source.columns.places()
    if not found:
        return []
    kinds = [
        *(["numbers (NaN: missing)"] if source.columns.numbers else []),
        *(["texts (NULL: missing)"] if source.columns.texts else []),
    ]
    taken = (f"{source.macro}_{word}" for word in _MACROS.split())
    names = identifiers((f"{source.macro}_{name.upper()}" for _, name, _ in found), taken)
    entries = [(name, place, _about(feature)) for (feature, _, place), name in zip(found, names, strict=True)]
    return [f"/* Places of the columns of a row among its {' and '.join(kinds)}. */", *enumeration(entries), ""]


def _about(feature: Feature) -> str:
    if isinstance(feature, Coded):
        return f"texts: {comment(listing(feature.categories, 8))}"
    if isinstance(feature, Dated):
        return "seconds since 1970, UTC"
    return f"{_shape(feature.shape)} numbers" if feature.shape else ""


def source_text(source: NetworkSource, encode: Function, functions: Sequence[Function], used: set[str]) -> str:
    """The C file, without its test."""
    lines = [
        *head(source, functions, used),
        *_includes(source),
        *(_NEEDS_NAN if any("isnan" in line for line in encode.lines) else []),
        *_arrays(source, used),
        *source.columns.definitions(),
        "",
        "/*",
        *(f" * {line}" for each in encode.doc for line in _wrapped(each)),
        " */",
    ]
    for function in (encode, *functions):
        lines += [function.signature, "{", *function.lines, "}", ""]
    return "\n".join(lines)


def _includes(source: NetworkSource) -> list[str]:
    lines = [f'#include "{source.request.output.with_suffix(".h").name}"', ""]
    lines += ["#include <math.h>", "#include <stddef.h>", "#include <stdint.h>"]
    lines += ["#include <stdio.h>", ""] if source.request.weights is not None else [""]
    lines += ["#ifdef BP_CBLAS", "#include <cblas.h>", "#endif", ""]
    return [*lines, "#ifndef BP_SUM", "#define BP_SUM float", "#endif", ""] if source.kind == "float32" else lines


def _arrays(source: NetworkSource, used: set[str]) -> list[str]:
    """Weights, constants, memory and the names of classes."""
    lines: list[str] = []
    in_file = source.request.weights is not None
    for name, about, known in source.weight_arrays:
        if name in used or in_file:
            lines.append(f"/* {comment(about)} */")
            lines += [f"static {source.real} {name}[{known.size}];"] if in_file else array(name, known)
            lines.append("")
    if in_file:
        lines += ["static int is_loaded; /* whether the weights have been read */", ""]
    for name, known in source.constants.values():
        lines += [*array(name, known), ""] if name in used else []
    lines.append("/* Inputs and intermediate values. Values that are never needed together share memory. */")
    lines += [f"static {TYPES[kind]} {MEMORY[kind]}[{count}];" for kind, count in sorted(source.memory.items())]
    for name, _, texts in name_tables(source):
        lines += ["", f"const char *const {name}[{len(texts)}] = {{", *rows_of(list(map(quoted, texts))), "};"]
    return lines

"""Weights in a file of their own, and the C function that reads it.

The file: 16 characters that name the network, the number 1 to recognize the order of bytes, then all weights.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from backprop_cli.exporting.c.c_names import quoted
from backprop_cli.exporting.c.network_source import Function, NetworkSource


def _name(source: NetworkSource) -> str:
    """16 characters that differ for another precision, or other names and shapes of weights."""
    shapes = {name: known.shape for name, known in source.weights.items()}
    digest = hashlib.sha256(json.dumps([source.kind, list(shapes.items())]).encode()).hexdigest()
    return f"bp-c{digest[:12]}"


def weight_bytes(source: NetworkSource) -> bytes:
    """The content of the file, with the first byte of a number the least significant one."""
    one = np.ones(1, source.kind)
    numbers = np.concatenate([one, *(known.reshape(-1) for _, _, known in source.weight_arrays)])
    return _name(source).encode("ascii") + numbers.astype(np.dtype(source.kind).newbyteorder("<")).tobytes()


def load(source: NetworkSource) -> Function:
    """The function that reads the file."""
    real, arrays = source.real, source.weight_arrays
    lines = [
        "    static const struct {",
        f"        {real} *numbers;",
        "        size_t count;",
        "    } parts[] = {",
        *(f"        {{{name}, {known.size}}}," for name, _, known in arrays),
        "    };",
        f"    static const char network[] = {quoted(_name(source))};",
        "    char found[16];",
        f"    {real} one;",
        '    FILE *file = fopen(path, "rb");',
        "    if (file == NULL) {",
        "        return 1;",
        "    }",
        "    is_loaded = fread(found, 1, 16, file) == 16 && fread(&one, sizeof one, 1, file) == 1 && one == 1;",
        "    for (int i = 0; i < 16 && is_loaded; ++i) {",
        "        is_loaded = found[i] == network[i];",
        "    }",
        "    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && is_loaded; ++i) {",
        "        is_loaded = fread(parts[i].numbers, sizeof one, parts[i].count, file) == parts[i].count;",
        "    }",
        "    fclose(file);",
        "    return is_loaded ? 0 : 2;",
    ]
    doc = [
        "Reads the weights. Returns 0, 1 if the file cannot be opened, 2 if it is cut off or holds the weights of "
        "another network, another precision or another order of bytes."
    ]
    return Function(f"{source.stem}_load", "int", ["const char *path"], doc, lines)

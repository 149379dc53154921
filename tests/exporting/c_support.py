"""C that is compiled and called from tests."""

import ctypes
import subprocess

import numpy as np

from backprop_cli.execution.compiler import find_compiler
from backprop_cli.execution.written_plan import WrittenPlan
from backprop_cli.exporting.c.c99 import literal
from backprop_cli.exporting.c.c_names import TYPES
from backprop_cli.exporting.c.computation import Region, statements

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow"]


def shared_library(source, folder, *flags):
    """The compiled text, loaded."""
    (folder / "source.c").write_text(source)
    target = folder / "library.so"
    command = [*find_compiler().command, *STRICT, *flags, "-shared", "-fPIC", "source.c", "-o", str(target), "-lm"]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(target))


class Written:
    """A program as a C function ``f<number>`` of a pointer for each input and output."""

    def __init__(self, program, number, kind):
        self.plan, self.number = WrittenPlan(program), number
        plan = self.plan
        self.arrays = {f"in{k}": x for k, x in enumerate(plan.inputs.values())}
        self.arrays |= {f"out{k}": x for k, x in enumerate(plan.outputs.values())}
        regions = [Region(x, name) for name, x in self.arrays.items()]
        self.lines = []
        for name, memory in plan.memory.items():
            self.lines.append(f"static {TYPES[name]} memory{number}_{name}[{max(1, memory.size)}];")
            regions.append(Region(memory, f"memory{number}_{name}"))
        for place, known in enumerate(plan.constants):
            low, high = np.lib.array_utils.byte_bounds(known)
            flat = np.lib.stride_tricks.as_strided(known, (max(1, (high - low) // known.itemsize),), (known.itemsize,))
            numbers = ", ".join(literal(each, known.dtype.name) for each in flat.tolist())
            name = f"known{number}_{place}"
            self.lines.append(f"static const {TYPES[known.dtype.name]} {name}[] = {{{numbers}}};")
            regions.append(Region(flat, name))
        body, used = statements(plan, regions, kind, TYPES[kind])
        self.lines = [line for line in self.lines if any(name in line for name in used)]
        parameters = ", ".join(f"{TYPES[x.dtype.name]} *{name}" for name, x in self.arrays.items())
        unused = [f"    (void){name};" for name in self.arrays]
        self.lines += [f"void f{number}({parameters});", f"void f{number}({parameters})", "{", *unused, *body, "}"]

    def run(self, library, inputs):
        """The outputs by name."""
        for name, array in inputs.items():
            self.plan.inputs[name][...] = array
        for out in self.plan.outputs.values():
            out.fill(np.nan if out.dtype.kind == "f" else -1)
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in self.arrays.values()]
        library[f"f{self.number}"](*pointers)
        return {name: out.copy() for name, out in self.plan.outputs.items()}


def written(programs, folder, kind, *flags):
    """The programs as functions of one library."""
    all_ = [Written(program, number, kind) for number, program in enumerate(programs)]
    head = ["#include <math.h>", "#include <stdint.h>", ""]
    text = "\n".join([*head, *(line for each in all_ for line in [*each.lines, ""])])
    return all_, shared_library(text, folder, *flags)

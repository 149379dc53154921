"""The constants of a training step in C, for every optimizer."""

import ctypes
from typing import Annotated

import pytest
from c_support import shared_library
from pydantic import TypeAdapter

from backprop_cli.execution.compiler import has_compiler
from backprop_cli.exporting.c.optimizer_scalars import scalars_in_c
from backprop_cli.nn.optimizer import OPTIMIZERS, FullBatch
from backprop_cli.registry import Choice
from backprop_cli.settings import Settings

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")

STEPS = (1, 2, 5, 6, 7, 100, 5000)


def _optimizers():
    for name, cls in OPTIMIZERS.items():
        for sample in cls.samples:
            found = TypeAdapter(Annotated[Settings, Choice(OPTIMIZERS)]).validate_python({"type": name, **sample})
            if not isinstance(found, FullBatch):
                yield found


def test_constants_of_a_step(tmp_path):
    found = list(_optimizers())
    lines = ["#include <math.h>"]
    for number, optimizer in enumerate(found):
        text = scalars_in_c(optimizer)
        assert sorted(text.expressions) == sorted(optimizer.scalars(1))
        stores = [f"out[{place}] = {text.expressions[name]};" for place, name in enumerate(optimizer.scalars(1))]
        head = f"void f{number}(double step, double *out)"
        lines += [f"{head};", head, "{", "(void)step;", "(void)out;", *text.lines, *stores, "}"]
    library = shared_library("\n".join([*lines, ""]), tmp_path)
    for number, optimizer in enumerate(found):
        for step in STEPS:
            out = (ctypes.c_double * 8)()
            library[f"f{number}"](ctypes.c_double(step), out)
            expected = list(optimizer.scalars(step).values())
            assert list(out)[: len(expected)] == pytest.approx(expected, rel=1e-12), (optimizer.type, step)

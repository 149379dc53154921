"""Every op has a form in C, which computes what its ``eval`` does."""

import numpy as np
import pytest
from c_support import written
from op_checks import cases

from backprop_cli.autodiff import Op, Program, input_
from backprop_cli.autodiff.evaluate import evaluate
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.written_plan import WrittenPlan
from backprop_cli.exporting.c.computation import unwritable

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float64", 1e-14), pytest.param("float32", 1e-5, marks=pytest.mark.slow)]
)
def test_every_op_on_its_samples(kind, tolerance, tmp_path):
    dtype = np.dtype(kind)
    chosen = [case for case in cases() if case.op.kind != "cast"]
    programs, feeds = [], []
    for case in chosen:
        op = case.op
        if op.kind == "one_hot":
            op = type(op)(op.classes, kind)
        arrays = case.arrays(dtype=dtype)
        values = [input_(f"x{k}", x.shape, x.dtype) for k, x in enumerate(arrays)]
        programs.append(Program({v.name: v for v in values}, {"out": op(*values)}))
        feeds.append(dict(zip(values, arrays, strict=True)))
    functions, library = written(programs, tmp_path, kind)
    wrong = []
    for case, program, function, feed in zip(chosen, programs, functions, feeds, strict=True):
        (expected,) = evaluate([program.outputs["out"]], feed)
        out = function.run(library, {value.name: array for value, array in feed.items()})["out"]
        if not np.allclose(out, expected, rtol=tolerance, atol=tolerance):
            wrong.append((str(case), out, expected))
    assert not wrong


class Unheard(Op):
    """An op of a plugin."""

    def shape(self, *x):
        return x[0]


def test_an_op_without_a_form_is_found():
    x = input_("x", (3,))
    plan = WrittenPlan(Program({"x": x}, {"out": Unheard()(x + 1.0)}))
    assert [step.op.kind for step in unwritable(plan)] == ["unheard"]

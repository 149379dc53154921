"""Promises of ``eval`` and its substitutes: ``bind``, ``view``, in-place memory, and compiled loops."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from backprop_cli.autodiff import Array, spec_of
from backprop_cli.autodiff.families import Elementwise
from backprop_cli.checks.promises.case import POISONS, BrokenPromiseError, Case, agree, arrays_at, poisoned, run
from backprop_cli.checks.promises.interpreted import carry_out
from backprop_cli.execution import kernels
from backprop_cli.execution.loops import element_loops

_TOLERANCE = 1e-12
"""Tolerance of the same formula by other loops or in another order."""
_SINGLE = 1e-3
"""Tolerance of float32 against float64, beyond any rounding."""
_COMPILED = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}
_DTYPES = ("float32", "float64", "int64")
"""Dtypes of compiled loops."""


def check_shape(case: Case, rng: np.random.Generator) -> None:
    """``shape`` gives one Spec: a tuple of sizes and a dtype."""
    spec = case.result
    if not (isinstance(spec.shape, tuple) and isinstance(spec.dtype, np.dtype)):
        raise BrokenPromiseError("shape", f"gives {spec!r}, expected a Spec of a tuple and a dtype")


def check_writes(case: Case, rng: np.random.Generator) -> None:
    """``eval`` writes all of ``out``, does not read it or scratch before, and does not change its operands."""
    results = []
    for poison in POISONS:
        operands = case.copies()
        results.append(run(case.op, operands, poison=poison))
        for k, (after, before) in enumerate(zip(operands, case.arrays, strict=True)):
            agree("eval", after, before, f"leaves in operand {k}", "where before was")
    operands = case.copies()
    for operand in operands:
        operand.flags.writeable = False
    try:
        run(case.op, operands)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise BrokenPromiseError("eval", "writes into its operands, even if what was there") from error
    agree("eval", results[0], results[1], "does not write all of out, or reads memory first: it gives", "and")


def check_bind(case: Case, rng: np.random.Generator) -> None:
    """The function that ``bind`` returns is ``eval``, at every call, on the operands of that time."""
    op, specs = case.op, case.specs
    wanted = poisoned(case.result, POISONS[0])
    op.eval(*case.arrays, out=wanted)
    operands = [np.ones_like(x) if x.dtype.kind == "f" else np.zeros_like(x) for x in case.arrays]
    out = poisoned(case.result, POISONS[1])
    scratch = tuple(poisoned(s, POISONS[1]) for s in kernels.scratch(op, *specs))
    call = kernels.bind(op, *operands, out=out, scratch=scratch)
    call()
    for operand, array in zip(operands, case.arrays, strict=True):
        operand[...] = array
    for _ in range(2):
        call()
        agree("bind", out, wanted, "its call gives", "eval gives", _TOLERANCE)


def check_strides(case: Case, rng: np.random.Generator) -> None:
    """Operands may be views, with their elements in another order or apart in memory."""
    wanted = run(case.op, case.arrays)
    for arranged in (_back_to_front, _apart):
        views = [arranged(x) for x in case.arrays]
        agree("eval", run(case.op, views), wanted, "of operands that are views gives", "of others", _TOLERANCE)


def _back_to_front(x: Array) -> Array:
    return x.copy(order="F")


def _apart(x: Array) -> Array:
    room = np.empty((*x.shape, 2), x.dtype)
    room[..., 0] = x
    return room[..., 0]


def check_in_place(case: Case, rng: np.random.Generator) -> None:
    """``out`` in the memory of an operand of its spec, or of several equal ones, gives the same bits."""
    if kernels.runs_in_place(case.op):
        for each in (case, case.in_single()):
            _check_in_place(each)


def _check_in_place(case: Case) -> None:
    spec = case.result
    fitting = [k for k, each in enumerate(case.specs) if each == spec]
    for taken in [(k,) for k in fitting] + list(combinations(fitting, 2)):
        operands = case.copies()
        for k in taken[1:]:
            operands[k] = operands[taken[0]]
        wanted = run(case.op, [x.copy() for x in operands])
        run(case.op, operands, operands[taken[0]])
        over = " and ".join(map(str, taken))
        got = operands[taken[0]]
        agree("in_place", got, wanted, f"over the memory of operand {over} eval gives", "in memory of its own")


def check_blocks(case: Case, rng: np.random.Generator) -> None:
    """An elementwise op gives the same for pieces of flat arrays, by which large ones are evaluated."""
    same = all(x.size in (1, case.result.size) for x in case.arrays)
    if not (isinstance(case.op, Elementwise) and same and case.result.size > 1):
        return
    wanted, size = run(case.op, case.arrays).reshape(-1), case.result.size
    out, half = poisoned(case.result.with_shape((size,)), POISONS[0]), size // 2
    for start, stop in ((0, half), (half, size)):
        pieces = [x.reshape(()) if x.size == 1 else x.reshape(-1)[start:stop] for x in case.arrays]
        rooms = [s.with_shape((stop - start,)) for s in kernels.scratch(case.op, *case.specs)]
        scratch = tuple(poisoned(room, POISONS[1]) for room in rooms)
        kernels.bind(case.op, *pieces, out=out[start:stop], scratch=scratch)()
    agree("eval", out, wanted, "of pieces, one after the other, gives", "of the whole", _TOLERANCE)


def check_view(case: Case, rng: np.random.Generator) -> None:
    """``view`` is None, or a view of the operand equal to the result of ``eval``."""
    if not case.op.is_view:
        return
    wanted = run(case.op, case.arrays)
    for given in (case.arrays[0].copy(), _back_to_front(case.arrays[0]), _apart(case.arrays[0])):
        view = case.op.view(given)
        if view is None:
            continue
        if view.size and not np.shares_memory(view, given):
            raise BrokenPromiseError("view", "is a copy, expected a view of operand 0 or None")
        if spec_of(view) != case.result:
            raise BrokenPromiseError("view", f"gives {spec_of(view)}, shape says {case.result}")
        agree("view", view, wanted, "shows", "eval writes")


def check_single(case: Case, rng: np.random.Generator) -> None:
    """float32 stays float32, with the values of float64."""
    single = case.in_single()
    spec = single.result
    wanted = np.dtype(getattr(case.op, "dtype", np.float32 if case.result.is_inexact else spec.dtype))
    if spec.dtype != wanted:
        raise BrokenPromiseError("shape", f"gives {spec.dtype} for operands of float32, expected {wanted}")
    double = run(case.op, [x.astype(np.float64) if x.dtype == np.float32 else x for x in single.arrays])
    size = max(1.0, float(np.max(np.abs(double), initial=0.0)))
    agree("eval", run(case.op, single.arrays) / size, double / size, "in float32 gives", "in float64", _SINGLE)


def check_loop(case: Case, rng: np.random.Generator) -> None:
    """``element_loops`` (an elementwise op's ``expression``), by which compiled steps compute the op, is ``eval``."""
    for at in (each for drawn in arrays_at(case, rng) for each in (drawn, drawn.in_single())):
        with np.errstate(all="ignore"):
            wanted = run(at.op, at.arrays)
        out = poisoned(at.result, POISONS[0])
        loops = element_loops(at.op, *at.arrays, out=out)
        if not loops or any(x.dtype.name not in _DTYPES for loop in loops for x in (*loop.operands, loop.out)):
            return
        method = "expression" if isinstance(at.op, Elementwise) and at.op.expression else "element_loops"
        try:
            if out.size:
                carry_out(loops)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise BrokenPromiseError(method, f"{loops[0].expression!r} cannot be compiled: {reason}") from error
        agree(method, out, wanted, "compiled it gives", "eval gives", _COMPILED.get(out.dtype, 0.0))

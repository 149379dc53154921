"""Native: source -> machine code, by the C compiler of this machine, kept between processes.

The text states the order of sums; a product and a sum may be fused. Infinities and NaN stay what they are in NumPy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from backprop_cli.autodiff.spec import Array
from backprop_cli.errors import warn
from backprop_cli.execution import cache as entries
from backprop_cli.execution.c_text import c_source
from backprop_cli.execution.codegen import Piece, Texts
from backprop_cli.execution.compiler import CODE, CompilationError, Compiler, find_compiler, load
from backprop_cli.execution.loops import address
from backprop_cli.execution.row_blocks import RowBlocks

Step = tuple[int, Sequence[Array]]
"""A piece of a run: the number of its function, and the arrays that its table of addresses points to."""


class Blocks(NamedTuple):
    """Steps of so many ``rows``: each ``block`` of rows goes through all of them."""

    rows: int
    block: int
    steps: Sequence[Step]


Binding = Callable[[Sequence[Step | Blocks], int], Callable[[], object]]
"""Makes one call of some steps, with so many threads."""


def linked(calls: Sequence[Any], threads: int = 1) -> list[Callable[[], object]]:
    """The calls, with runs of pieces to compile replaced by one call of machine code each.

    Each piece is a function. Pieces that differ in their arrays alone, such as those of equal layers, are one.
    ``threads`` share large pieces; the results have the same bits for any number.
    """
    texts, numbers = Texts(), dict[str, int]()

    def step(piece: Piece, rows: int = 0) -> Step:
        text, arrays = texts(piece, rows)
        return numbers.setdefault(text, len(numbers)), arrays

    steps: dict[int, Step | Blocks] = {}
    for number, call in enumerate(calls):
        if isinstance(call, RowBlocks):
            steps[number] = Blocks(call.rows, call.block, [step(piece, call.rows) for piece in call.pieces])
        elif isinstance(call, Piece):
            steps[number] = step(call)
    bind = machine_code(list(numbers)) if numbers else None
    done: list[Callable[[], object]] = []
    for is_compiled, run in groupby(range(len(calls)), steps.__contains__):
        if is_compiled and bind is not None:
            done.append(bind([steps[number] for number in run], threads))
        else:
            done += [calls[number] for number in run]
    return done


def machine_code(texts: Sequence[str]) -> Binding:
    """The functions of some sources, from the user's cache or compiled."""
    compiler = find_compiler()
    assert compiler is not None, "nothing is compiled without a compiler"
    text, tiles = c_source(texts, compiler.vector_functions)
    tools = [tool for tool in (_runtime_source(), *tiles) if tool not in _TOOLS]
    *new, library = _loaded(compiler, [*tools, text])
    _TOOLS.update(zip(tools, new, strict=True))
    return partial(_bound, library)


_TOOLS: dict[str, ctypes.CDLL] = {}
"""Libraries that a process needs once, however many plans it has, by source: the runtime, and tiles."""


class MachineCode(partial[None]):
    """A call of the function ``run`` of a library. ``memory``: what lives as long as the call."""

    memory: tuple[Any, ...]

    @property
    def words(self) -> tuple[int | None, ...]:
        """The address of the function, and its arguments."""
        function = ctypes.cast(self.func, ctypes.c_void_p)  # type: ignore[arg-type]
        return function.value, *(argument.value for argument in self.args)


def runtime() -> ctypes.CDLL:
    """The library that all machine code needs: the pool of threads, and ``repeat``."""
    return _TOOLS[_runtime_source()]


def _share(threads: int) -> ctypes.c_void_p:
    """The function that shares a loop with the threads of this process, which has at least so many; null for one."""
    if threads == 1:
        return ctypes.c_void_p()
    runtime().start(threads)
    return ctypes.cast(runtime().share, ctypes.c_void_p)


@cache
def _runtime_source() -> str:
    here = Path(__file__)
    return "".join(here.with_name(name).read_text(encoding="ascii") for name in ("pool.c", "repetition.c"))


def _loaded(compiler: Compiler, sources: Sequence[str]) -> list[ctypes.CDLL]:
    """The libraries of some sources. The last one may call functions of the others."""
    names = {compiler.name(source): source for source in sources}
    kept = {name: entries.load(CODE, name) for name in names}
    new = _compiled(compiler, {name: names[name] for name, code in kept.items() if code is None})
    found = []
    for name, source in names.items():
        visible = source is not sources[-1]
        try:
            found.append(load(new.get(name) or kept[name] or b"", visible))
        except CompilationError:
            if name in new:
                raise
            found.append(load(_compiled(compiler, {name: source})[name], visible))
    return found


def _compiled(compiler: Compiler, sources: Mapping[str, str]) -> dict[str, bytes]:
    """Machine code by name, of all sources at the same time, also put into the cache."""
    if not sources:
        return {}
    from concurrent.futures import ThreadPoolExecutor  # imported here: it takes a start 10 ms

    with ThreadPoolExecutor(len(sources)) as compilers:
        codes = dict(zip(sources, compilers.map(compiler.shared_library, sources.values()), strict=True))
    _warn_of_folder()
    for name, code in codes.items():
        entries.save(CODE, name, code)
    return codes


def _bound(library: ctypes.CDLL, steps: Sequence[Step | Blocks], threads: int) -> Callable[[], object]:
    """The call of the function ``run`` for some steps."""
    tables: list[ctypes.Array[Any]] = []
    pairs = _array(_pairs(steps, tables), ctypes.c_int64)
    function = library["run"]
    function.restype = None  # by default ctypes makes an integer of what a register holds
    first = ctypes.c_void_p(ctypes.addressof(pairs))
    run = MachineCode(function, first, ctypes.c_int64(len(steps)), _share(threads))
    run.memory = tables, pairs, steps
    return run


def _pairs(steps: Sequence[Step | Blocks], tables: list[ctypes.Array[Any]]) -> list[int]:
    """The number of each function, -1 of blocks, and the address of its table, which is appended to ``tables``."""
    pairs: list[int] = []
    for step in steps:
        if isinstance(step, Blocks):
            counts = -(-step.rows // step.block), len(step.steps), step.rows, step.block
            number, table = -1, _array([*counts, *_pairs(step.steps, tables)], ctypes.c_int64)
        else:
            number, table = step[0], _array([address(array) for array in step[1]], ctypes.c_void_p)
        tables.append(table)
        pairs += number, ctypes.addressof(table)
    return pairs


def _array(numbers: Sequence[int], kind: Any) -> ctypes.Array[Any]:
    array: ctypes.Array[Any] = (kind * len(numbers))(*numbers)
    return array


@cache
def _warn_of_folder() -> None:
    """Warn once a process that steps are compiled at every start, and why."""
    if reason := entries.distrust():
        warn(f"{reason}; steps are compiled anew")

"""Native: source -> machine code, by the C compiler of this machine, kept between processes.

Sums may be reordered, a product and a sum fused; infinities and NaN stay what they are in NumPy.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from backprop_cli.errors import warn
from backprop_cli.execution import cache as entries
from backprop_cli.execution.c_text import c_source
from backprop_cli.execution.codegen import Piece, Source
from backprop_cli.execution.compiler import CompilationError, find_compiler, load

SHORTEST, LONGEST = 10, 40
"""Fewest and most nests and products in one function. A call takes as long as a small nest, and compilation time grows
faster than the function's length. Only repeated pieces make functions as short as the fewest."""

Function = Callable[[ctypes.c_void_p, ctypes.c_void_p], object]
"""A compiled function, of the address of its table and that of ``share``; a null pointer means one thread."""

_KIND = "code"
"""Kind of the cache entries that hold machine code."""


def linked(calls: Sequence[Any], threads: int = 1) -> list[Callable[[], object]]:
    """The calls, with runs of pieces to compile replaced by one call of machine code each.

    Repeated pieces, such as equal blocks of layers, are compiled once. ``threads`` share large pieces; the results have
    the same bits for any number.
    """
    done: list[Any] = []
    for native, run in groupby(calls, lambda call: isinstance(call, Piece)):
        neighbours = list(run)
        done += (Source(part) for part in _parted(neighbours)) if native else neighbours
    texts = list(dict.fromkeys(each.text() for each in done if isinstance(each, Source)))
    functions = dict(zip(texts, machine_code(texts), strict=True)) if texts else {}
    share = _share(threads) if threads > 1 and texts else ctypes.c_void_p()
    return [_bound(each, functions[each.text()], share) if isinstance(each, Source) else each for each in done]


def _parted(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """The pieces split into functions, which begin and end where a repetition does."""
    texts = [Source([piece]).text() for piece in pieces]
    start = 0
    while start < len(pieces):
        size, times = _repetition(texts, start)
        if times == 1:
            end = min(start + LONGEST, len(pieces))
            size = next((at for at in range(start + 1, end) if _repetition(texts, at)[1] > 1), end) - start
        for _ in range(times):
            yield pieces[start : start + size]
            start += size


def _repetition(texts: Sequence[str], start: int) -> tuple[int, int]:
    """Length and repeat count of the longest repeating run at ``start``; (1, 1) if none."""
    found = 1, 1
    for size in range(SHORTEST, min(LONGEST, (len(texts) - start) // 2) + 1):
        part, times = texts[start : start + size], 1
        while texts[start + times * size : start + (times + 1) * size] == part:
            times += 1
        if times > 1 and size * times > math.prod(found):
            found = size, times
    return found


def _bound(source: Source, function: Function, share: ctypes.c_void_p) -> Callable[[], object]:
    table = (ctypes.c_void_p * len(source.arrays))(*(array.ctypes.data for array in source.arrays))
    run = partial(function, ctypes.c_void_p(ctypes.addressof(table)), share)
    vars(run)["memory"] = table, source.arrays  # lives as long as the call
    return run


def machine_code(texts: Sequence[str]) -> list[Function]:
    """The functions of some sources, from the user's cache or compiled."""
    compiler = find_compiler()
    assert compiler is not None, "nothing is compiled without a compiler"
    library = _library(c_source(texts, compiler.vector_functions))
    return [_function(library, number) for number in range(len(texts))]


def _share(threads: int) -> ctypes.c_void_p:
    """The function that shares a loop with the threads of this process, which has at least so many."""
    library = _pool()
    library.start(threads)
    return ctypes.cast(library.share, ctypes.c_void_p)


@cache
def _pool() -> ctypes.CDLL:
    return _library(Path(__file__).with_name("pool.c").read_text(encoding="ascii"))


def _library(source: str) -> ctypes.CDLL:
    compiler = find_compiler()
    assert compiler is not None
    name = hashlib.sha256("\0".join([*compiler.identity, source]).encode()).hexdigest()[:24]
    library = _kept(name)
    if library is None:
        code = compiler.shared_library(source)
        _warn_of_folder()
        entries.save(_KIND, name, code)
        library = load(code)
    return library


def _function(library: ctypes.CDLL, number: int) -> Function:
    function = library[f"run_{number}"]
    function.restype = None  # by default ctypes makes an integer of what a register holds
    return function


def _kept(name: str) -> ctypes.CDLL | None:
    """The library that an earlier process compiled; None if there is none that can be loaded."""
    code = entries.load(_KIND, name)
    try:
        return None if code is None else load(code)
    except CompilationError:
        return None


@cache
def _warn_of_folder() -> None:
    """Warn once a process that steps are compiled at every start, and why."""
    if reason := entries.distrust():
        warn(f"{reason}; steps are compiled anew")

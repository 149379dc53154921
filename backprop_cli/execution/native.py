"""Native: source -> machine code, by Numba, kept between processes.

Numba is the optional extra ``[fast]``. Matrix products call the BLAS that NumPy has loaded, with its number of threads.
The cache holds machine code and its names, with a digest: Numba's own cache would unpickle any file it finds.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from types import ModuleType
from typing import Any

from threadpoolctl import threadpool_info

from backprop_cli.errors import warn
from backprop_cli.execution import cache as entries
from backprop_cli.execution.codegen import Assignments, Product, Source

SHORTEST, LONGEST = 10, 40
"""Fewest and most nests and products in one function. A call takes as long as a small nest, and compilation time grows
faster than the function's length. Only repeated pieces make functions as short as the fewest."""

_KIND = "code"
"""Kind of the cache entries that hold machine code."""

_PRELUDE = """from math import cos, exp, expm1, inf, log, log1p, sin, sqrt, tanh

from numba import cfunc, float32, float64, int32, int64, intp, void
from numba.core.types import CPointer, ExternalFunction


def gemm(name, number, size):
    matrix = (intp, size)
    return ExternalFunction(name, void(int32, int32, int32, *[size] * 3, number, *matrix * 2, number, *matrix))


sgemm = gemm("bp_sgemm", float32, {integer})
dgemm = gemm("bp_dgemm", float64, {integer})
tables = [CPointer(CPointer(kind)) for kind in (float32, float64, int64)]


# Sums may be reordered, a product and a sum fused; infinities and NaN stay what they are in NumPy.
@cfunc(void(*tables, CPointer(intp)), error_model="numpy", fastmath={{"reassoc", "contract", "nsz"}})
"""


@cache
def blas() -> dict[str, tuple[int, int]]:
    """``cblas_sgemm`` and ``cblas_dgemm`` of the library NumPy has loaded: address and bytes of an integer.

    Empty if it exports no function of a known name.
    """
    for library in threadpool_info():
        if library["user_api"] == "blas":
            found = {kind: _gemm(ctypes.CDLL(library["filepath"]), kind) for kind in "sd"}
            return {kind: place for kind, place in found.items() if place is not None}
    return {}


def _gemm(library: ctypes.CDLL, kind: str) -> tuple[int, int] | None:
    for prefix in ("scipy_", ""):
        for suffix, size in (("64_", 8), ("", 4)):
            function = getattr(library, f"{prefix}cblas_{kind}gemm{suffix}", None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value or 0, size
    return None


def linked(calls: Sequence[Any]) -> list[Callable[[], object]]:
    """The calls, with runs of pieces to compile replaced by one call of machine code each.

    Repeated pieces, such as equal blocks of layers, are compiled once.
    """
    compiled = cache(_machine_code)
    done: list[Callable[[], object]] = []
    for native, run in groupby(calls, lambda call: isinstance(call, Assignments | Product)):
        neighbours = list(run)
        done += (_bound(part, compiled) for part in _parted(neighbours)) if native else neighbours
    return done


def _parted(pieces: Sequence[Assignments | Product]) -> Iterator[Sequence[Assignments | Product]]:
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


def _bound(pieces: Sequence[Assignments | Product], compiled: Callable[[str], Any]) -> Callable[[], object]:
    source = Source(pieces)
    table = (ctypes.c_void_p * len(source.arrays))(*(array.ctypes.data for array in source.arrays))
    address = ctypes.c_void_p(ctypes.addressof(table))
    run = partial(compiled(source.text()), *[address] * 4)
    vars(run)["memory"] = table, source.arrays  # lives as long as the call
    return run


def _machine_code(text: str) -> Callable[..., object]:
    """The function of the source, from the user's cache or compiled."""
    from llvmlite import binding

    for kind, (address, _) in blas().items():
        binding.add_symbol(f"bp_{kind}gemm", address)
    size = {size for _, size in blas().values()} or {8}
    source = _PRELUDE.format(integer=f"int{8 * size.pop()}") + text
    name = _name(source)
    entry = entries.load(_KIND, name)
    found = None if entry is None else _loaded(entry)
    if found is None:
        found, entry = _compiled(source, name)
        _warn_of_folder()
        entries.save(_KIND, name, entry)
    address, code = found
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(address)
    vars(call)["code"] = code  # lives as long as the call
    return call


_Code = tuple[int, Any]
"""Address of a function, and the objects that must live as long as it is called."""


def _compiled(source: str, name: str) -> tuple[_Code, bytes]:
    """The compiled source, and its entry for the cache."""
    module = ModuleType(f"backprop_cli_{name}")  # a part of the symbols' names, which must be unique in the process
    exec(source, vars(module))
    compiled = module.run
    library = compiled._library
    _, _, (code, bitcode) = library.serialize_using_object_code()
    content = {"library": library.name, "function": compiled.native_name, "size": len(code)}
    return (compiled.address, compiled), json.dumps(content).encode() + b"\n" + code + bitcode


def _loaded(entry: bytes) -> _Code | None:
    """The function of an entry; None if this Numba cannot load it."""
    head, _, rest = entry.partition(b"\n")
    try:
        content = json.loads(head)
        payload = (content["library"], "object", (rest[: content["size"]], rest[content["size"] :]))
        library = _codegen().unserialize_library(payload)
        address = library.get_pointer_to_function(content["function"])
    except Exception:  # any failure to load means compiling again
        return None
    return (address, library) if address else None


def _name(source: str) -> str:
    """The key of an entry: a digest of everything that decides the machine code of a source."""
    import llvmlite
    import numba

    maker = [sys.version, numba.__version__, llvmlite.__version__, *_codegen().magic_tuple()]
    return hashlib.sha256("\0".join([*maker, source]).encode()).hexdigest()[:24]


def _codegen() -> Any:
    from numba.core.registry import cpu_target

    cpu_target.target_context.refresh()  # registers the functions that machine code calls with the linker
    return cpu_target.target_context.codegen()


@cache
def _warn_of_folder() -> None:
    """Warn once a process that steps are compiled at every start, and why."""
    if reason := entries.distrust():
        warn(f"{reason}; steps are compiled anew")

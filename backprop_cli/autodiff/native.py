"""Native: source -> machine code, by Numba, kept between processes.

Numba is the optional extra ``[fast]``. Products of matrices call the BLAS that NumPy has loaded, with its number of
threads.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from types import ModuleType
from typing import Any

from threadpoolctl import threadpool_info

from backprop_cli.autodiff.emit import Assignments, Product, Source
from backprop_cli.cache import kept

SHORTEST, LONGEST = 10, 40
"""Nests and products in one function: a call takes as long as a small nest, and the time of compilation grows faster
than the function's length. Only what is repeated makes functions as short as that."""

_KIND = "backprop_cli"
"""Of the files in the cache that hold sources; Numba keeps the machine code beside them."""

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
@cfunc(void(*tables, CPointer(intp)), cache=True, error_model="numpy", fastmath={{"reassoc", "contract", "nsz"}})
"""


def has_compiler() -> bool:
    """Whether Numba is installed; importing it, which takes 0.3 s, may still fail."""
    return importlib.util.find_spec("numba") is not None


@cache
def compiler_obstacle() -> str:
    """Why nothing can be compiled here; empty where it can."""
    if not has_compiler():
        return "Numba is not installed: pip install 'backprop-cli[fast]'"
    try:
        importlib.import_module("numba")
    except ImportError as error:  # it may not know a newer NumPy yet
        return f"Numba cannot be imported: {error}"
    return ""


@cache
def blas() -> dict[str, tuple[int, int]]:
    """``cblas_sgemm`` and ``cblas_dgemm`` of the library NumPy has loaded: address and bytes of an integer.

    Empty where it exports no function of a name that is known.
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
    """The calls, with neighbours that are to be compiled replaced by one call of machine code.

    What is repeated, as blocks of layers are, is compiled once.
    """
    compiled = cache(_machine_code)
    done: list[Callable[[], object]] = []
    for native, run in groupby(calls, lambda call: isinstance(call, Assignments | Product)):
        neighbours = list(run)
        done += (_bound(part, compiled) for part in _parted(neighbours)) if native else neighbours
    return done


def _parted(pieces: Sequence[Assignments | Product]) -> Iterator[Sequence[Assignments | Product]]:
    """The pieces in parts of one function each, which begin and end where a repetition does."""
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
    """Size of a part that comes again and again from ``start`` on, and how often; of several, what is most together."""
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
    """The compiled function; Numba keeps it beside its source."""
    from llvmlite import binding

    for kind, (address, _) in blas().items():
        binding.add_symbol(f"bp_{kind}gemm", address)
    size = {size for _, size in blas().values()} or {8}
    compiled = _module(_PRELUDE.format(integer=f"int{8 * size.pop()}") + text).run
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(compiled.address)
    vars(call)["code"] = compiled  # lives as long as the call
    return call


def _module(text: str) -> ModuleType:
    """The source as a module, with its machine code: of the user's cache, or anew where that cannot be written."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    name = f"{_KIND}_{digest}"
    try:
        path = kept(_KIND, f"{digest}.py", text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Numba looks it up by name when it loads code
        spec.loader.exec_module(module)
    except OSError:
        module = ModuleType(name)
        exec(text.replace("cache=True", "cache=False"), vars(module))
    return module

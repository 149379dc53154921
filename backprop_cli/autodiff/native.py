"""Native: source -> machine code, by Numba, kept between processes.

Numba is the optional extra ``[fast]``. Products of matrices call the BLAS that NumPy has loaded, with its number of
threads.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby, islice
from types import ModuleType
from typing import Any

from threadpoolctl import threadpool_info

from backprop_cli.autodiff.emit import Assignments, Product, Source
from backprop_cli.cache import kept

LONGEST = 40
"""Nests and products in one function: the time of compilation grows faster than the function's length."""

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
    """The calls, with neighbours that are to be compiled replaced by one call of machine code."""
    done: list[Callable[[], object]] = []
    for native, run in groupby(calls, lambda call: isinstance(call, Assignments | Product)):
        neighbours = list(run)
        done += map(_compiled, _batched(neighbours, LONGEST)) if native else neighbours
    return done


def _batched(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Tuples of ``size`` items, the last one perhaps shorter."""
    iterator = iter(items)
    while batch := tuple(islice(iterator, size)):
        yield batch


def _compiled(pieces: Sequence[Assignments | Product]) -> Callable[[], object]:
    source = Source()
    for piece in pieces:
        piece.emit(source)
    table = (ctypes.c_void_p * len(source.owners))(*(owner.ctypes.data for owner in source.owners))
    address = ctypes.c_void_p(ctypes.addressof(table))
    run = partial(_machine_code(source.text()), *[address] * 4)
    vars(run)["memory"] = table, source.owners  # lives as long as the call
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

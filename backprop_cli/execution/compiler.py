"""The C compiler of this machine, which makes machine code of steps. Without one, every step runs on NumPy."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from backprop_cli.errors import UsageError
from backprop_cli.execution import cache as entries
from backprop_cli.execution.c_text import LIBRARY

FLAGS = (
    "-O2", "-ftree-vectorize", "-march=native", "-std=gnu11", "-shared", "-fPIC", "-pthread", "-w",
    # A product and a sum may be fused; the order of sums stays, and infinities and NaN keep their meaning.
    "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=fast",
    "-fopenmp-simd",  # its pragmas for loops alone, no threads
)  # fmt: skip


LONGEST = 60
"""Seconds after which a compiler hangs. The steps of the largest networks take a few."""

CODE = "code"
"""Kind of the cache entries that hold machine code."""

_TRIAL = "int run(void) { return 0; }"


class CompilationError(UsageError):
    """The C compiler fails. Way out: ``training.compile: false`` trains on NumPy."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(f"{reason}; to train on NumPy, set training.compile: false")


class Compiler(NamedTuple):
    """A C compiler: the words that call it, and the first line of what it prints for ``--version``."""

    command: tuple[str, ...]
    version: str

    @property
    def identity(self) -> tuple[str, ...]:
        """Everything but the source that decides the machine code: command, version, flags, processor."""
        return (*self.command, self.version, *FLAGS, _processor())

    def name(self, source: str) -> str:
        """The cache entry of the compiled source."""
        return hashlib.sha256("\0".join([*self.identity, source]).encode()).hexdigest()[:24]

    @property
    def vector_functions(self) -> frozenset[str]:
        """Functions that it can call for several elements at once: those of glibc's ``libmvec``, by GCC's ``simd``."""
        return _vector_functions() if "clang" not in self.version.lower() else frozenset()

    def shared_library(self, source: str) -> bytes:
        """The compiled source. Raises: CompilationError."""
        try:
            with tempfile.TemporaryDirectory(prefix="bp-") as folder:
                text, library = Path(folder) / "steps.c", Path(folder) / "steps.so"
                text.write_text(source, encoding="ascii")
                words = [*self.command, *FLAGS, str(text), "-o", str(library)]
                ended = _run([*words, *(["-lmvec"] if self.vector_functions else []), "-lm"])
                if ended.returncode or not library.exists():
                    raise CompilationError(f"{shlex.join(self.command)} failed: {_reason(ended)}")
                return library.read_bytes()
        except OSError as error:
            raise CompilationError(f"{shlex.join(self.command)} cannot be run: {error}") from error


def load(code: bytes, visible: bool = False) -> ctypes.CDLL:
    """The shared library with this content. If it is ``visible``, libraries that are loaded later may call it.

    It is loaded from a folder that only this process knows: nobody can exchange the file in between.

    Raises: CompilationError if it cannot be loaded here.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="bp-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "steps.so"
            path.write_bytes(code)
            return ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL if visible else ctypes.DEFAULT_MODE)
    except OSError as error:
        raise CompilationError(f"compiled steps cannot be loaded: {error}") from error


@cache
def find_compiler() -> Compiler | None:
    """``$CC``, else the first of ``cc``, ``gcc`` and ``clang`` on the path that says its version."""
    for words in _candidates():
        if shutil.which(words[0]):
            with contextlib.suppress(OSError, CompilationError):  # the file is no program of this machine, or hangs
                ended = _run([*words, "--version"])
                if ended.returncode == 0 and ended.stdout:
                    return Compiler(tuple(words), ended.stdout.partition("\n")[0])
    return None


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a session of its own: Ctrl-C is for the training, which ends when the compiler has.

    Raises: CompilationError if it takes too long; it is killed with all that it started.
    """
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said, errors = process.communicate(timeout=LONGEST)
        except BaseException as error:
            _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CompilationError(f"{shlex.join(words)} did not end within {LONGEST} seconds") from error
            raise
    return subprocess.CompletedProcess(words, process.returncode, said, errors)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _reason(ended: subprocess.CompletedProcess[str]) -> str:
    """Why a compiler failed: its first line about an error, else all that it wrote, else how it ended."""
    if ended.stderr.strip():
        return next((line for line in ended.stderr.splitlines() if "error" in line), ended.stderr).strip()
    return f"it ended with exit code {ended.returncode}, without a message" if ended.returncode else "it wrote no file"


@cache
def _vector_functions() -> frozenset[str]:
    try:
        library = ctypes.CDLL("libmvec.so.1")
    except OSError:
        return frozenset()
    return frozenset(name for name in LIBRARY if hasattr(library, f"_ZGVdN8v{'v' * (name == 'pow')}_{name}f"))


def _candidates() -> list[list[str]]:
    """The words of ``$CC``, unless a quotation is not closed there, and the usual names."""
    own: list[str] = []
    with contextlib.suppress(ValueError):
        own = shlex.split(os.environ.get("CC", ""))
    return [words for words in (own, ["cc"], ["gcc"], ["clang"]) if words]


def vector_functions() -> frozenset[str]:
    """Those of the compiler; none without one."""
    found = find_compiler()
    return frozenset() if found is None else found.vector_functions


def has_compiler() -> bool:
    """Whether a compiler is on the path; it may still fail."""
    return any(shutil.which(words[0]) for words in _candidates())


@cache
def compiler_obstacle() -> str:
    """Why nothing can be compiled here; '' if it can, or could when the compiler was first used."""
    found = find_compiler()
    if found is None:
        return "there is no C compiler: install gcc or clang, or name one in the environment variable CC"
    try:
        load(entries.load(CODE, found.name(_TRIAL)) or _tried(found))
    except CompilationError as error:
        return str(error)
    return ""


def _tried(compiler: Compiler) -> bytes:
    code = compiler.shared_library(_TRIAL)
    entries.save(CODE, compiler.name(_TRIAL), code)
    return code


def compiler_text() -> str:
    """The compiler in a line: command, version and flags; '' without one."""
    found = find_compiler()
    return "" if found is None else f"{shlex.join(found.command)} ({found.version}) {shlex.join(FLAGS)}"


def _processor() -> str:
    """The processor that ``-march=native`` means: its name and abilities."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features"))))

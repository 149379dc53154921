"""Files that are damaged at random, and whether a reader says so in its own words."""

from __future__ import annotations

import importlib
import json
import mmap
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from mutations import Mutation, damaged

from backprop_cli.errors import BpError, BpWarning

FOLDER = Path(__file__).parent
SECONDS = 2.0
"""Processor time that reading one small file may take."""
HANG = 30.0
"""Seconds without an answer after which a reader is ended."""
BYTES = 500_000_000
"""Memory that reading one small file may take."""
_ADDRESSES = 4 * BYTES


@dataclass(frozen=True)
class Target:
    """A reader, and sound files for it to be given in a damaged state.

    ``good(folder)`` returns the bytes of the files, the same ones at every call; it may put into ``folder`` whatever
    else ``read`` needs. ``read(path)`` does what a command does with the file at ``path``, which lies in that folder
    and ends in ``suffix``; a ``BpError`` is an answer, any other exception a failure. ``inside(data, mutation)``
    applies the mutation to what is packed in a file, and packs it again with sums that fit.
    """

    name: str
    suffix: str
    good: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]
    inside: Callable[[bytes, Mutation], bytes] | None = None


@dataclass(frozen=True)
class Failure:
    """Input ``index`` of a target made its reader fail; ``kind`` is the same for failures at the same place."""

    target: str
    seed: int
    index: int
    kind: str
    details: str

    def __str__(self) -> str:
        replay = f"python -m tests.fuzz {self.target} --seed {self.seed} --replay {self.index}"
        return f"{self.target}: input {self.index}: {self.kind}\n{self.details}replay: {replay}"


def targets(module: str | None = None) -> dict[str, Target]:
    """The targets of one module of this folder, or of all ``*_targets.py``, by name."""
    names = [module] if module else sorted(path.stem for path in FOLDER.glob("*_targets.py"))
    found = [target for name in names for target in importlib.import_module(name).TARGETS]
    by_name = {target.name: target for target in found}
    assert len(by_name) == len(found), "two targets have one name"
    return by_name


def damaged_input(target: Target, good: list[bytes], seed: int, index: int) -> bytes:
    """Input ``index``: the same bytes in every process."""
    return damaged(good, random.Random(f"{seed} {target.name} {index}"), target.inside)


def fuzz(name: str, inputs: int, *, seed: int = 0, module: str | None = None, workers: int | None = None) -> Outcome:
    """Give a reader ``inputs`` damaged files, in processes of its own, so that a crash names its input."""
    count = workers or os.cpu_count() or 1
    bounds = [inputs * i // count for i in range(count + 1)]
    runs = [_Run(name, seed, module, *part) for part in pairwise(bounds) if part[0] < part[1]]
    try:
        while sum(run.goes_on() for run in runs):
            time.sleep(0.02)
    finally:
        for run in runs:
            run.end()
    return Outcome(sum(run.refused for run in runs), sorted((f for run in runs for f in run.failures), key=_place))


@dataclass(frozen=True)
class Outcome:
    """What became of a target's inputs: how many the reader ``refused``, and the first failure of each kind."""

    refused: int
    failures: list[Failure]

    def kinds(self) -> list[Failure]:
        """The first failure of each kind."""
        first: dict[str, Failure] = {}
        for failure in self.failures:
            first.setdefault(failure.kind, failure)
        return list(first.values())


def _place(failure: Failure) -> int:
    return failure.index


class _Run:
    """The inputs from ``first`` to ``stop``: processes that read them, one after another where one crashes."""

    def __init__(self, name: str, seed: int, module: str | None, first: int, stop: int):
        self.name, self.seed, self.module, self.stop = name, seed, module, stop
        self.failures: list[Failure] = []
        self.refused = 0
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz")
        self._progress = Path(self._folder.name) / "progress"
        self._start(first)

    def _start(self, first: int) -> None:
        self._progress.write_bytes(bytes(16))  # no input has been given to it
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._seen, self._since = (first, 0), time.monotonic()
        words = [self.name, str(self.seed), str(first), str(self.stop), str(self._progress), self.module or ""]
        code = "import sys; sys.path.insert(0, sys.argv[1]); import harness; harness.work(*sys.argv[2:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(FOLDER), *words], stdout=self._output, stderr=subprocess.STDOUT
        )

    def goes_on(self) -> bool:
        """Look at the process; False once all inputs have been read."""
        if self._process is None:
            return False
        status = self._process.poll()
        done = self._progress.read_bytes()
        seen = (int.from_bytes(done[:8], "little"), int.from_bytes(done[8:], "little"))
        if status is None:
            if seen != self._seen:
                self._seen, self._since = seen, time.monotonic()
            if time.monotonic() - self._since <= HANG:
                return True
            self._process.kill()
            self._process.wait()
        return self._ended(status, *seen)

    def _ended(self, status: int | None, given: int, refused: int) -> bool:
        self.refused += refused
        self._output.seek(0)
        text = self._output.read().decode(errors="replace")
        self._output.close()
        lines = text.splitlines()
        self.failures += [Failure(**json.loads(line[len(_MARK) :])) for line in lines if line.startswith(_MARK)]
        self._process = None
        if status == 0:
            return False
        kind = f"no answer in {HANG:g} s" if status is None else f"the process ended with {status}"
        rest = "".join(f"  {line}\n" for line in lines[-12:] if not line.startswith(_MARK))
        self.failures.append(Failure(self.name, self.seed, given - 1, kind, rest))
        if 0 < given < self.stop and len(self.failures) < _ENOUGH:
            self._start(given)
            return True
        return False

    def end(self) -> None:
        """Whatever happened."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._output.close()
        self._folder.cleanup()


_MARK = "FAILURE "
_ENOUGH = 50
"""Failures of a target after which its other inputs are left."""


def work(name: str, seed: str, first: str, stop: str, progress: str, module: str) -> None:
    """One process: read the inputs, and print each failure."""
    target = targets(module or None)[name]
    failed = refused = 0
    with _inputs(target, int(seed)) as (path, good), Path(progress).open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 16)
        for data in good:  # sound files are read; what that takes once does not count
            path.write_bytes(data)
            target.read(path)
        # Where an allocation goes beyond this, the reader gets the MemoryError that it has to answer to.
        limit = _addresses() + _ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for index in range(int(first), int(stop)):
            shared[:] = (index + 1).to_bytes(8, "little") + refused.to_bytes(8, "little")
            path.write_bytes(damaged_input(target, good, int(seed), index))
            fault, answered = _read(target, path)
            refused += answered
            if fault is not None:
                print(_MARK + json.dumps(asdict(Failure(name, int(seed), index, *fault))), flush=True)
                failed += 1
            if failed >= _ENOUGH:
                break
        shared[8:] = refused.to_bytes(8, "little")


def _addresses() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE


def _peak() -> int:
    """Most memory that this program has held, in bytes; Linux's ``ru_maxrss`` may be that of the one it came from."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _inputs:  # noqa: N801 - used as a function
    """A folder for a target's input, and the sound files."""

    def __init__(self, target: Target, seed: int):
        self._target, self._folder = target, tempfile.TemporaryDirectory(prefix="fuzz")

    def __enter__(self) -> tuple[Path, list[bytes]]:
        folder = Path(self._folder.name)
        good = self._target.good(folder)
        os.chdir(folder)
        return folder / f"input{self._target.suffix}", good

    def __exit__(self, *_: object) -> None:
        os.chdir("/")
        self._folder.cleanup()


def _read(target: Target, path: Path) -> tuple[tuple[str, str] | None, bool]:
    """How reading fails, as kind and details, and whether the reader refused the file."""
    memory, start = _peak(), time.process_time()
    refused = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python warns of would be noise on a terminal
            warnings.simplefilter("ignore", BpWarning)
            target.read(path)
    except BpError as error:
        refused = True
        if error.exit_code == 1:
            return ("exit code 1", _trace(error)), refused
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}", _trace(error)), refused
    seconds, size = time.process_time() - start, _peak() - memory
    if seconds > SECONDS:
        return ("slow", f"  {seconds:.1f} s\n"), refused
    if size > BYTES:
        return ("much memory", f"  {size / 1e6:,.0f} MB\n"), refused
    return None, refused


def _trace(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).splitlines()[-14:]
    return "".join(f"  {line}\n" for line in lines)


def replay(target: Target, seed: int, index: int, keep: Path) -> Iterator[str]:
    """Read one input again in this process; the lines say where it is kept and what happens."""
    with _inputs(target, seed) as (path, good):
        data = damaged_input(target, good, seed, index)
        keep.write_bytes(data)
        yield f"input {index} of {target.name}, {len(data):,} bytes: {keep}"
        path.write_bytes(data)
        try:
            target.read(path)
        except BpError as error:
            yield f"{type(error).__name__}: {error}"
        else:
            yield "read without complaint"

"""A peer in its own process: builds its case once, then times the requested number of steps."""

from __future__ import annotations

import math
import time
import traceback
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.cases import AnyCase
from benchmarks.machine import processors
from benchmarks.memory import forget_peak, peak_bytes
from benchmarks.networks import NetworkCase
from benchmarks.participant import Unavailable
from benchmarks.peers import PEERS, THREADS, Runner

_FAILED = "failed"
_TRIALS = 3
_REST = 0.25
"""Seconds before a sample: threads of OpenBLAS and OpenMP wait for their next task for up to 0.2 s at full speed, and
those of the process that was measured before would take a processor from this one."""
KNOWN = {**PEERS, **THREADS}


def _serve(pipe: Connection, peer: str, case: AnyCase) -> None:
    """The process: facts first, then for each number of steps received the seconds a step."""
    try:
        if isinstance(case, NetworkCase):
            # What a library loads with its first step is none of the memory of the steps.
            KNOWN[peer].build(case.of_two().data()).run(1)
        runner = KNOWN[peer].build(case.data())
        pipe.send(_warm_up(runner, case))
        while (steps := pipe.recv()) is not None:
            pipe.send(_seconds_a_step(runner, steps))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:
        traceback.print_exc()
        pipe.send((_FAILED, f"{type(error).__name__}: {error}"))


def _warm_up(runner: Runner, case: AnyCase) -> dict[str, Any]:
    """One epoch, which compiles what compiles and gives loss and memory; then the choice of threads."""
    before, resident = peak_bytes(), forget_peak()
    runner.run(case.steps_per_epoch)
    memory = peak_bytes()
    loss = runner.loss()
    threads = _choose_threads(runner, case)
    return {
        "memory_bytes": max(before, memory),
        "step_memory_bytes": None if resident is None else memory - resident,
        "loss_after_an_epoch": None if math.isnan(loss) else loss,
        "threads": threads,
        "blas": _libraries(),
        "seconds_a_step": _seconds_a_step(runner, _few(case)),
    }


def _few(case: AnyCase) -> int:
    return min(case.steps_per_epoch, 64)


def _choose_threads(runner: Runner, case: AnyCase) -> int | None:
    """The faster of one thread and all processors, for peers that let us choose; None where it is not known."""
    choose = getattr(runner, "use_threads", None)
    if choose is None:
        return getattr(runner, "threads", None)
    seconds: dict[int, list[float]] = {count: [] for count in (1, processors())}
    for _ in range(_TRIALS):
        for count in seconds:
            choose(count)
            seconds[count].append(_seconds_a_step(runner, _few(case)))
    best = min(seconds, key=lambda count: min(seconds[count]))
    choose(best)
    return best


def _seconds_a_step(runner: Runner, steps: int) -> float:
    # The other processes ran since: a few steps bring code and weights back into the cache.
    runner.run(max(1, steps // 20))
    start = time.perf_counter()
    done = runner.run(steps)
    return (time.perf_counter() - start) / done


def _libraries() -> list[dict[str, Any]]:
    """Every BLAS and OpenMP of the process: name, version, kernel and threads."""
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "num_threads", "prefix")
    return [{key: library[key] for key in keys if library.get(key)} for library in threadpool_info()]


class Worker:
    """The parent's side of such a process. ``seconds``: how long a sample should take, about."""

    def __init__(self, peer: str, case: AnyCase, seconds: float, unit_steps: int = 1):
        self.title, self.peer, self.case = KNOWN[peer].title, peer, case
        self._seconds, self._unit_steps, self._steps = seconds, unit_steps, 1
        self._facts: dict[str, Any] = {}

    def prepare(self) -> None:
        if reason := KNOWN[self.peer].missing():
            raise Unavailable(reason)
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.peer, self.case), daemon=True)
        self._process.start()
        theirs.close()
        self._facts = self._receive()
        whole = math.ceil(self._seconds / self._facts.pop("seconds_a_step"))
        self._steps = max(whole, self._unit_steps)

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise Unavailable(f"its process ended with exit code {self._process.exitcode}") from None
        if isinstance(answer, tuple) and answer[0] == _FAILED:
            raise Unavailable(f"failed: {answer[1]}")
        return answer

    def sample(self) -> float:
        time.sleep(_REST)
        self._pipe.send(self._steps)
        return self._receive() * self._unit_steps

    def facts(self) -> dict[str, Any]:
        return {**self._facts, "steps_a_sample": self._steps}

    def close(self) -> None:
        if not hasattr(self, "_process"):
            return
        if self._process.is_alive():
            with suppress(BrokenPipeError):
                self._pipe.send(None)
            self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

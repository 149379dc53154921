"""Checkpoints wait in memory and are written by a thread, at most once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import NamedTuple

from backprop_cli.memory import installed
from backprop_cli.training.state import State

SECONDS = 1.0
"""Least seconds between two writes: a kill loses at most the training of this time and of one write."""
SHARE, LEAST_SHARE = 0.03, 0.005
"""Largest share of a processor's time for copies and writes, and the share that writes have even if copies take most of
it. Large checkpoints are therefore written less often."""


class Unsaved(NamedTuple):
    """A copy of the state that becomes the last checkpoint, and perhaps the best."""

    state: State
    is_best: bool


class SaveQueue:
    """Copies of the state, oldest first, that wait for ``write(copy, is_last)``. ``is_last``: no other follows at once.

    Invariant: ``write`` gets them one at a time and in order, and never one that newer ones would delete at once. The
    files are therefore those of the run at an earlier moment, and after ``flush`` those of this moment.

    A thread lives for one batch of writes. ``flush`` waits for it, so two threads never write. Copies take at most a
    sixteenth of the machine's memory; beyond that the caller waits until there is room.
    """

    def __init__(self, write: Callable[[Unsaved, bool], None], keep_last: int, keep_best: int):
        self._write, self._keep_last, self._keep_best = write, keep_last, keep_best
        self._waiting: list[Unsaved] = []
        self._spare: list[State] = []
        self._room: int | None = None
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._due: float | None = None  # when to write again; None: the first copy is written at once
        self._began, self._copying = time.perf_counter(), 0.0  # seconds that all copies took

    def put(self, state: State, is_best: bool) -> None:
        """Copy ``state`` to the end of the queue. A waiting copy of the same step is replaced.

        Raises: as ``poll``.
        """
        if self._waiting and self._waiting[-1].state.step == state.step:
            former = self._waiting.pop()
            is_best = is_best or former.is_best
            self._spare.append(former.state)
        if len(self._waiting) > self._keep_last:
            self._drop_superseded(is_best)
        began = time.perf_counter()
        copy = self._copy(state)
        self._copying += time.perf_counter() - began
        if copy is None:
            self._write(Unsaved(state, is_best), True)
        else:
            self._waiting.append(Unsaved(copy, is_best))
            if self._due is None:
                self.flush()
            self.poll()

    def poll(self) -> None:
        """Start to write if that is due.

        Raises: the error that ended an earlier write, such as CheckpointError on a full disk. Nothing more is written.
        """
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
        if self._error is not None:
            raise self._error
        if self._waiting and self._thread is None and self._due is not None and time.perf_counter() >= self._due:
            batch = self._taken()
            # A daemon, because a process that is to end at once does not wait for its disk.
            thread = Thread(target=self._write_all, args=(batch,), name="checkpoints", daemon=True)
            try:
                thread.start()
                self._thread = thread
            except RuntimeError:  # the system allows no more threads
                self._write_all(batch)

    def flush(self) -> None:
        """Write everything that waits. Raises: as ``poll``."""
        if self._thread is not None:
            self._thread.join()
        if self._error is None:
            self._write_all(self._taken())
        if self._error is not None:
            raise self._error

    def _taken(self) -> list[Unsaved]:
        taken, self._waiting = self._waiting, []
        return taken

    def _write_all(self, batch: list[Unsaved]) -> None:
        began = time.thread_time()
        try:
            for unsaved in batch:
                self._write(unsaved, unsaved is batch[-1])
                self._spare.append(unsaved.state)
        except BaseException as error:
            self._error = error
        spent, now = time.thread_time() - began, time.perf_counter()
        share = SHARE - self._copying / max(now - self._began, SECONDS)
        self._due = now + max(SECONDS, spent / max(share, LEAST_SHARE))

    def _drop_superseded(self, is_best: bool) -> None:
        """Drop the copies that would be deleted again after one more; ``is_best`` belongs to that one.

        The newest ``keep_last`` stay, and the best ones up to the oldest of them: no checkpoint is on disk without
        its best, not even for a moment. Only the second best and so on may be older after a kill between two writes.
        """
        oldest = len(self._waiting) - self._keep_last
        window = self._waiting[oldest:]
        best = self._keep_best - (window[0].is_best if window else is_best)
        for place in reversed(range(oldest)):
            if self._waiting[place].is_best and best > 0:
                best -= 1
            else:
                self._spare.append(self._waiting.pop(place).state)

    def _copy(self, state: State) -> State | None:
        """A copy of ``state``; None if a single one takes too much memory."""
        if self._room is None:
            size = sum(vector.nbytes for vector in state.vectors.values())
            self._room = installed() // 16 // max(size, 1)
        if not self._spare and not self._room:
            self.flush()
        if self._spare:
            return state.copy(self._spare.pop())
        if not self._room:
            return None
        self._room -= 1
        return state.copy()

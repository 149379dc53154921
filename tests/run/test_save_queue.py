"""Copies of the state that wait to be written: when, by which thread, and what a kill can lose."""

import threading
import time

import numpy as np
import pytest

from backprop_cli.errors import CheckpointError
from backprop_cli.run import save_queue
from backprop_cli.run.save_queue import SECONDS, SaveQueue
from backprop_cli.training.state import State


class Clock:
    """The time in this process, and the processor's in a thread, which a test sets."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        self.spent = 0.0
        monkeypatch.setattr(save_queue.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(save_queue.time, "thread_time", lambda: self.spent)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def a_state():
    return State({"parameters": np.zeros(100)}, np.random.default_rng(0))


def put(queue, state, step, is_best=False):
    state.step = step
    state.parameters.fill(step)
    queue.put(state, is_best)


def settle(queue):
    """Let a thread that writes end, and the queue notice it."""
    for thread in threading.enumerate():
        if thread.name == "checkpoints":
            thread.join()
    queue.poll()


class Written:
    """Steps in the order in which they are written; each state is whole."""

    def __init__(self):
        self.steps, self.best, self.threads = [], [], []

    def __call__(self, unsaved, is_last):
        state = unsaved.state
        assert (state.parameters == state.step).all()
        self.steps.append(state.step)
        self.threads.append(threading.current_thread().name)
        if unsaved.is_best:
            self.best.append(state.step)


def test_the_first_is_written_at_once_and_later_ones_by_a_thread_when_due(clock):
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last=1, keep_best=1)
    put(queue, state, 1)
    assert written.steps == [1]
    for step in range(2, 6):
        clock.now += SECONDS / 5
        put(queue, state, step)
        settle(queue)
    assert written.steps == [1]
    clock.now += SECONDS / 5
    put(queue, state, 6)
    settle(queue)
    assert written.steps == [1, 5, 6]
    assert written.threads == ["MainThread", "checkpoints", "checkpoints"]


@pytest.mark.parametrize("epoch", [0.003, 0.25, 0.7, 1.0, 1.5, 40.0])
@pytest.mark.parametrize("keep_last", [0, 2])
def test_a_kill_loses_at_most_the_checkpoints_of_the_last_second(clock, epoch, keep_last):
    """Whenever it comes between two events."""
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last, keep_best=1)
    saved, event = [], min(epoch, 0.02)
    for number in range(1, round(6 * max(epoch, 1) / event)):
        clock.now += event
        if number % round(epoch / event) == 0:
            saved.append(clock.now)
            put(queue, state, len(saved), is_best=True)
        settle(queue)
        older = [moment for moment in saved if moment <= clock.now - SECONDS - 1e-9]
        assert max(written.steps, default=0) >= len(older)
    assert written.steps == sorted(set(written.steps))
    assert len(written.steps) <= (keep_last + 1) * (clock.now - 99) / SECONDS


def test_what_waits_is_written_at_an_event_without_a_checkpoint(clock):
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last=2, keep_best=1)
    for step in (1, 2):
        put(queue, state, step)
    clock.now += SECONDS / 2
    queue.poll()
    settle(queue)
    assert written.steps == [1]
    clock.now += SECONDS / 2
    queue.poll()
    settle(queue)
    assert written.steps == [1, 2]


def test_a_short_run_starts_no_thread(monkeypatch):
    monkeypatch.setattr(save_queue, "Thread", None)
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last=2, keep_best=1)
    for step in range(1, 100):
        put(queue, state, step, is_best=step == 50)
        queue.poll()
    queue.flush()
    assert written.steps == [1, 50, 97, 98, 99]
    assert written.best == [50]
    queue.flush()
    assert len(written.steps) == 5


def test_writing_takes_a_small_share_of_the_time(clock):
    """Half a second of processor time for each checkpoint: the next one waits."""
    written, state = Written(), a_state()

    def slow(unsaved, is_last):
        written(unsaved, is_last)
        clock.spent += 0.5

    queue = SaveQueue(slow, keep_last=0, keep_best=1)
    for step in range(1, 401):
        clock.now += 0.25
        put(queue, state, step)
        settle(queue)
    assert 5 <= len(written.steps) <= 8
    assert clock.spent / 100 <= 0.04


@pytest.mark.parametrize(("seconds", "fewest", "most"), [(0.005, 2, 4), (0.1, 1, 2)])
def test_copies_count_as_well(clock, monkeypatch, seconds, fewest, most):
    """Every 0.25 s: with copies that take 2 % of the time, writes take 1 %; with copies that take 40 %, a little."""
    written, state, copy = Written(), a_state(), State.copy

    def slow_copy(*states):
        clock.now += seconds
        return copy(*states)

    def slow(unsaved, is_last):
        written(unsaved, is_last)
        clock.spent += 0.25

    monkeypatch.setattr(State, "copy", slow_copy)
    queue = SaveQueue(slow, keep_last=0, keep_best=1)
    for step in range(1, 401):
        clock.now += 0.25 - seconds
        put(queue, state, step)
        settle(queue)
    assert fewest <= len(written.steps) - 1 <= most


def test_no_step_waits_for_the_thread(clock):
    written, state, go_on = Written(), a_state(), threading.Event()

    def stuck(unsaved, is_last):
        if threading.current_thread().name == "checkpoints":
            assert go_on.wait(60)
        written(unsaved, is_last)

    queue = SaveQueue(stuck, keep_last=1, keep_best=1)
    put(queue, state, 1)
    for step in range(2, 100):
        clock.now += SECONDS
        put(queue, state, step)
        queue.poll()
    assert written.steps == [1]
    assert [thread.name for thread in threading.enumerate()].count("checkpoints") == 1
    go_on.set()
    queue.flush()
    assert written.steps == [1, 2, 98, 99]


@pytest.mark.parametrize("error", [CheckpointError("the disk is full"), MemoryError(), ZeroDivisionError()])
def test_an_error_of_the_thread_is_raised_at_the_next_event_and_ends_the_writing(clock, error):
    written, state = Written(), a_state()

    def fails(unsaved, is_last):
        if unsaved.state.step == 3:
            raise error
        written(unsaved, is_last)

    queue = SaveQueue(fails, keep_last=3, keep_best=1)
    put(queue, state, 1)
    for step in (2, 3, 4):
        put(queue, state, step)
    clock.now += SECONDS
    queue.poll()
    for thread in threading.enumerate():
        if thread.name == "checkpoints":
            thread.join()
    for use in (queue.poll, queue.flush, queue.poll):
        with pytest.raises(type(error)) as caught:
            use()
        assert caught.value is error
    assert written.steps == [1, 2]


def test_the_same_step_again_replaces_the_waiting_copy_and_stays_the_best():
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last=2, keep_best=1)
    put(queue, state, 1)
    put(queue, state, 2, is_best=True)
    state.epoch = 7
    put(queue, state, 2)
    queue.flush()
    assert (written.steps, written.best) == ([1, 2], [2])


def test_copies_are_reused(monkeypatch):
    made = []
    monkeypatch.setattr(np, "empty_like", lambda array, real=np.empty_like: made.append(array) or real(array))
    queue, state = SaveQueue(Written(), keep_last=2, keep_best=1), a_state()
    for step in range(1, 1000):
        put(queue, state, step, is_best=step % 7 == 0)
    queue.flush()
    assert len(made) <= 5


@pytest.mark.parametrize(("copies", "expected"), [(0, [1, 2, 3, 4, 5, 6]), (1, [1, 2, 3, 4, 5, 6]), (3, [1, 4, 5, 6])])
def test_too_large_for_memory_is_written_at_once(monkeypatch, copies, expected):
    """Nothing that is to be kept is lost, and at most so many copies exist."""
    monkeypatch.setattr(save_queue, "installed", lambda: 16 * 800 * copies)
    made = []
    monkeypatch.setattr(np, "empty_like", lambda array, real=np.empty_like: made.append(array) or real(array))
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last=2, keep_best=0)
    for step in range(1, 7):
        put(queue, state, step)
    queue.flush()
    assert written.steps == expected
    assert len(made) == copies


def test_where_no_thread_can_be_started(clock, monkeypatch):
    def no_more(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last=2, keep_best=1)
    for step in (1, 2, 3):
        clock.now += SECONDS
        put(queue, state, step)
    assert written.steps == [1, 2, 3]


def test_a_run_may_go_on_longer_than_a_second(monkeypatch):
    """With the real clock."""
    monkeypatch.setattr(save_queue, "SECONDS", 0.05)
    written, state = Written(), a_state()
    queue = SaveQueue(written, keep_last=0, keep_best=1)
    began = time.perf_counter()
    for step in range(1, 101):
        put(queue, state, step)
        time.sleep(0.005)
    queue.flush()
    assert written.steps[-1] == 100
    assert 3 <= len(written.steps) <= 3 + (time.perf_counter() - began) / 0.05

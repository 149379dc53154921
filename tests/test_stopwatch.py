"""Every second belongs to one part."""

import subprocess
import sys
from time import perf_counter

import pytest

from backprop_cli import stopwatch
from backprop_cli.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr(stopwatch, "perf_counter", lambda: now[0])
    return now


def test_parts_within_parts_count_once(clock):
    watch = Stopwatch()
    clock[0] += 1
    with watch("outer"):
        clock[0] += 2
        with watch("inner"):
            clock[0] += 4
        clock[0] += 8
        with watch("inner"):
            clock[0] += 16
    clock[0] += 32
    assert watch.seconds() == {"outer": 10.0, "inner": 20.0, "other": 33.0, "total": 63.0}


def test_what_came_before(clock):
    watch = Stopwatch(began=90.0)
    clock[0] += 1
    watch.lap("import")
    with watch("work"):
        clock[0] += 2
        assert watch.seconds() == {"import": 11.0, "work": 2.0, "other": 0.0, "total": 13.0}
        clock[0] += 4
    assert watch.seconds() == {"import": 11.0, "work": 6.0, "other": 0.0, "total": 17.0}


def test_a_part_that_fails_is_over(clock):
    watch = Stopwatch()
    with pytest.raises(ValueError), watch("work"):
        clock[0] += 1
        raise ValueError
    clock[0] += 2
    assert watch.seconds() == {"work": 1.0, "other": 2.0, "total": 3.0}


def test_the_process_began_before_its_first_import():
    """Measured from outside: all that came before, but for what the system takes to start a process."""
    code = "from backprop_cli.stopwatch import PROCESS_BEGAN; print(PROCESS_BEGAN)"
    before = perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert before <= float(done.stdout) <= perf_counter()

"""Ctrl-C and SIGTERM: noted once, obeyed at once the second time, handlers put back."""

import os
import signal
import threading

import pytest

from backprop_cli.jobs.signals import asked_to_end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_the_second_ends(number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), asked_to_end() as asked:
        assert asked.number is None
        os.kill(os.getpid(), number)
        assert asked.number == number
        os.kill(os.getpid(), signal.SIGINT)
    assert asked.number == number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_gets_no_signals():
    found = []

    def work():
        with asked_to_end() as asked:
            found.append(asked.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]

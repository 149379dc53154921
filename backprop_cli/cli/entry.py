"""Where the command ``bp`` begins: the few lines that must run before anything is imported."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NoReturn

import backprop_cli.stopwatch  # noqa: F401 - it looks at the clock


def main() -> NoReturn:
    """Import and run the command line. Until that can say what happened, Ctrl-C simply ends the process."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    open_descriptors()
    start_quickly()
    from backprop_cli.cli.app import main as run

    signal.signal(signal.SIGINT, before)
    try:
        run()
    finally:
        # At its end the interpreter looks for garbage among all objects once more: a seventh of a short command's time.
        gc.freeze()


def start_quickly() -> None:
    """Leave out what only takes time in a short process: together a sixth of it."""
    # Imports make fifty thousand objects that stay. By default the collector looks for garbage among them 130 times,
    # and once would still be 20 ms.
    gc.set_threshold(100_000, 20, 20)
    # OpenBLAS starts its threads when NumPy is imported, which takes about 50 ms. Every command says later how many it
    # wants: those are started then.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def open_descriptors() -> None:
    """Give standard streams that were closed (``2>&-``) to the null device.

    Otherwise the next file that is opened gets their number, and what is printed would go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            # Descriptors are given out from the lowest free one: closed ones before this are open again.
            descriptor = os.open(os.devnull, os.O_RDWR)
            if name != "stdin":
                setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))
            assert descriptor == number


if __name__ == "__main__":
    main()

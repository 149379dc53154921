"""Where the command ``bp`` begins: the few lines that must run before anything is imported."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import NoReturn

import backprop_cli.stopwatch  # noqa: F401 - it reads the clock


def main() -> NoReturn:
    """Import and run the command line. During the imports Ctrl-C ends the process at once."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    open_descriptors()
    start_quickly()
    from backprop_cli.cli.app import main as run

    signal.signal(signal.SIGINT, before)
    try:
        run()
    finally:
        # The interpreter collects garbage once more when it exits: a seventh of a short command's time.
        # os._exit would save 10 ms more, and lose the buffered files and temporary files of plugins, the rest of a
        # program that calls `main`, and the figures of profilers that use sys.monitoring.
        gc.freeze()


def start_quickly() -> None:
    """Skip work that a short process does not need: together a sixth of its time."""
    # Imports make fifty thousand objects that stay. By default the collector visits them 130 times, and one
    # visit takes 20 ms.
    gc.set_threshold(100_000, 20, 20)
    # OpenBLAS starts its threads when NumPy is imported, which takes about 50 ms. Commands set their own number later,
    # and the threads start then.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # pydantic looks for plugins in the metadata of every installed package: 3 ms with 48 packages.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.meta_path.insert(0, RunWhenUsed())


class RunWhenUsed:
    """Finds modules that are imported at every start and seldom used, and runs their code when they are used.

    pydantic imports ``importlib.metadata`` for its search for plugins, with a parser of e-mail and one of zip files.
    """

    names = ("importlib.metadata._adapters", "zipfile")

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """The place of one of ``names``; None leaves a module to Python's own finders."""
        spec = PathFinder.find_spec(name, path) if name in self.names else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def open_descriptors() -> None:
    """Open the null device in place of standard streams that are closed (``2>&-``).

    Otherwise the next file that is opened gets their number, and prints end up in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is used, and the closed ones before this are open again.
            descriptor = os.open(os.devnull, os.O_RDWR)
            if name != "stdin":
                setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))
            assert descriptor == number

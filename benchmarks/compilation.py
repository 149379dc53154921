"""What it takes to compile a step, in a process of its own: ``python -m benchmarks.compilation NAME`` prints seconds.

They are what a compiled plan takes longer than one on NumPy.
"""

from __future__ import annotations

import os
import sys
import tempfile
from time import perf_counter

from backprop_cli.execution.compiler import compiler_obstacle
from backprop_cli.session.checked_plugins import read_config
from backprop_cli.session.experiment import batch_size, network_of
from backprop_cli.session.threads import share_out
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.state import State
from backprop_cli.training.step_plan import StepPlans
from backprop_cli.training.step_program import Recipe, training_step
from benchmarks.cases import DENSE
from benchmarks.command import ROOT, Command
from benchmarks.participant import Unavailable
from benchmarks.peers.bp_network import Network

READY = tuple(sorted(path.stem for path in (ROOT / "configs").glob("*.yaml")))
"""Names of the ready configurations."""
CACHED = "_cached"
"""End of a line's name whose steps are in the cache."""


class Compilation(Command):
    """A step's compilation: with the cache that ``prepare`` filled if ``is_cached``, else with an empty one."""

    def __init__(self, name: str, is_cached: bool):
        super().__init__("from the cache" if is_cached else "compiled", ["-m", "benchmarks.compilation", name])
        self._is_cached = is_cached

    def prepare(self) -> None:
        if reason := compiler_obstacle():
            raise Unavailable(reason)
        self._kept = tempfile.TemporaryDirectory(prefix="bp-cache-")
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._environment = lambda: {"XDG_CACHE_HOME": self._kept.name, "PYTHONPATH": path}
        super().prepare()

    def sample(self) -> float:
        if not self._is_cached:
            self._kept.cleanup()
        super().sample()
        return float(self.facts()["printed"])

    def close(self) -> None:
        if hasattr(self, "_kept"):
            self._kept.cleanup()


def extra_seconds(name: str) -> float:
    """Seconds that compilation adds to the plan of a step."""
    recipe, batch = _found(name)
    workers, vectors = share_out("auto", recipe, batch).workers, State.start(recipe, seed=0).vectors
    training_step(recipe, batch)  # traced once for both
    seconds = {}
    for compiled in (False, True):
        start = perf_counter()
        StepPlans(recipe, vectors, Stopwatch(), workers).make(batch, compiled=compiled)
        seconds[compiled] = perf_counter() - start
    return seconds[True] - seconds[False]


def _found(name: str) -> tuple[Recipe, int]:
    if name in DENSE:
        return Network(DENSE[name].data()).recipe, DENSE[name].batch
    loaded = read_config(ROOT / "configs" / f"{name}.yaml")
    return network_of(loaded), batch_size(loaded)


if __name__ == "__main__":
    print(f"{extra_seconds(sys.argv[1]):.4f}")

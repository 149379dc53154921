"""Ways to use several processors: the threads of BLAS, or each worker its part of the batch.

They are what ``training.threads: auto`` chooses among.
"""

from __future__ import annotations

from benchmarks.cases import Batches
from benchmarks.machine import processors
from benchmarks.peers.bp_network import compiles
from benchmarks.peers.bp_plan import BarePlan
from benchmarks.peers.numpy_threads import use_threads


class Threads(BarePlan):
    def __init__(self, data: Batches, threads: int, workers: int = 1):
        super().__init__(data, compiles(""), workers)
        self.threads = max(threads, workers)
        use_threads(threads)


def build(data: Batches, variant: str) -> Threads:
    if variant == "halves":
        return Threads(data, threads=1, workers=2)
    return Threads(data, 1 if variant == "one" else processors())

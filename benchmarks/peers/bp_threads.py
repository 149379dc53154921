"""Ways to use several processors: the threads of BLAS, or each worker its part of the batch.

A worker thread runs the gradient of half the batch with one BLAS thread; the halves are added where the update is made.
It shows what ``training.threads: auto`` chooses among, and why splitting the batch is not among it.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from backprop_cli import autodiff as ad
from backprop_cli.training.parts import LEARNING_RATE
from backprop_cli.training.program import GRADIENT, INPUTS, PARAMETERS, TARGETS, gradient_program
from benchmarks.cases import Data
from benchmarks.machine import processors
from benchmarks.peers.bp_network import Network
from benchmarks.peers.bp_plan import BarePlan
from benchmarks.peers.numpy_threads import use_threads


class Threads(BarePlan):
    def __init__(self, data: Data, count: int):
        super().__init__(data, compiled=False)
        self.threads = count
        use_threads(count)


class Halves:
    def __init__(self, data: Data):
        network = Network(data)
        size, batch = network.recipe.layout.size, data.case.batch
        vectors = network.state.vectors
        program = ad.simplify(gradient_program(network.recipe, batch // 2))
        self.parts = [ad.Plan(program, {PARAMETERS: vectors[PARAMETERS]}) for _ in range(2)]
        for plan, rows in zip(self.parts, (slice(batch // 2), slice(batch // 2, 2 * (batch // 2))), strict=True):
            plan.inputs[INPUTS][...] = data.inputs[rows]
            plan.inputs[TARGETS][...] = data.labels[rows]
        self.update = ad.Plan(_update(network, size), {**vectors, **self._gradients()})
        scalars = {**network.recipe.optimizer.scalars(10_000), LEARNING_RATE: 1e-6}
        for name, value in scalars.items():
            self.update.inputs[name][...] = value
        self.worker = ThreadPoolExecutor(1)
        self.threads = 2
        use_threads(1)

    def _gradients(self) -> dict[str, np.ndarray]:
        return {f"gradient {k}": plan.outputs[GRADIENT] for k, plan in enumerate(self.parts)}

    def run(self, steps: int) -> int:
        for _ in range(steps):
            other = self.worker.submit(self.parts[1].run)
            self.parts[0].run()
            other.result()
            self.update.run()
        return steps

    def loss(self) -> float:
        return math.nan


def _update(network: Network, size: int) -> ad.Program:
    """The mean of two gradients, and the optimizer's update by it."""
    optimizer, dtype = network.recipe.optimizer, network.recipe.model.dtype
    vectors = {name: ad.input_(name, (size,), dtype) for name in (*network.state.vectors, "gradient 0", "gradient 1")}
    scalars = {name: ad.input_(name, (), dtype) for name in (*optimizer.scalars(1), LEARNING_RATE)}
    gradient = 0.5 * (vectors["gradient 0"] + vectors["gradient 1"])
    slots = {name: vectors[name] for name in optimizer.slot_names()}
    direction, slots = optimizer.update(gradient, slots, scalars, vectors[PARAMETERS])
    updates = {**slots, PARAMETERS: vectors[PARAMETERS] - scalars[LEARNING_RATE] * direction}
    return ad.simplify(ad.Program({**vectors, **scalars}, {}, updates))


def build(data: Data, variant: str) -> Threads | Halves:
    if variant == "halves":
        return Halves(data)
    return Threads(data, 1 if variant == "one" else processors())

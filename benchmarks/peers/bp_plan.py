"""``bp`` without its loop: the plan's calls, again and again on one batch. What the loop adds is the difference."""

from __future__ import annotations

import math

import numpy as np

from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.parameter_spans import LEARNING_RATE
from backprop_cli.training.step_plan import StepPlans
from backprop_cli.training.step_program import INPUTS, TARGETS
from benchmarks.cases import Batches
from benchmarks.peers.bp_network import Network, compiles


class BarePlan:
    """``workers``: as many as the rule says, unless given."""

    def __init__(self, data: Batches, compiled: bool, workers: int | None = None):
        network = Network(data)
        batch, optimizer = data.case.batch, network.recipe.optimizer
        plans = StepPlans(
            network.recipe, network.state.vectors, Stopwatch(), workers or network.workers, network.loop_threads
        )
        self.plan = plans.make(batch, compiled=compiled)
        self.plan.inputs[INPUTS][...] = data.inputs[:batch]
        self.plan.inputs[TARGETS][...] = data.labels[:batch]
        # Constants of a late step. A small rate: the batch stays one that is being learned.
        scalars = {**optimizer.scalars(10_000), LEARNING_RATE: optimizer.learning_rate * 1e-3}
        for name, value in scalars.items():
            self.plan.inputs[name][...] = value
        self.threads = network.loop_threads if compiled else network.threads

    def run(self, steps: int) -> int:
        with np.errstate(all="ignore"):
            for _ in range(steps):
                self.plan.run()
        return steps

    def loss(self) -> float:
        return math.nan


def build(data: Batches, variant: str) -> BarePlan:
    return BarePlan(data, compiles(variant))

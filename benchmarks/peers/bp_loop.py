"""``bp``: the loop that ``bp train`` runs, with its events read."""

from __future__ import annotations

import numpy as np

from backprop_cli.data.examples import Split
from backprop_cli.nn.schedules.constant import Constant
from backprop_cli.training.loop import Trainer
from backprop_cli.training.settings import TrainingSettings
from backprop_cli.training.training_spec import TrainingSpec
from benchmarks.cases import Batches
from benchmarks.peers.bp_network import Network, compiles

_FOR_EVER = 10**9


class Loop:
    def __init__(self, data: Batches, compiled: bool):
        self.network = Network(data)
        self.split = Split(data.inputs, data.labels)
        settings = TrainingSettings(epochs=_FOR_EVER, batch_size=data.case.batch)

        class InOrder(TrainingSpec):
            """Examples come in the order of the case, not in one that follows from a seed of its own."""

            def order(self, epoch: int) -> np.ndarray:
                return data.order(epoch)

        network = self.network
        more = {"workers": network.workers, "loop_threads": network.loop_threads, "compiled": compiled}
        spec = InOrder(network.recipe, settings, Constant(), seed=0, train=self.split, **more)
        self.events = Trainer(spec, self.network.state).run(every=())
        self.threads = network.loop_threads if compiled else network.threads

    def run(self, steps: int) -> int:
        state = self.network.state
        begin = state.step
        while state.step - begin < steps:
            next(self.events)
        return state.step - begin

    def loss(self) -> float:
        return self.network.evaluator.evaluate(self.split)["loss"]


def build(data: Batches, variant: str) -> Loop:
    return Loop(data, compiles(variant))

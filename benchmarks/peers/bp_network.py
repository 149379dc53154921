"""A case as ``bp`` sees it."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from backprop_cli.execution.compiler import compiler_obstacle
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.losses.cross_entropy import CrossEntropy
from backprop_cli.nn.losses.next_token import NextToken
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizers.adam import Adam
from backprop_cli.session.threads import blas_threads, loop_threads, share_out
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.state import State
from backprop_cli.training.step_program import Recipe
from benchmarks.cases import BETA1, BETA2, EPSILON, LEARNING_RATE, Batches

_LIMITS = ExitStack()
"""Of BLAS threads; held as long as the process lives."""


def compiles(variant: str) -> bool:
    """Whether steps are compiled: by default if this machine can. A benchmark is long enough to gain from it."""
    return variant != "numpy" and not compiler_obstacle()


class Network:
    """Recipe and state of a case, with the threads that ``bp train`` would choose."""

    def __init__(self, data: Batches):
        layers = [LAYERS[layer["type"]].model_validate(layer) for layer in data.layers]
        model = Model.build(layers, data.input_shape, np.float32)
        loss = CrossEntropy() if data.labels.ndim == 1 else NextToken()
        optimizer = Adam(learning_rate=LEARNING_RATE, beta1=BETA1, beta2=BETA2, epsilon=EPSILON)
        self.data = data
        self.recipe = Recipe(model, loss, optimizer)
        self.state = State.start(self.recipe, seed=0)
        self.evaluator = Evaluator(self.recipe, self.state.network)
        parameters = self.recipe.layout.arrays(self.state.parameters)
        shapes = [(name, param.shape) for name, param in model.params.items()]
        for (name, _), start in zip(shapes, data.start(shapes), strict=True):
            parameters[name][...] = start
        shared = share_out("auto", self.recipe, data.case.batch)
        self.threads, self.workers, self.loop_threads = max(shared), shared.workers, loop_threads("auto")
        _LIMITS.enter_context(blas_threads(shared.blas))

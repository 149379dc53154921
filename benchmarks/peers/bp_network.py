"""A case as ``bp`` sees it."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from backprop_cli.jobs.threads import blas_threads, thread_count
from backprop_cli.nn.layers.dense import Dense
from backprop_cli.nn.losses.cross_entropy import CrossEntropy
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizers.adam import Adam
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.program import Recipe
from backprop_cli.training.state import State
from benchmarks.cases import BETA1, BETA2, EPSILON, LEARNING_RATE, Data

_LIMITS = ExitStack()
"""Of BLAS threads; held as long as the process lives."""


class Network:
    """Recipe and state of a case, with the threads that ``bp train`` would choose."""

    def __init__(self, data: Data):
        case = data.case
        hidden = [Dense(units=units, activation="relu") for units in case.sizes[1:-1]]
        model = Model.build([*hidden, Dense(units=case.sizes[-1])], case.sizes[:1], np.float32)
        optimizer = Adam(learning_rate=LEARNING_RATE, beta1=BETA1, beta2=BETA2, epsilon=EPSILON)
        self.data = data
        self.recipe = Recipe(model, CrossEntropy(), optimizer)
        self.state = State.start(self.recipe, seed=0)
        self.evaluator = Evaluator(self.recipe, self.state.network)
        parameters = self.recipe.layout.arrays(self.state.parameters)
        for number, (weight, bias) in enumerate(data.weights, start=1):
            parameters[f"dense_{number}.weight"][...] = weight
            parameters[f"dense_{number}.bias"][...] = bias
        self.threads = thread_count("auto", model, case.batch)
        _LIMITS.enter_context(blas_threads(self.threads))

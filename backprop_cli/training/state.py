"""State: every number that training changes. It is what a checkpoint saves and what a resumed run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.errors import CheckpointError
from backprop_cli.training.program import GRADIENT_SUM, PARAMETERS, Recipe

# Streams of random numbers, each seeded by (seed, stream, ...): drawing from one never moves another.
INITIALIZATION, SHUFFLE, NOISE = 1, 2, 3


@dataclass
class State:
    """Where training is. ``step`` updates are done; ``position`` batches of epoch ``epoch`` (from 1) are done,
    ``seconds`` were spent.
    ``vectors``: the flat parameters and optimizer slots, by name. ``noise`` draws dropout's random numbers;
    shuffling needs no state, for an epoch's order follows from seed and epoch.
    ``memory``: what schedule and early stopping remember, as plain numbers.
    """

    vectors: dict[str, Array]
    noise: np.random.Generator
    step: int = 0
    epoch: int = 1
    position: int = 0
    seconds: float = 0.0
    memory: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def start(cls, recipe: Recipe, seed: int) -> State:
        """Initial parameters and empty slots."""
        dtype, layout = recipe.model.dtype, recipe.layout
        vectors = {name: np.full(layout.size, value, dtype) for name, value in recipe.states().items()}
        views = layout.arrays(vectors[PARAMETERS])
        for name, array in recipe.model.init(np.random.default_rng([seed, INITIALIZATION])).items():
            views[name][...] = array
        return cls(vectors, np.random.default_rng([seed, NOISE]))

    @property
    def parameters(self) -> Array:
        """The flat vector of parameters."""
        return self.vectors[PARAMETERS]

    def tensors(self, recipe: Recipe) -> dict[str, Array]:
        """Views by name: parameters as they are called, slots as ``optimizer.<slot>.<parameter>``."""
        found = dict(recipe.layout.arrays(self.parameters))
        for slot, vector in self.vectors.items():
            if slot not in (PARAMETERS, GRADIENT_SUM):
                views = recipe.layout.arrays(vector)
                found |= {f"optimizer.{slot}.{name}": array for name, array in views.items()}
        return found

    def counters(self) -> dict[str, Any]:
        """Everything but the tensors, ready for JSON."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "position": self.position,
            "seconds": self.seconds,
            "random": self.noise.bit_generator.state,
            "memory": self.memory,
        }

    def restore(
        self, recipe: Recipe, tensors: Mapping[str, Array], counters: Mapping[str, Any] | None, path: str
    ) -> None:
        """Take over the numbers of a checkpoint; without ``counters`` the parameters alone.

        Raises:
            CheckpointError: tensors of another network; every missing, unknown and misshapen one is named.

        """
        own = self.tensors(recipe)
        if counters is None:
            own = {name: array for name, array in own.items() if not name.startswith("optimizer.")}
            tensors = {name: array for name, array in tensors.items() if not name.startswith("optimizer.")}
        _check_same(own, tensors, path)
        for name, array in own.items():
            array[...] = tensors[name]
        if counters is not None:
            self.step, self.epoch = int(counters["step"]), int(counters["epoch"])
            self.position, self.seconds = int(counters["position"]), float(counters["seconds"])
            self.memory = {name: dict(values) for name, values in counters["memory"].items()}
            self.noise.bit_generator.state = counters["random"]


def _check_same(own: Mapping[str, Array], tensors: Mapping[str, Array], path: str) -> None:
    problems = [f"{name} is missing" for name in own if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in own]
    problems += [
        f"{name} is {tensors[name].dtype} {list(tensors[name].shape)}, expected {array.dtype} {list(array.shape)}"
        for name, array in own.items()
        if name in tensors and (tensors[name].shape != array.shape or tensors[name].dtype != array.dtype)
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise CheckpointError(f"{path}: the checkpoint is of another network: {shown}")

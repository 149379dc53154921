"""State: every number that training changes. A checkpoint saves it, and a resumed run starts from it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array, Spec
from backprop_cli.errors import CheckpointError
from backprop_cli.execution.arena import aligned
from backprop_cli.memory import check_memory
from backprop_cli.training.monitor import Measure
from backprop_cli.training.step_program import AVERAGE, BUFFERS, PARAMETERS, SLOW, Recipe
from backprop_cli.visible import shortened

SCHEDULE, BEST, EARLY_STOPPING, EPOCH, FULL_BATCH = "schedule", "best", "early_stopping", "epoch", "full_batch"
OVERFIT = "overfit"
"""Keys of ``State.memory``."""
EPOCH_TOTALS = ("loss", "counted", "examples", "penalty", "norm", "steps", "rate", "begin")
"""Keys of the running epoch's entry: see ``RunningEpoch``."""
PREDICTED, COUNTED = "epoch.predictions", "epoch.tokens"
"""Names of the tensors for ``State.predictions`` and ``State.tokens``."""
_FAST, _LOOKAHEAD = "training.", "lookahead."
"""Prefixes of tensors, if other weights are evaluated: the optimizer's parameters, and the slow weights."""
_OF_TRAINING = ("optimizer.", "epoch.", _FAST, _LOOKAHEAD)
"""Prefixes of the tensors that only training needs."""

# Streams of random numbers, each seeded by (seed, stream, ...): drawing from one never moves another.
INITIALIZATION, SHUFFLE, NOISE, AUGMENT, FITTING = 1, 2, 3, 4, 8


@dataclass(eq=False)
class State:
    """Where training is: ``step`` updates and ``position`` examples of epoch ``epoch`` (from 1) are done.

    ``seconds``: spent on training so far.
    ``vectors``: the flat parameters, buffers and optimizer slots, by name.
    ``noise``: draws dropout's random numbers, if the network ``has_noise``. Shuffling needs no state: seed and epoch
    decide an epoch's order.
    ``memory``: numbers that the schedule, early stopping and the running epoch remember.
    ``measures``: the quantities that those numbers measure. Numbers of another quantity are never compared with them.
    ``predictions``: those of the running epoch, in its order; the first ``position`` rows are filled. The epoch's train
    metrics are computed from them. ``tokens``: for tokens, the sums of ``TokenCounts`` instead.
    """

    vectors: dict[str, Array]
    noise: np.random.Generator
    step: int = 0
    epoch: int = 1
    position: int = 0
    seconds: float = 0.0
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    measures: dict[str, Measure] = field(default_factory=dict)
    predictions: Array | None = None
    tokens: Array | None = None
    has_noise: bool = True

    @classmethod
    def empty(cls, recipe: Recipe) -> State:
        """Zeros, for ``restore`` to fill."""
        vectors = _zeros(recipe, recipe.states(), "the network with its optimizer's memory")
        return cls(vectors, np.random.default_rng(0), has_noise=bool(recipe.model.noise(1)))

    @classmethod
    def start(cls, recipe: Recipe, seed: int) -> State:
        """Initial parameters and buffers, and slots at their initial values."""
        state = cls.empty(recipe)
        for name, value in recipe.states().items():
            if value:
                state.vectors[name].fill(value)
        views = state.network_arrays(recipe)
        for name, array in recipe.model.init(np.random.default_rng([seed, INITIALIZATION])).items():
            views[name][...] = array
        state.noise = np.random.default_rng([seed, NOISE])
        return state

    def copy(self, into: State | None = None) -> State:
        """An independent copy. It takes the place of ``into``, an earlier copy that is not needed any more."""
        if into is None:
            into = State({name: np.empty_like(vector) for name, vector in self.vectors.items()}, deepcopy(self.noise))
        elif self.has_noise:  # copying it takes longer than all else in a small network
            into.noise.bit_generator.state = self.noise.bit_generator.state
        for name, vector in self.vectors.items():
            into.vectors[name][...] = vector
        into.step, into.epoch, into.position, into.seconds = self.step, self.epoch, self.position, self.seconds
        into.memory = {name: dict(values) for name, values in self.memory.items()}
        into.measures = dict(self.measures)
        into.predictions = None if self.predictions is None else self.predictions[: self.position].copy()
        into.tokens = None if self.tokens is None else self.tokens.copy()
        return into

    @property
    def parameters(self) -> Array:
        """The flat vector of parameters."""
        return self.vectors[PARAMETERS]

    @property
    def network(self) -> dict[str, Array]:
        """The flat vectors of the network: parameters and, if it has any, buffers."""
        return {name: self.vectors[name] for name in (PARAMETERS, BUFFERS) if name in self.vectors}

    @property
    def evaluated(self) -> dict[str, Array]:
        """The flat vectors of the network to evaluate and keep: the average, the slow weights, or ``network``."""
        return {
            name: next(self.vectors[prefix + name] for prefix in (AVERAGE, SLOW, "") if prefix + name in self.vectors)
            for name in self.network
        }

    def network_arrays(self, recipe: Recipe) -> dict[str, Array]:
        """Views of ``network`` by name: the parameters and buffers that the optimizer works on."""
        return _named(recipe, self.network)

    def tensors(self, recipe: Recipe) -> dict[str, Array]:
        """Views of all numbers by their names in a checkpoint.

        Parameters and buffers of the evaluated network have their own names, slots are
        ``optimizer.<slot>.<parameter>``. Next to an average or slow weights, the optimizer's parameters are
        ``training.<parameter>``; next to both, slow weights are ``lookahead.<parameter>``. In the middle of an epoch
        there is ``epoch.predictions`` or ``epoch.tokens``.
        """
        found = _named(recipe, self.evaluated)
        for prefix, label in ((SLOW, _LOOKAHEAD), ("", _FAST)):
            for name, shown in self.evaluated.items():
                other = self.vectors.get(prefix + name)
                if other is not None and other is not shown:
                    found |= {f"{label}{key}": array for key, array in recipe.layout_of(name).arrays(other).items()}
        for vector, (span, slot) in recipe.slots.items():
            views = span.layout.arrays(self.vectors[vector])
            found |= {f"optimizer.{slot}.{name}": array for name, array in views.items()}
        if self.predictions is not None and self.position > 0:
            found[PREDICTED] = self.predictions[: self.position]
        if self.tokens is not None and self.position > 0:
            found[COUNTED] = self.tokens
        return found

    @property
    def last_epoch(self) -> int:
        """The epoch of the last step; 1 before the first. ``epoch`` is that of the next step."""
        return self.epoch if self.position > 0 else max(self.epoch - 1, 1)

    def counters(self) -> dict[str, Any]:
        """Everything except tensors and seconds, ready for JSON: equal runs have equal counters."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "position": self.position,
            "random": self.noise.bit_generator.state,
            "memory": self.memory,
            "measures": {name: measure.to_json() for name, measure in self.measures.items()},
        }

    def restore(self, recipe: Recipe, tensors: Mapping[str, Array], counters: Mapping[str, Any], path: str) -> None:
        """Set the state to that in a checkpoint.

        Raises:
            CheckpointError: the tensors are those of another network (all missing, unknown and misshapen ones are
                named), or counters or predictions are invalid.

        """
        given = _with_todays_slots(recipe, tensors)
        predictions, tokens = given.pop(PREDICTED, None), given.pop(COUNTED, None)
        _copy_all(given, self.tensors(recipe), path)
        self._restore_counters(counters, path)
        self.predictions = _of_shape(PREDICTED, predictions, (self.position, *recipe.model.output_shape), path)
        counted = _of_shape(COUNTED, tokens, (1 + recipe.model.output_shape[-1],), path)
        self.tokens = None if counted is None else np.array(counted, np.float64)

    def _restore_counters(self, counters: Mapping[str, Any], path: str) -> None:
        try:
            self.step, self.epoch = _count(counters["step"]), _count(counters["epoch"])
            self.position = _count(counters["position"])
            self.memory = {name: _remembered(name, values) for name, values in counters["memory"].items()}
            # Older checkpoints have no measures.
            self.measures = {name: Measure.from_json(tree) for name, tree in counters.get("measures", {}).items()}
            self.noise.bit_generator.state = counters["random"]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(
                f"{path}: the state in it cannot be read ({type(error).__name__}: {error}); use another checkpoint"
            ) from error


def _with_todays_slots(recipe: Recipe, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of a checkpoint, with the slots of older versions converted."""
    found = dict(tensors)
    for span in recipe.spans:
        for slot, (former, factor) in span.optimizer.former_slots().items():
            for name in span.layout.shapes:
                array = found.pop(f"optimizer.{former}.{name}", None)
                if array is not None:
                    found[f"optimizer.{slot}.{name}"] = array * factor
    return found


def network_vectors(recipe: Recipe, tensors: Mapping[str, Array], path: str) -> dict[str, Array]:
    """The flat vectors of the network in a checkpoint, without those that only training needs.

    Raises: as ``check_network``.
    """
    vectors = _zeros(recipe, recipe.network, "the network")
    own = _named(recipe, vectors)
    _copy_all(of_network(tensors, own), own, path)
    return vectors


def check_network(recipe: Recipe, tensors: Mapping[str, Array], path: str) -> None:
    """Compare the tensors of a checkpoint with the parameters and buffers of a network.

    Raises:
        CheckpointError: the tensors are those of another network; all missing, unknown and misshapen ones are named.

    """
    shapes = {name: shape for vector in recipe.network for name, shape in recipe.layout_of(vector).shapes.items()}
    own = {name: Spec(shape, recipe.model.dtype) for name, shape in shapes.items()}
    _check_same(own, of_network(tensors, own), path)


def of_network(tensors: Mapping[str, Array], own: Container[str]) -> dict[str, Array]:
    """The tensors of a checkpoint without those that only training needs. ``own``: names in the network."""
    return {name: array for name, array in tensors.items() if name in own or not name.startswith(_OF_TRAINING)}


def _zeros(recipe: Recipe, names: Iterable[str], what: str) -> dict[str, Array]:
    dtype = recipe.model.dtype
    sizes = {name: recipe.layout_of(name).size for name in names}
    check_memory(sum(sizes.values()) * dtype.itemsize, what)
    return {name: aligned(Spec((size,), dtype)) for name, size in sizes.items()}


def _named(recipe: Recipe, vectors: Mapping[str, Array]) -> dict[str, Array]:
    """Views of parameters and buffers by name."""
    views = [recipe.layout_of(name).arrays(vectors[name]) for name in recipe.network]
    return {name: array for found in views for name, array in found.items()}


def _copy_all(source: Mapping[str, Array], target: Mapping[str, Array], path: str) -> None:
    _check_same(target, source, path)
    for name, array in target.items():
        array[...] = source[name]


def _of_shape(name: str, array: Array | None, expected: tuple[int, ...], path: str) -> Array | None:
    if array is not None and array.shape != expected:
        raise CheckpointError(
            f"{path}: {name} has the shape {list(array.shape)}, expected {list(expected)}; use another checkpoint"
        )
    return array


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _TOO_MANY:
        raise ValueError(f"expected a count, got {shortened(repr(value))}")
    return value


_TOO_MANY = 2**53
"""float64 represents every integer below this exactly."""
_MONITORED = (frozenset({"waited"}), frozenset({"value", "step", "epoch", "waited"}))
_KEYS: Mapping[str, tuple[frozenset[str], ...]] = {
    BEST: _MONITORED,
    EARLY_STOPPING: _MONITORED,
    EPOCH: (frozenset(EPOCH_TOTALS),),
    FULL_BATCH: (frozenset({"pairs", "value", "largest", "stalled"}),),
    OVERFIT: (frozenset({"loss"}),),
}
"""The keys of each entry of the memory: all keys of one set, or none. Each schedule has its own keys."""
_COUNTS = ("step", "epoch", "waited", "counted", "examples", "steps", "begin", "pairs")


def _remembered(name: str, values: Mapping[str, Any]) -> dict[str, float]:
    for key, value in values.items():
        if type(value) not in (int, float):
            raise TypeError(f"{name}.{key}: expected a number, got {shortened(repr(value))}")
        if key in _COUNTS and not 0 <= value < _TOO_MANY:
            raise ValueError(f"{name}.{key}: expected a count, got {shortened(repr(value))}")
    if values and name in _KEYS and values.keys() not in _KEYS[name]:
        raise ValueError(f"{name}: expected {', '.join(sorted(_KEYS[name][-1]))}, got {', '.join(sorted(values))[:80]}")
    return dict(values)


def _check_same(own: Mapping[str, Array | Spec], tensors: Mapping[str, Array], path: str) -> None:
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

"""A trained network that reads tokens one by one and returns the logits of the next token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from backprop_cli.autodiff import Array, Program, input_
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.advancing import Memory, advance, is_bounded, memory_of
from backprop_cli.training.step_program import INPUTS, Recipe, network_inputs

OUTPUTS = "outputs"


class Reader(Protocol):
    """Reads one sequence."""

    def start(self) -> None:
        """Forget the sequence: the next token begins another."""
        ...

    def read(self, token: int) -> Array:
        """The network's outputs (vocabulary,) after this token; valid until the next call."""
        ...


def reader(recipe: Recipe, network: Mapping[str, Array]) -> Reader:
    """A reader for a network with inputs (context,) and outputs (context, vocabulary).

    ``network``: its flat vectors.
    """
    memory = memory_of(recipe.model)
    return Windowed(recipe, network) if memory is None else Stepwise(recipe, network, memory)


class Stepwise:
    """Reads one position at a time, with the states, keys and values of earlier positions.

    A bounded network has room for ``context`` positions. When they are full, it starts again from their last half.
    Every token is read at most twice and predicted from at least half a context.
    """

    def __init__(self, recipe: Recipe, network: Mapping[str, Array], memory: Memory):
        self._plan = Plan(simplify(_advance_step(recipe, memory)), network)
        self._memory = [self._plan.inputs[name] for name in memory]
        self._room = recipe.model.input_shape[0] if is_bounded(recipe.model) else None
        self._seen: list[int] = []

    def start(self) -> None:
        """Forget all tokens."""
        for array in self._memory:
            array.fill(0)
        self._seen = []

    def read(self, token: int) -> Array:
        """Advance by one position."""
        if self._room is not None:
            if len(self._seen) == self._room:
                last = self._seen[self._room - self._room // 2 :]
                self.start()
                for earlier in last:
                    self._run(earlier)
                self._seen = last
            self._seen.append(token)
        return self._run(token)

    def _run(self, token: int) -> Array:
        self._plan.inputs[INPUTS][...] = token
        self._plan.run()
        outputs: Array = self._plan.outputs[OUTPUTS].reshape(-1)
        return outputs


class Windowed:
    """Runs the last ``context`` tokens as a whole window for each new token.

    Fewer tokens fill the start of the window, and the outputs are those of the last one. The rest of the window has no
    effect: a network trained to predict the next token does not see later positions.
    """

    def __init__(self, recipe: Recipe, network: Mapping[str, Array]):
        self._plan = Plan(simplify(_window_step(recipe)), network)
        self._window: list[int] = []

    def start(self) -> None:
        """Forget all tokens."""
        self._window = []

    def read(self, token: int) -> Array:
        """Run the window that ends with it."""
        tokens = self._plan.inputs[INPUTS]
        self._window = [*self._window, token][-tokens.shape[1] :]
        tokens.fill(0)
        tokens[0, : len(self._window)] = self._window
        self._plan.run()
        outputs: Array = self._plan.outputs[OUTPUTS][0, len(self._window) - 1]
        return outputs


def _advance_step(recipe: Recipe, memory: Memory) -> Program:
    """Token and memory -> outputs (1, 1, vocabulary) and memory."""
    x = input_(INPUTS, (1, 1), recipe.model.input_dtype)
    vectors, params, buffers = network_inputs(recipe)
    kept = {name: input_(name, spec.shape, spec.dtype) for name, spec in memory.items()}
    outputs, new = advance(recipe.model, {**params, **buffers}, kept, x)
    return Program({INPUTS: x, **vectors, **kept}, {OUTPUTS: outputs}, new)


def _window_step(recipe: Recipe) -> Program:
    """Tokens (1, context) -> outputs (1, context, vocabulary)."""
    x = input_(INPUTS, (1, *recipe.model.input_shape), recipe.model.input_dtype)
    vectors, params, buffers = network_inputs(recipe)
    return Program({INPUTS: x, **vectors}, {OUTPUTS: recipe.model.apply({**params, **buffers}, x)})

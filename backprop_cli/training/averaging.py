"""Lookahead and the average of weights, updated after each step by small plans on the state's vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backprop_cli.autodiff import Array, Program, input_
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.average import StepEnd
from backprop_cli.training.state import State
from backprop_cli.training.step_program import AVERAGE, PARAMETERS, SLOW, Recipe

_SHARE = "share"


class Averaging:
    """Updates a state's slow weights and its average."""

    def __init__(self, recipe: Recipe, state: State):
        self._average, self._lookahead = recipe.average, recipe.lookahead
        self._vectors = vectors = state.vectors
        self.is_needed = self._average is not None or self._lookahead is not None
        self._has_begun = True
        self._slow = self._averaged = None
        if self._lookahead is not None:
            self._slow = Plan(_towards({SLOW + PARAMETERS: PARAMETERS}, vectors, back=True), vectors)
            self._slow.inputs[_SHARE][...] = self._lookahead.rate
        if self._average is not None:
            sources = {AVERAGE + name: _source(name, vectors) for name in recipe.network}
            self._pairs = [(vectors[to], vectors[source]) for to, source in sources.items()]
            self._averaged = Plan(_towards(sources, vectors, back=False), vectors)

    def after(self, at: StepEnd) -> None:
        """Update the slow weights and the average after the update that ends at ``at``."""
        if self._slow is not None and self._lookahead is not None and at.step % self._lookahead.steps == 0:
            self._slow.run()
        if self._averaged is None or self._average is None:
            return
        share = self._average.share(at)
        self._has_begun = share is not None
        if share == 1.0:
            self._copy()
        elif share:
            self._averaged.inputs[_SHARE][...] = share
            self._averaged.run()

    def settle(self) -> None:
        """Before averaging starts, set the average to the parameters. Called once an event, not once an update."""
        if not self._has_begun:
            self._copy()

    def _copy(self) -> None:
        for average, parameters in self._pairs:
            np.copyto(average, parameters)

    def start(self) -> None:
        """Set both to the parameters, before the first update."""
        for name, vector in self._vectors.items():
            for prefix in (SLOW, AVERAGE):
                if name.startswith(prefix):
                    np.copyto(vector, self._vectors[name.removeprefix(prefix)])


def _source(name: str, vectors: Mapping[str, Array]) -> str:
    """The vector to average: with lookahead the slow weights."""
    return SLOW + name if SLOW + name in vectors else name


def _towards(sources: Mapping[str, str], vectors: Mapping[str, Array], back: bool) -> Program:
    """``to <- to + share * (source - to)`` for each pair; with ``back`` also ``source <- to``."""
    values = {name: input_(name, vectors[name].shape, vectors[name].dtype) for pair in sources.items() for name in pair}
    share = input_(_SHARE, (), next(iter(values.values())).dtype)
    new = {to: values[to] + share * (values[source] - values[to]) for to, source in sources.items()}
    copies = {source: new[to] for to, source in sources.items()} if back else {}
    return Program({**values, _SHARE: share}, {}, {**new, **copies})

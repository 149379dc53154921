"""The epoch at hand: its order, and what its train metrics are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.token_counts import TokenCounts
from backprop_cli.training.state import EPOCH, State
from backprop_cli.training.training_spec import TrainingSpec

_TOTALS = ("loss", "counted", "examples", "penalty", "norm", "steps", "rate", "begin")


class RunningEpoch:
    """The order in which the state's epoch sees the examples, its sums and its predictions.

    Sums and predictions live in the state, so that a resumed epoch keeps them. ``totals``: ``loss`` summed over what
    ``counted`` (see ``Loss.count``) of so many ``examples``; ``penalty`` (regularization) and ``norm`` (of the
    gradient) over ``steps``; the last learning ``rate``; ``begin``: the first position that there is a prediction of.
    """

    def __init__(self, spec: TrainingSpec, state: State):
        self.order = spec.order(state.epoch)
        self.totals = state.memory.setdefault(EPOCH, dict.fromkeys(_TOTALS, 0.0))
        self._state = state
        self._before = self.totals["examples"]
        self.tokens: TokenCounts | None = None  # where the loss is for tokens and there are metrics
        if not spec.metrics:
            state.predictions = state.tokens = None
        elif spec.recipe.loss.task.has_positions:
            self.tokens = TokenCounts(spec.recipe.model.output_shape[-1], state.tokens)
            state.tokens = self.tokens.sums
        elif state.predictions is None:
            self.totals["begin"] = state.position

    @property
    def examples(self) -> float:
        """Examples that this process has trained on in this epoch."""
        return self.totals["examples"] - self._before

    @property
    def predicted(self) -> slice:
        """The part of the order that there are predictions of: all of it, unless metrics came in later."""
        return slice(int(self.totals["begin"]), self._state.position)

    def add_batch(self, start: int, examples: int, loss: float, counted: int, predictions: Array | None) -> None:
        """A batch of an update that is of several. ``loss``: the sum of what its ``counted`` costs come to."""
        self.totals["loss"] += loss
        self.totals["counted"] += counted
        self.totals["examples"] += examples
        keep = self.keeper(predictions)
        if keep is not None:
            keep(start)

    def keeper(self, predictions: Array | None) -> Callable[[int], None] | None:
        """A function that keeps what ``predictions`` holds of the batch from a position on; None: nothing is kept."""
        if predictions is None:
            return None
        if self.tokens is not None:
            count = self.tokens.add
            return lambda start: count(predictions)
        kept, size = self._room(predictions), len(predictions)

        def keep(start: int) -> None:
            kept[start : start + size] = predictions

        return keep

    def _room(self, batch: Array) -> Array:
        """The state's predictions, with room for the whole epoch; ``batch``: those of one batch."""
        made = self._state.predictions
        if made is None or len(made) < len(self.order):
            self._state.predictions = np.empty((len(self.order), *batch.shape[1:]), batch.dtype)
            if made is not None:
                self._state.predictions[: len(made)] = made
        assert self._state.predictions is not None
        return self._state.predictions

    def means(self) -> dict[str, float]:
        """Means over the epoch, of what counts for the loss, of updates for the rest; and the last update's rate."""
        totals = self.totals
        counted, steps = max(totals["counted"], 1), max(totals["steps"], 1)
        return {
            "train/loss": totals["loss"] / counted,
            "train/regularization": totals["penalty"] / steps,
            "gradient_norm": totals["norm"] / steps,
            "learning_rate": totals["rate"],
        }

"""The running epoch: its order, and the sums and predictions behind its train metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.token_counts import TokenCounts
from backprop_cli.training.state import EPOCH, EPOCH_TOTALS, State
from backprop_cli.training.training_spec import TrainingSpec


class RunningEpoch:
    """The order, sums and predictions of the state's epoch.

    Sums and predictions live in the state, so that a resumed epoch keeps them. ``totals``: the sum of ``loss`` over
    ``counted`` costs (see ``Loss.count``) of ``examples``; the sums of ``penalty`` (regularization) and ``norm`` (of
    the gradient) over ``steps``; the last learning ``rate``; ``begin``, the first position with a prediction.
    """

    def __init__(self, spec: TrainingSpec, state: State):
        self.number = state.epoch
        self.order = np.ascontiguousarray(spec.order(state.epoch), np.int64)
        self.totals = state.memory.setdefault(EPOCH, dict.fromkeys(EPOCH_TOTALS, 0.0))
        self._state = state
        self._before = self.totals["examples"]
        self.tokens: TokenCounts | None = None  # for tokens, if there are metrics
        if not spec.metrics:
            state.predictions = state.tokens = None
        elif spec.recipe.loss.task.has_positions:
            self.tokens = TokenCounts(spec.recipe.model.output_shape[-1], state.tokens)
            state.tokens = self.tokens.sums
        elif state.predictions is None:
            self.totals["begin"] = state.position

    @property
    def examples(self) -> float:
        """Number of examples in this epoch that this process has trained on."""
        return self.totals["examples"] - self._before

    @property
    def predicted(self) -> slice:
        """The slice of the order with predictions: all of it, unless a resumption added the metrics."""
        return slice(int(self.totals["begin"]), self._state.position)

    def add_batch(self, start: int, examples: int, loss: float, counted: int, predictions: Array | None) -> None:
        """Add a batch to the sums. ``loss``: the sum of its ``counted`` costs."""
        self.totals["loss"] += loss
        self.totals["counted"] += counted
        self.totals["examples"] += examples
        keep = self.keeper(predictions)
        if keep is not None:
            keep(start)

    def keeper(self, predictions: Array | None) -> Callable[[int], None] | None:
        """A function that stores ``predictions`` for the batch at a position; None: nothing is stored."""
        if predictions is None:
            return None
        if self.tokens is not None:
            count = self.tokens.add
            return lambda start: count(predictions)
        kept, size = self.room(predictions), len(predictions)

        def keep(start: int) -> None:
            kept[start : start + size] = predictions

        return keep

    def room(self, batch: Array) -> Array:
        """The state's predictions, with room for the whole epoch. ``batch``: predictions of one batch."""
        made = self._state.predictions
        if made is None or len(made) < len(self.order):
            self._state.predictions = np.empty((len(self.order), *batch.shape[1:]), batch.dtype)
            if made is not None:
                self._state.predictions[: len(made)] = made
        assert self._state.predictions is not None
        return self._state.predictions

    def means(self) -> dict[str, float]:
        """Means over the epoch, of costs for the loss and of updates for the rest, and the last learning rate."""
        totals = self.totals
        counted, steps = max(totals["counted"], 1), max(totals["steps"], 1)
        return {
            "train/loss": totals["loss"] / counted,
            "train/regularization": totals["penalty"] / steps,
            "gradient_norm": totals["norm"] / steps,
            "learning_rate": totals["rate"],
        }

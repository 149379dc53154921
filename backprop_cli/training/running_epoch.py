"""The epoch at hand: its order, and what its train metrics are made of."""

from __future__ import annotations

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.training.job import Job
from backprop_cli.training.state import EPOCH, State


class RunningEpoch:
    """The order in which the state's epoch sees the examples, its sums and its predictions.

    Sums and predictions live in the state, so that a resumed epoch keeps them. ``totals``: ``loss`` summed over
    ``examples``; ``penalty`` (regularization) and ``norm`` (of the gradient) over ``steps``; the last learning
    ``rate``; ``begin``: the first position that there is a prediction of.
    """

    def __init__(self, job: Job, state: State):
        start = {"loss": 0.0, "examples": 0, "penalty": 0.0, "norm": 0.0, "steps": 0, "rate": 0.0, "begin": 0}
        self.order = job.order(state.epoch)
        self.totals = state.memory.setdefault(EPOCH, start)
        self._state = state
        self._before = self.totals["examples"]
        if not job.metrics:
            state.predictions = None
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

    def add_batch(self, start: int, count: int, loss: float, predictions: Array | None) -> None:
        """A batch of an update that is of several. ``loss``: the sum of its examples' losses."""
        self.totals["loss"] += loss
        self.totals["examples"] += count
        if predictions is not None:
            self.room(predictions)[start : start + count] = predictions

    def room(self, batch: Array) -> Array:
        """The state's predictions, with room for the whole epoch; ``batch``: those of one batch."""
        made = self._state.predictions
        if made is None or len(made) < len(self.order):
            self._state.predictions = np.empty((len(self.order), *batch.shape[1:]), batch.dtype)
            if made is not None:
                self._state.predictions[: len(made)] = made
        assert self._state.predictions is not None
        return self._state.predictions

    def means(self) -> dict[str, float]:
        """Means over the epoch, of examples for the loss, of updates for the rest; and the last update's rate."""
        totals = self.totals
        examples, steps = max(totals["examples"], 1), max(totals["steps"], 1)
        return {
            "train/loss": totals["loss"] / examples,
            "train/regularization": totals["penalty"] / steps,
            "gradient_norm": totals["norm"] / steps,
            "learning_rate": totals["rate"],
        }

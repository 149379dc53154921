"""Cross entropy of one class among several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from backprop_cli.autodiff import Value, amax, exp, log, mean, one_hot, softmax, stop_gradient
from backprop_cli.autodiff import sum as sum_
from backprop_cli.errors import did_you_mean
from backprop_cli.nn.loss import LOSSES, ClassWeightError, Loss, Task

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class WeightByClass(dict[str | int | float | bool, float]):
    """Weights by class name; hashable because settings are, and never changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def _word(value: object) -> object:
    return "none" if value is None else value


def _kind(value: object) -> str:
    return "mapping" if isinstance(value, dict) else "word"


ClassWeight = Annotated[
    Annotated[Literal["none", "balanced"], Tag("word")]
    | Annotated[dict[str | int | float | bool, Weight], AfterValidator(WeightByClass), Tag("mapping")],
    Discriminator(_kind),
    BeforeValidator(_word),
]
"""``none`` (also YAML's null), ``balanced``, or weights by class name."""


@LOSSES.register
class CrossEntropy(Loss):
    """``loss = mean(w[y] * -sum_c q[c] * log(p[c]))`` over the batch, ``p = softmax(logits)``, in nats.

    ``q[c] = (1 - label_smoothing) * (c == y) + label_smoothing / classes``. ``w`` is 1 unless ``class_weight`` says
    otherwise: ``balanced`` is ``examples / (classes * count[c])`` over the train split (1 for a class it lacks), a
    mapping names classes (1 for those it leaves out).

    The weighted sum is divided by the size of the batch, so that a batch's gradient is the mean of its examples'.
    PyTorch divides it by the sum of the batch's weights, and weights the smoothed part class by class.

    Shapes: logits (batch, classes), labels (batch,) -> ()
    YAML:   {type: cross_entropy, label_smoothing: 0.1, class_weight: balanced}
    Source: label smoothing: Szegedy et al., Rethinking the Inception Architecture (2016), section 7; balanced: King &
            Zeng, Logistic Regression in Rare Events Data (2001), as in scikit-learn.
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    task: ClassVar[Task] = "classes"
    applies: ClassVar[tuple[str, ...]] = ("softmax", "log_softmax")
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"label_smoothing": 0.2}, {"class_weight": {0: 0.5, 2: 3}})
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the target spread evenly over all classes"""
    class_weight: ClassWeight = "none"
    """none, balanced, or a weight by class name"""

    def apply(self, outputs: Value, targets: Value, class_weights: Value | None = None) -> Value:
        """``mean(w[y] * cross entropy of q and p)``."""
        self.check(outputs, targets)
        classes = outputs.shape[1]
        chosen = one_hot(targets, classes, outputs.dtype)
        smoothing = self.label_smoothing
        q = chosen * (1.0 - smoothing) + smoothing / classes if smoothing else chosen
        # q sums to 1, so that -sum q ln p = ln sum e^z - sum q z; the largest logit is taken off both.
        z = outputs - stop_gradient(amax(outputs, 1, keepdims=True))
        cost = log(sum_(exp(z), 1)) - sum_(q * z, 1)
        return mean(cost if class_weights is None else sum_(chosen * class_weights, 1) * cost)

    def class_weights(self, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
        """A weight a class, in the order of ``classes``; None where all are 1.

        Raises: ClassWeightError where ``class_weight`` names classes that are not among ``classes``.
        """
        if self.class_weight == "none":
            return None
        if self.class_weight == "balanced":
            count = np.asarray(counts, dtype=np.float64)
            return np.where(count > 0, count.sum() / (len(count) * np.maximum(count, 1.0)), 1.0)
        return _weights_by_name(self.class_weight, classes)

    def activate(self, outputs: Value) -> Value:
        """Probabilities of the classes."""
        return softmax(outputs)


def _weights_by_name(weights: dict[str | int | float | bool, float], classes: Sequence[Any]) -> NDArray[np.float64]:
    # A class read from a file may be text where YAML reads a number: names are compared as they are printed, too.
    places: dict[Any, int] = {str(name): place for place, name in enumerate(classes)}
    places |= {name: place for place, name in enumerate(classes)}
    found = np.ones(len(classes))
    unknown = {}
    for name, weight in weights.items():
        place = places.get(name, places.get(str(name)))
        if place is None:
            unknown[name] = _unknown_class(name, [str(known) for known in classes])
        else:
            found[place] = weight
    if unknown:
        raise ClassWeightError(unknown)
    return found


def _unknown_class(name: object, known: list[str], shown: int = 20) -> str:
    listed = ", ".join(known[:shown]) + (f", ... ({len(known)} in all)" if len(known) > shown else "")
    return f"unknown class '{name}'" + (did_you_mean(str(name), known) or f"; known: {listed}")

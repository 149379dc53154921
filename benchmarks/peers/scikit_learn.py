"""scikit-learn's MLPClassifier: ``fit`` for whole epochs, which costs less a step than ``partial_fit``.

Its own loop shuffles by itself and cannot be told to stop at a step, so its loss after an epoch differs a little.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from benchmarks.cases import BETA1, BETA2, EPSILON, LEARNING_RATE, Data
from benchmarks.peers.numpy_threads import use_threads

_NEVER = 10**9


class Classifier:
    def __init__(self, data: Data):
        self.data = data
        self.model = MLPClassifier(
            hidden_layer_sizes=data.case.sizes[1:-1],
            batch_size=data.case.batch,
            learning_rate_init=LEARNING_RATE,
            beta_1=BETA1,
            beta_2=BETA2,
            epsilon=EPSILON,
            alpha=0.0,
            warm_start=True,
            n_iter_no_change=_NEVER,
            random_state=0,
        )
        self._take_weights()

    def _take_weights(self) -> None:
        """A step on one example of each class makes the arrays; then the case's weights replace what it made."""
        data = self.data
        classes = np.arange(data.case.sizes[-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the batch is smaller than batch_size
            self.model.partial_fit(data.inputs[: len(classes)], classes, classes=classes)
        for number, (weight, bias) in enumerate(data.weights):
            self.model.coefs_[number][...] = weight.T
            self.model.intercepts_[number][...] = bias
        del self.model._optimizer  # fit makes a new one, which has not seen those examples

    def use_threads(self, count: int) -> None:
        use_threads(count)

    def run(self, steps: int) -> int:
        epochs = math.ceil(steps / self.data.case.steps_per_epoch)
        self.model.max_iter = epochs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.data.inputs, self.data.labels)
        return epochs * self.data.case.steps_per_epoch

    def loss(self) -> float:
        probs = self.model.predict_proba(self.data.inputs)
        return float(log_loss(self.data.labels, probs, labels=range(self.data.case.sizes[-1])))


def build(data: Data, variant: str) -> Classifier:
    return Classifier(data)

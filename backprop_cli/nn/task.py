"""Tasks: the kinds of targets, and all that follows from them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backprop_cli.autodiff import Array
from backprop_cli.errors import ShapeError
from backprop_cli.registry import RegistrationError

Shape = tuple[int, ...]
Labels = NDArray[np.int64]

NO_TOKEN = -1
"""The label of a position after the end of a text: no token is there, and the position does not count."""


class Task(str):
    """A kind of targets. It is a text, its name, which configurations, checkpoints and plugins write.

    A task is one subclass, with one object of it in ``TASKS``. The defaults are those of targets of the outputs' shape
    and precision, a number for each output.
    """

    __slots__ = ()

    phrase: ClassVar[str]
    """Its name in a sentence: ``binary targets``."""
    default_metrics: ClassVar[tuple[str, ...]]
    """Metrics of a configuration that names none."""
    output_noun: ClassVar[tuple[str, str]] = ("target column", "target columns")
    """A network has one output for each of these: singular and plural."""
    has_labels: ClassVar[bool] = False
    """Targets are labels: int64, one for each row of logits."""
    has_classes: ClassVar[bool] = False
    """A target column names classes."""
    has_unit: ClassVar[bool] = False
    """Targets are numbers in a unit of their own, which may be standardized."""
    has_positions: ClassVar[bool] = False
    """An example is a sequence with a target at each position."""
    outputs_axes: ClassVar[str] = ""
    """Names of the axes of outputs and of labels, for messages."""
    labels_axes: ClassVar[str] = ""

    @property
    def is_multiclass(self) -> bool:
        """An example is of one class among all outputs."""
        return self.has_classes and self.has_labels

    def target_dtype(self, dtype: DTypeLike) -> np.dtype[np.generic]:
        """The dtype of targets for a network of precision ``dtype``."""
        return np.dtype(np.int64) if self.has_labels else np.dtype(dtype)

    def target_shape(self, outputs: Shape) -> Shape:
        """The shape of targets for outputs of the shape ``outputs``, both with or without the batch."""
        return outputs[:-1] if self.has_labels else outputs

    def check(self, where: str, outputs: Shape, targets: Shape) -> None:
        """Raise ShapeError unless the shapes fit each other; ``where`` begins the message."""
        if targets == self.target_shape(outputs) and len(outputs) == (self._axes or len(outputs)):
            return
        if self.has_labels:
            reason = f"needs outputs {self.outputs_axes} and labels {self.labels_axes}"
            raise ShapeError(where, reason, outputs=outputs, labels=targets)
        # Shapes that merely broadcast, (batch, 1) and (batch,), would average over pairs of examples.
        raise ShapeError(where, "needs outputs and targets of the same shape", outputs=outputs, targets=targets)

    @property
    def _axes(self) -> int:
        """Axes of the outputs; 0: any number."""
        return len(self.outputs_axes.split(",")) if self.outputs_axes else 0

    def outputs_wanted(self, classes: int | None, targets: Shape) -> int | None:
        """The number of ``output_noun`` in the data: ``classes`` if targets are labels, else columns of an example."""
        return classes if self.has_labels else int(targets[0])

    def draw(self, rng: np.random.Generator, shape: Shape, outputs: int) -> Array:
        """Random targets of a shape (batch, ...); labels are below ``outputs``."""
        return rng.integers(0, outputs, shape) if self.has_labels else rng.standard_normal(shape)

    def predicted_labels(self, predictions: Array) -> Labels:
        """The most probable label of each row of predictions (of equals the first), int64 (batch, ...)."""
        return np.asarray(np.argmax(predictions, axis=-1), dtype=np.int64)


class Classes(Task):
    """One class among several for each example: labels (batch,), logits (batch, classes)."""

    __slots__ = ()

    phrase = "classes"
    default_metrics = ("accuracy",)
    output_noun = ("class", "classes")
    has_labels = True
    has_classes = True
    outputs_axes = "(batch, classes)"
    labels_axes = "(batch,)"


class Binary(Task):
    """Yes or no for each output: targets 0 or 1, or between, (batch, outputs)."""

    __slots__ = ()

    phrase = "binary targets"
    default_metrics = ("accuracy",)
    has_classes = True

    def draw(self, rng: np.random.Generator, shape: Shape, outputs: int) -> Array:
        return rng.integers(0, 2, shape).astype(np.float64)

    def predicted_labels(self, predictions: Array) -> Labels:
        return np.asarray(predictions >= 0.5, dtype=np.int64)


class Regression(Task):
    """Numbers: targets (batch, outputs)."""

    __slots__ = ()

    phrase = "regression"
    default_metrics = ("root_mean_squared_error", "r2")
    has_unit = True


class Tokens(Task):
    """A token at each position of a sequence: labels (batch, positions), logits (batch, positions, tokens)."""

    __slots__ = ()

    phrase = "tokens"
    default_metrics = ("perplexity", "accuracy")
    output_noun = ("token", "tokens")
    has_labels = True
    has_positions = True
    outputs_axes = "(batch, positions, tokens)"
    labels_axes = "(batch, positions)"


CLASSES = Classes("classes")
BINARY = Binary("binary")
REGRESSION = Regression("regression")
TOKENS = Tokens("tokens")
TASKS: dict[str, Task] = {task: task for task in (CLASSES, BINARY, REGRESSION, TOKENS)}


def task_of(name: str) -> Task:
    """The task of this name; a task stays itself.

    Raises: RegistrationError for any other text.
    """
    if isinstance(name, Task):
        return name
    if name not in TASKS:
        raise RegistrationError(f"unknown task '{name}'; known: {', '.join(TASKS)}")
    return TASKS[name]

"""The contract of an optimizer: a pure elementwise update in ops, traced into the training step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError, model_validator
from pydantic_core import InitErrorDetails

from backprop_cli.autodiff import Value
from backprop_cli.nn.parameter_group import ParameterGroup, group_of, matches
from backprop_cli.nn.schedule import Scheduled
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import FREE, Many, Positive, Settings, refusal

Slots = Mapping[str, Value]
Scalars = Mapping[str, Value]
ScalarSlots = Mapping[str, float]
Array = NDArray[np.float64]
LearningRate = Annotated[Positive, FREE]


class Optimizer(Settings):
    """``parameter <- parameter - learning_rate * direction``.

    Updates are elementwise: they run once on the flat vector of all parameters of a group, whatever the depth. If an
    update depends on a parameter's shape or norm it has a second stage, ``shaped_direction``. The training program
    multiplies by the learning rate of the step, after the schedule.
    """

    type: str
    """kind of optimizer"""
    learning_rate: LearningRate = 1e-3
    """step size before the schedule"""
    groups: Many[ParameterGroup] = ()
    """groups of parameters with other keys, by name: {parameters: "*.bias", learning_rate: ...}"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build, in addition to those of the ``YAML:`` line."""
    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays that it keeps, each of the parameters' shape."""
    shaped: ClassVar[bool] = False
    """It has a second stage."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Give the groups of a type its own keys."""
        super().__pydantic_init_subclass__(**kwargs)
        if "type" in cls.__annotations__:
            groups = copy.copy(cls.model_fields.pop("groups"))
            groups.annotation = tuple.__class_getitem__((group_of(cls, but=("type",)), ...))  # type: ignore[assignment]
            cls.model_fields["groups"] = groups  # the last key

    @model_validator(mode="after")
    def _groups_fit(self) -> Optimizer:
        """Validate each group's keys together with the others: a validator may compare two keys."""
        for index, group in enumerate(self.groups):
            try:
                type(self).model_validate({**dict(self), "groups": (), **group.changes(self.learning_rate)})
            except ValidationError as error:
                raise _within(error, ("groups", index)) from None
        return self

    def of(self, name: str, shape: tuple[int, ...]) -> Optimizer:
        """The optimizer of a parameter: itself with the keys of the first group that matches, or its ``fallback``."""
        group = next((group for group in self.groups if matches(name, group.parameters)), None)
        changes: dict[str, Any] = {} if group is None else group.changes(self.learning_rate)
        return self.model_copy(update={"groups": (), **changes}).for_parameter(name, shape)

    def for_parameter(self, name: str, shape: tuple[int, ...]) -> Optimizer:
        """The optimizer that updates a parameter: itself, unless it only suits some."""
        return self

    def patterns(self) -> dict[tuple[str | int, ...], tuple[str, ...]]:
        """Patterns of parameters' names, by the path of their key; each must match a parameter."""
        return {("groups", index, "parameters"): group.parameters for index, group in enumerate(self.groups)}

    def slot_names(self) -> tuple[str, ...]:
        """Slots that these settings need; they start at ``slot_start``."""
        return self.slots

    def former_slots(self) -> dict[str, tuple[str, float]]:
        """Slots that older checkpoints store under another name: name -> (older name, factor of its values)."""
        return {}

    def slot_start(self, name: str) -> float:
        """The value of a slot before step 1."""
        return 0.0

    def scalars(self, step: int) -> dict[str, float]:
        """Constants of a step, with the same keys at every step; ``step`` counts from 1."""
        return {}

    def scheduled(self) -> dict[str, Scheduled]:
        """Numbers that follow a schedule of their own, by name; ``update`` finds them among the scalars."""
        return {}

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        """The direction to step against, and the new slots."""
        raise NotImplementedError

    def shaped_direction(self, direction: Value, parameter: Value) -> Value:
        """The second stage, if ``shaped``: the direction of one parameter, in its shape, from the one of ``update``."""
        raise NotImplementedError

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """``update`` of one number, written line by line as in the source; ``step`` counts from 1.

        ``bp gradcheck`` compares ``scalars`` and ``update`` with it.
        """
        raise NotImplementedError

    def shaped_formula(self, direction: Array, parameter: Array) -> Array:
        """``shaped_direction`` in NumPy, written line by line as in the source."""
        raise NotImplementedError


class FullBatch(Optimizer):
    """A method that evaluates loss and gradient of the whole train split several times in each update.

    It keeps the last ``history`` steps and the changes of the gradient along them. ``training.full_batch`` runs it;
    ``update`` is not used.
    """

    history: int
    max_line_search: int
    tolerance: float

    def slot_names(self) -> tuple[str, ...]:
        """The gradient at the parameters, and ring buffers of steps and of changes."""
        numbers = range(self.history)
        return ("gradient", *(f"step_{k}" for k in numbers), *(f"change_{k}" for k in numbers))

    def direction(self, g: Array, steps: Sequence[Array], changes: Sequence[Array]) -> Array:
        """The direction to step against, from past steps and changes, oldest first. Flat vectors, all (size,)."""
        raise NotImplementedError

    def direction_formula(self, g: Array, steps: Sequence[Array], changes: Sequence[Array]) -> Array:
        """``direction`` by another formula, which ``bp gradcheck`` compares with it."""
        raise NotImplementedError


def _within(error: ValidationError, path: tuple[str | int, ...]) -> ValidationError:
    """The errors with ``path`` in front. Single keys are valid, so these come from validators of whole types."""
    found = [
        InitErrorDetails(
            type=refusal(each["msg"]),
            loc=(*path, *each["loc"]),
            input=each["input"],
        )
        for each in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, found)


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "optimizers", "backprop_cli.nn.optimizers", Optimizer)
OptimizerType = Annotated[Optimizer, Choice(OPTIMIZERS)]

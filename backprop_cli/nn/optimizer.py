"""The contract of an optimizer: a pure elementwise update in ops, traced into the training step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from backprop_cli.autodiff import Value
from backprop_cli.nn.parameter_group import ParameterGroup, group_of, matches
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import FREE, Many, Settings, refusal

Slots = Mapping[str, Value]
Scalars = Mapping[str, Value]
Numbers = Mapping[str, float]
Array = NDArray[np.float64]
LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False), FREE]


class Optimizer(Settings):
    """``parameter <- parameter - learning_rate * direction``.

    Updates are elementwise, so they run once on the flat vector of all parameters (of a group) whatever the depth; what
    depends on a parameter's shape or norm is a second stage, ``shaped_direction``.
    The learning rate of a step (after the schedule) is multiplied in by the training program.
    """

    type: str
    """kind of optimizer"""
    learning_rate: LearningRate = 1e-3
    """step size before the schedule"""
    groups: Many[ParameterGroup] = ()
    """parameters by name for which some keys are different: {parameters: "*.bias", learning_rate: ...}"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build beside those of the ``YAML:`` line."""
    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays it remembers, each of the parameters' shape."""
    shaped: ClassVar[bool] = False
    """Whether it has a second stage."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """A type's groups have its own keys."""
        super().__pydantic_init_subclass__(**kwargs)
        if "type" in cls.__annotations__:
            groups = copy.copy(cls.model_fields.pop("groups"))
            groups.annotation = tuple.__class_getitem__((group_of(cls, but=("type",)), ...))  # type: ignore[assignment]
            cls.model_fields["groups"] = groups  # the last key

    @model_validator(mode="after")
    def _groups_fit(self) -> Optimizer:
        """What does not go together shows only where a group's keys are put beside the others."""
        for index, group in enumerate(self.groups):
            try:
                type(self).model_validate({**dict(self), "groups": (), **group.changes()})
            except ValidationError as error:
                raise _within(error, ("groups", index)) from None
        return self

    def of(self, name: str, shape: tuple[int, ...]) -> Optimizer:
        """What updates a parameter: itself, with the keys of the first group that has it; or whom it leaves it to."""
        group = next((group for group in self.groups if matches(name, group.parameters)), None)
        changes: dict[str, Any] = {} if group is None else group.changes()
        return self.model_copy(update={"groups": (), **changes}).deputy(name, shape)

    def deputy(self, name: str, shape: tuple[int, ...]) -> Optimizer:
        """Who updates a parameter: itself, unless it is only for some."""
        return self

    def patterns(self) -> dict[tuple[str | int, ...], tuple[str, ...]]:
        """The patterns of names in it, by the path of the key they are under; each is to match a parameter."""
        return {("groups", index, "parameters"): group.parameters for index, group in enumerate(self.groups)}

    def slot_names(self) -> tuple[str, ...]:
        """The slots these settings need; all start at 0 unless ``slot_start`` says otherwise."""
        return self.slots

    def slot_start(self, name: str) -> float:
        """The value a slot is filled with before step 1."""
        return 0.0

    def scalars(self, step: int) -> dict[str, float]:
        """Per-step constants; ``step`` counts from 1. The same keys at every step."""
        return {}

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        """The direction to step against, and the new slots."""
        raise NotImplementedError

    def shaped_direction(self, direction: Value, parameter: Value) -> Value:
        """The second stage, where ``shaped``: one parameter's direction, from that of ``update``; in its own shape."""
        raise NotImplementedError

    def formula(self, step: int, g: float, slot: Numbers, parameter: float) -> tuple[float, dict[str, float]]:
        """``update`` for one parameter in plain numbers, line by line as the source has it; ``step`` counts from 1.

        ``bp gradcheck`` holds ``scalars`` and ``update`` to it.
        """
        raise NotImplementedError

    def shaped_formula(self, direction: Array, parameter: Array) -> Array:
        """``shaped_direction`` in NumPy, line by line as the source has it."""
        raise NotImplementedError


class FullBatch(Optimizer):
    """A method that asks for loss and gradient of the whole train split as often as it likes.

    What it remembers are the last ``history`` steps and the changes of the gradient along them. The loop around it is
    ``training.full_batch``; ``update`` and its like are not used.
    """

    history: int
    max_line_search: int
    tolerance: float

    def slot_names(self) -> tuple[str, ...]:
        """The gradient where the parameters are, and rings of steps and of changes."""
        numbers = range(self.history)
        return ("gradient", *(f"step_{k}" for k in numbers), *(f"change_{k}" for k in numbers))

    def direction(self, g: Array, steps: Sequence[Array], changes: Sequence[Array]) -> Array:
        """The direction to step against, from what is remembered, oldest first. Flat vectors, all (size,)."""
        raise NotImplementedError

    def direction_formula(self, g: Array, steps: Sequence[Array], changes: Sequence[Array]) -> Array:
        """The same by another formula, which ``bp gradcheck`` holds it to."""
        raise NotImplementedError


def _within(error: ValidationError, path: tuple[str | int, ...]) -> ValidationError:
    """The same errors further in: only the types' own rules are broken by keys that are right one by one."""
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

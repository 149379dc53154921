"""The contract of a layer: shapes, parameters, buffers and a forward rule in ops. It has no backward and no state."""

# Annotations are no text here (`from __future__`): pydantic would compile each one at every start.

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from backprop_cli.autodiff import Array, Spec, Value
from backprop_cli.errors import UsageError
from backprop_cli.nn.activation import ActivationType
from backprop_cli.nn.initializer import Initializer
from backprop_cli.nn.input_columns import Columns
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.nn.schedule import Scheduled
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import AUTO, Many, Maybe, OneOrMany, Settings
from backprop_cli.structs import Struct

Params = Mapping[str, Value]
Arrays = Mapping[str, Array]
Chunks = tuple[int, ...]
"""Numbers of neighbouring features that come from one column of the data each; empty: unknown."""
Shared = Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")]
"""The full name of a parameter: the layer's name, and its own."""


class Param(Struct, eq=False):
    """A trainable array of a layer: its shape and initializer.

    ``fan_in`` and ``fan_out``: inputs and outputs that a weight connects, for the initializer's scale. ``regularized``:
    whether l1 and l2 apply, as to weights but not to biases. ``by_column``: of its last axis, neighbours that come from
    one column of the data start with the same number.
    """

    shape: tuple[int, ...]
    initializer: Initializer
    fan_in: int = 1
    fan_out: int = 1
    regularized: bool = True
    by_column: bool = False

    def __post_init__(self) -> None:
        # The default of a plugin's key may be a name, which pydantic does not validate.
        if not isinstance(self.initializer, Initializer):
            raise TypeError(f"expected an initializer such as Zeros(), got {self.initializer!r}")


class Buffer(NamedTuple):
    """An array of a layer that gets no gradient: its shape and starting value.

    ``fixed``: it is set before training, by ``fit``, and ``apply`` always gets it. Otherwise training updates it.
    """

    shape: tuple[int, ...]
    start: float | NDArray[np.float64] = 0.0
    fixed: bool = False


class Sample(NamedTuple):
    """A layer for checks and tests: its settings, and the shape of an example of each input."""

    settings: dict[str, Any]
    inputs: tuple[tuple[int, ...], ...]


class Layer(Settings):
    """A function of one or more arrays, batch first, and of its parameters."""

    type: str
    """kind of layer"""
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """name of the layer; default: type and number, as in dense_1"""
    inputs: Annotated[Many[str], Field(min_length=1), OneOrMany()] | None = None
    """names of the layers that it reads (`input` is the example); default: the layer before it"""

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """Fewest and most inputs (None: any number)."""
    samples: ClassVar[tuple[Sample, ...]] = ()
    """Settings and input shapes that checks and tests build."""
    position_wise: ClassVar[bool] = False
    """Of a sequence (batch, positions, ...), the output at a position depends on the inputs at that position alone."""
    passes_on: ClassVar[bool] = False
    """The output holds the numbers that it reads: in another shape, or with some dropped in training."""
    mixes_examples: ClassVar[bool] = False
    """In training an example's output depends on the other examples of the batch."""
    filters_channels: ClassVar[bool] = False
    """Its weights are filters that take the first axis of an example for channels."""
    fits_on_all: ClassVar[bool] = False
    """``fit`` gets all examples if the layer reads the example itself, not only some thousands."""
    width_key: ClassVar[str | None] = None
    """The key that sets the size of the output's last axis, such as ``units``; None: no key does."""
    vocabulary_key: ClassVar[str | None] = None
    """The key that says how many tokens a layer knows, such as ``tokens``; None: it reads numbers."""

    @property
    def ensemble(self) -> int | None:
        """The members that its output has, in an axis after the batch; None: it maps each example alike.

        Such a layer reads (batch, members, ...), or (batch, ...) if the layers before it have no members.
        """
        return None

    @property
    def vocabulary(self) -> int | None:
        """The layer reads tokens: integers in [0, vocabulary). None: it reads numbers."""
        known: int | None = None if self.vocabulary_key is None else getattr(self, self.vocabulary_key)
        return known

    @property
    def auto_keys(self) -> list[str]:
        """The keys whose numbers the data decides."""
        return [key for key in (self.width_key, self.vocabulary_key) if key and getattr(self, key) == AUTO]

    def of_columns(self, columns: Columns) -> Self:
        """The layer for an input that is these columns of the data; none: they are unknown."""
        return self

    def chunks(self, *x: Chunks) -> Chunks:
        """The chunks of its output, from those of its inputs."""
        return x[0] if self.passes_on else ()

    @property
    def is_fitted(self) -> bool:
        """Some of its starting values depend on the data."""
        return type(self).fit is not Layer.fit

    def fit(self, rng: np.random.Generator, params: Arrays, targets: Array, *x: Array) -> dict[str, Array]:
        """Starting values that depend on the data, by the names of parameters and buffers.

        Called once, before the first step, with examples of the train split: ``x`` (examples, ...) in the training
        precision, targets as the task has them. ``params``: the parameters and buffers as they were drawn.
        """
        return {}

    def params(self, *x: Spec) -> dict[str, Param]:
        """Parameters by name for inputs of these shapes, batch first. Pure: nothing is allocated."""
        return {}

    def buffers(self, *x: Spec) -> dict[str, Buffer]:
        """Arrays by name that training updates without a gradient, such as running means."""
        return {}

    def noise(self, *x: Spec) -> dict[str, Spec]:
        """Arrays of uniform random numbers in [0, 1) that the layer reads in each training step, by name."""
        return {}

    def scheduled(self) -> dict[str, Scheduled]:
        """Numbers that follow a schedule in training, by name; ``apply`` finds them among its noise, as scalars."""
        return {}

    def apply(self, params: Params, *x: Value) -> Value:
        """The layer's output.

        ``params`` holds the parameters by name, and also the noise arrays in training, the buffers otherwise. A frozen
        layer (``trainable: false``) gets its buffers in training, too, and so does every layer its fixed ones.
        """
        raise NotImplementedError

    def updates(self, params: Params, *x: Value) -> dict[str, Value]:
        """New values of buffers after a training batch, by name; buffers that are left out keep their values.

        ``params`` holds parameters and buffers. Values that ``apply`` also computes cost nothing: equal values of a
        program are merged.
        """
        return {}

    @property
    def noncausal_key(self) -> str | None:
        """The key whose value lets the output at a position depend on later positions; None: no key does."""
        return None

    @property
    def sequence_setting(self) -> str | None:
        """The setting that would keep all positions, such as ``output: sequence``; None: there is none."""
        return None

    @property
    def is_bounded(self) -> bool:
        """Whether it advances over at most as many positions as an example has."""
        return False

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        """Arrays that ``advance`` keeps of earlier positions, by name; they start at 0. None: it cannot advance.

        ``x``: the inputs at one position, (batch, 1, ...). ``context``: the largest number of positions.
        """
        return {} if self.position_wise else None

    def advance(self, params: Params, memory: Params, *x: Value) -> tuple[Value, dict[str, Value]]:
        """The output at the next position, given the memory of earlier ones, and the new memory.

        It equals the last position of ``apply`` on all positions so far, outside of training. ``x`` (batch, 1, ...).

        Raises: UsageError for a layer that needs all positions at once.
        """
        if self.memory(*(value.spec for value in x), context=1) is None:
            raise UsageError(f"{self.type} needs all positions at once: it cannot advance position by position")
        return self.apply(params, *x), {}


class ParameterLayer(Layer):
    """A layer with parameters, and the keys that all such layers have."""

    trainable: bool = True
    """whether training changes its parameters; false freezes them and the buffers"""
    share: Shared | Mapping[str, Shared] | None = None
    """parameter of a layer above to use in place of its own of that name (embedding_1.weight); or several, by name"""
    regularization: RegularizationSettings | None = None
    """penalties on its weights, in place of the network's"""


class WeightedLayer(ParameterLayer):
    """A layer with an ``activation`` key for a function of its output."""

    activation: Maybe[ActivationType] = None
    """function applied to the output"""

    def linear(self, params: Params, *x: Value) -> Value:
        """The output before the activation."""
        raise NotImplementedError

    def apply(self, params: Params, *x: Value) -> Value:
        """``activation(linear(x))``."""
        out = self.linear(params, *x)
        return out if self.activation is None else self.activation.apply(out)


LAYERS: Registry[Layer] = Registry("layer", "layers", "backprop_cli.nn.layers", Layer)
LayerType = Annotated[Layer, Choice(LAYERS)]

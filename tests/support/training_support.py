"""What the tests of training share: small networks, small data, and a trainer run step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.metric import METRICS
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.nn.schedule import SCHEDULES
from backprop_cli.registry import Registry
from backprop_cli.training.events import Epoch, Event, Step
from backprop_cli.training.loop import Trainer
from backprop_cli.training.settings import TrainingSettings
from backprop_cli.training.state import State
from backprop_cli.training.step_program import Recipe
from backprop_cli.training.training_spec import TrainingSpec


@dataclass(frozen=True)
class Examples:
    """A split."""

    inputs: Array
    targets: Array
    weights: Array | None = None
    exact: Array | None = None

    def __len__(self) -> int:
        return len(self.inputs)


def made(registry: Registry, settings: Mapping[str, Any] | str):
    """The object of a registry that a tree or bare name stands for."""
    tree = {"type": settings} if isinstance(settings, str) else dict(settings)
    return registry[tree["type"]].model_validate(tree)


DENSE = ({"type": "dense", "units": 5, "activation": "tanh"}, {"type": "dense", "units": 3})
DROPOUT = (DENSE[0], {"type": "dropout", "rate": 0.3}, DENSE[1])


def recipe(
    layers=DENSE,
    inputs=(4,),
    loss: Mapping[str, Any] | str = "cross_entropy",
    optimizer: Mapping[str, Any] | str = "sgd",
    dtype="float64",
    l1=0.0,
    l2=0.0,
    **more,
) -> Recipe:
    """A network of 4 inputs and 3 outputs unless told otherwise."""
    return Recipe(
        model=Model.build([made(LAYERS, layer) for layer in layers], inputs, dtype),
        loss=made(LOSSES, loss),
        optimizer=made(OPTIMIZERS, optimizer),
        regularization=RegularizationSettings(l1=l1, l2=l2),
        **more,
    )


def examples(count=20, recipe: Recipe | None = None, seed=0) -> Examples:
    """Random inputs, and targets of the loss's kind."""
    rng = np.random.default_rng(seed)
    shape, outputs, dtype, task = (4,), (3,), np.dtype("float64"), "classes"
    if recipe is not None:
        shape, outputs, dtype = recipe.model.input_shape, recipe.model.output_shape, recipe.model.dtype
        task = recipe.loss.task
    x = rng.standard_normal((count, *shape)).astype(dtype)
    if task == "regression":
        return Examples(x, rng.standard_normal((count, *outputs)).astype(dtype))
    if task == "binary":
        return Examples(x, rng.integers(0, 2, (count, *outputs)).astype(dtype))
    return Examples(x, rng.integers(0, outputs[-1], (count, *outputs[:-1])))


def spec(
    recipe: Recipe, train: Examples, metrics=(), schedule: Mapping[str, Any] | str = "constant", seed=0, **more
) -> TrainingSpec:
    """``more``: keys of ``training``, and fields of the spec."""
    fields = {key: more.pop(key) for key in ("validation", "best", "early_stopping", "untransform") if key in more}
    return TrainingSpec(
        recipe=recipe,
        settings=TrainingSettings(**{"precision": recipe.model.dtype.name, **more}),
        schedule=made(SCHEDULES, schedule),
        seed=seed,
        train=train,
        metrics=[made(METRICS, metric) for metric in metrics],
        **fields,
    )


def trained(spec: TrainingSpec, state: State | None = None) -> tuple[State, list[Event]]:
    """Run to the end; the state is advanced in place where one is given."""
    state = State.start(spec.recipe, spec.seed) if state is None else state
    return state, list(Trainer(spec, state).run())


def losses(events) -> list[float]:
    return [event.loss for event in events if isinstance(event, Step)]


def epochs(events) -> list[Epoch]:
    return [event for event in events if isinstance(event, Epoch)]

"""What the tests of networks share: settings from YAML, values and gradients of traced functions."""

import re
from typing import Annotated

import numpy as np
import yaml
from pydantic import TypeAdapter

from backprop_cli import autodiff as ad
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.average import AVERAGES
from backprop_cli.nn.initializer import INITIALIZERS
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.metric import METRICS
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.nn.schedule import SCHEDULES
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings

REGISTRIES = (ACTIVATIONS, AVERAGES, INITIALIZERS, LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES)


def build(registry: Registry, settings):
    """The object a configuration's tree (a dict or a bare name) stands for, as the configuration builds it."""
    return TypeAdapter(Annotated[Settings, Choice(registry)]).validate_python(settings)


def yaml_line(cls):
    """The tree of the ``YAML:`` line of a class's docstring."""
    lines = re.findall(r"^ *YAML: +(.+)$", cls.__doc__ or "", re.MULTILINE)
    assert len(lines) == 1, f"the docstring of {cls.__name__} needs one line 'YAML: ...' that builds it"
    return yaml.safe_load(lines[0])


def samples(registry: Registry):
    """Every way that a registry's types offer to build them: (type, settings) of each."""
    return [(name, {"type": name, **sample}) for name, cls in registry.items() for sample in cls.samples]


def label(value):
    """A readable test id."""
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def evaluate(outputs, feed):
    """As autodiff's, with overflow to a limit allowed: exp of a large number is inf, and 1 / inf is 0."""
    with np.errstate(over="ignore"):
        return ad.evaluate(outputs, feed)


def inputs(**arrays):
    """A value an array, and what feeds them."""
    values = {name: ad.input_(name, array.shape, array.dtype) for name, array in arrays.items()}
    return values, {values[name]: array for name, array in arrays.items()}


def distance(found, expected):
    """Largest difference relative to the largest expected entry."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(float(np.max(np.abs(expected), initial=0.0)), 1e-30)
    return float(np.max(np.abs(found - expected), initial=0.0)) / scale


def traced_loss(loss, outputs, targets):
    """The loss of three classes, its outputs, and what feeds them; with class weights where it has some."""
    weights = loss.class_weights(range(3), [5, 3, 2])
    given = {} if weights is None else {"weights": weights.astype(outputs.dtype)}
    values, feed = inputs(outputs=outputs, targets=targets, **given)
    return loss.apply(values["outputs"], values["targets"], values.get("weights")), values["outputs"], feed

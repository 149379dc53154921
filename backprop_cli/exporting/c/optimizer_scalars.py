"""The constants of a training step, ``Optimizer.scalars``, in C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import NamedTuple

from backprop_cli.errors import UsageError
from backprop_cli.nn.optimizer import Optimizer
from backprop_cli.nn.optimizers._shared.moments import Moments
from backprop_cli.nn.optimizers.adamax import Adamax
from backprop_cli.nn.optimizers.nadam import Nadam
from backprop_cli.nn.optimizers.radam import Radam


class ScalarsInC(NamedTuple):
    """Statements, and the expression of each constant; both may read the double ``step``, which counts from 1."""

    lines: Sequence[str]
    expressions: Mapping[str, str]


@singledispatch
def scalars_in_c(optimizer: Optimizer) -> ScalarsInC:
    """Raises: UsageError for an optimizer with constants that have no form in C."""
    if optimizer.scalars(1):
        raise UsageError(f"--with training: the constants of optimizer {optimizer.type} have no form in C")
    return ScalarsInC((), {})


@scalars_in_c.register(Moments)
def _(optimizer: Moments) -> ScalarsInC:
    if type(optimizer).scalars is not Moments.scalars:
        return scalars_in_c.dispatch(Optimizer)(optimizer)
    root = f"const double root = sqrt(1.0 - pow({optimizer.beta2!r}, step));"
    scale = f"root / (1.0 - pow({optimizer.beta1!r}, step))"
    return ScalarsInC([root], {"scale": scale, "epsilon": f"{optimizer.epsilon!r} * root"})


@scalars_in_c.register(Adamax)
def _(optimizer: Adamax) -> ScalarsInC:
    return ScalarsInC((), {"scale": f"{1.0 - optimizer.beta1!r} / (1.0 - pow({optimizer.beta1!r}, step))"})


@scalars_in_c.register(Nadam)
def _(optimizer: Nadam) -> ScalarsInC:
    """The product of all momenta; after a few hundred factors it is 0 to the last bit."""
    momentum = f"{optimizer.beta1!r} * (1.0 - 0.5 * pow(0.96, {{}} * {optimizer.momentum_decay!r}))"
    lines = [
        f"const double momentum = {momentum.format('step')};",
        f"const double ahead = {momentum.format('(step + 1.0)')};",
        "double product = 1.0;",
        "for (double t = 1.0; t <= step && product > 1e-18; t += 1.0) {",
        f"    product *= {momentum.format('t')};",
        "}",
    ]
    expressions = {
        "g_weight": "(1.0 - momentum) / (1.0 - product)",
        "m_weight": "ahead / (1.0 - product * ahead)",
        "v_scale": f"1.0 / (1.0 - pow({optimizer.beta2!r}, step))",
    }
    return ScalarsInC(lines, expressions)


@scalars_in_c.register(Radam)
def _(optimizer: Radam) -> ScalarsInC:
    longest = 2.0 / (1.0 - optimizer.beta2) - 1.0
    whole = (1 - 4 / longest) * (longest - 2)
    lines = [
        f"const double power = pow({optimizer.beta2!r}, step);",
        f"const double length = {longest!r} - 2.0 * step * power / (1.0 - power);",
        f"const double mean = 1.0 / (1.0 - pow({optimizer.beta1!r}, step));",
        "const int rectifies = length > 5.0;",
        f"const double r = rectifies ? sqrt((1.0 - 4.0 / length) * (length - 2.0) / {whole!r}) : 0.0;",
    ]
    expressions = {
        "root_weight": "rectifies ? 1.0 : 0.0",
        "offset": f"rectifies ? {optimizer.epsilon!r} : 1.0",
        "scale": "rectifies ? mean * sqrt(1.0 - power) * r : mean",
    }
    return ScalarsInC(lines, expressions)

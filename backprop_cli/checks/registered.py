"""Every registered op, activation, layer and loss, checked at its own samples: to be added is to be checked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np

from backprop_cli.autodiff import OPS, Array, Sample, Value, constant, input_, multiply
from backprop_cli.autodiff import sum as sum_
from backprop_cli.checks.gradients import Check, Report, check_scalar, worst_first
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.layer import LAYERS, Layer
from backprop_cli.nn.loss import LOSSES, Loss

_BATCH = 4
_WIDTH = 3


def check_registered(*, tolerance: float = 1e-5, seed: int = 0) -> Report:
    """The gradient of a random weighting of each one's result by every input and parameter, all entries, in float64.

    Several samples of one type make one check an input: its worst.
    """
    started = time.perf_counter()
    rng = np.random.default_rng(seed)
    worst: dict[str, Check] = {}
    for check in _all(rng, tolerance):
        known = worst.get(check.name)
        worst[check.name] = check if known is None else worst_first([check, known])[0]
    return Report("everything registered", tolerance, worst_first(list(worst.values())), time.perf_counter() - started)


def _all(rng: np.random.Generator, tolerance: float) -> Iterator[Check]:
    for name, op in OPS.items():
        for sample in op.samples:
            inputs, arrays = _operands(sample, rng)
            out = op(**sample.fields)(*inputs.values())
            if not op.blocks_gradient and out.spec.is_inexact:
                yield from _weighted(out, inputs, arrays, name, "op", rng, tolerance)
    for name, activation in ACTIVATIONS.items():
        for settings in activation.samples:
            x = input_("x", (_BATCH, _WIDTH))
            out = activation.model_validate({"type": name, **settings}).apply(x)
            arrays = {"x": rng.standard_normal(x.shape)}
            yield from _weighted(out, {"x": x}, arrays, name, "activation", rng, tolerance)
    for name, layer in LAYERS.items():
        for sample in layer.samples:
            yield from _layer(layer.model_validate({"type": name, **sample.settings}), sample.inputs, rng, tolerance)
    for name, loss in LOSSES.items():
        for settings in loss.samples:
            yield from _loss(loss.model_validate({"type": name, **settings}), rng, tolerance)


def _operands(sample: Sample, rng: np.random.Generator) -> tuple[dict[str, Value], dict[str, Array]]:
    inputs: dict[str, Value] = {}
    arrays: dict[str, Array] = {}
    for k, shape in enumerate(sample.shapes):
        key = f"operand {k}"
        if k in sample.labels:
            inputs[key], arrays[key] = input_(key, shape, np.int64), rng.integers(0, sample.classes, shape)
        else:
            inputs[key], arrays[key] = input_(key, shape), rng.uniform(*sample.domain, shape)
    return inputs, arrays


def _weighted(
    out: Value,
    inputs: Mapping[str, Value],
    arrays: Mapping[str, Array],
    name: str,
    kind: str,
    rng: np.random.Generator,
    tolerance: float,
) -> list[Check]:
    scalar = sum_(multiply(constant(rng.standard_normal(out.shape)), out))
    return check_scalar(scalar, inputs, arrays, name=f"{kind} {name}", kind=kind, tolerance=tolerance)


def _layer(
    layer: Layer, shapes: tuple[tuple[int, ...], ...], rng: np.random.Generator, tolerance: float
) -> list[Check]:
    x = {f"input {k}": input_(f"input {k}", (_BATCH, *shape)) for k, shape in enumerate(shapes)}
    specs = [value.spec for value in x.values()]
    params = {key: input_(key, param.shape) for key, param in layer.params(*specs).items()}
    noise = {key: input_(key, spec.shape, spec.dtype) for key, spec in layer.noise(*specs).items()}
    arrays = {key: rng.standard_normal(value.shape) for key, value in {**x, **params}.items()}
    arrays |= {key: rng.random(value.shape) for key, value in noise.items()}
    out = layer.apply({**params, **noise}, *x.values())
    return _weighted(out, {**x, **params, **noise}, arrays, layer.type, "layer", rng, tolerance)


def _loss(loss: Loss, rng: np.random.Generator, tolerance: float) -> list[Check]:
    outputs = input_("outputs", (_BATCH, _WIDTH))
    arrays: dict[str, Array] = {"outputs": rng.standard_normal(outputs.shape)}
    if loss.task == "classes":
        targets = input_("targets", (_BATCH,), np.int64)
        arrays["targets"] = rng.integers(0, _WIDTH, _BATCH)
    else:
        targets = input_("targets", outputs.shape)
        drawn = rng.integers(0, 2, outputs.shape) if loss.task == "binary" else rng.standard_normal(outputs.shape)
        arrays["targets"] = drawn.astype(np.float64)
    scalar = loss.apply(outputs, targets)
    inputs = {"outputs": outputs, "targets": targets}
    return check_scalar(scalar, inputs, arrays, name=f"loss {loss.type}", kind="loss", tolerance=tolerance)

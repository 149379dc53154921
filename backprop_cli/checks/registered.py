"""Check every registered type at its samples and at edges of their shapes. A plugin's types are checked alike."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from backprop_cli.autodiff import OPS, Array, Op, constant, input_
from backprop_cli.checks.edge_samples import edge_samples, is_differentiable, operands
from backprop_cli.checks.formulas import check_averages, check_initializers, check_optimizers
from backprop_cli.checks.gradients import check_objective
from backprop_cli.checks.method import METHODS, Options, Order
from backprop_cli.checks.objective import Objective, tensors_of, weighted
from backprop_cli.checks.promises.kept import check_rules, check_values
from backprop_cli.checks.result import Check, Report, applied_tolerance, graver, worst_first
from backprop_cli.checks.rules import op_objective
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.average import AVERAGES
from backprop_cli.nn.initializer import INITIALIZERS
from backprop_cli.nn.layer import LAYERS, Layer
from backprop_cli.nn.layer_shapes import check_output
from backprop_cli.nn.layers.block import Block
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.registry import Registration, RegistrationError, Registry
from backprop_cli.training.events import OnProgress

_BATCHES = (4, 1)
_WIDTH, _POSITIONS = 3, 2
CHECKED = ("layers", "activations", "losses", "optimizers", "averages", "initializers", "ops")
"""Kinds that ``check_registered`` checks."""

_SEED = 0


Names = Mapping[str, Collection[str]]
"""Some types, by the plural of their kind."""


def check_registered(
    *,
    method: str = "auto",
    order: Order = 1,
    tolerance: float = 1e-5,
    seed: int = 0,
    only: Names | None = None,
    progress: OnProgress | None = None,
) -> Report:
    """Check gradients of all types, formulas of optimizers and averages, and draws of initializers, in float64.

    A gradient is that of a random weighting of the result by every input and parameter, at all entries. Several samples
    of one type share a check for each input, which is the worst. ``only`` restricts the types. ``progress`` is called
    with the number of gradients checked.

    Raises: UsageError for an unknown method.
    """
    tolerance_of = METHODS[method].tolerance_of  # raises for an unknown method before any work
    started = time.perf_counter()
    rng = np.random.default_rng(seed)
    options = Options("all", tolerance, seed)
    worst: dict[tuple[str, str], Check] = {}
    for check in _all(method, order, options, rng, only, progress):
        worst[check.name, check.kind] = graver(check, worst.get((check.name, check.kind)))
    checks = worst_first(list(worst.values()))
    return Report(
        "everything registered",
        applied_tolerance(checks, tolerance),
        checks,
        time.perf_counter() - started,
        method,
        tolerance_of=tolerance_of,
    )


def _all(
    method: str,
    order: Order,
    options: Options,
    rng: np.random.Generator,
    only: Names | None,
    progress: OnProgress | None,
) -> Iterator[Check]:
    objectives = [*op_objectives(rng, only), *_network_objectives(rng, only)]
    for done, objective in enumerate(objectives):
        if progress is not None:
            progress("gradients", done, len(objectives))
        yield from check_objective(objective, method, order, options)
    yield from check_optimizers(rng, _types(OPTIMIZERS, only))
    yield from check_averages(rng, _types(AVERAGES, only))
    yield from check_initializers(rng, _types(INITIALIZERS, only))


def _types(registry: Registry[Any], only: Names | None) -> list[tuple[str, Any]]:
    """(name, class) pairs."""
    return registry.items() if only is None else [(name, registry[name]) for name in only.get(registry.plural, ())]


def op_objectives(rng: np.random.Generator, only: Names | None = None, *, edges: bool = True) -> Iterator[Objective]:
    """Every op at its samples and (``edges``) at the edges of their shapes."""
    for name, cls in _types(OPS, only):
        for sample in [s for own in cls.samples for s in (own, *(edge_samples(cls, own, rng) if edges else ()))]:
            op: Op = cls(**sample.fields)
            arrays = operands(sample, rng)
            if is_differentiable(op, arrays):
                yield op_objective(op, arrays, f"op {name}", rng, "op")


def _network_objectives(rng: np.random.Generator, only: Names | None) -> Iterator[Objective]:
    """Every activation, layer and loss, for a batch of several examples and of one."""
    for batch in _BATCHES:
        for name, activation in _types(ACTIVATIONS, only):
            for settings in activation.samples:
                x = input_("x", (batch, _WIDTH))
                out = activation.model_validate({"type": name, **settings}).apply(x)
                arrays = {"x": rng.standard_normal(x.shape)}
                yield weighted(out, {"x": x}, arrays, f"activation {name}", "activation", rng)
        for name, layer in _types(LAYERS, only):
            for sample in layer.samples:
                built = layer.model_validate({"type": name, **sample.settings})
                yield from _layer(built, sample.inputs, batch, rng)
        for name, loss in _types(LOSSES, only):
            for settings in loss.samples:
                yield _loss(loss.model_validate({"type": name, **settings}), batch, rng)


def _layer(
    layer: Layer, shapes: tuple[tuple[int, ...], ...], batch: int, rng: np.random.Generator
) -> Iterator[Objective]:
    """A layer as in training and, if it has buffers, as in evaluation."""
    if isinstance(layer, Block):
        yield _unrolled(layer, shapes[0], batch, rng)
        return
    tokens = layer.vocabulary
    kind = np.float64 if tokens is None else np.int64
    x = {f"input {k}": input_(f"input {k}", (batch, *shape), kind) for k, shape in enumerate(shapes)}
    specs = [value.spec for value in x.values()]
    params = {key: input_(key, param.shape) for key, param in layer.params(*specs).items()}
    noise = {key: input_(key, spec.shape, spec.dtype) for key, spec in layer.noise(*specs).items()}
    started = layer.buffers(*specs)
    buffers = {key: input_(key, buffer.shape) for key, buffer in started.items()}
    arrays: dict[str, Array] = {key: rng.standard_normal(value.shape) for key, value in {**x, **params}.items()}
    arrays |= {key: rng.random(value.shape) for key, value in noise.items()}
    arrays |= {key: buffer.start + rng.random(buffer.shape) for key, buffer in started.items()}
    if tokens is not None:
        arrays |= {key: rng.integers(0, tokens, value.shape) for key, value in x.items()}
    fixed = {key: value for key, value in buffers.items() if started[key].fixed}
    for more in ({**noise, **fixed}, buffers) if fixed != buffers else ({**noise, **fixed},):
        out = layer.apply({**params, **more}, *x.values())
        check_output(layer, out, batch)
        yield weighted(out, {**x, **params, **more}, arrays, f"layer {layer.type}", "layer", rng)


def _unrolled(block: Block, shape: tuple[int, ...], batch: int, rng: np.random.Generator) -> Objective:
    """A block as a network of its layers."""
    model = Model.build([block], shape)
    x = {"input 0": input_("input 0", (batch, *shape))}
    params = {name: input_(name, param.shape) for name, param in model.params.items()}
    arrays = {name: rng.standard_normal(value.shape) for name, value in {**x, **params}.items()}
    out = model.apply(params, x["input 0"], {})
    return weighted(out, {**x, **params}, arrays, f"layer {block.type}", "layer", rng)


def _loss(loss: Loss, batch: int, rng: np.random.Generator) -> Objective:
    outputs = input_("outputs", (batch, _POSITIONS, _WIDTH) if loss.task.has_positions else (batch, _WIDTH))
    arrays: dict[str, Array] = {"outputs": rng.standard_normal(outputs.shape)}
    arrays["targets"] = loss.draw(rng, outputs.shape)
    targets = input_("targets", arrays["targets"].shape, arrays["targets"].dtype)
    weights = loss.class_weights(range(_WIDTH), [1] * _WIDTH)
    scalar = loss.apply(outputs, targets, None if weights is None else constant(weights))
    inputs = {"outputs": outputs, "targets": targets}
    return Objective(inputs, scalar, tensors_of(inputs, f"loss {loss.type}", "loss"), arrays)


def check_addition(entry: Registration) -> Report | None:
    """Check one type at its samples; None if nothing about it could be wrong: a metric, a step.

    An op's whole contract is checked, with derivatives of both orders.

    Raises:
        RegistrationError: its name is taken, or it has no samples.
        BrokenPromiseError: a method of an op violates the contract of ops.
        Exception: any error of its own code.

    """
    if not _has_samples(entry):
        return None
    if entry.registry is not OPS:
        report = _gradients(entry)
        return report if report.checks else None
    check_values(entry.cls, np.random.default_rng(_SEED))
    report = _gradients(entry)
    if report.passed:
        check_rules(entry.cls, np.random.default_rng(_SEED))
        report = _second_order(entry, report)
    return report if report.checks else None


def check_promises(entry: Registration) -> None:
    """Check the contract of an op except its derivatives, which the caller checks.

    Raises: as ``check_addition``.
    """
    if _has_samples(entry) and entry.registry is OPS:
        check_values(entry.cls, np.random.default_rng(_SEED))
        check_rules(entry.cls, np.random.default_rng(_SEED))


def _has_samples(entry: Registration) -> bool:
    """Whether its kind has samples.

    Raises: RegistrationError if the kind has, and the type does not.
    """
    entry.registry.check_name(entry.name)
    if entry.registry.plural not in CHECKED:
        return False
    if not entry.cls.samples:
        kind = entry.registry.kind
        raise RegistrationError(f"{kind} '{entry.name}' must define `samples`, at which its gradient is checked")
    return True


def _gradients(entry: Registration) -> Report:
    try:
        return check_registered(only={entry.registry.plural: (entry.name,)})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise RegistrationError(
            f"{entry.registry.kind} '{entry.name}' cannot be made from its samples: {found}"
        ) from error


def _second_order(entry: Registration, first: Report) -> Report:
    """The report of second derivatives if it finds a mistake, else the first one."""
    options = Options("all", first.tolerance, _SEED)
    objectives = op_objectives(np.random.default_rng(_SEED), {entry.registry.plural: (entry.name,)}, edges=False)
    second = replace(
        first, checks=worst_first([c for each in objectives for c in check_objective(each, "auto", 2, options)])
    )
    return first if second.passed else second

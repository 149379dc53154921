"""The training step as one program: forward, loss, regularization, gradients, clipping, optimizer update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property, lru_cache, reduce
from operator import add
from typing import Literal, NamedTuple

import numpy as np

from backprop_cli.autodiff import (
    Array,
    Program,
    Value,
    absolute,
    clip,
    concat,
    constant,
    gradients,
    input_,
    minimum,
    norm,
    square,
    sum,
)
from backprop_cli.execution.passes import simplify
from backprop_cli.nn.average import Average
from backprop_cli.nn.layer import ParameterLayer
from backprop_cli.nn.loss import Loss
from backprop_cli.nn.members import folded, mean_member, unfolded, with_members
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import FullBatch, Optimizer
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.nn.schedule import Scheduled
from backprop_cli.structs import Struct
from backprop_cli.training.layout import Layout
from backprop_cli.training.parameter_spans import ParameterSpan, descend, parameter_spans
from backprop_cli.training.settings import LookaheadSettings

PARAMETERS, BUFFERS, GRADIENT_SUM = "parameters", "buffers", "gradient_sum"
INPUTS, TARGETS, WEIGHTS, SHARE = "inputs", "targets", "weights", "share"
AVERAGE, SLOW = "average.", "slow."
"""Prefixes of vectors that follow the network's: ``average.parameters``, ``slow.parameters``."""
LOSS, REGULARIZATION, GRADIENT_NORM, PREDICTIONS = "loss", "regularization", "gradient_norm", "predictions"
GRADIENT = "gradient"

_NORM_GUARD = 1e-6
"""Added to the norm before a gradient is divided by it, as in PyTorch's clip_grad_norm_."""


class Recipe(Struct, eq=False):
    """Everything that determines the program of a step, except the batch size.

    ``class_weights``: one weight for each class, or None. ``weighted``: each example has a weight as well. The
    precision is the model's. ``recompute``: number of segments whose forward results are computed again; None keeps
    them all. ``temperature``: divides the outputs of a trained network, so that its probabilities are calibrated.
    """

    model: Model
    loss: Loss
    optimizer: Optimizer
    regularization: RegularizationSettings = field(default_factory=RegularizationSettings)
    class_weights: Array | None = None
    weighted: bool = False
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: bool = False
    recompute: int | Literal["auto"] | None = None
    average: Average | None = None
    lookahead: LookaheadSettings | None = None
    temperature: float = 1.0

    @cached_property
    def spans(self) -> tuple[ParameterSpan, ...]:
        """The spans of parameters with an optimizer each: one, unless there are parameter groups."""
        return parameter_spans(self.optimizer, {name: param.shape for name, param in self.model.params.items()})

    @cached_property
    def layout(self) -> Layout:
        """The places of parameters in the flat vector: one span after the other."""
        return Layout({name: shape for span in self.spans for name, shape in span.layout.shapes.items()})

    @cached_property
    def slots(self) -> dict[str, tuple[ParameterSpan, str]]:
        """The vectors of optimizer slots by name: their span, and the name of the slot."""
        return {name: (span, slot) for span in self.spans for name, slot in span.slots().items()}

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """Names of the inputs for the constants of a step."""
        return (*(name for span in self.spans for name in span.constants()), *self.model.scheduled)

    @cached_property
    def scheduled(self) -> dict[str, Scheduled]:
        """The constants of a step that follow a schedule other than that of the learning rate."""
        of_spans = {name: found for span in self.spans for name, found in span.scheduled().items()}
        return {**of_spans, **self.model.scheduled}

    @cached_property
    def buffer_layout(self) -> Layout:
        """The places of buffers and frozen parameters in their vector."""
        return Layout({name: array.shape for name, array in self.model.buffers.items()})

    @cached_property
    def penalties(self) -> dict[str, RegularizationSettings]:
        """Penalties by parameter, the layer's own or the network's; parameters without penalties are left out."""
        found: dict[str, RegularizationSettings] = {}
        for node in self.model.nodes:
            own = node.layer.regularization if isinstance(node.layer, ParameterLayer) else None
            rule = own or self.regularization
            if rule.is_on and not node.is_frozen:
                found |= {f"{node.name}.{name}": rule for name, param in node.params.items() if param.regularized}
        return found

    def layout_of(self, vector: str) -> Layout:
        """The layout of a flat vector that a step reads and writes."""
        if vector in self.slots:
            return self.slots[vector][0].layout
        return self.buffer_layout if vector in (BUFFERS, AVERAGE + BUFFERS) else self.layout

    @cached_property
    def network(self) -> tuple[str, ...]:
        """Names of the flat vectors of the network: all that a prediction needs."""
        return (PARAMETERS, BUFFERS) if self.model.buffers else (PARAMETERS,)

    @property
    def target_dtype(self) -> np.dtype[np.generic]:
        """int64 for labels of classes and tokens, else the model's precision."""
        return self.loss.task.target_dtype(self.model.dtype)

    def cost(
        self, outputs: Value, targets: Value, class_weights: Value | None = None, weights: Value | None = None
    ) -> Value:
        """The scalar loss; of an ensemble the mean of its members' losses.

        Shapes: outputs (batch, *output_shape), of an ensemble (batch, members, *output_shape); see ``Loss.apply``
        """
        members = self.model.members
        if members is not None:
            outputs, targets = folded(outputs), folded(with_members(targets, members))
            weights = None if weights is None else folded(with_members(weights, members))
        return self.loss.apply(outputs, targets, class_weights, weights)

    def predictions(self, outputs: Value) -> Value:
        """Predictions (batch, *output_shape) from a network's outputs; of an ensemble the mean of its members'."""
        members = self.model.members
        if members is None:
            return self.loss.activate(outputs)
        return mean_member(unfolded(self.loss.activate(folded(outputs)), members), members)

    def target_shape(self, batch: int) -> tuple[int, ...]:
        """(batch,) labels, (batch, positions) of tokens, or (batch, outputs)."""
        return (batch, *self.loss.target_shape(self.model.output_shape))

    def states(self) -> dict[str, float]:
        """Initial values of the flat vectors that training reads and writes, by name."""
        slots = {name: span.optimizer.slot_start(slot) for name, (span, slot) in self.slots.items()}
        slow = [SLOW + PARAMETERS] if self.lookahead is not None else []
        averages = [AVERAGE + name for name in self.network] if self.average is not None else []
        sums = [GRADIENT_SUM] if self.accumulate else []
        return {**dict.fromkeys(self.network, 0.0), **slots, **dict.fromkeys([*sums, *slow, *averages], 0.0)}


class Forward(NamedTuple):
    """A traced forward run of one batch.

    ``layers``: outputs of layers by name. ``outputs``: of the network; of an ensemble the mean of its members'.
    ``updates``: the new vector of buffers, if training changes one.
    """

    inputs: dict[str, Value]
    params: dict[str, Value]
    layers: dict[str, Value]
    outputs: Value
    predictions: Value
    loss: Value
    regularization: Value
    updates: dict[str, Value]


def forward(recipe: Recipe, batch: int, training: bool) -> Forward:
    """Trace the network and its loss, with inputs for noise (dropout) only in training. Examples may be tokens (int64).

    Shapes: inputs (batch, *input_shape); targets: see ``target_shape``; weights (batch,), if the recipe has them;
            loss ()
    """
    model = recipe.model
    x = input_(INPUTS, (batch, *model.input_shape), model.input_dtype)
    targets = input_(TARGETS, recipe.target_shape(batch), recipe.target_dtype)
    vectors, params, buffers = network_inputs(recipe)
    wanted = model.noise(batch) if training else {}
    noise = {name: input_(name, spec.shape, spec.dtype) for name, spec in wanted.items()}
    noise |= {name: input_(name, (), model.dtype) for name in (model.scheduled if training else ())}
    walked = model.walk({**params, **buffers}, x, noise if training else None)
    outputs = walked.layers[model.nodes[-1].name]
    if recipe.temperature != 1.0 and not training:
        outputs = outputs / recipe.temperature
    by_class = None if recipe.class_weights is None else constant(recipe.class_weights, model.dtype)
    weights = {WEIGHTS: input_(WEIGHTS, (batch,), model.dtype)} if recipe.weighted else {}
    loss = recipe.cost(outputs, targets, by_class, weights.get(WEIGHTS))
    inputs = {INPUTS: x, TARGETS: targets, **weights, **vectors, **noise}
    updates = {BUFFERS: recipe.buffer_layout.join({**buffers, **walked.updates})} if walked.updates else {}
    return Forward(
        inputs,
        params,
        walked.layers,
        mean_member(outputs, model.members),
        recipe.predictions(outputs),
        loss,
        penalty(recipe, params),
        updates,
    )


def network_inputs(recipe: Recipe) -> tuple[dict[str, Value], dict[str, Value], dict[str, Value]]:
    """Inputs for the flat vectors of the network, and the parameters and buffers in them by full name."""
    vectors = {name: input_(name, (recipe.layout_of(name).size,), recipe.model.dtype) for name in recipe.network}
    buffers = recipe.buffer_layout.values(vectors[BUFFERS]) if BUFFERS in vectors else {}
    return vectors, recipe.layout.values(vectors[PARAMETERS]), buffers


def penalty(recipe: Recipe, params: Mapping[str, Value]) -> Value:
    """``l1 * sum |w| + l2 / 2 * sum w^2`` over the regularized parameters; a scalar."""
    total = constant(0.0, recipe.model.dtype)
    for name, rule in recipe.penalties.items():
        if rule.l2:
            total = total + (0.5 * rule.l2) * sum(square(params[name]))
        if rule.l1:
            total = total + rule.l1 * sum(absolute(params[name]))
    return total


def _clipped(recipe: Recipe, gradient: Value, size: Value) -> Value:
    if recipe.clip_norm is not None:
        gradient = gradient * minimum(recipe.clip_norm / (size + _NORM_GUARD), 1.0)
    return gradient if recipe.clip_value is None else clip(gradient, -recipe.clip_value, recipe.clip_value)


class _Batch(NamedTuple):
    """One traced batch. ``outputs``: values to report; ``updates``: new buffers."""

    inputs: dict[str, Value]
    outputs: dict[str, Value]
    gradient: Value
    updates: dict[str, Value]


def _gradient(
    recipe: Recipe, objective: Value, params: Mapping[str, Value], recompute: int | Literal["auto"] | None = None
) -> Value:
    names = list(recipe.layout.shapes)
    wanted = [params[name] for name in names]
    if recompute is None:
        found = gradients(objective, wanted)
    else:
        from backprop_cli.execution.recomputation import grad_recomputed

        found = grad_recomputed(objective, wanted, None if recompute == "auto" else recompute)
    return recipe.layout.join(dict(zip(names, found, strict=True)))


def _metric_inputs(recipe: Recipe, traced: Forward) -> Value:
    if recipe.model.members is not None:
        return traced.predictions
    return recipe.loss.metric_inputs(traced.outputs, traced.inputs[TARGETS])


def _traced(recipe: Recipe, batch: int, predictions: bool) -> _Batch:
    traced = forward(recipe, batch, training=True)
    outputs = {LOSS: traced.loss, REGULARIZATION: traced.regularization}
    if predictions:
        outputs[PREDICTIONS] = _metric_inputs(recipe, traced)
    gradient = _gradient(recipe, traced.loss + traced.regularization, traced.params, recipe.recompute)
    return _Batch(dict(traced.inputs), outputs, gradient, dict(traced.updates))


def _joined(recipe: Recipe, shards: Sequence[Program]) -> _Batch:
    """The whole batch, joined from the shards of ``shard_step``. The weight of each shard is an input ``share``."""
    dtype, names = recipe.model.dtype, list(shards[0].outputs)
    values = [{name: input_(name, shard.outputs[name].shape, dtype) for name in names} for shard in shards]
    shares = [input_(SHARE, (), dtype) for _ in shards]
    vector = input_(PARAMETERS, (recipe.layout.size,), dtype)
    params = recipe.layout.values(vector)
    inputs = {PARAMETERS: vector}
    for number, (share, shard) in enumerate(zip(shares, values, strict=True)):
        inputs |= {shard_name(name, number): value for name, value in {SHARE: share, **shard}.items()}
    loss, gradient = (
        reduce(add, [share * shard[name] for share, shard in zip(shares, values, strict=True)])
        for name in (LOSS, GRADIENT)
    )
    regularization = penalty(recipe, params)
    if recipe.penalties:
        gradient = gradient + _gradient(recipe, regularization, params)
    outputs = {LOSS: loss, REGULARIZATION: regularization}
    if PREDICTIONS in names:
        outputs[PREDICTIONS] = concat([shard[PREDICTIONS] for shard in values], 0)
    return _Batch(inputs, outputs, gradient, {})


def shard_name(name: str, number: int) -> str:
    """Input of ``join_step`` for an output, or the share, of a shard; ``number`` counts from 0."""
    return f"shard_{number}.{name}"


def _accumulated(recipe: Recipe, batch: _Batch) -> Value:
    """``gradient_sum + share * gradient``; it adds its two inputs to the batch's."""
    batch.inputs[SHARE] = input_(SHARE, (), recipe.model.dtype)
    batch.inputs[GRADIENT_SUM] = input_(GRADIENT_SUM, (recipe.layout.size,), recipe.model.dtype)
    return batch.inputs[GRADIENT_SUM] + batch.inputs[SHARE] * batch.gradient


def _step(recipe: Recipe, batch: _Batch) -> Program:
    gradient, inputs, updates = batch.gradient, batch.inputs, dict(batch.updates)
    if isinstance(recipe.optimizer, FullBatch):
        return simplify(Program(inputs, {**batch.outputs, GRADIENT_NORM: norm(gradient), GRADIENT: gradient}, updates))
    if recipe.accumulate:
        gradient = _accumulated(recipe, batch)
        updates[GRADIENT_SUM] = constant(np.zeros(gradient.size, gradient.dtype))
    size = norm(gradient)
    vector, slots = descend(recipe.spans, inputs, _clipped(recipe, gradient, size), inputs[PARAMETERS])
    updates |= {**slots, PARAMETERS: vector}
    return simplify(Program(inputs, {**batch.outputs, GRADIENT_NORM: size}, updates))


def _accumulation(recipe: Recipe, batch: _Batch) -> Program:
    total = _accumulated(recipe, batch)
    return simplify(Program(batch.inputs, batch.outputs, {**batch.updates, GRADIENT_SUM: total}))


@lru_cache(maxsize=1)
def training_step(recipe: Recipe, batch: int, predictions: bool = False) -> Program:
    """Inputs, targets and states -> loss and new states, with the optimizer's update.

    ``predictions`` adds the batch's predictions for metrics (probabilities for classes), before the update. With
    accumulation, ``share`` times the batch's gradient is added to ``gradient_sum``, which the update uses and resets;
    ``share`` is the batch's share of the update's examples. For a full-batch optimizer, only buffers have new states,
    and the gradient is an output. The last program is remembered: a run asks for it once to decide whether to compile.
    """
    return _step(recipe, _traced(recipe, batch, predictions))


def accumulation_step(recipe: Recipe, batch: int, predictions: bool = False) -> Program:
    """``training_step`` without the optimizer's update: ``gradient_sum <- gradient_sum + share * gradient``."""
    return _accumulation(recipe, _traced(recipe, batch, predictions))


def shard_step(recipe: Recipe, batch: int, predictions: bool = False) -> Program:
    """A shard of ``batch`` examples -> its loss without regularization, and the gradient of this loss."""
    traced = forward(recipe, batch, training=True)
    outputs = {LOSS: traced.loss, GRADIENT: _gradient(recipe, traced.loss, traced.params, recipe.recompute)}
    if predictions:
        outputs[PREDICTIONS] = _metric_inputs(recipe, traced)
    return simplify(Program(traced.inputs, outputs))


def join_step(recipe: Recipe, shards: Sequence[Program], updates: bool = True) -> Program:
    """Outputs of the shards, and states -> as ``training_step``; without ``updates`` as ``accumulation_step``.

    The batch's loss is ``sum_k share_k * loss_k``, likewise its gradient. The share of a shard is its share of the
    costs in the mean; the shares sum to 1.
    """
    batch = _joined(recipe, shards)
    return _step(recipe, batch) if updates else _accumulation(recipe, batch)


def evaluation_step(recipe: Recipe, batch: int) -> Program:
    """Inputs and targets -> the mean loss of the batch and its predictions for metrics, without dropout or updates."""
    traced = forward(recipe, batch, training=False)
    return simplify(Program(traced.inputs, {LOSS: traced.loss, PREDICTIONS: _metric_inputs(recipe, traced)}))


def prediction_step(recipe: Recipe, batch: int) -> Program:
    """Inputs -> predictions."""
    traced = forward(recipe, batch, training=False)
    inputs = {name: value for name, value in traced.inputs.items() if name not in (TARGETS, WEIGHTS)}
    return simplify(Program(inputs, {PREDICTIONS: traced.predictions}))


def output_step(recipe: Recipe, batch: int) -> Program:
    """Inputs -> the outputs of the last layer, such as logits; of an ensemble those of every member."""
    traced = forward(recipe, batch, training=False)
    inputs = {name: value for name, value in traced.inputs.items() if name not in (TARGETS, WEIGHTS)}
    return simplify(Program(inputs, {PREDICTIONS: traced.layers[recipe.model.nodes[-1].name]}))


def gradient_program(recipe: Recipe, batch: int) -> Program:
    """Inputs, targets and noise -> loss with regularization, and its gradient as the flat vector."""
    traced = forward(recipe, batch, training=True)
    objective = traced.loss + traced.regularization
    gradient = _gradient(recipe, objective, traced.params, recipe.recompute)
    return Program(traced.inputs, {LOSS: objective, GRADIENT: gradient})

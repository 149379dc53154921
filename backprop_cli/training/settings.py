"""The YAML sections ``training`` and ``early_stopping``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backprop_cli.settings import FREE, RESTARTS, Maybe, NonNegative, Positive, PositiveInt, Settings


class LookaheadSettings(Settings):
    """Slow weights that follow the optimizer's: after every so many steps ``slow <- slow + rate * (fast - slow)``.

    The optimizer goes on from there, with what it remembers. The slow weights are what is evaluated and kept.
    Source: Zhang, Lucas, Hinton & Ba, Lookahead Optimizer: k Steps Forward, 1 Step Back (2019), algorithm 1.
    """

    steps: Annotated[PositiveInt, FREE] = 5
    """steps of the optimizer between two of the slow weights"""
    rate: Annotated[float, Field(gt=0, le=1), FREE] = 0.5
    """share of the way that the slow weights go"""


class RecomputeSettings(Settings):
    """Keep less for the reverse sweep: the network in segments, of which only one at a time has all its results."""

    segments: PositiveInt | Literal["auto"] = "auto"
    """how many; auto takes those that need the least memory"""


class TrainingSettings(Settings):
    """How long, in which batches and precision, and what bounds a step."""

    epochs: Annotated[int, Field(ge=0), FREE] = 30
    """passes over the train split; 0 writes the initial weights as the last checkpoint"""
    batch_size: Annotated[PositiveInt, FREE] = 32
    """examples a batch; the last batch of an epoch may be smaller"""
    max_steps: Annotated[Maybe[PositiveInt], FREE] = None
    """stop after this many steps"""
    max_seconds: Annotated[Maybe[Positive], FREE] = None
    """stop after this many seconds of training"""
    overfit_batches: Maybe[PositiveInt] = None
    """train and evaluate on so many batches of the train split alone: a check that the network can learn them"""
    accumulate: Annotated[PositiveInt, FREE] = 1
    """batches an update; the update is that of one batch of all their examples"""
    clip_norm: Annotated[Maybe[Positive], FREE] = None
    """scale the gradient of all parameters down to this Euclidean norm"""
    clip_value: Annotated[Maybe[Positive], FREE] = None
    """clip every entry of the gradient to [-clip_value, clip_value]"""
    shuffle: bool = True
    """a new order every epoch; false keeps the file's order"""
    recompute: Annotated[Maybe[RecomputeSettings], FREE] = None
    """compute results of the forward run again where the gradient needs them, instead of keeping them all"""
    precision: Literal["float32", "float64"] = "float32"
    """floating-point format of parameters and data"""
    threads: Annotated[PositiveInt | Literal["auto"], FREE] = "auto"
    """threads of a step: of BLAS, or each for a part of the batch where most of the work is no large matrix product"""
    compile: Annotated[bool | Literal["auto"], FREE] = "auto"
    """make machine code of the steps, with the extra [fast]; auto does where the run is long enough to gain by it"""


class EarlyStoppingSettings(Settings):
    """Stop when the monitored metric has not improved by more than ``min_delta`` for ``patience`` epochs."""

    monitor: Annotated[str, RESTARTS] = "validation/loss"
    """name of the metric, as in metrics.jsonl"""
    mode: Annotated[Literal["auto", "min", "max"], RESTARTS] = "auto"
    """which way is better; auto knows it from the metric"""
    patience: Annotated[int, Field(ge=0)] = 5
    """epochs without improvement before stopping"""
    min_delta: NonNegative = 0.0
    """smallest change that counts as an improvement"""
    restore_best: bool = True
    """keep the best weights, not the last; false writes no best checkpoint"""
